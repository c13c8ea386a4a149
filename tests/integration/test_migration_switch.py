"""The switch of two stores: refused, held, committed, opened; killed at every line it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from infrastructure.database import EmbeddedServer
from infrastructure.log import mode_changes
from infrastructure.log.stores import StoreAddress, Stores, find_truth
from migrations.move import switching
from migrations.move.switching import CannotSwitch, Terms, switch
from migrations.move.verifying import EVERYTHING, verify
from tests.killed_at_lines import killed_at
from tests.model.command_flow import lived
from tests.move_stage import Pair, PlainFeeding, pair_of, projecting, until_projected


@pytest.fixture(scope="module")
def pair(postgres: EmbeddedServer) -> Iterator[Pair]:
    """Two equal stores, verified whole; their projectors have done all there is to do."""
    with pair_of(postgres.dsn(), lived(7, 120)) as made:
        with projecting([made.truth, made.follower]):
            until_projected([made.truth, made.follower])
            sync = PlainFeeding(made).sync_beside
            found = verify(
                made.truth,
                made.follower,
                lambda: sync(made.truth, made.follower),
                EVERYTHING._replace(sample=1),
            )
            assert found.equal
        yield made


@pytest.fixture(autouse=True)
def begun(pair: Pair) -> None:
    """The plain store is the truth when a test begins."""
    pair.rows(pair.truth, "UPDATE writer_epoch SET writes = 'here', held_until = NULL")
    pair.rows(pair.follower, "UPDATE writer_epoch SET writes = 'fed', held_until = NULL")


def modes_of(pair: Pair) -> tuple[str, str]:
    """What both stores say."""
    return pair.mode(pair.truth), pair.mode(pair.follower)


def truth_of(pair: Pair) -> set[StoreAddress]:
    """The truth as it is found from either store."""
    return {find_truth(*pair.truth).address, find_truth(*pair.follower).address}


def epoch(pair: Pair, where: StoreAddress) -> int:
    """The epoch of a store."""
    return int(pair.rows(where, "SELECT epoch FROM writer_epoch")[0][0])


def test_switch_makes_the_other_store_the_truth_and_back(pair: Pair) -> None:
    """Under a greater epoch each time, and the store that was left is fed."""
    feeding = PlainFeeding(pair)
    before = epoch(pair, pair.truth)

    there = switch(pair.truth, pair.follower, feeding)

    assert ("fed", "here") == modes_of(pair)
    assert {pair.follower} == truth_of(pair)
    assert epoch(pair, pair.follower) > before
    assert there.held_seconds is not None and there.held_seconds < 5
    back = switch(pair.follower, pair.truth, feeding)
    assert ("here", "fed") == modes_of(pair)
    assert {pair.truth} == truth_of(pair)
    assert epoch(pair, pair.truth) > epoch(pair, pair.follower)
    assert back.position == there.position > 100


def test_switch_that_was_made_is_made_once(pair: Pair) -> None:
    """Asked for again it changes nothing."""
    feeding = PlainFeeding(pair)
    switch(pair.truth, pair.follower, feeding)
    before = pair.rows(pair.follower, "SELECT * FROM writer_epoch")

    again = switch(pair.truth, pair.follower, feeding)

    assert again.held_seconds is None
    assert before == pair.rows(pair.follower, "SELECT * FROM writer_epoch")


@pytest.mark.parametrize(
    ("damage", "mending", "reason"),
    [
        (
            "UPDATE store_verification SET differences = 3",
            "UPDATE store_verification SET differences = 0",
            "3 differences stand",
        ),
        (
            "UPDATE log_head SET base = 5",
            "UPDATE log_head SET base = 0",
            "does not have all of the past",
        ),
        (
            "UPDATE log_head SET position = position - 9000",
            "UPDATE log_head SET position = position + 9000",
            "lags by 9000 positions",
        ),
        (
            "UPDATE projection_tracking SET position = position - 9000 WHERE name = 'orders'",
            "UPDATE projection_tracking SET position = position + 9000 WHERE name = 'orders'",
            "view orders",
        ),
        (
            "INSERT INTO projection_errors VALUES ('trades', 1, 1, now(), 'broken')",
            "DELETE FROM projection_errors",
            "are stopped: trades",
        ),
        (
            "UPDATE store_verification SET whole_at = NULL",
            "UPDATE store_verification SET whole_at = now()",
            "not verified whole",
        ),
    ],
)
def test_switch_is_refused_with_the_reason_before_anybody_is_held(
    pair: Pair, damage: str, mending: str, reason: str
) -> None:
    """Lag, differences, what was never compared, views that are behind or stopped."""
    generation = pair.rows(pair.truth, "SELECT generation FROM writer_epoch")
    pair.rows(pair.follower, damage)
    try:
        with pytest.raises(CannotSwitch, match=reason):
            switch(pair.truth, pair.follower, PlainFeeding(pair))
    finally:
        pair.rows(pair.follower, mending)

    assert ("here", "fed") == modes_of(pair)
    assert generation == pair.rows(pair.truth, "SELECT generation FROM writer_epoch")


@pytest.mark.parametrize("said", [("here", "here"), ("fed", "fed")])
def test_stores_that_do_not_belong_together_change_no_places(
    pair: Pair, said: tuple[str, str]
) -> None:
    """Two that say they are the truth, or none that does: nothing is done, least of all told."""
    for where, writes in zip((pair.truth, pair.follower), said, strict=True):
        pair.rows(where, "UPDATE writer_epoch SET writes = %s", writes)

    with pytest.raises(CannotSwitch, match="not a truth and its follower"):
        switch(pair.truth, pair.follower, PlainFeeding(pair))

    assert said == modes_of(pair)


class SlowFeeding(PlainFeeding):
    """Takes longer over the last rows than a hold is good for."""

    def sync_beside(
        self, truth: StoreAddress, follower: StoreAddress, *, final: bool = False
    ) -> None:
        """Sleep over the final one."""
        if final:
            time.sleep(0.4)


def test_hold_that_runs_out_leaves_the_old_store_the_truth(pair: Pair) -> None:
    """The writer goes on in it, and the cutover says so."""
    terms = Terms(hold_seconds=0.2)

    with pytest.raises(CannotSwitch, match="the hold of 0 s ran out: orders go on in store"):
        switch(pair.truth, pair.follower, SlowFeeding(pair), terms)

    assert ("here", "fed") == modes_of(pair)


def test_hold_that_ran_out_is_told_as_that_also_when_orders_went_on_by_then(pair: Pair) -> None:
    """The follower has more than the truth had when it was held: nothing is wrong with that."""
    moved = "UPDATE log_head SET position = position + %s"

    class Overtaken(SlowFeeding):
        def sync_beside(
            self, truth: StoreAddress, follower: StoreAddress, *, final: bool = False
        ) -> None:
            super().sync_beside(truth, follower, final=final)
            if final:
                pair.rows(follower, moved, 1)

    try:
        with pytest.raises(CannotSwitch, match="the hold of 0 s ran out: orders go on in store"):
            switch(pair.truth, pair.follower, Overtaken(pair), Terms(hold_seconds=0.2))
    finally:
        pair.rows(pair.follower, moved, -1)

    assert ("here", "fed") == modes_of(pair)


def test_difference_in_what_was_not_compared_yet_stops_a_switch(pair: Pair) -> None:
    """The tail is compared again by the switch itself."""
    pair.rows(pair.truth, "UPDATE store_verification SET up_to = 50")
    pair.rows(pair.follower, "UPDATE stored_events SET actor = 'else' WHERE notification_id = 60")
    try:
        with pytest.raises(CannotSwitch, match="stored_events 60, column actor"):
            switch(pair.truth, pair.follower, PlainFeeding(pair))
    finally:
        (actor,) = pair.rows(
            pair.truth, "SELECT actor FROM stored_events WHERE notification_id = 60"
        )[0]
        pair.rows(
            pair.follower, "UPDATE stored_events SET actor = %s WHERE notification_id = 60", actor
        )

    assert ("here", "fed") == modes_of(pair)


def test_who_reads_the_old_store_is_waited_for_and_then_ended(pair: Pair) -> None:
    """Nobody reads the old store once the new one has more."""
    reader, _ = Stores(*pair.truth).connect_now("a reader")
    quick, _ = Stores(*pair.truth).connect_now("a quick reader")
    leaving = threading.Timer(0.1, quick.close)
    leaving.start()

    done = switch(pair.truth, pair.follower, PlainFeeding(pair), Terms(drain_seconds=0.8))

    leaving.join()
    assert done.drained is not None
    assert 1 == done.drained.ended
    assert done.drained.seconds >= 0.8
    with pytest.raises(psycopg.OperationalError):
        reader.execute("SELECT 1")
    reader.close()
    moved, state = Stores(*pair.truth).connect_now("a reader")
    moved.close()
    assert pair.follower == state.address


def kill_at_lines(pair: Pair, lines: range) -> int:
    """Kill a switch at these lines, each time go on and go back; how many were reached."""
    reached = 0
    for line in lines:
        died = killed_at(
            line,
            [switching, mode_changes],
            lambda: switch(pair.truth, pair.follower, PlainFeeding(pair)),
        )
        reached += died
        assert 1 == len(truth_of(pair))
        if modes_of(pair) == ("there", "fed"):
            assert {pair.follower} == truth_of(pair)
        switch(pair.truth, pair.follower, PlainFeeding(pair))
        assert ("fed", "here") == modes_of(pair)
        assert {pair.follower} == truth_of(pair)
        assert epoch(pair, pair.follower) > epoch(pair, pair.truth)
        switch(pair.follower, pair.truth, PlainFeeding(pair))
        assert ("here", "fed") == modes_of(pair)
        if not died:
            break
    return reached


@pytest.mark.crash
def test_switch_killed_at_some_lines_goes_on(pair: Pair) -> None:
    """One store is the truth at every moment, from wherever it is looked for."""
    assert 3 < kill_at_lines(pair, range(50, 400, 19))


@pytest.mark.soak
@pytest.mark.crash
def test_switch_killed_at_every_line_goes_on(pair: Pair) -> None:
    """One store is the truth at every moment, from wherever it is looked for."""
    assert 100 < kill_at_lines(pair, range(1, 1000))
