"""Looks after a store whose events stand in parts by time.

It makes parts for the days to come, sums up the days that are over, and lets the policies of
TimescaleDB run once all events are here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log import summaries, timescale
from infrastructure.log.layouts import Layout
from infrastructure.log.partitions import DAY, make_partitions, midnight, move_out_of_default
from infrastructure.log.statements import EVENT_TABLE
from infrastructure.log.timescale import Span

DAYS_AHEAD: Final = 3
OLD_AFTER: Final = timedelta(days=30)
"""Events older than this are compressed, in chunks of a week."""
WEEK: Final = timedelta(days=7)


class Upkept(NamedTuple):
    """What one turn of looking after a store did."""

    parts: int = 0
    """Partitions or chunks that were made."""
    moved: int = 0
    """Rows that had come before their partition was there, and stand in it now."""
    days: int = 0
    """Days that were summed up."""
    woken: int = 0
    """Policies that may run from now on."""


class _Standing(NamedTuple):
    """What a store has, and when."""

    now: datetime
    newest: datetime | None
    """When the newest event was recorded."""
    whole: bool
    """Whether no backfill is to come."""


def compressed_before(now: datetime) -> datetime:
    """Events from before this instant are old: a backfill may write them compressed."""
    return midnight(now) - OLD_AFTER


def keep(conn: psycopg.Connection[Any], schema: str, layout: Layout) -> Upkept:
    """Do what is due, over a connection in autocommit; to be called again every minute or so.

    Raises psycopg.Error; what was not done then is done at the next turn.
    """
    if not layout.chunked:
        return Upkept()
    now, newest, whole = _standing(conn, schema)
    parts = moved = days = woken = 0
    # The clock of the events may be another than the server's.
    for today in sorted({midnight(now), midnight(newest or now)}):
        made = make_parts(conn, schema, layout, today, today + DAYS_AHEAD * DAY)
        parts, moved = parts + made.parts, moved + made.moved
    if layout is Layout.NATIVE:
        late = move_out_of_default(conn, schema)
        parts, moved = parts + late.parts, moved + late.moved
    if whole and layout is Layout.TIMESCALE:
        woken = timescale.wake_policies(conn, schema)
    elif whole and newest is not None:
        days = summaries.sum_up(conn, schema, midnight(newest))
    return Upkept(parts, moved, days, woken)


def make_parts(
    conn: psycopg.Connection[Any], schema: str, layout: Layout, first: datetime, last: datetime
) -> Upkept:
    """Make the parts that are missing for events recorded from one instant to another.

    A part is a day; in TimescaleDB a week, where events are old. For all of a backfill these come
    in one call before it: a chunk that is compressed only joins the one before it in time.
    """
    if layout is Layout.NATIVE:
        made = make_partitions(conn, schema, first, last)
        return Upkept(parts=made.parts, moved=made.moved)
    if layout is Layout.TIMESCALE:
        return Upkept(parts=_make_chunks(conn, schema, Span(midnight(first), midnight(last) + DAY)))
    # One table, or chunks that are made when their first event comes.
    return Upkept()


def refresh_summaries(
    conn: psycopg.Connection[Any], schema: str, layout: Layout, first: datetime, last: datetime
) -> None:
    """Sum up again the days from one instant to another whose events came late or were repaired,
    as far as they are over and no backfill is to come; over a connection in autocommit.
    """
    if not layout.chunked:
        return
    _, newest, whole = _standing(conn, schema)
    if newest is None or not whole:
        return
    days = Span(midnight(first), min(midnight(last) + DAY, midnight(newest)))
    if days.begin >= days.end:
        return
    if layout is Layout.TIMESCALE:
        timescale.refresh(conn, schema, days)
    else:
        summaries.forget(conn, schema, days.begin, days.end)
        summaries.sum_up(conn, schema, days.end)


def _make_chunks(conn: psycopg.Connection[Any], schema: str, wanted: Span) -> int:
    """Make the chunks that are missing, each a transaction; one maker at a time."""
    key = ("nexus parts " + schema,)
    made = 0
    conn.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", key)
    try:
        old = compressed_before(_standing(conn, schema).now)
        free = wanted.begin
        known = timescale.chunks_between(conn, schema, wanted)
        for there in (*known, Span(wanted.end, wanted.end)):
            while free < there.begin:
                span = Span(free, min(_end_of_part(free, old), there.begin))
                timescale.make_chunk(conn, schema, span)
                made, free = made + 1, span.end
            free = max(free, there.end)
    finally:
        conn.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)
    return made


def _end_of_part(begin: datetime, old: datetime) -> datetime:
    return min(begin + WEEK, old) if begin < old else begin + DAY


def _standing(conn: psycopg.Connection[Any], schema: str) -> _Standing:
    query = sql.SQL(
        "SELECT clock_timestamp(),"
        " (SELECT recorded_at FROM {log} ORDER BY recorded_at DESC LIMIT 1),"
        " COALESCE((SELECT base = 0 FROM {head}), false)"
    ).format(log=sql.Identifier(schema, EVENT_TABLE), head=sql.Identifier(schema, "log_head"))
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query).fetchone()
    assert row is not None
    return _Standing(*row)
