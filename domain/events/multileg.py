"""Events of multi-leg orders: placed whole, executed in ratio, and how they end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from domain.events.base import DomainEvent, SpentKey, spent, topic
from domain.identifiers import AccountId, Instant, InstrumentId, OrderId, RevisionId
from domain.strategy_terms import Constraint, StrategyLeg
from domain.terms import Execution, StrategyStatus
from domain.units import (
    CANCEL_REASON,
    EXACT_USD,
    INSTANT,
    LEG,
    QTY,
    SEQUENCE,
    CancelReasonCode,
    Coefficient,
    Columns,
    ConstraintKindCode,
    ExactUsd,
    ExecutionCode,
    Fingerprint,
    Key,
    LegCode,
    Number,
    OrderTypeCode,
    PositionIntentCode,
    Qty,
    SelfTradeCode,
    Sequence,
    SideCode,
    StrategyStatusCode,
    Symbol,
    TimeInForceCode,
    Unit,
    WirePrice,
    Words,
    from_digits,
    unit_of,
)

_WORKING = int(StrategyStatus.WORKING)
_UNWINDING = int(StrategyStatus.UNWINDING)
_UNWOUND = int(StrategyStatus.UNWOUND)
_CANCELED = int(StrategyStatus.CANCELED)
_EXPIRED = int(StrategyStatus.EXPIRED)
_SIMULTANEOUS = int(Execution.SIMULTANEOUS)

LegRow = Annotated[
    tuple[OrderId, InstrumentId, Symbol, SideCode, Number, PositionIntentCode],
    Columns(("order_id", "instrument_id", "symbol", "side", "ratio", "position_intent")),
]
"""A leg: the order that it is, and how much of what a unit has of it."""
AskedLegRow = Annotated[
    tuple[Symbol, SideCode, Number, PositionIntentCode],
    Columns(("symbol", "side", "ratio", "position_intent")),
]
"""A leg as it was asked for."""
ConstraintRow = Annotated[
    tuple[ConstraintKindCode, Number, Number, Coefficient, Coefficient, WirePrice],
    Columns(("kind", "left", "right", "a", "b", "c")),
]
"""What must hold between two legs' prices; the legs by their places from 0."""


class MultiLegEvent(DomainEvent, frozen=True, array_like=True, gc=False):
    """An event of a multi-leg order; the originator is the parent of its legs' orders."""

    AGGREGATE = "multileg"
    SETS: ClassVar[Mapping[str, Unit]] = {
        "filled": QTY,
        "cost": EXACT_USD,
        "end_reason": CANCEL_REASON,
        "ended_at": INSTANT,
        "filled_at": INSTANT,
        "replaced_at": INSTANT,
        "sequence": SEQUENCE,
        "refusal_code": Words(),
        "turn": LEG,
        "due_at": INSTANT,
        "unwinding_cost": EXACT_USD,
        "legs": unit_of(tuple[LegRow, ...], "legs"),
    }
    account_id: AccountId


