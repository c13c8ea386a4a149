"""A range of one store's log brought again from another: what stands there is replaced."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.log.checksums import Range
from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.statements import STORED_COLUMNS

Connection = psycopg.Connection[Any]

_EVENT_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, STORED_COLUMNS))
_KEY_COLUMNS = sql.SQL(", ").join(sql.Identifier(c.name) for c in REQUEST_KEYS.columns)


def recopy_range(
    source: Connection,
    source_schema: str,
    target: Connection,
    target_schema: str,
    wanted: Range,
    between: tuple[datetime, datetime] | None,
) -> None:
    """Replace events and request keys of a range, in the transaction open on the target.

    `between` holds the times of its rows in either store: only those parts are written.
    """
    range_of = {
        "first": sql.Literal(wanted.first),
        "last": sql.Literal(wanted.last),
        "events": _EVENT_COLUMNS,
        "keys": _KEY_COLUMNS,
    }
    ours = {**range_of, "schema": sql.Identifier(source_schema)}
    theirs = {**range_of, "schema": sql.Identifier(target_schema)}
    if between is not None:
        # Of rows in compressed chunks there may be more than a statement may unpack by default.
        target.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
        target.execute(
            sql.SQL(
                "DELETE FROM {schema}.stored_events"
                " WHERE notification_id BETWEEN {first} AND {last}"
                " AND recorded_at BETWEEN {earliest} AND {latest}"
            ).format(**theirs, earliest=sql.Literal(between[0]), latest=sql.Literal(between[1]))
        )
    target.execute(
        sql.SQL(
            "DELETE FROM {schema}.request_keys WHERE position BETWEEN {first} AND {last}"
        ).format(**theirs)
    )
    _pipe(
        source,
        sql.SQL(
            "COPY (SELECT {events} FROM {schema}.stored_events"
            " WHERE notification_id BETWEEN {first} AND {last}"
            " AND recorded_at >= {schema}.recorded_from({first} - 1)"
            " AND recorded_at <= {schema}.recorded_until({last})"
            " ORDER BY notification_id) TO STDOUT (FORMAT binary)"
        ).format(**ours),
        target,
        sql.SQL("COPY {schema}.stored_events ({events}) FROM STDIN (FORMAT binary)").format(
            **theirs
        ),
    )
    _pipe(
        source,
        sql.SQL(
            "COPY (SELECT {keys} FROM {schema}.request_keys"
            " WHERE position BETWEEN {first} AND {last}) TO STDOUT (FORMAT binary)"
        ).format(**ours),
        target,
        sql.SQL("COPY {schema}.request_keys ({keys}) FROM STDIN (FORMAT binary)").format(**theirs),
    )


def remake_marks(
    conn: Connection, schema: str, wanted: Range, between: tuple[datetime, datetime]
) -> None:
    """Let the marks of a range say what its rows do, which were recorded between these times."""
    values = {
        "first": wanted.first,
        "last": wanted.last,
        "earliest": between[0],
        "latest": between[1],
    }
    name = sql.Identifier(schema)
    conn.execute(
        sql.SQL("DELETE FROM {}.log_marks WHERE position BETWEEN %(first)s AND %(last)s").format(
            name
        ),
        values,
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO {schema}.log_marks (position, recorded_at)"
            " SELECT e.notification_id, e.recorded_at FROM {schema}.stored_events e"
            " WHERE e.notification_id BETWEEN %(first)s AND %(last)s"
            " AND e.notification_id %% 256 = 0"
            " AND e.recorded_at BETWEEN %(earliest)s AND %(latest)s"
        ).format(schema=name),
        values,
    )


def remake_heads(conn: Connection, schema: str, originators: list[str]) -> None:
    """Let the heads of some aggregates say what their rows do, while no event is appended."""
    values = {"ids": originators}
    name = sql.Identifier(schema)
    with conn.transaction():
        conn.execute(sql.SQL("SELECT 1 FROM {}.log_head FOR UPDATE").format(name))
        conn.execute(
            sql.SQL(
                "DELETE FROM {}.stream_heads WHERE originator_id = ANY(%(ids)s::uuid[])"
            ).format(name),
            values,
        )
        conn.execute(
            sql.SQL(
                "INSERT INTO {schema}.stream_heads (originator_id, version, first_at, last_at)"
                " SELECT originator_id, max(originator_version), min(recorded_at), max(recorded_at)"
                " FROM {schema}.stored_events WHERE originator_id = ANY(%(ids)s::uuid[])"
                " GROUP BY originator_id"
            ).format(schema=name),
            values,
        )


def delete_stray(conn: Connection, schema: str, position: str, recorded_at: str) -> None:
    """Take out rows that stand where their position has no place."""
    conn.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
    conn.execute(
        sql.SQL(
            "DELETE FROM {}.stored_events"
            " WHERE notification_id = %s::bigint AND recorded_at = %s::timestamptz"
        ).format(sql.Identifier(schema)),
        (position, recorded_at),
    )


def _pipe(
    source: Connection, reading: sql.Composed, target: Connection, writing: sql.Composed
) -> None:
    with source.cursor() as out, target.cursor() as into:
        with out.copy(reading) as rows, into.copy(writing) as copied:
            for data in rows:
                copied.write(data)
