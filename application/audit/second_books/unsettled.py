"""What trades that have not settled take and bring, in fractions of dollars, and in which cents.

A purchase takes and a sale brings; a trade that is undone after it has settled does so the other
way round. What has settled is cash to the cent, on its sum. The payable is what of it would be
gone if all that takes settled and nothing that brings; the receivable is what then comes to
everything.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from application.audit.second_books.commissions import NOTHING, posted

BUY, TAKES, BRINGS = 1, 1, 2


class Part(NamedTuple):
    """A trade, or its undoing, in dollars as the account sees it, and what that costs."""

    way: int
    value: Fraction
    cost: Fraction


class Open:
    """The sums of what has not settled: by way, (value, cost)."""

    __slots__ = ("bring_cost", "brings", "take_cost", "takes")

    def __init__(self) -> None:
        self.takes = self.take_cost = self.brings = self.bring_cost = NOTHING

    def add(self, part: Part) -> None:
        """Take a trade in."""
        if part.way == TAKES:
            self.takes += part.value
            self.take_cost += part.cost
        else:
            self.brings += part.value
            self.bring_cost += part.cost

    def less(self, other: Open) -> Open:
        """What is left when another is taken off."""
        rest = Open()
        rest.takes, rest.take_cost = self.takes - other.takes, self.take_cost - other.take_cost
        rest.brings = self.brings - other.brings
        rest.bring_cost = self.bring_cost - other.bring_cost
        return rest


class Cents(NamedTuple):
    """What trades are in cash, receivable and payable."""

    cash: int = 0
    receivable: int = 0
    payable: int = 0

    def less(self, other: Cents) -> Cents:
        """By how much each is more than another."""
        return Cents(*(mine - its for mine, its in zip(self, other, strict=True)))


def cents_of(value: Fraction, cost: Fraction, still: Open) -> Cents:
    """The cents of an account whose trades are worth `value` and cost `cost` in all, of which
    some `still` are to settle.
    """
    settled = value - still.takes - still.brings
    charged = cost - still.take_cost - still.bring_cost
    cash = posted(settled) - posted(charged)
    least = posted(settled + still.takes) - posted(charged + still.take_cost)
    return Cents(cash, posted(value) - posted(cost) - least, cash - least)


def way_of(side: int, *, late: bool) -> int:
    """Whether a trade takes or brings; one that is undone `late` has settled before."""
    return TAKES if (side == BUY) != late else BRINGS
