"""Sums of days and what they lack: every position is counted once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from infrastructure.log.aggregates import Stretch, gaps, together

POSITION = st.integers(0, 60)
STRETCH = st.tuples(POSITION, POSITION).map(sorted).map(lambda pair: Stretch(*pair))


def positions(part: Stretch) -> set[int]:
    """The positions of a stretch."""
    return set(range(part.after + 1, part.up_to + 1))


@given(wanted=STRETCH, cuts=st.lists(POSITION, max_size=8))
def test_what_no_sum_covers_is_counted_and_nothing_twice(wanted: Stretch, cuts: list[int]) -> None:
    """Days lie within what is wanted and beside each other, in any order."""
    ends = sorted({c for c in cuts if wanted.after <= c <= wanted.up_to})
    covered = [Stretch(a, b) for a, b in zip(ends[::2], ends[1::2], strict=False)]

    missing = gaps(wanted, covered[::-1])

    whole = [*missing, *covered]
    assert positions(wanted) == set().union(*map(positions, whole))
    assert len(positions(wanted)) == sum(len(positions(part)) for part in whole)
    assert all(part.up_to > part.after for part in missing)


def test_amounts_are_added_by_their_keys_and_nothing_is_left_out() -> None:
    """What comes to nothing on both sides is no line."""
    one = {("mon", "A"): (2, 10), ("mon", "B"): (1, 5)}
    other = {("mon", "B"): (-1, -5), ("tue", "A"): (0, 3)}

    assert {("mon", "A"): (2, 10), ("tue", "A"): (0, 3)} == together(one, other)
