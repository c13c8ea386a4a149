"""What must hold between the legs' prices of one execution, judged exactly, without a division.

A leg's average price is its sum of price times lots by its lots, which are in ratio. Multiplied
by the units each constraint is linear in these sums and in the units; where units are alike the
sums are linear in them too, so that the units that satisfy it are an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from domain.money import WIRE_PRICE_SCALE
from domain.terms import ConstraintKind

if TYPE_CHECKING:
    from domain.matching.strategy import LegAsk, Segment
    from domain.strategy_terms import Constraint

WITHIN = int(ConstraintKind.WITHIN)
LINEAR = int(ConstraintKind.LINEAR)
_ONE: int = 10**WIRE_PRICE_SCALE


class Plane(NamedTuple):
    """Holds when `by_left` times the left leg's sum, `by_right` times the right one's and `by_unit`
    times the units are together at most nothing.
    """

    left: int
    right: int
    by_left: int
    by_right: int
    by_unit: int = 0

    def excess(self, costs: Sequence[int], units: int) -> int:
        """How far so many units at these sums are beyond it."""
        return (
            self.by_left * costs[self.left]
            + self.by_right * costs[self.right]
            + self.by_unit * units
        )


def planes_of(legs: Sequence[LegAsk], constraints: Sequence[Constraint]) -> list[Plane]:
    """The constraints over the sums of price times lots of the legs."""
    planes = []
    for constraint in constraints:
        left, right = legs[constraint.left], legs[constraint.right]
        # An average price in 1e-9 is a sum by the units and by these, crosswise over both legs.
        of_left = left.price_units * right.lots
        of_right = right.price_units * left.lots
        where = constraint.left, constraint.right
        a = constraint.a
        if constraint.kind == WITHIN:
            planes.append(Plane(*where, _ONE * of_left, -(_ONE + a) * of_right))
            planes.append(Plane(*where, -_ONE * of_left, (_ONE - a) * of_right))
        else:
            most = constraint.c * _ONE * left.lots * right.lots
            planes.append(Plane(*where, a * of_left, constraint.b * of_right, -most))
    return planes


class Before(NamedTuple):
    """What the legs had traded before: units, and the sums of price times lots."""

    units: int
    sums: tuple[int, ...]


def planes_of_leg(
    legs: Sequence[LegAsk],
    constraints: Sequence[Constraint],
    place: int,
    others: Sequence[Before | None],
) -> list[Plane]:
    """The constraints of one leg over its own sum alone, the others' average prices being given.

    Of legs that are None nothing is known: what must hold between the leg and one of these is not
    judged.
    """
    planes = []
    for plane in planes_of(legs, constraints):
        if place not in (plane.left, plane.right):
            continue
        own, by_other, at = plane.by_left, plane.by_right, plane.right
        if plane.right == place:
            own, by_other, at = plane.by_right, plane.by_left, plane.left
        other = others[at]
        if other is not None:
            by_unit = by_other * other.sums[0] + plane.by_unit * other.units
            planes.append(Plane(0, 0, own * other.units, 0, by_unit))
    return planes


def most_within(
    segments: Sequence[Segment], planes: Sequence[Plane], before: Before | None = None
) -> int:
    """The most units, from the first on, that are within all the planes together with those
    before.
    """
    most = passed = 0
    done = 0 if before is None else before.units
    sums = [0] * len(segments[0].costs) if before is None else list(before.sums)
    for segment in segments:
        low, high = 1, segment.units
        for plane in planes:
            excess = plane.excess(sums, done + passed)
            slope = plane.excess(segment.costs, 1)
            if slope > 0:
                high = min(high, -excess // slope)
            elif slope < 0:
                low = max(low, -(excess // slope))
            elif excess > 0:
                high = 0
        if low <= high:
            most = passed + high
        passed += segment.units
        for leg, cost in enumerate(segment.costs):
            sums[leg] += cost * segment.units
    return most
