"""What a multi-leg order asks for: its legs, its net price, and what must hold between prices."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

import msgspec

from domain.errors import InvalidField
from domain.terms import ConstraintKind, Execution, OrderType, SelfTrade, TimeInForce

_MARKET = int(OrderType.MARKET)
_LIMIT = int(OrderType.LIMIT)
RESTING = frozenset({int(TimeInForce.DAY), int(TimeInForce.GTC)})
"""Times in force that let what has a net price rest among the complex orders."""
_TIMES = RESTING | {int(TimeInForce.IOC), int(TimeInForce.FOK)}
_SEQUENTIAL = int(Execution.SEQUENTIAL)


class Constraint(NamedTuple):
    """What must hold between the average prices of an execution's legs, by their places from 0.

    `WITHIN`: left and right differ by at most `a` times right. `LINEAR`: `a` times left plus `b`
    times right is at most `c`. `a` and `b` are in 1e-9, `c` at `money.WIRE_PRICE_SCALE`.
    """

    kind: int
    left: int
    right: int
    a: int
    b: int = 0
    c: int = 0


class StrategyLeg(NamedTuple):
    """A leg: the order that it is, and how much a unit has of it, in whole ones."""

    order_id: UUID
    instrument_id: UUID
    symbol: str
    side: int
    ratio: int
    position_intent: int


class StrategyTerms(msgspec.Struct, frozen=True, gc=False):
    """The terms of a multi-leg order beside its legs.

    `qty` counts units, in 1e-8: a unit is each leg's ratio once. `net_price` is what a unit may
    cost at most, for one unit of the underlying, at `money.WIRE_PRICE_SCALE`: positive is paid,
    negative received; 0 of a market order is none. `leg_seconds` is how long a leg of a sequential
    one has to complete.
    """

    order_type: int
    time_in_force: int
    qty: int
    net_price: int
    execution: int = int(Execution.SIMULTANEOUS)
    self_trade: int = int(SelfTrade.CANCEL_NEWEST)
    leg_seconds: int = 0
    constraints: tuple[Constraint, ...] = ()

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

    def check(self) -> None:
        """The terms are known and fit each other; raises InvalidField."""
        if self.order_type not in (_MARKET, _LIMIT):
            raise InvalidField("type", "of a multi-leg order is market or limit")
        if self.time_in_force not in _TIMES:
            raise InvalidField("time_in_force", "of a multi-leg order is day, gtc, ioc or fok")
        if self.order_type == _MARKET and self.net_price:
            raise InvalidField("limit_price", "is not taken by market orders")
        if self.execution not in (int(Execution.SIMULTANEOUS), _SEQUENTIAL):
            raise InvalidField("execution", "is neither simultaneous nor sequential")
        if self.self_trade not in frozenset(map(int, SelfTrade)):
            raise InvalidField("self_trade", "is not known")
        if self.leg_seconds and not self.is_sequential:
            raise InvalidField("leg_seconds", "is a term of sequential orders alone")


MOST_LEG_SECONDS = 3_600
MOST_CONSTRAINTS = 8
KINDS = frozenset(map(int, ConstraintKind))
