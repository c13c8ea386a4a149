"""A multi-leg order at the writer's door: what may be asked of one, and how it is shown."""

from __future__ import annotations

from typing import Annotated, Any, Self

import msgspec
from msgspec.structs import replace

from application.requests import Command, Int64, KeyOf, OfAccount, Text
from domain import units
from domain.events.multileg import ConstraintRow, LegRow
from domain.identifiers import NO_ID, AccountId, Instant, RevisionId, StrategyId
from domain.multileg import AskedLeg, MultiLegOrder
from domain.strategy_terms import Constraint, StrategyTerms
from domain.terms import Execution, SelfTrade
from domain.units import Columns, to_digits

SentLeg = Annotated[
    tuple[
        Text[units.Symbol],
        Int64[units.SideCode],
        Int64[units.Number],
        Int64[units.PositionIntentCode],
    ],
    Columns(AskedLeg._fields),
]
"""A leg, as it is asked for."""
SentConstraint = Annotated[
    tuple[
        Int64[units.ConstraintKindCode],
        Int64[units.Number],
        Int64[units.Number],
        Int64[units.Coefficient],
        Int64[units.Coefficient],
        Int64[units.WirePrice],
    ],
    Columns(Constraint._fields),
]
"""What must hold between two legs' prices, as it is asked for."""


class PlaceMultiLeg(OfAccount, frozen=True, array_like=True, tag="place_multi_leg"):
    """Place an order of two to four legs. The request key is `client_order_id`.

    `qty` counts units, each leg's ratio once; `net_price` is what one may cost at most, negative
    what it must bring at least, as `domain.strategy_terms.StrategyTerms` has it.
    """

    order_type: Int64[units.OrderTypeCode]
    time_in_force: Int64[units.TimeInForceCode]
    qty: Int64[units.Qty]
    net_price: Int64[units.WirePrice]
    client_order_id: Text[units.Key]
    legs: tuple[SentLeg, ...]
    execution: Int64[units.ExecutionCode] = int(Execution.SIMULTANEOUS)
    constraints: tuple[SentConstraint, ...] = ()
    leg_seconds: Int64[units.Number] = 0
    self_trade: Int64[units.SelfTradeCode] = int(SelfTrade.CANCEL_NEWEST)

    @property
    def terms(self) -> StrategyTerms:
        """What it asks for beside its legs."""
        return StrategyTerms(
            self.order_type,
            self.time_in_force,
            self.qty,
            self.net_price,
            self.execution,
            self.self_trade,
            self.leg_seconds,
            tuple(Constraint(*row) for row in self.constraints),
        )

    @property
    def asked(self) -> tuple[AskedLeg, ...]:
        """Its legs."""
        return tuple(AskedLeg(*row) for row in self.legs)

    def key(self) -> KeyOf | None:
        """The client's own name for the order."""
        return self.known_by(self.client_order_id)

    def names_order(self) -> bool:
        """It is the order's own name."""
        return True

    def orders_sent(self) -> int:
        """Every leg is one."""
        return len(self.legs) or 1


class PassTurns(Command, frozen=True, array_like=True, tag="pass_turns"):
    """Look at sequential orders of which a leg has had its time, as the writer's timers found."""

    strategy_ids: tuple[StrategyId, ...]


class StrategyView(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One revision of a multi-leg order, as it stands or, when it was replaced, as it stood then.

    `cost` is what the filled units cost in all without commissions, `unwinding_cost` what closing
    legs cost that were ahead; negative is received. A net
    price is one of `multiplier` units of the underlying. `end_reason` is a CancelReason, and 0 of
    one that was not canceled or unwound. Times and `replaces` are as an `OrderView` has them.
    """

    cost: units.ExactUsd
    order_id: StrategyId
    account_id: AccountId
    order_type: units.OrderTypeCode
    time_in_force: units.TimeInForceCode
    qty: units.Qty
    leaves: units.Qty
    filled: units.Qty
    net_price: units.WirePrice
    execution: units.ExecutionCode
    leg_seconds: units.Number
    client_order_id: units.Key
    revision_id: RevisionId
    status: units.StrategyStatusCode
    submitted_at: Instant
    updated_at: Instant
    filled_at: Instant
    ended_at: Instant
    end_reason: units.CancelReasonCode
    refusal_code: str
    legs: tuple[LegRow, ...]
    constraints: tuple[ConstraintRow, ...]
    multiplier: units.Number
    replaces: RevisionId = NO_ID
    replaced_at: Instant = 0
    replaced_by: RevisionId = NO_ID
    unwinding_cost: units.ExactUsd = "0"

    @classmethod
    def of(cls, parent: MultiLegOrder) -> Self:
        """The order as it stands."""
        values: dict[str, Any] = {
            name: getattr(parent, name) for name in cls.__struct_fields__ if name not in _OTHERWISE
        }
        return cls(
            cost=to_digits(parent.cost),
            unwinding_cost=to_digits(parent.unwinding_cost),
            order_id=parent.id,
            submitted_at=parent.replaced_at or parent.created_at,
            updated_at=parent.modified_at,
            **values,
        )

    def replaced(self, by: RevisionId, at: Instant) -> Self:
        """The revision from when another took its place: nothing changes it any more."""
        return replace(self, replaced_by=by, replaced_at=at, updated_at=at)


_OTHERWISE = frozenset(
    {
        *("cost", "unwinding_cost", "order_id", "submitted_at", "updated_at"),
        *("replaced_at", "replaced_by"),
    }
)
