"""A group of linked orders: take-profit and stop-loss, of which one execution ends the other."""

from __future__ import annotations

from typing import NamedTuple
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
_STOPPED = int(GroupPhase.STOPPED)


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

    account_id: UUID = NO_ID
    instrument_id: UUID = NO_ID
    symbol: str = ""
    order_class: int = int(OrderClass.OCO)
    side: int = int(Side.SELL)
    qty: int = 0
    entry_id: UUID = NO_ID
    take_profit_id: UUID = NO_ID
    stop_loss_id: UUID = NO_ID
    client_order_id: str = ""
    phase: int = int(GroupPhase.WAITING)
    entry_filled: int = 0
    exit_qty: int = 0
    filled: int = 0

    @classmethod
    def place(
        cls, decision: Decision, group_id: UUID, account_id: UUID, instrument_id: UUID, plan: Plan
    ) -> Oco:
        """Link orders that passed every check."""
        group: Oco = decision.record(
            GroupPlaced(
                *decision.first_of(group_id),
                account_id,
                instrument_id,
                leg=0,
                symbol=plan.symbol,
                order_class=plan.order_class,
                side=plan.side,
                qty=plan.qty,
                entry_id=plan.legs.entry,
                take_profit_id=plan.legs.take_profit,
                stop_loss_id=plan.legs.stop_loss,
                client_order_id=plan.client.key,
                fingerprint=plan.client.fingerprint,
                price_decimals=plan.price_decimals,
                take_profit_price=plan.take_profit_price,
                stop_price=plan.stop_price,
                stop_limit_price=plan.stop_limit_price,
            ),
            None,
        )
        return group

    @property
    def left(self) -> int:
        """What the exits may still trade."""
        return self.exit_qty - self.filled

    @property
    def is_stopped(self) -> bool:
        """Whether its stop was triggered: from then on the stop is all there is."""
        return self.phase == _STOPPED

    @property
    def legs(self) -> tuple[tuple[int, UUID], ...]:
        """Its (leg, order id), the entry first, the stop last."""
        every = (
            (_ENTRY, self.entry_id),
            (_TAKE_PROFIT, self.take_profit_id),
            (_STOP_LOSS, self.stop_loss_id),
        )
        return tuple(row for row in every if row[1].int)

    def fill_entry(self, decision: Decision, qty: int, growth: int) -> None:
        """The entry traded `qty`, and the exits may trade `growth` more."""
        assert 0 <= growth <= qty and not self.is_stopped
        decision.record(
            GroupEntryFilled(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                leg=_ENTRY,
                qty=qty,
                entry_filled_after=self.entry_filled + qty,
                exit_qty_after=self.exit_qty + growth,
            ),
            self,
        )

    def fill_exit(self, decision: Decision, leg: int, order_id: UUID, qty: int) -> None:
        """An exit traded `qty` of what both may."""
        assert qty <= self.left, "the exits traded more than they may"
        decision.record(
            GroupLegFilled(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                leg=leg,
                order_id=order_id,
                qty=qty,
                filled_after=self.filled + qty,
                left_after=self.left - qty,
            ),
            self,
        )

    def trigger_stop(self, decision: Decision, prices: PriceRange, gap: bool) -> None:
        """The stop's condition was met at the `prices` seen."""
        assert not self.is_stopped
        decision.record(
            GroupStopTriggered(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                leg=_STOP_LOSS,
                order_id=self.stop_loss_id,
                low_price=prices.low,
                high_price=prices.high,
                gap=gap,
                left=self.left,
            ),
            self,
        )

    def resize(self, decision: Decision, reason: int, *, qty: int, exit_qty: int) -> None:
        """Let the group be for another quantity; its exits have traded no more than that."""
        assert self.filled <= exit_qty
        decision.record(
            GroupResized(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                leg=0,
                reason=reason,
                qty_after=qty,
                exit_qty_after=exit_qty,
            ),
            self,
        )

    def end(self, decision: Decision, reason: int) -> None:
        """No leg works any more."""
        decision.record(
            GroupEnded(
                *decision.next_of(self),
                account_id=self.account_id,
                instrument_id=self.instrument_id,
                leg=0,
                reason=reason,
                filled=self.filled,
            ),
            self,
        )


aggregate(Oco)
