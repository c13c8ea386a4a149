"""A client of the channels that has read the document and knows no more than it was sent."""

from __future__ import annotations

import zlib
from decimal import Decimal
from typing import Any

from domain.matching.engine import Market
from tests.model.naive_depth import BUY, SELL, rows_of

Level = tuple[str, int]


class ChannelBook:
    """One book, kept from the messages of /v2/book; notices what is missing or wrong."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence: int | None = None
        self.bids: dict[str, Level] = {}
        self.asks: dict[str, Level] = {}
        self.snapshots = 0
        self.updates = 0
        self.skipped = 0

    def take(self, message: dict[str, Any]) -> None:
        """Take a snapshot, or an update that follows what is known."""
        assert ("o", self.symbol) == (message["T"], message["S"])
        if message["r"]:
            assert message["previous"] is None
            self.bids, self.asks = {}, {}
            self.snapshots += 1
        else:
            assert message["previous"] == self.sequence, "an update is missing"
            assert message["sequence"] > message["previous"]
            assert message["b"] or message["a"]
            self.updates += 1
        self.skipped += message["skipped"]
        self.sequence = message["sequence"]
        self._set(self.bids, message["b"])
        self._set(self.asks, message["a"])
        assert message["checksum"] == self.checksum()

    def _set(self, side: dict[str, Level], levels: list[dict[str, Any]]) -> None:
        for level in levels:
            if Decimal(level["s"]):
                assert level["n"] > 0
                side[level["p"]] = level["s"], level["n"]
            else:
                assert 0 == level["n"]
                side.pop(level["p"], None)

    def checksum(self) -> int:
        """Over the best ten of each side: strings without their points and leading zeros."""
        best = (
            sorted(self.bids.items(), key=lambda one: -Decimal(one[0])),
            sorted(self.asks.items(), key=lambda one: Decimal(one[0])),
        )
        texts = [
            "".join(f"{_digits(price)}:{_digits(size)}," for price, (size, _) in side[:10])
            for side in best
        ]
        return zlib.crc32("|".join(texts).encode("ascii"))

    def is_that_of(self, market: Market) -> bool:
        """Whether it is the venue's book, to the last order."""
        scale = market.instrument.price_decimals
        return all(
            {
                (int(Decimal(price).scaleb(scale)), int(Decimal(size).scaleb(8)), orders)
                for price, (size, orders) in side.items()
            }
            == set(rows_of(market, which))
            for which, side in ((BUY, self.bids), (SELL, self.asks))
        )

    def has_quantities_of(self, market: Market) -> bool:
        """Whether prices and quantities are those of the venue's book."""
        scale = market.instrument.price_decimals
        return all(
            {
                (int(Decimal(price).scaleb(scale)), int(Decimal(size).scaleb(8)))
                for price, (size, _) in side.items()
            }
            == {(price, qty) for price, qty, _ in rows_of(market, which)}
            for which, side in ((BUY, self.bids), (SELL, self.asks))
        )


def _digits(text: str) -> str:
    return text.replace(".", "").lstrip("0")


class ChannelTape:
    """The trades of one instrument from the messages of /v2/trades."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.begun = 0
        self.sequence = 0
        self.told = 0
        self.dropped = 0

    def take(self, message: dict[str, Any]) -> None:
        """Take a trade, or what became of one."""
        assert message["S"] == self.symbol
        if message["r"]:
            self.begun = self.sequence = message["sequence"]
            return
        assert message["previous"] == self.sequence
        assert message["sequence"] == self.sequence + message["dropped"] + 1
        self.sequence = message["sequence"]
        self.told += 1
        self.dropped += message["dropped"]
