"""Commits are spaced where that saves commits, and only there."""

from __future__ import annotations

from random import Random

import pytest

from application.writer.pacing import LONGEST_REST, WINDOW, Pacer

MS = 0.001


def fed(rate: float, commands: int, seconds: float = 1.0) -> tuple[Pacer, float]:
    """A pacer that saw commands at a steady rate, so many a commit; and the last start."""
    pacer = Pacer()
    start = now = 100.0
    for number in range(1, int(rate * seconds / commands) + 1):
        now = start + number * commands / rate
        pacer.began(commands, now)
    return pacer, now


@pytest.mark.parametrize(
    ("rate", "commands", "elapsed_ms", "rest_ms"),
    [
        # Commands one by one, however many a second: no commit would be saved.
        (1, 1, 0, 0),
        (300, 1, 0, 0),
        (900, 1, 0, 0),
        # Some company, some spacing: in proportion.
        (100, 2, 0, 0.2),
        (250, 2, 0, 0.5),
        (250, 2, 0.2, 0.3),
        (500, 2, 0, 1),
        (300, 3, 0, 0.8),
        # Much company, full spacing, and never more.
        (1_000, 2, 0, 2),
        (2_000, 2, 0, 2),
        (2_000, 8, 0, 2),
        (2_000, 8, 1, 1),
        (2_000, 8, 1.9, 0.1),
        (5_000, 20, 0, 2),
        (20_000, 400, 0, 2),
        # What began longer ago than the spacing is followed at once.
        (2_000, 8, 2, 0),
        (20_000, 400, 20, 0),
    ],
)
def test_rest_follows_from_company_and_from_what_has_passed(
    rate: float, commands: int, elapsed_ms: float, rest_ms: float
) -> None:
    """The law as a table: commands a second, commands a commit, time since it began."""
    pacer, began = fed(rate, commands)

    rest = max(0.0, pacer.rest(began + elapsed_ms * MS))

    assert rest == pytest.approx(rest_ms * MS, rel=0.1, abs=0.05 * MS)


def test_first_command_ever_is_committed_at_once() -> None:
    """A writer that has just begun holds nothing up."""
    assert Pacer().rest(0.0) <= 0


def test_first_command_after_a_pause_is_committed_at_once() -> None:
    """However much came before: the spacing counts from the last commit."""
    pacer, began = fed(20_000, 400)

    assert pacer.rest(began + LONGEST_REST) <= 0


def test_what_came_before_a_pause_spaces_nothing_after_it() -> None:
    """One command, a while later another: the second has no company to wait for."""
    pacer, began = fed(20_000, 400)

    pacer.began(1, began + 1.0)

    assert pacer.rest(began + 1.0) <= 0


def spaced(rate: float, commit_ms: float, seconds: float = 5.0) -> tuple[float, float]:
    """Commands a commit and the longest wait, when commands come at random times and each
    commit begins as soon as the one before has ended and the pacer lets it.
    """
    luck = Random(7)
    pacer = Pacer()
    arrivals = []
    at = 0.0
    while at < seconds:
        at += luck.expovariate(rate)
        arrivals.append(at)
    commits = taken = 0
    longest = free_at = 0.0
    while taken < len(arrivals):
        first = max(arrivals[taken], free_at)
        now = first + max(0.0, pacer.rest(first))
        held = taken
        while held < len(arrivals) and arrivals[held] <= now:
            held += 1
        longest = max(longest, now - arrivals[taken])
        pacer.began(held - taken, now)
        commits += 1
        taken = held
        free_at = now + commit_ms * MS
    return len(arrivals) / commits, longest


@pytest.mark.parametrize(
    ("rate", "commit_ms", "least", "most"),
    [(50, 1, 1, 1.1), (300, 1, 1, 2), (2_000, 0.3, 3, 5), (2_000, 1, 3, 5), (10_000, 1, 18, 25)],
)
def test_spacing_finds_its_length_by_itself(
    rate: float, commit_ms: float, least: float, most: float
) -> None:
    """Random arrivals: quiet venues commit each command, busy ones some milliseconds of them."""
    held, longest = spaced(rate, commit_ms)

    assert least <= held <= most
    assert longest <= LONGEST_REST + commit_ms * MS


def test_clients_that_wait_for_each_answer_are_not_slowed_down() -> None:
    """One client, one command at a time, as fast as answers come: it never rests."""
    pacer = Pacer()
    now = 0.0
    for _ in range(int(1 / MS)):
        now += MS
        assert pacer.rest(now) <= 0
        pacer.began(1, now)


def test_spacing_shrinks_with_the_load() -> None:
    """After two windows of commands that find no company nothing is held up for it."""
    pacer, now = fed(20_000, 400)
    ends = now + 2 * WINDOW
    while now < ends:
        now += WINDOW / 8
        pacer.began(1, now)

    assert pacer.rest(now) <= 0
