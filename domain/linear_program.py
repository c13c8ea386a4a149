"""The most that a linear programme can gain, exactly: a small simplex on integers.

Every tableau entry is an integer over one common denominator (Edmonds and Bareiss), so nothing is
rounded. It begins where every variable is 0, which must be allowed: no limit is negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

STEEPEST = 60
"""So many pivots follow the largest gain; from then on the first of all (Bland), which ends."""


class Most(NamedTuple):
    """A gain as a fraction in lowest effort: `above / below`, with `below` positive."""

    above: int
    below: int


class Row(NamedTuple):
    """What variables, by their number, may come to together."""

    coefficients: dict[int, int]
    limit: int


def most(gains: Sequence[int], rows: Sequence[Row]) -> Most:
    """The largest sum of gains times variables, none of them negative, within every row.

    The programme must be bounded: no variable with a gain is free of every row.
    """
    wide = len(gains)
    table = [
        [*(row.coefficients.get(number, 0) for number in range(wide)), row.limit] for row in rows
    ]
    goal = [*(-gain for gain in gains), 0]
    inside = list(range(wide))
    outside = list(range(wide, wide + len(rows)))
    below, pivots = 1, 0
    while True:
        column = _entering(goal, inside, first=pivots >= STEEPEST)
        if column < 0:
            return Most(goal[wide], below)
        row = _leaving(table, outside, column)
        assert row >= 0, "the programme has no bound"
        below = _pivot([*table, goal], row, column, below)
        inside[column], outside[row] = outside[row], inside[column]
        pivots += 1


def _entering(goal: list[int], inside: list[int], *, first: bool) -> int:
    """The variable that gains: the one that gains most, or of the smallest number; -1 for none."""
    found = -1
    for column, number in enumerate(inside):
        gain = goal[column]
        if gain >= 0:
            continue
        if found < 0 or ((number < inside[found]) if first else (gain < goal[found])):
            found = column
    return found


def _leaving(table: list[list[int]], outside: list[int], column: int) -> int:
    """The row that bounds a variable first; of those that do together, of the smallest number."""
    found, above, under = -1, 0, 1
    for index, row in enumerate(table):
        entry = row[column]
        if entry <= 0:
            continue
        less = row[-1] * under - above * entry
        if found < 0 or less < 0 or (less == 0 and outside[index] < outside[found]):
            found, above, under = index, row[-1], entry
    return found


def _pivot(table: list[list[int]], at: int, column: int, below: int) -> int:
    """Exchange a row and a column; every division is exact. Returns the new denominator."""
    chosen = table[at]
    pivot = chosen[column]
    for index, row in enumerate(table):
        if index == at:
            continue
        entry = row[column]
        if entry:
            table_row = [
                (each * pivot - entry * other) // below
                for each, other in zip(row, chosen, strict=True)
            ]
            table_row[column] = -entry
            row[:] = table_row
        elif pivot != below:
            row[:] = [each * pivot // below for each in row]
    chosen[column] = below
    return pivot