@topic
class MultiLegPlaced(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """All legs passed every check and are accepted after it, as orders of their own.

    `qty` counts units; `net_price` is what one may cost at most, for one unit of the underlying,
    negative is received. `sequence` is its priority among complex orders; `multiplier` the largest
    of the legs', of which a net price is one.
    """

    TOPIC = "multileg.placed.v1"
    order_type: OrderTypeCode
    time_in_force: TimeInForceCode
    qty: Qty
    net_price: WirePrice
    execution: ExecutionCode
    self_trade: SelfTradeCode
    leg_seconds: Number
    client_order_id: Key
    fingerprint: Fingerprint
    sequence: Sequence
    legs: tuple[LegRow, ...]
    constraints: tuple[ConstraintRow, ...]
    multiplier: Number
    """The largest one of the legs: what a unit's net price is for."""

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.client_order_id, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.order_type = self.order_type
        aggregate.time_in_force = self.time_in_force
        aggregate.qty = self.qty
        aggregate.leaves = self.qty
        aggregate.net_price = self.net_price
        aggregate.execution = self.execution
        aggregate.self_trade = self.self_trade
        aggregate.leg_seconds = self.leg_seconds
        aggregate.client_order_id = self.client_order_id
        aggregate.revision_id = self.originator_id
        aggregate.sequence = self.sequence
        aggregate.legs = tuple(StrategyLeg(*row) for row in self.legs)
        aggregate.constraints = tuple(Constraint(*row) for row in self.constraints)
        aggregate.multiplier = self.multiplier


@topic
class MultiLegRejected(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """A multi-leg order was refused; nothing of it was accepted."""

    TOPIC = "multileg.rejected.v1"
    order_type: OrderTypeCode
    time_in_force: TimeInForceCode
    qty: Qty
    net_price: WirePrice
    execution: ExecutionCode
    client_order_id: Key
    fingerprint: Fingerprint
    legs: tuple[AskedLegRow, ...]
    code: str
    message: str
    details: dict[str, Any]

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.client_order_id, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.account_id = self.account_id
        aggregate.client_order_id = self.client_order_id
        aggregate.refusal_code = self.code
        aggregate.ended_at = self.at


@topic
class MultiLegExecuted(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """Units traded, all legs in ratio; the legs' own fills come before it in the same command.

    `cost` is what these units cost in all without commissions, exactly; negative is received.
    """

    TOPIC = "multileg.executed.v1"
    qty: Qty
    filled_after: Qty
    leaves_after: Qty
    cost: ExactUsd
    cost_after: ExactUsd
    status_after: StrategyStatusCode

    def apply(self, aggregate: Any) -> None:
        aggregate.filled = self.filled_after
        aggregate.leaves = self.leaves_after
        aggregate.cost = from_digits(self.cost_after)
        aggregate.status = self.status_after
        aggregate.filled_at = self.at
        aggregate.turn = aggregate.due_at = 0


@topic
class MultiLegReplaced(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """New terms for a working multi-leg order, all that may change.

    `filled`, `cost` and `filled_at` are what had become of the revision before, which they end.
    """

    TOPIC = "multileg.replaced.v1"
    request_key: Key
    fingerprint: Fingerprint
    revision_id: RevisionId
    replaces: RevisionId
    client_order_id: Key
    qty: Qty
    net_price: WirePrice
    leaves_after: Qty
    sequence: Sequence
    filled: Qty
    cost: ExactUsd
    filled_at: Instant

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.revision_id = self.revision_id
        aggregate.replaces = self.replaces
        aggregate.client_order_id = self.client_order_id
        aggregate.qty = self.qty
        aggregate.net_price = self.net_price
        aggregate.leaves = self.leaves_after
        aggregate.sequence = self.sequence
        aggregate.filled_at = 0
        aggregate.replaced_at = self.at


@topic
class MultiLegCanceled(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """What is left will not trade; its legs are canceled after it, in the same command."""

    TOPIC = "multileg.canceled.v1"
    request_key: Key
    fingerprint: Fingerprint
    reason: CancelReasonCode
    canceled_qty: Qty
    filled: Qty

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.status = _CANCELED
        aggregate.end_reason = self.reason
        aggregate.ended_at = self.at


@topic
class MultiLegExpired(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """The time of what is left is over; its legs expire after it, in the same command."""

    TOPIC = "multileg.expired.v1"
    expired_qty: Qty
    filled: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.status = _EXPIRED
        aggregate.ended_at = self.at


@topic
class MultiLegTurned(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """It is a leg's turn to follow those before it, which have traded `qty` units in advance.

    At `due_at` they are closed again unless it has.
    """

    TOPIC = "multileg.turned.v1"
    leg: LegCode
    qty: Qty
    due_at: Instant

    def apply(self, aggregate: Any) -> None:
        aggregate.turn = self.leg
        aggregate.due_at = self.due_at


@topic
class MultiLegUnwinding(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """A leg of a sequential order did not complete: what was filled beyond whole units is closed.

    `leg` is the one that failed, `reason` why. `canceled_qty` units will not trade.
    """

    TOPIC = "multileg.unwinding.v1"
    leg: LegCode
    reason: CancelReasonCode
    request_key: Key
    fingerprint: Fingerprint
    canceled_qty: Qty

    def spends(self) -> SpentKey | None:
        return spent(self.account_id, self.request_key, self.fingerprint)

    def apply(self, aggregate: Any) -> None:
        aggregate.status = _UNWINDING
        aggregate.end_reason = self.reason
        aggregate.turn = aggregate.due_at = 0


@topic
class MultiLegClosed(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """So much of what a leg had traded in advance was closed by an order, which has traded.

    `cost` is what closing cost beyond what the leg had cost, exactly, without commissions; negative
    is won.
    """

    TOPIC = "multileg.closed.v1"
    leg: LegCode
    order_id: OrderId
    qty: Qty
    cost: ExactUsd
    cost_after: ExactUsd

    def apply(self, aggregate: Any) -> None:
        aggregate.unwinding_cost = from_digits(self.cost_after)


@topic
class MultiLegUnwound(MultiLegEvent, frozen=True, array_like=True, gc=False):
    """The closing orders of an unwinding are done.

    `cost` is what closing cost beyond what the legs had cost, exactly, without commissions;
    negative is won. `open_qty` is what could not be closed, over all legs; 0 is flat.
    """

    TOPIC = "multileg.unwound.v1"
    filled: Qty
    cost: ExactUsd
    open_qty: Qty

    def apply(self, aggregate: Any) -> None:
        aggregate.status = _UNWOUND
        aggregate.ended_at = self.at
