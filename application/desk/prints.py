"""What was told last of the trades of each instrument: a trade, or what became of one."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from domain.identifiers import Instant, uuid_of
from domain.terms import Side

_BUY = int(Side.BUY)

FillEvent = OrderFilled | OrderFillBusted | OrderFillCorrected


class Print(NamedTuple):
    """What the buyer's event said; `topic` is that event's, `liquidity` 0 of what is no trade."""

    topic: str
    trade_id: UUID
    at: Instant
    price: int
    qty: int
    liquidity: int
    price_before: int


class Prints:
    """The latest print of each instrument that has any."""

    def __init__(self) -> None:
        self._latest: dict[int, FillEvent | Print] = {}

    def said(self, event: FillEvent) -> None:
        """Keep what an event says; a trade has two, and the buyer's counts."""
        if event.side == _BUY:
            self._latest[event.instrument_id.int] = event

    def of(self, instrument_id: UUID) -> Print | None:
        """The latest print of an instrument; None where there was none."""
        latest = self._latest.get(instrument_id.int)
        return None if latest is None else _print_of(latest)

    def dump(self) -> list[Any]:
        """All that is kept, in one canonical order."""
        return [
            [UUID(int=number), *_print_of(latest)]
            for number, latest in sorted(self._latest.items())
        ]

    def load(self, state: list[Any]) -> None:
        """Become what was dumped."""
        for instrument_id, topic, trade_id, *others in state:
            self._latest[uuid_of(instrument_id).int] = Print(topic, uuid_of(trade_id), *others)


def _print_of(said: FillEvent | Print) -> Print:
    if isinstance(said, Print):
        return said
    liquidity = said.liquidity if isinstance(said, OrderFilled) else 0
    price_before = said.old_price if isinstance(said, OrderFillCorrected) else 0
    return Print(said.TOPIC, said.trade_id, said.at, said.price, said.qty, liquidity, price_before)
