"""What an order was before an event that comes late, read again from its own events."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any
from uuid import UUID

from application.audit.second_books.commissions import NOTHING, told
from domain.events import (
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
)
from domain.identifiers import NO_ID

HELD = 9


class PastFill:
    """A trade of an order as it stands, unless undone: `asked` is its commission in dollars."""

    __slots__ = ("asked", "exact", "first", "notional", "price")

    def __init__(self, first: OrderFilled) -> None:
        self.first = first
        self.price, self.notional, self.exact = first.price, first.notional, first.exact
        self.asked = told(first.commission)

    @property
    def worth(self) -> Fraction:
        """What it is to its account, in dollars; once it was its notional."""
        if not self.exact:
            return Fraction(self.notional, 100)
        units = self.first.qty * self.first.multiplier
        return Fraction(self.price * units, 10 ** (self.first.price_decimals + 8))


class Past:
    """Where an order's events have led to."""

    def __init__(self) -> None:
        self.status = ""
        self.group_id: UUID = NO_ID
        self.leg = 0
        self.filled = self.value = 0
        self.asked: Fraction = NOTHING
        self.charged: Fraction = NOTHING
        self.fills: dict[UUID, PastFill] = {}


def past_of(events: Sequence[Any]) -> Past:
    """Read an order's events in order; without any its status is empty."""
    past = Past()
    for event in events:
        if isinstance(event, OrderAccepted):
            past.status = "held" if event.status == HELD else "new"
            past.group_id, past.leg = event.group_id, event.leg
        elif isinstance(event, OrderAdjusted):
            if past.status == "held" and event.status_after == 0:
                past.status = "new"
        elif isinstance(event, OrderRejected):
            past.status = "rejected"
        elif isinstance(event, OrderCanceled):
            past.status = "canceled"
        elif isinstance(event, OrderExpired):
            past.status = "expired"
        elif isinstance(event, OrderFilled | OrderFillBusted | OrderFillCorrected):
            _traded(past, event)
    return past


def _traded(past: Past, event: OrderFilled | OrderFillBusted | OrderFillCorrected) -> None:
    if isinstance(event, OrderFilled):
        past.status = "partial" if event.leaves_after else "filled"
        past.fills[event.trade_id] = PastFill(event)
        past.filled = event.filled_after
    elif isinstance(event, OrderFillBusted):
        past.fills.pop(event.trade_id, None)
        past.filled = event.filled_after
    else:
        fill = past.fills.get(event.trade_id)
        if fill is not None:
            fill.price, fill.notional, fill.exact = event.price, event.notional, event.exact
            fill.asked = told(event.commission)
    past.value = int(event.value_after)
    past.asked = told(event.commission_base_after)
    past.charged = told(event.commission_after)
