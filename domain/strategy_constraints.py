"""What must hold between the prices of two legs: known, well formed, and possible at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from domain.money import LARGEST, WIRE_PRICE_SCALE
from domain.multileg_errors import CrossedConstraints, InvalidConstraint
from domain.strategy_terms import KINDS, MOST_CONSTRAINTS, Constraint
from domain.terms import ConstraintKind

ONE: int = 10**WIRE_PRICE_SCALE
"""The coefficient 1."""
_WITHIN = int(ConstraintKind.WITHIN)
_MOST = 10**6 * ONE


class Bound(NamedTuple):
    """x times the left price plus y times the right one is at most c; all in 1e-9, c in 1e-18."""

    x: int
    y: int
    c: int


def check_constraints(constraints: Sequence[Constraint], legs: int) -> None:
    """Every constraint is of two legs and can be met; raises InvalidConstraint, or
    CrossedConstraints where those between two legs rule each other out.
    """
    if len(constraints) > MOST_CONSTRAINTS:
        raise InvalidConstraint(
            MOST_CONSTRAINTS, f"is more than the {MOST_CONSTRAINTS} there may be"
        )
    for number, one in enumerate(constraints):
        _check_one(number, one, legs)
    pairs: dict[tuple[int, int], list[Constraint]] = {}
    for one in constraints:
        pairs.setdefault((min(one.left, one.right), max(one.left, one.right)), []).append(one)
    for (left, right), between in pairs.items():
        if not _possible(between, left):
            raise CrossedConstraints(left, right)


def _check_one(number: int, one: Constraint, legs: int) -> None:
    if one.kind not in KINDS:
        raise InvalidConstraint(number, "is neither within nor linear")
    if not (0 <= one.left < legs and 0 <= one.right < legs):
        raise InvalidConstraint(number, "names a leg that is not there")
    if one.left == one.right:
        raise InvalidConstraint(number, "compares a leg with itself")
    if one.kind == _WITHIN:
        if not 0 <= one.a <= ONE or one.b or one.c:
            raise InvalidConstraint(number, "is not within 0 to 100 percent")
    elif not (one.a or one.b) or max(abs(one.a), abs(one.b)) > _MOST or abs(one.c) > LARGEST:
        raise InvalidConstraint(number, "has no coefficient, or too large ones")


def bounds_of(one: Constraint) -> tuple[Bound, ...]:
    """A constraint as linear bounds of its left and right price."""
    if one.kind == _WITHIN:
        return Bound(ONE, -(ONE + one.a), 0), Bound(-ONE, ONE - one.a, 0)
    return (Bound(one.a, one.b, one.c * ONE),)


def _possible(between: Sequence[Constraint], first: int) -> bool:
    """Whether two positive prices meet all of these.

    Where bounds leave a region of the positive quadrant it has a corner, or the origin's is one:
    every crossing of two edges is tried.
    """
    edges: list[Bound] = [Bound(-1, 0, -1), Bound(0, -1, -1)]
    for one in between:
        for x, y, c in bounds_of(one):
            edges.append(Bound(x, y, c) if one.left == first else Bound(y, x, c))
    return any(_meets(edges, corner) for corner in _corners(edges))


class Corner(NamedTuple):
    """A crossing of two edges, as numerators over one positive denominator."""

    x: int
    y: int
    over: int


def _corners(edges: Sequence[Bound]) -> Iterator[Corner]:
    for one, other in combinations(edges, 2):
        over = one.x * other.y - other.x * one.y
        if over:
            x, y = one.c * other.y - other.c * one.y, one.x * other.c - other.x * one.c
            yield Corner(x, y, over) if over > 0 else Corner(-x, -y, -over)


def _meets(edges: Sequence[Bound], at: Corner) -> bool:
    return all(edge.x * at.x + edge.y * at.y <= edge.c * at.over for edge in edges)
