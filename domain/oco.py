"""A group of linked orders: take-profit and stop-loss, of which one execution ends the other."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.events import (
    GroupEnded,
    GroupEntryFilled,
    GroupLegFilled,
    GroupPlaced,
    GroupResized,
    GroupStopTriggered,
)
from domain.identifiers import NO_ID
from domain.order_terms import Request
from domain.price_range import PriceRange
from domain.terms import GroupPhase, Leg, OrderClass, Side

_ENTRY = int(Leg.ENTRY)
_TAKE_PROFIT = int(Leg.TAKE_PROFIT)
_STOP_LOSS = int(Leg.STOP_LOSS)


class LegIds(NamedTuple):
    """The orders of a group, nil where it lacks a leg."""

    entry: UUID = NO_ID
    take_profit: UUID = NO_ID
    stop_loss: UUID = NO_ID


class Plan(NamedTuple):
    """A group that passed every check; `side` is that of its exits, 0 is no price."""

    symbol: str
    order_class: int
    side: int
    qty: int
    legs: LegIds
    client: Request
    price_decimals: int
    take_profit_price: int = 0
    stop_price: int = 0
    stop_limit_price: int = 0


class Oco(Aggregate):
    """An oco, bracket or oto group; nil ids are legs it lacks.

    `qty` is what was asked for, `exit_qty` what the exits may trade in all (a bracket's grows
    with its entry), `filled` what they have traded.
    """

    KIND = "oco"
    FIELDS: ClassVar[dict[str, Any]] = {
        "account_id": NO_ID,
        "instrument_id": NO_ID,
        "symbol": "",
        "order_class": int(OrderClass.OCO),
        "side": int(Side.SELL),
        "qty": 0,
        "entry_id": NO_ID,
        "take_profit_id": NO_ID,
        "stop_loss_id": NO_ID,
        "client_order_id": "",
        "phase": int(GroupPhase.WAITING),
        "entry_filled": 0,
        "exit_qty": 0,
        "filled": 0,
    }

    account_id: UUID
    instrument_id: UUID
    symbol: str
    order_class: int
    side: int
    qty: int
    entry_id: UUID
    take_profit_id: UUID
    stop_loss_id: UUID
    client_order_id: str
    phase: int
    entry_filled: int
    exit_qty: int
    filled: int

    @classmethod
    def place(
        cls, decision: Decision, group_id: UUID, account_id: UUID, instrument_id: UUID, plan: Plan
    ) -> Oco:
        """Link orders that passed every check."""
        group: Oco = cls.begin(
            GroupPlaced,
            decision,
            group_id,
            account_id,
            instrument_id,
            0,
            plan.symbol,
            plan.order_class,
            plan.side,
            plan.qty,
            plan.legs.entry,
            plan.legs.take_profit,
            plan.legs.stop_loss,
            *plan.client,
            plan.price_decimals,
            plan.take_profit_price,
            plan.stop_price,
            plan.stop_limit_price,
        )
        return group

    @property
    def left(self) -> int:
        """What the exits may still trade."""
        return self.exit_qty - self.filled

    @property
    def is_stopped(self) -> bool:
        """Whether its stop was triggered: from then on the stop is all there is."""
        return self.phase == GroupPhase.STOPPED

    @property
    def legs(self) -> tuple[tuple[int, UUID], ...]:
        """Its (leg, order id), the entry first, the stop last."""
        every = (
            (_ENTRY, self.entry_id),
            (_TAKE_PROFIT, self.take_profit_id),
            (_STOP_LOSS, self.stop_loss_id),
        )
        return tuple(row for row in every if row[1] != NO_ID)

    def fill_entry(self, decision: Decision, qty: int, growth: int) -> None:
        """The entry traded `qty`, and the exits may trade `growth` more."""
        assert 0 <= growth <= qty and not self.is_stopped
        self.trigger(
            GroupEntryFilled,
            decision,
            self.account_id,
            self.instrument_id,
            _ENTRY,
            qty,
            self.entry_filled + qty,
            self.exit_qty + growth,
        )

    def fill_exit(self, decision: Decision, leg: int, order_id: UUID, qty: int) -> None:
        """An exit traded `qty` of what both may."""
        assert qty <= self.left, "the exits traded more than they may"
        self.trigger(
            GroupLegFilled,
            decision,
            self.account_id,
            self.instrument_id,
            leg,
            order_id,
            qty,
            self.filled + qty,
            self.left - qty,
        )

    def trigger_stop(self, decision: Decision, prices: PriceRange, gap: bool) -> None:
        """The stop's condition was met at the `prices` seen."""
        assert not self.is_stopped
        self.trigger(
            GroupStopTriggered,
            decision,
            self.account_id,
            self.instrument_id,
            _STOP_LOSS,
            self.stop_loss_id,
            *prices,
            gap,
            self.left,
        )

    def resize(self, decision: Decision, reason: int, *, qty: int, exit_qty: int) -> None:
        """Let the group be for another quantity; its exits have traded no more than that."""
        assert self.filled <= exit_qty
        self.trigger(
            GroupResized,
            decision,
            self.account_id,
            self.instrument_id,
            0,
            reason,
            qty,
            exit_qty,
        )

    def end(self, decision: Decision, reason: int) -> None:
        """No leg works any more."""
        self.trigger(
            GroupEnded, decision, self.account_id, self.instrument_id, 0, reason, self.filled
        )


aggregate(Oco)
