"""Partitions of the log by the UTC day, and the default one that takes what no other does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.statements import EVENT_TABLE

DAY: Final = timedelta(days=1)
_PREFIX = f"{EVENT_TABLE}_p"
_LOCK_TIMEOUT = "200ms"
"""Readers look into every partition: who makes one does not make them queue for long."""
_TRIES, _AGAIN_SECONDS = 5, 0.1


class Made(NamedTuple):
    """How many partitions were made, and how many rows stood in the default one until then."""

    parts: int
    moved: int


def midnight(at: datetime) -> datetime:
    """The first instant of the UTC day of an instant."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def make_partitions(
    conn: psycopg.Connection[Any], schema: str, first: datetime, last: datetime
) -> Made:
    """Make the partitions that are missing from the day of one instant to the day of another.

    Each is a transaction. Raises psycopg.errors.LockNotAvailable when others keep a table too
    long, and what is missing then can be made later: the default partition takes its rows.
    """
    known = partitions(conn, schema)
    parts = moved = 0
    for begin in _days(first, last):
        if begin not in known:
            rows = _make_patiently(conn, schema, begin)
            if rows is not None:
                parts, moved = parts + 1, moved + rows
    return Made(parts, moved)


def partitions(conn: psycopg.Connection[Any], schema: str) -> set[datetime]:
    """The days that have a partition."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = %s::regclass",
            (sql.Identifier(schema, EVENT_TABLE).as_string(None),),
        ).fetchall()
    names = (name.removeprefix(_PREFIX) for (name,) in rows if name.startswith(_PREFIX))
    return {datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) for day in names}


def drop_partition(conn: psycopg.Connection[Any], schema: str, begin: datetime) -> None:
    """Drop a day of the log."""
    conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(schema, _name(begin))))


def move_out_of_default(conn: psycopg.Connection[Any], schema: str) -> Made:
    """Make the partitions of all days that rows in the default one are of, and move them there."""
    default = sql.Identifier(schema, f"{EVENT_TABLE}_default")
    with conn.cursor(row_factory=tuple_row) as cursor:
        rows = cursor.execute(
            sql.SQL(
                "SELECT DISTINCT date_trunc('day', recorded_at, 'UTC') FROM {} ORDER BY 1"
            ).format(default)
        ).fetchall()
    made = [make_partitions(conn, schema, day, day) for (day,) in rows]
    return Made(sum(m.parts for m in made), sum(m.moved for m in made))


def _make_patiently(conn: psycopg.Connection[Any], schema: str, begin: datetime) -> int | None:
    for _ in range(_TRIES - 1):
        with suppress(psycopg.errors.LockNotAvailable):
            return _make(conn, schema, begin)
        time.sleep(_AGAIN_SECONDS)
    return _make(conn, schema, begin)


def _make(conn: psycopg.Connection[Any], schema: str, begin: datetime) -> int | None:
    """Make a day's partition; answers with the rows that were moved, or None when it was there."""
    log, default = (sql.Identifier(schema, EVENT_TABLE + end) for end in ("", "_default"))
    part = sql.Identifier(schema, _name(begin))
    bounds = {
        "begin": sql.Literal(begin.isoformat()),
        "end": sql.Literal((begin + DAY).isoformat()),
    }
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        cursor.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(_LOCK_TIMEOUT)))
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('nexus partitions ' || %s, 0))",
            (schema,),
        )
        there = cursor.execute("SELECT to_regclass(%s)", (part.as_string(None),)).fetchone()
        assert there is not None
        if there[0] is not None:
            return None
        cursor.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(part, log))
        # What comes for this day meanwhile waits, and then finds its partition.
        cursor.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(default))
        cursor.execute(
            sql.SQL(
                "WITH taken AS (DELETE FROM {default} WHERE recorded_at >= {begin}"
                " AND recorded_at < {end} RETURNING *) INSERT INTO {part} SELECT * FROM taken"
            ).format(default=default, part=part, **bounds)
        )
        moved = cursor.rowcount
        cursor.execute(
            sql.SQL(
                "ALTER TABLE {log} ATTACH PARTITION {part} FOR VALUES FROM ({begin}) TO ({end})"
            ).format(log=log, part=part, **bounds)
        )
    return moved


def _name(begin: datetime) -> str:
    return f"{_PREFIX}{begin:%Y%m%d}"


def _days(first: datetime, last: datetime) -> Iterator[datetime]:
    begin = midnight(first)
    while begin <= last:
        yield begin
        begin += DAY
