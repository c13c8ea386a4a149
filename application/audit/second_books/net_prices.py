"""What an execution of several legs comes to: its cost, each unit's net price, the constraints.

All in fractions of dollars, made from the legs' fills alone. The units stand behind each other as
the fills do: the first one has each leg's first lots.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Any, NamedTuple
from uuid import UUID

from domain.events import OrderFilled

BUY = 1
ONE = 10**8
"""A whole one of anything, in the events' quantities."""
WIRE = 10**9
WITHIN = 1


class LegFill(NamedTuple):
    """A trade of a leg, or a part of one; `other` is the multi-leg order that took it, if any."""

    qty: int
    price: Fraction
    multiplier: int
    other: UUID | None = None
    trade_id: UUID | None = None

    @classmethod
    def of(cls, event: OrderFilled, other: UUID | None) -> LegFill:
        """A fill as it is counted."""
        price = Fraction(event.price, 10**event.price_decimals)
        return cls(event.qty, price, event.multiplier, other, event.trade_id)


class Traded(NamedTuple):
    """What one leg has traded in an execution: `signed` is 1 when it bought, and -1."""

    signed: int
    ratio: int
    fills: Sequence[LegFill]

    @property
    def value(self) -> Fraction:
        """What it paid, in dollars; negative is received."""
        whole = sum((fill.price * fill.qty * fill.multiplier for fill in self.fills), Fraction())
        return self.signed * whole / ONE

    @property
    def average(self) -> Fraction:
        """Its average price."""
        qty = sum(fill.qty for fill in self.fills)
        return sum((fill.price * fill.qty for fill in self.fills), Fraction()) / qty

    def of_unit(self, number: int) -> Fraction:
        """What it paid for one unit, by its number from 0."""
        size = self.ratio * ONE
        begin, end = number * size, (number + 1) * size
        paid, passed = Fraction(), 0
        for fill in self.fills:
            part = min(end, passed + fill.qty) - max(begin, passed)
            if part > 0:
                paid += fill.price * fill.multiplier * part
            passed += fill.qty
        return self.signed * paid / ONE

    def edges(self) -> set[int]:
        """The units in which another price begins, and those before them."""
        size = self.ratio * ONE
        ends = accumulate(fill.qty for fill in self.fills)
        return {number for end in ends for number in (end // size, (end - 1) // size)}


def dearest(legs: Sequence[Traded], units: int) -> Fraction:
    """The net price of the unit that costs most, for one unit of the underlying."""
    numbers = {0, units - 1}.union(*(leg.edges() for leg in legs))
    # A unit that has two prices of a leg is an edge; those between two edges are alike.
    looked_at = {n for each in numbers for n in (each - 1, each, each + 1) if 0 <= n < units}
    most = max(sum((leg.of_unit(n) for leg in legs), Fraction()) for n in looked_at)
    return most / max(fill.multiplier for leg in legs for fill in leg.fills)


def holds_between(constraint: Sequence[Any], legs: Sequence[Traded]) -> bool:
    """Whether a constraint holds between the average prices of two legs."""
    kind, left, right, a, b, c = constraint
    one, other = legs[left].average, legs[right].average
    if kind == WITHIN:
        return bool(abs(one - other) <= other * Fraction(a, WIRE))
    return bool(Fraction(a, WIRE) * one + Fraction(b, WIRE) * other <= Fraction(c, WIRE))
