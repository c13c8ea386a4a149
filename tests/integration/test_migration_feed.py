"""A follower is fed from the truth's log: in order, each position once, whatever interrupts it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from infrastructure.log.copying import End, IncompleteRange, Positions, RangeCopy
from infrastructure.log.follower import NotFollowing
from migrations.move.feed import Feed, begin_following, feed_up_to, opened_pair, write_both
from tests.conftest import CHUNKED, dsn_of
from tests.moved_stores import BEFORE, Moved, moved_stores


@pytest.fixture(params=CHUNKED)
def moved(request: pytest.FixtureRequest) -> Iterator[Moved]:
    """A plain store with a flow in it and one in PostgreSQL's own partitions."""
    with moved_stores(dsn_of(request, request.param), request.param) as stores:
        yield stores


def test_follower_holds_what_the_truth_holds(moved: Moved) -> None:
    """Rows and keys as they are, and heads, marks and undone trades as they follow from them."""
    with opened_pair(moved.source, moved.target, "test") as pair:
        feed = Feed(pair)
        assert [700, 700, 600, 0] == [feed.page(700) for _ in range(4)]
        moved.append(50)
        assert 50 == feed.lag()
        assert 50 == feed.page()

    assert moved.same_log()
    assert moved.heads_fit()
    assert 0 < moved.one(moved.target, "SELECT count(*) FROM undone_trades")
    assert [(BEFORE + 50, 0)] == moved.rows(moved.target, "SELECT position, base FROM log_head")


def test_two_who_feed_bring_each_position_once(moved: Moved) -> None:
    """A switch that wants the rest at once runs beside the mover."""
    failures: list[BaseException] = []

    def feed() -> None:
        try:
            with opened_pair(moved.source, moved.target, "test") as pair:
                while Feed(pair).page(37):
                    pass
        except BaseException as error:
            failures.append(error)

    feeders = [threading.Thread(target=feed) for _ in range(3)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join()

    assert [] == failures
    assert moved.same_log()


def test_page_that_is_interrupted_leaves_nothing(moved: Moved) -> None:
    """Killed in the middle of it the next one brings the same, and all of it once."""
    with opened_pair(moved.source, moved.target, "test") as pair:

        def die(self: RangeCopy, positions: Positions) -> None:
            pair.truth.conn.execute(
                "SELECT pg_terminate_backend(%s)", (pair.follower.conn.info.backend_pid,)
            )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RangeCopy, "merge_heads", die)
            with pytest.raises(psycopg.OperationalError):
                Feed(pair).page(700)
    assert 0 == moved.one(moved.target, "SELECT count(*) FROM stored_events")

    assert BEFORE == feed_up_to(moved.source, moved.target)
    assert moved.same_log()


def test_truth_with_a_hole_feeds_nothing_beyond_it(moved: Moved) -> None:
    """What is not there is not passed over: whoever feeds says so."""
    moved.rows(moved.source, "DELETE FROM stored_events WHERE notification_id = 1234")
    with opened_pair(moved.source, moved.target, "test") as pair:
        feed = Feed(pair)
        assert 1000 == feed.page(1000)
        with pytest.raises(IncompleteRange, match="999 of the 1000 events 1001 to 2000"):
            feed.page(1000)

    assert [(1000,)] == moved.rows(moved.target, "SELECT position FROM log_head")


@pytest.mark.parametrize("mode", ["here", "there"])
def test_store_that_is_written_is_fed_no_more(moved: Moved, mode: str) -> None:
    """A mover that wakes after a switch brings nothing."""
    moved.rows(moved.target, "UPDATE writer_epoch SET writes = %s", mode)

    with pytest.raises(NotFollowing, match=f"it is {mode}"):
        feed_up_to(moved.source, moved.target)
    assert 0 == moved.one(moved.target, "SELECT count(*) FROM stored_events")


def test_following_begins_where_the_log_stands_and_only_once(moved: Moved) -> None:
    """What came before is left to a backfill, and from then on both stores are written."""
    with opened_pair(moved.source, moved.target, "test") as pair:
        assert BEFORE == begin_following(pair)
        assert begin_following(pair) is None

    assert [(BEFORE, BEFORE)] == moved.rows(moved.target, "SELECT position, base FROM log_head")
    assert [("both", moved.target.schema)] == moved.rows(
        moved.source, "SELECT writes, peer_schema FROM writer_epoch"
    )


def test_follower_that_fell_behind_is_written_again_with_nothing_missing(moved: Moved) -> None:
    """Only when little is missing: the writer waits meanwhile."""
    with opened_pair(moved.source, moved.target, "test") as pair:
        begin_following(pair)
        moved.rows(moved.source, "UPDATE writer_epoch SET writes = 'here'")
        moved.append(40)
        assert write_both(pair)
        assert "both" == moved.one(moved.source, "SELECT writes FROM writer_epoch")
        assert not write_both(pair), "it is written already"
    assert moved.same_log(above=BEFORE)
    assert [(BEFORE + 40,)] == moved.rows(moved.target, "SELECT position FROM log_head")


def test_follower_far_behind_keeps_no_writer_waiting(moved: Moved) -> None:
    """It is fed first."""
    with opened_pair(moved.source, moved.target, "test") as pair:
        moved.rows(moved.target, "UPDATE log_head SET position = 1000, base = 1000")
        assert not write_both(pair)
    assert "here" == moved.one(moved.source, "SELECT writes FROM writer_epoch")


def test_store_left_behind_is_fed_from_the_new_one(moved: Moved) -> None:
    """So that there is a way back: a plain store follows a chunked one, as the other way round."""
    feed_up_to(moved.source, moved.target)
    moved.rows(moved.source, "DELETE FROM stored_events WHERE notification_id > 1500")
    moved.rows(moved.source, "DELETE FROM request_keys WHERE position > 1500")
    moved.rows(
        moved.source,
        "UPDATE writer_epoch SET writes = 'fed', peer_schema = %s",
        moved.target.schema,
    )
    moved.rows(moved.target, "UPDATE writer_epoch SET writes = 'here'")

    assert BEFORE == feed_up_to(moved.target, moved.source)
    assert moved.same_log()


def test_page_reads_the_parts_it_must(moved: Moved) -> None:
    """From a chunked truth a range is asked for by its times as well."""
    feed_up_to(moved.source, moved.target)
    with opened_pair(moved.target, moved.source, "test") as pair:
        truth: End = pair.truth
        first, last = truth.times(Positions(600, 700))
        stood = moved.rows(
            moved.source,
            "SELECT min(recorded_at)::text, max(recorded_at)::text FROM stored_events"
            " WHERE notification_id BETWEEN 512 AND 768",
        )
    assert [(first[:19], last[:19])] == [(a[:19], b[:19]) for a, b in stood]
