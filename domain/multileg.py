"""A multi-leg order: two to four legs that trade in ratio or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self
from uuid import UUID

from domain.aggregate import Aggregate, aggregate
from domain.decision import Decision
from domain.errors import OrderNotWorking, Rejection
from domain.events import (
    MultiLegCanceled,
    MultiLegClosed,
    MultiLegExecuted,
    MultiLegExpired,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegTurned,
    MultiLegUnwinding,
    MultiLegUnwound,
)
from domain.identifiers import NO_ID, Instant, uuid_of
from domain.order_terms import NO_REQUEST, Request
from domain.strategy_terms import RESTING, Constraint, StrategyLeg, StrategyTerms
from domain.terms import Execution, OrderType, SelfTrade, StrategyStatus, TimeInForce
from domain.units import to_digits

_LIMIT = int(OrderType.LIMIT)
_WORKING = int(StrategyStatus.WORKING)
_SEQUENTIAL = int(Execution.SEQUENTIAL)
_UNWINDING = int(StrategyStatus.UNWINDING)
_FILLED = int(StrategyStatus.FILLED)
_LIVE = frozenset({_WORKING, _UNWINDING})


class AskedLeg(NamedTuple):
    """A leg as a client asks for it; `side` and `position_intent` are codes of `domain.terms`."""

    symbol: str
    side: int
    ratio: int
    position_intent: int


class RefusedStrategy(NamedTuple):
    """A multi-leg order as it was asked for, and why it was refused."""

    terms: StrategyTerms
    legs: tuple[AskedLeg, ...]
    client: Request
    refusal: Rejection


class MultiLegOrder(Aggregate):
    """What may happen to a multi-leg order. Its legs are orders of their own, with its id as their
    group's.

    `qty`, `filled` and `leaves` count units in 1e-8, `cost` is what the filled ones cost so far in
    1e-24 USD, negative is received.
    """

    KIND = "multileg"
    DIGITS = frozenset({"cost", "unwinding_cost"})

    account_id: UUID = NO_ID
    order_type: int = int(OrderType.LIMIT)
    time_in_force: int = int(TimeInForce.DAY)
    qty: int = 0
    leaves: int = 0
    filled: int = 0
    net_price: int = 0
    execution: int = int(Execution.SIMULTANEOUS)
    self_trade: int = int(SelfTrade.CANCEL_NEWEST)
    leg_seconds: int = 0
    client_order_id: str = ""
    revision_id: UUID = NO_ID
    sequence: int = 0
    status: int = _WORKING
    cost: int = 0
    legs: Any = ()
    constraints: Any = ()
    multiplier: int = 1
    replaces: UUID = NO_ID
    end_reason: int = 0
    ended_at: int = 0
    filled_at: int = 0
    replaced_at: int = 0
    refusal_code: str = ""
    turn: int = 0
    due_at: int = 0
    unwinding_cost: int = 0

    @property
    def terms(self) -> StrategyTerms:
        """What it asks for now."""
        return StrategyTerms(
            self.order_type,
            self.time_in_force,
            self.qty,
            self.net_price,
            self.execution,
            self.self_trade,
            self.leg_seconds,
            self.constraints,
        )

    @property
    def strategy(self) -> tuple[StrategyLeg, ...]:
        """Its legs, in the order in which they were asked for."""
        legs: tuple[StrategyLeg, ...] = self.legs
        return legs

    @property
    def has_limit(self) -> bool:
        """Whether a net price bounds its executions."""
        return self.order_type == _LIMIT

    @property
    def may_rest(self) -> bool:
        """Whether what does not trade at once rests among the complex orders."""
        return self.order_type == _LIMIT and self.time_in_force in RESTING

    @property
    def is_sequential(self) -> bool:
        """Whether its legs trade one after the other."""
        return self.execution == _SEQUENTIAL

    @property
    def is_working(self) -> bool:
        """Whether more of it may trade."""
        return self.status == _WORKING and not self.refusal_code

    @property
    def is_live(self) -> bool:
        """Whether it may still trade, or be unwound."""
        return self.status in _LIVE and not self.refusal_code

    @classmethod
    def place(
        cls,
        decision: Decision,
        parent_id: UUID,
        account_id: UUID,
        terms: StrategyTerms,
        legs: tuple[StrategyLeg, ...],
        client: Request,
        sequence: int,
        multiplier: int = 1,
    ) -> MultiLegOrder:
        """Take a multi-leg order whose legs passed every check."""
        parent: MultiLegOrder = decision.record(
            MultiLegPlaced(
                *decision.first_of(parent_id),
                account_id=account_id,
                order_type=terms.order_type,
                time_in_force=terms.time_in_force,
                qty=terms.qty,
                net_price=terms.net_price,
                execution=terms.execution,
                self_trade=terms.self_trade,
                leg_seconds=terms.leg_seconds,
                client_order_id=client.key,
                fingerprint=client.fingerprint,
                sequence=sequence,
                legs=tuple((*leg,) for leg in legs),
                constraints=tuple((*one,) for one in terms.constraints),
                multiplier=multiplier,
            ),
            None,
        )
        return parent

    @classmethod
    def reject(
        cls, decision: Decision, parent_id: UUID, account_id: UUID, refused: RefusedStrategy
    ) -> None:
        """Record one that was refused."""
        terms, refusal = refused.terms, refused.refusal
        decision.record(
            MultiLegRejected(
                *decision.first_of(parent_id),
                account_id=account_id,
                order_type=terms.order_type,
                time_in_force=terms.time_in_force,
                qty=terms.qty,
                net_price=terms.net_price,
                execution=terms.execution,
                client_order_id=refused.client.key,
                fingerprint=refused.client.fingerprint,
                legs=tuple((*leg,) for leg in refused.legs),
                code=refusal.code,
                message=refusal.message,
                details=refusal.document(),
            ),
            None,
        )

    def check_live(self) -> None:
        """Raises OrderNotWorking."""
        if not self.is_live:
            raise self._not_working()

    def check_working(self) -> None:
        """Raises OrderNotWorking, also while it is unwound."""
        if self.status != _WORKING or self.refusal_code:
            raise self._not_working()

    def _not_working(self) -> OrderNotWorking:
        status = "rejected" if self.refusal_code else StrategyStatus(self.status).name.lower()
        return OrderNotWorking(self.id, status)

    def execute(self, decision: Decision, qty: int, cost: int) -> None:
        """Book units that traded, all legs in ratio, for an exact net cost."""
        leaves = self.leaves - qty
        assert self.is_live and 0 < qty and leaves >= 0
        decision.record(
            MultiLegExecuted(
                *decision.next_of(self),
                account_id=self.account_id,
                qty=qty,
                filled_after=self.filled + qty,
                leaves_after=leaves,
                cost=to_digits(cost),
                cost_after=to_digits(self.cost + cost),
                status_after=self.status if leaves else _FILLED,
            ),
            self,
        )

    def replace(
        self,
        decision: Decision,
        revision_id: UUID,
        client: Request,
        client_order_id: str,
        terms: StrategyTerms,
        sequence: int,
    ) -> None:
        """Take another quantity or net price; the check was made before."""
        assert self.status == _WORKING and terms.qty > self.filled
        decision.record(
            MultiLegReplaced(
                *decision.next_of(self),
                account_id=self.account_id,
                request_key=client.key,
                fingerprint=client.fingerprint,
                revision_id=revision_id,
                replaces=self.revision_id,
                client_order_id=client_order_id,
                qty=terms.qty,
                net_price=terms.net_price,
                leaves_after=terms.qty - self.filled,
                sequence=sequence,
                filled=self.filled,
                cost=to_digits(self.cost),
                filled_at=self.filled_at,
            ),
            self,
        )

    def cancel(self, decision: Decision, reason: int, request: Request = NO_REQUEST) -> None:
        """Give up what is left; raises OrderNotWorking when it is over."""
        self.check_live()
        decision.record(
            MultiLegCanceled(
                *decision.next_of(self),
                account_id=self.account_id,
                request_key=request.key,
                fingerprint=request.fingerprint,
                reason=reason,
                canceled_qty=self.leaves,
                filled=self.filled,
            ),
            self,
        )

    def expire(self, decision: Decision) -> None:
        """End what is left because its time is over; raises OrderNotWorking."""
        self.check_live()
        decision.record(
            MultiLegExpired(
                *decision.next_of(self),
                account_id=self.account_id,
                expired_qty=self.leaves,
                filled=self.filled,
            ),
            self,
        )

    def turn_to(self, decision: Decision, leg: int, qty: int, due_at: Instant) -> None:
        """Give a leg so long to follow the units that those before it have traded in advance."""
        assert self.status == _WORKING
        decision.record(
            MultiLegTurned(
                *decision.next_of(self),
                account_id=self.account_id,
                leg=leg,
                qty=qty,
                due_at=due_at,
            ),
            self,
        )

    def begin_unwinding(
        self,
        decision: Decision,
        leg: int,
        reason: int,
        canceled_qty: int,
        request: Request = NO_REQUEST,
    ) -> None:
        """Close what legs have traded beyond whole units, because one did not complete."""
        assert self.status == _WORKING
        decision.record(
            MultiLegUnwinding(
                *decision.next_of(self),
                account_id=self.account_id,
                leg=leg,
                reason=reason,
                request_key=request.key,
                fingerprint=request.fingerprint,
                canceled_qty=canceled_qty,
            ),
            self,
        )

    def close_leg(self, decision: Decision, leg: int, order_id: UUID, qty: int, cost: int) -> None:
        """Note what an order has closed of a leg, and at what cost."""
        assert self.status == _UNWINDING and qty > 0
        decision.record(
            MultiLegClosed(
                *decision.next_of(self),
                account_id=self.account_id,
                leg=leg,
                order_id=order_id,
                qty=qty,
                cost=to_digits(cost),
                cost_after=to_digits(self.unwinding_cost + cost),
            ),
            self,
        )

    def end_unwinding(self, decision: Decision, open_qty: int) -> None:
        """Note that closing is over, and what of all legs it could not close."""
        assert self.status == _UNWINDING
        decision.record(
            MultiLegUnwound(
                *decision.next_of(self),
                account_id=self.account_id,
                filled=self.filled,
                cost=to_digits(self.unwinding_cost),
                open_qty=open_qty,
            ),
            self,
        )

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """The one whose `state` this is; ids and rows come back as bytes and lists."""
        self = super().from_state(state)
        self.legs = tuple(map(_leg, self.legs))
        self.constraints = tuple(Constraint(*row) for row in self.constraints)
        return self


def _leg(row: Sequence[Any]) -> StrategyLeg:
    """A leg out of a row of a state, which may have been kept as bytes."""
    order_id, instrument_id = (uuid_of(one) if isinstance(one, bytes) else one for one in row[:2])
    return StrategyLeg(order_id, instrument_id, *row[2:])


aggregate(MultiLegOrder)
