"""The mover keeps a follower in step by itself, whatever happens to it, and orders never wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from infrastructure.log.stores import StoreAddress
from infrastructure.log.tables import BESIDE
from migrations.move import mover as moving
from migrations.move.backfill import Backfill, Pacing
from migrations.move.feed import begin_following, opened_pair
from migrations.move.mover import AGAIN_SECONDS, LONGEST_WAIT, STEADY_SECONDS, Mover, Patience
from tests.conftest import CHUNKED, dsn_of
from tests.moved_stores import BEFORE, Moved, moved_stores

ADD_A_KEY = (
    "INSERT INTO api_keys VALUES (%s, sha256('s'), gen_random_uuid(), 'trader', now(), null)"
)


@pytest.fixture(params=CHUNKED)
def moved(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Moved]:
    """Two stores of a move that is prepared; the mover looks often."""
    for name in ("IDLE_SECONDS", "BESIDE_SECONDS", "POLL_SECONDS"):
        monkeypatch.setattr(moving, name, 0.05)
    with moved_stores(dsn_of(request, request.param), request.param) as stores:
        yield stores


@contextmanager
def mover(entry: StoreAddress) -> Iterator[list[str]]:
    """A mover at work, and what it says."""
    stop = threading.Event()
    said: list[str] = []
    working = threading.Thread(target=lambda: Mover(entry, said.append).run(stop))
    working.start()
    try:
        yield said
    finally:
        stop.set()
        working.join(20)
        assert not working.is_alive()


def until(met: Callable[[], object], seconds: float = 20) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def mode(moved: Moved) -> str:
    """Where the source says that the log is written."""
    return str(moved.one(moved.source, "SELECT writes FROM writer_epoch"))


def position(moved: Moved) -> int:
    """How far the target has come."""
    return int(moved.one(moved.target, "SELECT position FROM log_head"))


def elsewhere(moved: Moved) -> StoreAddress:
    """The target as if it stood on another server: by another name of the same one."""
    return StoreAddress(f"{moved.target.dsn} keepalives=1", moved.target.schema)


def test_follower_in_another_server_is_fed_and_all_beside_it(moved: Moved) -> None:
    """From where the dual write began, while the rows from before are brought beside it."""
    with mover(moved.source):
        with opened_pair(moved.source, elsewhere(moved), "test") as pair:
            assert BEFORE == begin_following(pair)
        assert "here" == mode(moved)
        for _ in range(3):
            moved.append(30)
            until(lambda: moved.same_log(above=BEFORE))
        Backfill(moved.source, moved.target, Pacing(), probe=int).run()
        moved.rows(moved.source, ADD_A_KEY, "k1")
        until(lambda: moved.same(*(table.name for table in BESIDE)))

    assert moved.same_log()
    assert moved.heads_fit()


def test_follower_that_fell_behind_is_written_with_every_append_again(moved: Moved) -> None:
    """In the same database: fed up to the end, and then both at once."""
    with mover(moved.source):
        with opened_pair(moved.source, moved.target, "test") as pair:
            begin_following(pair)
        assert "both" == mode(moved)
        # As the writer does when the second half fails.
        moved.rows(
            moved.source, "UPDATE writer_epoch SET writes = 'here', generation = generation + 1"
        )
        until(lambda: mode(moved) == "both")
        # Whoever takes the lead begins by writing to the truth alone.
        moved.append(100)
        until(lambda: position(moved) == BEFORE + 100)
        assert moved.same_log(above=BEFORE)
        until(lambda: mode(moved) == "both")


def test_follower_that_is_away_is_waited_for_and_said_once(moved: Moved) -> None:
    """The truth goes on; whatever it took meanwhile is fed afterwards."""
    with opened_pair(moved.source, elsewhere(moved), "test") as pair:
        begin_following(pair)
    moved.rows(moved.target, "ALTER TABLE log_head RENAME TO log_head_away")
    with mover(moved.source) as said:
        moved.append(50)
        until(lambda: said)
        time.sleep(0.3)
        assert 1 == len([text for text in said if "the mover tries again" in text])
        moved.rows(moved.target, "ALTER TABLE log_head_away RENAME TO log_head")
        until(lambda: moved.same_log(above=BEFORE))


def test_mover_that_loses_its_connections_goes_on(moved: Moved) -> None:
    """In the middle of whatever it did."""
    with opened_pair(moved.source, elsewhere(moved), "test") as pair:
        begin_following(pair)
    with mover(moved.source):
        for _ in range(4):
            moved.append(20)
            moved.rows(
                moved.source,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'nexus mover%%' AND application_name LIKE %s",
                f"%{moved.target.schema[-8:]}",
            )
        until(lambda: moved.same_log(above=BEFORE))


def test_after_a_switch_the_old_store_follows(moved: Moved) -> None:
    """The same mover, with nothing told to it: it finds the truth, and feeds the other way."""
    with opened_pair(moved.source, moved.target, "test") as pair:
        begin_following(pair)
    Backfill(moved.source, moved.target, Pacing(), probe=int).run()
    with mover(moved.source):
        moved.rows(moved.source, "UPDATE writer_epoch SET writes = 'there'")
        moved.rows(moved.target, "UPDATE writer_epoch SET writes = 'here', epoch = 2")
        moved.rows(moved.source, "UPDATE writer_epoch SET writes = 'fed'")
        moved.rows(moved.target, ADD_A_KEY, "new")
        until(lambda: moved.one(moved.source, "SELECT count(*) FROM api_keys") == 1)
        until(lambda: moved.one(moved.target, "SELECT writes FROM writer_epoch") == "both")
    assert moved.same_log()


def test_without_a_follower_it_holds_no_connection(moved: Moved) -> None:
    """It costs a look now and then."""
    with mover(moved.source):
        time.sleep(0.2)
        with psycopg.connect(moved.source.dsn, autocommit=True) as conn:
            named = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s",
                (f"nexus mover {moved.source.schema}",),
            ).fetchone()
    assert (0,) == named


def test_follower_that_fails_again_and_again_is_written_seldom() -> None:
    """Each failing costs an order a moment; one that held for long is trusted as before."""
    clock = [0.0]
    patience = Patience(lambda: clock[0])
    assert patience.over()

    waits = []
    for _ in range(9):
        patience.written()
        began = clock[0]
        while not patience.over():
            clock[0] += 0.5
        waits.append(clock[0] - began)
    assert [AGAIN_SECONDS, 2, 4, 8, 16, 32] == waits[:6]
    assert LONGEST_WAIT == waits[-1]

    clock[0] += STEADY_SECONDS
    patience.written()
    clock[0] += AGAIN_SECONDS
    assert patience.over()
