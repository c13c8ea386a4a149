"""A backfill brings what was there before, in ranges; stopped anywhere it goes on where it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from infrastructure.log.copying import Copied, IncompleteRange, Positions, RangeCopy
from infrastructure.log.follower import Follower
from infrastructure.log.piping import Pace
from migrations.move.backfill import Backfill, Pacing, Progress
from migrations.move.feed import Feed, begin_following, opened_pair
from migrations.move.throttle import LEAST_RATE, Window
from tests.conftest import CHUNKED, dsn_of
from tests.moved_stores import BEFORE, Moved, moved_stores

IN_SMALL = Pacing(workers=3, range_positions=170)


@pytest.fixture(params=CHUNKED)
def moved(request: pytest.FixtureRequest) -> Iterator[Moved]:
    """Two stores, the second of which follows the first from where it stands."""
    with moved_stores(dsn_of(request, request.param), request.param) as stores:
        with opened_pair(stores.source, stores.target, "test") as pair:
            begin_following(pair)
        stores.rows(stores.source, "UPDATE writer_epoch SET writes = 'here'")
        yield stores


def backfill(moved: Moved, pacing: Pacing = IN_SMALL, **options: object) -> Copied:
    """One run of it."""
    return Backfill(moved.source, moved.target, pacing, **{"probe": int, **options}).run()  # type: ignore[arg-type]


def ledger(moved: Moved) -> list[tuple[int, int]]:
    """The ranges that were brought."""
    return [tuple(row) for row in moved.rows(moved.target, "SELECT first, last FROM copied_ranges")]


def test_follower_is_whole_after_a_backfill(moved: Moved) -> None:
    """With what the feed brought meanwhile: heads and marks too, and the base is gone."""
    moved.append(60)
    with opened_pair(moved.source, moved.target, "test") as pair:
        Feed(pair).page()
    told: list[Progress] = []

    brought = backfill(moved, tell=told.append)

    keys = moved.one(moved.source, "SELECT count(*) FROM request_keys WHERE position <= 2000")
    assert Copied(BEFORE, keys) == brought
    assert moved.same_log()
    assert moved.heads_fit()
    assert [(BEFORE + 60, 0)] == moved.rows(moved.target, "SELECT position, base FROM log_head")
    assert all(progress.of == BEFORE for progress in told)
    assert brought == backfill(moved), "done again, nothing is done"


def test_backfill_that_died_goes_on_with_what_its_ledger_lacks(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In ranges of another size too: no row is brought twice, none is left out."""
    copy = RangeCopy.copy
    left = [4]

    def copy_four(self: RangeCopy, positions: Positions, pace: Pace, beside: Pace) -> Copied:
        if left[0] == 0:
            raise MemoryError
        left[0] -= 1
        return copy(self, positions, pace, beside)

    monkeypatch.setattr(RangeCopy, "copy", copy_four)
    with pytest.raises(MemoryError):
        backfill(moved)
    monkeypatch.undo()
    before = ledger(moved)
    assert 1 <= len(before) <= 4
    assert BEFORE == moved.one(moved.target, "SELECT base FROM log_head")

    assert BEFORE == backfill(moved, Pacing(workers=2, range_positions=300)).rows
    assert moved.same_log()
    assert moved.heads_fit()
    assert set(before) <= set(ledger(moved))


def test_server_that_drops_its_connections_is_waited_for(moved: Moved) -> None:
    """The range in hand is begun anew."""

    def drop() -> None:
        moved.rows(
            moved.target,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'nexus backfill%%' AND query LIKE 'COPY%%'"
            " AND application_name LIKE %s",
            f"%{moved.target.schema}",
        )

    stop = threading.Event()

    def keep_dropping() -> None:
        for _ in range(3):
            stop.wait(0.1)
            drop()

    dropping = threading.Thread(target=keep_dropping)
    dropping.start()
    brought = backfill(moved, Pacing(workers=2, range_positions=100, rate=6_000))
    stop.set()
    dropping.join()

    assert BEFORE == brought.rows
    assert moved.same_log()


def test_hole_in_the_source_ends_the_backfill_and_says_where(moved: Moved) -> None:
    """It is no reason to try again for ever, nor to leave it out."""
    moved.rows(moved.source, "DELETE FROM stored_events WHERE notification_id = 777")

    with pytest.raises(IncompleteRange, match="events 681 to 850"):
        backfill(moved)
    assert BEFORE == moved.one(moved.target, "SELECT base FROM log_head")


