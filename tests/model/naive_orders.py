"""What the naive venue is made of: accounts, orders, markets, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor

from domain.terms import AccountStatus, OrderStatus, Phase, Side, TimeInForce

RESTING_TIMES = (TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD)


class Refused(Exception):
    """The venue says no; the text is the code."""


@dataclass(eq=False)
class NaiveAccount:
    """Money in cents. Two accounts of one owner never trade with each other."""

    owner: str
    cash: int = 0
    unsettled: int = 0
    status: int = AccountStatus.ACTIVE
    max_notional: int = 0


@dataclass(eq=False)
class NaiveOrder:
    """One order. `bound` is the worst price it may trade at, `rank` its turn."""

    label: str
    account: NaiveAccount
    market: NaiveMarket
    side: int
    kind: int
    tif: int
    qty: Fraction
    leaves: Fraction
    limit: Fraction | None
    stop: Fraction | None
    bound: Fraction
    expires_at: int
    post_only: bool
    self_trade: int
    rank: int
    session: int
    filled: Fraction = Fraction(0)
    elected: bool = False
    status: int = OrderStatus.NEW
    reason: int = 0

    @property
    def waits(self) -> bool:
        return self.stop is not None and not self.elected

    @property
    def working(self) -> bool:
        return self.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)

    @property
    def hold(self) -> int:
        """A buy holds what its leaves may still cost, to the next cent."""
        return ceil(self.bound * self.leaves * 100) if self.side == Side.BUY else 0

    @property
    def rests(self) -> bool:
        return self.limit is not None and self.tif in RESTING_TIMES


@dataclass(eq=False)
class NaiveMarket:
    """One instrument."""

    symbol: str
    tick: Fraction
    lot: Fraction
    decimals: int
    rule: int
    collar: Fraction
    reference: Fraction
    max_qty: Fraction = Fraction(0)
    max_notional: int = 0
    position_limit: Fraction = Fraction(0)
    phase: int = Phase.CLOSED
    session: int = 0
    last: Fraction | None = None
    mark: Fraction | None = None
    traded: list[Fraction] = field(default_factory=list)

    def band(self, around: Fraction) -> tuple[Fraction, Fraction]:
        """The lowest and highest tick inside the collar."""
        low = max(ceil(around * (1 - self.collar) / self.tick), 1)
        return low * self.tick, floor(around * (1 + self.collar) / self.tick) * self.tick


def is_over(order: NaiveOrder, at: int) -> bool:
    """A gtd order ends at its instant, a day order with the session it was last set in."""
    if order.tif == TimeInForce.GTD:
        return order.expires_at <= at
    return order.tif == TimeInForce.DAY and order.session < order.market.session


def refuse_if(condition: bool, code: str) -> None:
    """Say no with a code."""
    if condition:
        raise Refused(code)
