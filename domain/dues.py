"""In which cents an account's exact sums are posted: as cash, payable and receivable.

What has settled is cash, rounded on its sum. The payable is by how much the purchases that have
not settled lower that, and their commissions: no matter which of them settle first, and before
any proceeds, cash that covers the payable covers each of them. The receivable is the rest, so
that all three are the exact sum of all trades, rounded once. Amounts are 1e-24 USD, rounded
cents; commissions are summed, and rounded, apart.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from domain.money import cents
from domain.obligation import Moved, Obligation


class Sums(Protocol):
    """The exact sums of an account: of all its trades, and what of it has not settled."""

    traded_value: int
    commission: int
    paying: int
    paying_cost: int
    coming: int
    coming_cost: int


class _Worst(NamedTuple):
    """What has settled, and what it would be with every purchase and without proceeds."""

    settled: int
    charged: int
    lowest: int
    dearest: int

    @property
    def cash(self) -> int:
        """The cents of it that are cash."""
        return cents(self.settled) - cents(self.charged)

    @property
    def payable(self) -> int:
        """The cents that purchases take of it."""
        return self.cash - cents(self.lowest) + cents(self.dearest)


def payable_of(sums: Sums, value: int, commission: int) -> int:
    """The cents that the payable grows by with a trade that is to be paid for.

    `value` is signed as the account sees it: a purchase is negative.
    """
    lowest = sums.traded_value - sums.coming
    dearest = sums.commission - sums.coming_cost
    grown = cents(lowest) - cents(lowest + value)
    return grown + cents(dearest + commission) - cents(dearest) if commission else grown


def moved_by(sums: Sums, settling: tuple[Obligation, ...]) -> Moved:
    """The cents that obligations move when they settle next, in this order, as one."""
    lowest = sums.traded_value - sums.coming
    dearest = sums.commission - sums.coming_cost
    before = _Worst(lowest + sums.paying, dearest - sums.paying_cost, lowest, dearest)
    coming = sum(owed.coming for owed in settling)
    coming_cost = sum(owed.coming_cost for owed in settling)
    after = _Worst(
        before.settled + coming - sum(owed.paying for owed in settling),
        before.charged + coming_cost + sum(owed.paying_cost for owed in settling),
        lowest + coming,
        dearest + coming_cost,
    )
    payable = before.payable - after.payable
    return Moved(
        payable + sum(owed.bought_amount for owed in settling),
        after.cash - before.cash + payable + sum(owed.sold_amount for owed in settling),
    )
