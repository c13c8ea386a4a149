"""Clients of the book channel that know no more than they were sent, and the naive book beside."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

from domain.matching.engine import Market
from projections.market_data.records import Kind, Record, level_of

BUY, SELL = 1, 2
Rows = list[tuple[int, int, int]]


def naive_checksum(bids: Rows, asks: Rows) -> int:
    """As a client computes it that has read the document: strings, joined."""
    sides = ["".join(f"{row[0]}:{row[1]}," for row in side[:10]) for side in (bids, asks)]
    return zlib.crc32("|".join(sides).encode("ascii")) & 0xFFFFFFFF


def rows_of(market: Market, side: int) -> Rows:
    """A side of a market's book by price, out of its single orders."""
    tick, lot = market.instrument.tick, market.instrument.lot
    qty: Counter[int] = Counter()
    orders: Counter[int] = Counter()
    for _, ticks, lots, _ in market.book.orders(side):
        qty[ticks * tick] += lots * lot
        orders[ticks * tick] += 1
    prices = sorted(qty, reverse=side == BUY)
    return [(price, qty[price], orders[price]) for price in prices]


class BookClient:
    """Keeps one book from a snapshot and updates; notices what is missing or wrong."""

    def __init__(self, instrument: int) -> None:
        self.instrument = instrument
        self.sequence: int | None = None
        self.sides: dict[int, dict[int, tuple[int, int]]] = {BUY: {}, SELL: {}}
        self.checked = 0

    def begin(self, sequence: int, records: Sequence[Record]) -> None:
        """Take a snapshot."""
        self.sides = {BUY: {}, SELL: {}}
        self.sequence = sequence
        self._set(records)

    def update(self, previous: int, sequence: int, records: Sequence[Record]) -> None:
        """Take what changed after `previous`, up to a sequence."""
        assert previous == self.sequence, "an update is missing"
        assert records
        self.sequence = sequence
        self._set(records)

    def _set(self, records: Sequence[Record]) -> None:
        for place, record in enumerate(records):
            level = level_of(record)
            assert record.kind == Kind.LEVEL and record.instrument == self.instrument
            assert level.left == len(records) - place - 1
            side = self.sides[level.side]
            if level.qty:
                assert level.orders > 0
                side[level.price] = (level.qty, level.orders)
            else:
                assert side.pop(level.price, None) is not None or place >= 0
            if not level.left:
                assert level.checksum == self.checksum()
                self.checked += 1

    def side(self, side: int) -> Rows:
        """A side as (price, qty, orders), best first."""
        kept = self.sides[side]
        return [(price, *kept[price]) for price in sorted(kept, reverse=side == BUY)]

    def checksum(self) -> int:
        """That of the book as this client has it."""
        return naive_checksum(self.side(BUY), self.side(SELL))

    def is_that_of(self, market: Market) -> bool:
        """Whether it is the venue's book."""
        return all(self.side(side) == rows_of(market, side) for side in (BUY, SELL))


def updates_in(records: Iterable[Record], instrument: int) -> list[list[Record]]:
    """The updates of an instrument's book among records, each with all its levels."""
    updates: list[list[Record]] = [[]]
    for record in records:
        if record.instrument == instrument and record.kind == Kind.LEVEL:
            updates[-1].append(record)
            if not record.second:
                updates.append([])
    assert not updates[-1], "an update without its end"
    return updates[:-1]
