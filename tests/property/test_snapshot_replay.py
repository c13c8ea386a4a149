"""A desk is the same live, replayed from its events, and carried on from any snapshot."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, load, state_hash
from application.log.ports import Recorded
from tests.model.command_flow import lived
from tests.model.second_books import SecondBooks

COMMANDS = 250
SEEDS = st.integers(0, 2**16)


@cache
def log_and_state(seed: int) -> tuple[list[Recorded], bytes]:
    """The committed events of one flow, and the state of the desk that decided them."""
    venue = lived(seed, COMMANDS)
    events = [Recorded(n, event) for n, event in enumerate(venue.log.events(), 1)]
    return events, dump(venue.writer.desk)


@given(SEEDS)
@settings(max_examples=15)
def test_full_replay_gives_the_live_desk_to_the_byte(seed: int) -> None:
    """What the writer decided and what its events say are one state."""
    events, live = log_and_state(seed)
    replayed = Desk()

    follow(replayed, events)

    assert live == dump(replayed)


@given(SEEDS, st.floats(0, 1))
@settings(max_examples=40)
def test_snapshot_and_later_events_equal_full_replay(seed: int, where: float) -> None:
    """A snapshot at any position, carried on, gives the live state and its hash."""
    events, live = log_and_state(seed % 12)
    cut = round(where * len(events))
    early = Desk()
    follow(early, events[:cut])

    carried_on = load(dump(early))
    follow(carried_on, events[cut:])

    assert state_hash(early) == state_hash(load(dump(early)))
    assert live == dump(carried_on)


@given(SEEDS, st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=40)
def test_events_applied_twice_in_a_replay_change_nothing(
    seed: int, first: float, second: float
) -> None:
    """A desk passes over every event that it holds already, wherever they begin and end."""
    events, live = log_and_state(seed % 12)
    low, high = sorted((round(first * len(events)), round(second * len(events))))
    desk = Desk()
    follow(desk, events)

    follow(desk, events[low:high])

    assert live == dump(desk)


@given(SEEDS)
@settings(max_examples=15)
def test_events_of_a_flow_add_up_to_the_desk(seed: int) -> None:
    """Holds, reserves, receivables, obligations, commissions and settled quantities: plain
    addition of all events gives what the writer has, groups of orders among them.
    """
    venue = lived(seed, COMMANDS)
    books = SecondBooks()

    for event in venue.log.events():
        books.take(event)

    books.check(venue.writer.desk)
