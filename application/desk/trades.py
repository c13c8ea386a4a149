"""The room of trades that were undone or corrected; all others are as their fills say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from domain.events import OrderFillBusted, OrderFillCorrected
from domain.identifiers import uuid_of
from domain.terms import Side

_BUY = int(Side.BUY)


class Corrected(NamedTuple):
    """A trade as it stands after its corrections; fees are what each side's fill costs now."""

    price: int = 0
    notional: int = 0
    buyers_fee: int = 0
    sellers_fee: int = 0
    exact: bool = False

    def fee(self, side: int) -> int:
        """What the fill of a side costs."""
        return self.buyers_fee if side == _BUY else self.sellers_fee


NOT_CORRECTED = Corrected()


class Trades:
    """What the venue has made of trades afterwards, by trade id."""

    def __init__(self) -> None:
        self.busted: set[UUID] = set()
        self.corrected: dict[UUID, Corrected] = {}
        self.rules: dict[type[Any], Callable[[Any], None]] = {
            OrderFillBusted: self._busted,
            OrderFillCorrected: self._corrected,
        }

    def _busted(self, event: OrderFillBusted) -> None:
        self.busted.add(event.trade_id)

    def _corrected(self, event: OrderFillCorrected) -> None:
        known = self.corrected.get(event.trade_id, NOT_CORRECTED)
        fees = known.buyers_fee, known.sellers_fee
        fees = (event.fee_after, fees[1]) if event.side == _BUY else (fees[0], event.fee_after)
        self.corrected[event.trade_id] = Corrected(
            event.price, event.notional, *fees, exact=event.exact
        )

    def dump(self) -> list[Any]:
        """All state of the room in one canonical order."""
        return [
            sorted(self.busted),
            [[key, *value] for key, value in sorted(self.corrected.items())],
        ]

    def load(self, state: list[Any]) -> None:
        """Become the room that was dumped."""
        self.busted = {uuid_of(key) for key in state[0]}
        self.corrected = {uuid_of(key): Corrected(*found) for key, *found in state[1]}
