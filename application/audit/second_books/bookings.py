"""What a command's fills must lead to in accounts and positions, and whether it did."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

from application.audit.second_books.findings import Findings
from domain.events import (
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    TradeBooked,
    TradeReversed,
)
from domain.identifiers import NO_ID

OrderTrade = tuple[UUID, UUID]


class Exercise(NamedTuple):
    """What an option that is exercised or assigned trades of its underlying, without an order."""

    account_id: UUID
    instrument_id: UUID
    trade_id: UUID
    side: int
    qty: int
    price: int
    price_decimals: int
    multiplier: int
    session_date: int
    value_date: int
    originator_id: UUID = NO_ID
    fee: int = 0
    exact: bool = True
    notional: int = 0


class Fill(NamedTuple):
    """A fill that must be booked in this command; an exercise is one without an order.

    `commission` is what it adds to the order's, exactly; `hold_before` the order's hold.
    """

    event: OrderFilled | OrderFillCorrected | Exercise
    hold_used: int
    reserve_used: int
    hold_before: int
    commission: Fraction


class Undoing(NamedTuple):
    """A fill that must be reversed in this command: as it stands, and as it was first booked.

    `worth` is what it is to its account in dollars: its `exact` value, or else its notional.
    """

    event: OrderFillBusted | OrderFillCorrected
    price: int
    notional: int
    worth: Fraction
    exact: bool
    first: OrderFilled | None
    commission: Fraction


class Bookings:
    """One command's fills and reversals by (order, trade), until each is booked whole."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.to_account: dict[OrderTrade, Fill] = {}
        self.to_position: dict[OrderTrade, Fill] = {}
        self.undoing: dict[OrderTrade, Undoing] = {}
        self.booked: dict[OrderTrade, TradeBooked] = {}
        self.undone: dict[OrderTrade, TradeReversed] = {}
        self.to_reverse: dict[OrderTrade, TradeReversed] = {}

    def expect(self, fill: Fill) -> None:
        """Expect a fill to be booked in its account and its position by this command."""
        key = (fill.event.originator_id, fill.event.trade_id)
        self.to_account[key] = self.to_position[key] = fill

    def expect_undone(self, undoing: Undoing) -> None:
        """Expect a fill to be reversed in its account and its position by this command."""
        self.undoing[undoing.event.originator_id, undoing.event.trade_id] = undoing

    def same(self, position: int, what: str, event: Any, other: Any, fields: Sequence[str]) -> None:
        """Judge whether both events say the same of one trade."""
        self._findings.looked["bookings"] += 1
        for field in fields:
            said, due = getattr(event, field), getattr(other, field)
            if said != due:
                self.fail(position, f"{field} is {said}, {what} says {due}")

    def fail(self, position: int, message: str) -> None:
        """Note that a trade is not booked as it should be."""
        self._findings.fail("bookings", position, message)

    def end_command(self, position: int) -> None:
        """Judge what a command left undone."""
        for fill in (*self.to_account.values(), *self.to_position.values()):
            self.fail(position, f"trade {fill.event.trade_id} is not booked whole")
        for _, trade_id in (*self.to_reverse, *(self.undoing.keys() - self.undone.keys())):
            self.fail(position, f"trade {trade_id} is not reversed whole")
        if self.undoing or self.undone or self.to_account or self.to_position:
            for fills in (self.to_account, self.to_position):
                fills.clear()
            self.undoing.clear()
            self.undone.clear()
            self.to_reverse.clear()
        self.booked.clear()


class Moves:
    """What working orders came to hold, against what the books were told, by order.

    More and less are told apart: an order that comes and goes in one command has both.
    """

    def __init__(self, findings: Findings, check: str) -> None:
        self._findings = findings
        self._check = check
        self._pending: dict[tuple[UUID, bool], int] = {}

    def due(self, order_id: UUID, delta: int) -> None:
        """Note how much more, or less, an order holds by its own event."""
        key = (order_id, delta > 0)
        self._pending[key] = self._pending.get(key, 0) + delta

    def done(self, order_id: UUID, delta: int) -> None:
        """Note how much more, or less, it holds by its account or its position."""
        key = (order_id, delta > 0)
        self._pending[key] = self._pending.get(key, 0) - delta

    def end_command(self, position: int) -> None:
        """Judge whether orders and books said the same of what is held."""
        for (order_id, _), rest in self._pending.items():
            if rest:
                self._findings.fail(self._check, position, f"order {order_id}: {rest} unbooked")
        self._pending.clear()
