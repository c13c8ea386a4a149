"""What is asked of TimescaleDB itself: its chunks, policies and continuous aggregates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.statements import EVENT_TABLE

SUMMARIES: Final = ("symbol_days", "topic_days", "kind_days")
"""What is summed up by UTC day: continuous aggregates, or tables where there are none."""
_REFRESH_STEP = timedelta(days=7)
_TRIES, _AGAIN_SECONDS = 100, 0.2


class Span(NamedTuple):
    """A stretch of time; its end is not part of it."""

    begin: datetime
    end: datetime


def extension_schema(conn: psycopg.Connection[Any]) -> str | None:
    """The schema that the functions of TimescaleDB stand in; None where it is not installed."""
    row = _rows(
        conn,
        sql.SQL(
            "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
            " WHERE e.extname = 'timescaledb'"
        ),
    )
    return str(row[0][0]) if row else None


def chunks_between(conn: psycopg.Connection[Any], schema: str, wanted: Span) -> list[Span]:
    """The chunks of the log that meet a stretch of time, in its order."""
    rows = _rows(
        conn,
        sql.SQL(
            "SELECT range_start, range_end FROM timescaledb_information.chunks"
            " WHERE hypertable_schema = %s AND hypertable_name = %s"
            " AND range_end > %s AND range_start < %s ORDER BY range_start"
        ),
        (schema, EVENT_TABLE, wanted.begin, wanted.end),
    )
    return [Span(*row) for row in rows]


def make_chunk(conn: psycopg.Connection[Any], schema: str, span: Span) -> None:
    """Make a chunk for a stretch of time that no chunk meets."""
    conn.execute(
        "SELECT _timescaledb_functions.create_chunk(%s::regclass, jsonb_build_object('recorded_at',"
        " jsonb_build_array((extract(epoch FROM %s::timestamptz) * 1000000)::bigint,"
        " (extract(epoch FROM %s::timestamptz) * 1000000)::bigint)))",
        (_quoted(schema, EVENT_TABLE), span.begin, span.end),
    )


def wake_policies(conn: psycopg.Connection[Any], schema: str) -> int:
    """Let the policies of a store run that never did; one that was put to sleep since stays so."""
    names = extension_schema(conn)
    assert names is not None
    return len(
        _rows(
            conn,
            sql.SQL(
                "SELECT {}.alter_job(j.job_id, scheduled => true,"
                "                    config => j.config || jsonb_build_object('nexus_woken', true))"
                "  FROM timescaledb_information.jobs j"
                " WHERE j.hypertable_schema = %s AND NOT j.scheduled"
                "   AND NOT j.config ? 'nexus_woken'"
            ).format(sql.Identifier(names)),
            (schema,),
        )
    )


def refresh(conn: psycopg.Connection[Any], schema: str, days: Span) -> None:
    """Sum whole days up again in every continuous aggregate; not within a transaction."""
    names = extension_schema(conn)
    assert names is not None
    call = sql.SQL("CALL {}.refresh_continuous_aggregate(%s::regclass, %s, %s)").format(
        sql.Identifier(names)
    )
    for summary in SUMMARIES:
        begin = days.begin
        while begin < days.end:
            end = min(begin + _REFRESH_STEP, days.end)
            _patiently(conn, call, (_quoted(schema, summary), begin, end))
            begin = end


def compress_old(conn: psycopg.Connection[Any], schema: str, before: datetime) -> int:
    """Compress every chunk that ends by then and is not compressed, oldest first so that they
    become weeks, as the policy does; answers with how many.
    """
    names = extension_schema(conn)
    assert names is not None
    compress = sql.SQL("SELECT {}.compress_chunk(%s::regclass)").format(sql.Identifier(names))
    chunks = _rows(
        conn,
        sql.SQL(
            "SELECT format('%%I.%%I', chunk_schema, chunk_name)"
            "  FROM timescaledb_information.chunks"
            " WHERE hypertable_schema = %s AND hypertable_name = %s"
            "   AND NOT is_compressed AND range_end <= %s ORDER BY range_start"
        ),
        (schema, EVENT_TABLE, before),
    )
    for (chunk,) in chunks:
        conn.execute(compress, (chunk,))
    return len(chunks)


def _patiently(conn: psycopg.Connection[Any], query: sql.Composed, values: Sequence[Any]) -> None:
    """Refresh once more while a policy refreshes the same summary."""
    for _ in range(_TRIES):
        try:
            conn.execute(query, values)
            return
        except psycopg.errors.LockNotAvailable:
            time.sleep(_AGAIN_SECONDS)
    conn.execute(query, values)


def _quoted(schema: str, name: str) -> str:
    return sql.Identifier(schema, name).as_string(None)


def _rows(
    conn: psycopg.Connection[Any], query: sql.SQL | sql.Composed, values: Sequence[Any] = ()
) -> list[tuple[Any, ...]]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query, values).fetchall()
