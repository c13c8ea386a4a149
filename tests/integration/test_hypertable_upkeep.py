"""Parts of the log by time: made ahead, in weeks when they are old, and looked after."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from infrastructure.database import EmbeddedServer
from infrastructure.log import partitions
from infrastructure.log.layouts import Layout
from infrastructure.log.timescale import compress_old
from infrastructure.log.upkeep import (
    DAYS_AHEAD,
    compressed_before,
    keep,
    make_parts,
)
from migrations.runner import migrate

DAY = timedelta(days=1)
FIRST = datetime(2025, 11, 20, tzinfo=UTC)
"""The day that streams of events begin on."""


@pytest.fixture
def native(postgres: EmbeddedServer) -> Iterator[psycopg.Connection[Any]]:
    """A store in PostgreSQL's own partitions; its schema is first in the search path."""
    yield from made(postgres.dsn(), Layout.NATIVE)


@pytest.fixture
def hypertable(timescale: str) -> Iterator[psycopg.Connection[Any]]:
    """A store in chunks on the server that is named."""
    yield from made(timescale, Layout.TIMESCALE)


def made(dsn: str, layout: Layout) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a new store of a layout, which is dropped after the test."""
    name = f"upkeep_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as conn:
        migrate(conn, name, layout=layout)
        conn.execute(sql.SQL("SET search_path TO {}, public").format(sql.Identifier(name)))
        try:
            yield conn
        finally:
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def schema_of(conn: psycopg.Connection[Any]) -> str:
    """The schema of the store."""
    return str(value(conn, "SELECT current_schema()"))


def value(conn: psycopg.Connection[Any], query: Any, *values: Any) -> Any:
    """The one value of a query."""
    row = conn.execute(query, values).fetchone()
    assert row is not None
    return row[0]


def fill(conn: psycopg.Connection[Any], first: datetime, days: int, order: str = "i") -> None:
    """Events of so many days, an hour apart."""
    conn.execute(
        "INSERT INTO stored_events (originator_id, originator_version, topic, state,"
        " notification_id, recorded_at, correlation_id, actor)"
        " SELECT gen_random_uuid(), 1, 'order.filled.v1', 'x', i,"
        " %s::timestamptz + (i - 1) * interval '1 hour', gen_random_uuid(), ''"
        f" FROM generate_series(1, %s) i ORDER BY {order}",
        (first, days * 24),
    )


def chunk_lengths(conn: psycopg.Connection[Any]) -> Counter[tuple[timedelta, bool]]:
    """How many chunks of each length are compressed and not."""
    rows = conn.execute(
        "SELECT range_end - range_start, is_compressed FROM timescaledb_information.chunks"
        " WHERE hypertable_schema = current_schema() AND hypertable_name = 'stored_events'"
    ).fetchall()
    return Counter((length, compressed) for length, compressed in rows)


@pytest.mark.timescale
def test_five_weeks_that_are_old_become_five_chunks(hypertable) -> None:
    """The policy compresses chunks of a day after thirty days and merges them into weeks."""
    old = compressed_before(value(hypertable, "SELECT now()"))
    fill(hypertable, old - 35 * DAY, 65)

    assert 4 == keep(hypertable, schema_of(hypertable), Layout.TIMESCALE).woken
    policy = value(
        hypertable,
        "SELECT job_id FROM timescaledb_information.jobs"
        " WHERE hypertable_schema = current_schema() AND proc_name = 'policy_compression'",
    )
    hypertable.execute(f"CALL run_job({policy})")

    found = chunk_lengths(hypertable)
    assert 5 == found.pop((7 * DAY, True))
    assert {(DAY, False)} == set(found)
    assert 65 * 24 == value(hypertable, "SELECT count(*) FROM stored_events")


@pytest.mark.timescale
def test_parts_that_are_made_before_a_backfill_are_weeks_where_they_are_old(hypertable) -> None:
    """Rows may come in any order: the chunks stand in theirs, and none is made twice."""
    schema, now = schema_of(hypertable), value(hypertable, "SELECT now()")
    old = compressed_before(now)
    fill(hypertable, partitions.midnight(now), 1)

    made = make_parts(hypertable, schema, Layout.TIMESCALE, old - 35 * DAY, now)
    again = make_parts(hypertable, schema, Layout.TIMESCALE, old - 35 * DAY, now)
    fill(hypertable, old - 35 * DAY, 65, "random()")

    assert (35, 0) == (made.parts, again.parts)
    assert Counter({(7 * DAY, False): 5, (DAY, False): 31}) == chunk_lengths(hypertable)
    assert 5 == compress_old(hypertable, schema, old)
    assert 5 == chunk_lengths(hypertable)[7 * DAY, True]


@pytest.mark.timescale
def test_policies_sleep_while_a_backfill_is_to_come_and_stay_asleep_by_request(hypertable) -> None:
    """Nothing is compressed before all events are here; who puts a policy to sleep is obeyed."""
    schema = schema_of(hypertable)
    sleeping = (
        "SELECT count(*) FROM timescaledb_information.jobs"
        " WHERE hypertable_schema = current_schema() AND NOT scheduled"
    )
    hypertable.execute("UPDATE log_head SET base = 10")
    assert (0, 4) == (
        keep(hypertable, schema, Layout.TIMESCALE).woken, value(hypertable, sleeping)
    )  # fmt: skip

    hypertable.execute("UPDATE log_head SET base = 0")
    assert (4, 0) == (
        keep(hypertable, schema, Layout.TIMESCALE).woken, value(hypertable, sleeping)
    )  # fmt: skip
    jobs = hypertable.execute(
        "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_schema = current_schema()"
    ).fetchall()
    for (job,) in jobs:
        hypertable.execute(f"CALL run_job({job})")
        hypertable.execute("SELECT alter_job(%s, scheduled => false)", (job,))
    assert (0, 4) == (
        keep(hypertable, schema, Layout.TIMESCALE).woken, value(hypertable, sleeping)
    )  # fmt: skip


def test_partitions_stand_ready_for_the_days_to_come(native) -> None:
    """Of the server's clock and of the events' own, which may be another."""
    fill(native, FIRST, 1)
    today = partitions.midnight(value(native, "SELECT now()"))

    made = keep(native, schema_of(native), Layout.NATIVE)

    wanted = {begin + ahead * DAY for begin in (FIRST, today) for ahead in range(DAYS_AHEAD + 1)}
    assert wanted == partitions.partitions(native, schema_of(native))
    assert (len(wanted), 24) == (made.parts, made.moved)
    assert (0, 0) == keep(native, schema_of(native), Layout.NATIVE)[:2]


def test_rows_that_came_before_their_partition_are_moved_into_it(native) -> None:
    """The default partition is a net: nothing stays in it, and a reader misses nothing."""
    schema = schema_of(native)
    fill(native, FIRST, 3)
    with psycopg.connect(native.info.dsn) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        count = sql.SQL("SELECT count(*) FROM {}").format(
            sql.Identifier(schema, "stored_events_default")
        )
        before = value(reader, count)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            keep(native, schema, Layout.NATIVE)
        assert before == 72 == value(reader, count)

    assert 72 == keep(native, schema, Layout.NATIVE).moved
    assert 0 == value(native, "SELECT count(*) FROM stored_events_default")
    assert [24, 24, 24] == [
        value(native, f"SELECT count(*) FROM stored_events_p202511{day}") for day in (20, 21, 22)
    ]