def test_rows_come_no_faster_than_they_may(moved: Moved) -> None:
    """All workers together."""
    began = time.monotonic()
    backfill(moved, Pacing(workers=3, range_positions=500, rate=4_000))

    assert time.monotonic() - began >= BEFORE / 4_000 * 0.7


def test_outside_its_window_no_range_is_begun(moved: Moved) -> None:
    """It says what it waits for, and goes on when the window opens."""
    clock = [datetime(2026, 11, 30, 12, tzinfo=UTC)]
    told: list[Progress] = []

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.waiting:
            assert [] == ledger(moved)
            clock[0] = datetime(2026, 11, 30, 22, 30, tzinfo=UTC)

    pacing = Pacing(workers=1, range_positions=500, window=Window.parse("22:00-06:00"))
    backfill(moved, pacing, tell=tell, now=lambda: clock[0])

    assert any("window" in progress.waiting for progress in told)
    assert moved.same_log()


def test_slow_commits_in_the_truth_slow_it_down(moved: Moved) -> None:
    """What it measures is a commit of its own there, again and again."""
    told: list[Progress] = []
    pacing = Pacing(workers=1, range_positions=500, latency_ms=1)

    def probe() -> None:
        time.sleep(0.01)

    backfill(moved, pacing, probe=probe, tell=told.append)

    allowed = [progress.allowed for progress in told if progress.allowed is not None]
    assert allowed[-1] < allowed[0] or allowed[0] < 20_000
    assert max(progress.commit_ms or 0 for progress in told) >= 10
    assert moved.same_log()


def test_what_is_slow_comes_in_small_transactions(moved: Moved) -> None:
    """One takes about a second however slow it is, so that the server can forget old versions of
    the rows that orders change.
    """
    backfill(moved, Pacing(workers=2, range_positions=1_500, rate=1_000))

    assert {1_000, 500} == {last - first + 1 for first, last in ledger(moved)}
    assert moved.same_log()


def test_at_a_slow_rate_one_worker_brings_everything(moved: Moved) -> None:
    """Others would only begin and end more transactions, for each of which orders wait."""
    most = 0

    def tell(_: Progress) -> None:
        nonlocal most
        most = max(most, moved.one(moved.target, _BRINGING))

    brought = backfill(moved, Pacing(workers=3, range_positions=100, rate=2_000), tell=tell)
    assert BEFORE == brought.rows
    of_a_worker, of_who_looks_on = 2, 1
    assert of_a_worker + of_who_looks_on == most


_BRINGING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE application_name = 'nexus backfill ' || current_schema()"
)


def test_slow_answers_of_the_writer_slow_it_down(moved: Moved) -> None:
    """However quick commits are: an order waits for more than its own."""
    told: list[Progress] = []
    pacing = Pacing(workers=1, range_positions=500, latency_ms=5)

    def answer() -> None:
        time.sleep(0.01)

    backfill(moved, pacing, asked=answer, tell=told.append)

    assert LEAST_RATE == told[-1].allowed
    assert max(progress.answer_ms or 0 for progress in told) >= 10
    assert moved.same_log()


def test_writer_that_is_away_is_no_slow_one(moved: Moved) -> None:
    """However long it took to find that out."""
    told: list[Progress] = []
    pacing = Pacing(workers=1, range_positions=500, latency_ms=1_000)

    def answer() -> bool:
        time.sleep(0.01)
        return False

    backfill(moved, pacing, asked=answer, tell=told.append)

    assert {None} == {progress.answer_ms for progress in told}
    assert moved.same_log()


def test_ranges_begin_at_multiples_of_their_size(moved: Moved) -> None:
    """So that who compares ranges of both stores finds the same ones."""
    with opened_pair(moved.source, moved.target, "test") as pair:
        ranges = Follower(pair.follower).missing(300)
    assert [(1, 300), (301, 600)] == [tuple(r) for r in ranges[:2]]
    assert (1801, 2000) == tuple(ranges[-1])


def test_straggler_of_a_killed_backfill_is_waited_for(moved: Moved) -> None:
    """Its range may still be committed; the next run does not read the ledger before."""
    with opened_pair(moved.source, moved.target, "test") as pair:
        straggler = Follower(pair.follower)
        ranges = RangeCopy(*pair)
        done: list[Copied] = []
        with straggler.bringing(Positions(1, 170)):
            straggler.note(Positions(1, 170), ranges.copy(Positions(1, 170)))
            run = threading.Thread(target=lambda: done.append(backfill(moved)))
            run.start()
            time.sleep(0.3)
            assert [] == done
        run.join()

    assert [BEFORE] == [copied.rows for copied in done]
    assert moved.same_log()
