"""Whether what a store in parts derives from its events says what they do: heads, marks."""

from __future__ import annotations

from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from infrastructure.log.checksums import Range

Connection = psycopg.Connection[Any]

_IN_RANGE = """
     WHERE e.notification_id BETWEEN %(first)s AND %(last)s
       AND e.recorded_at >= {schema}.recorded_from(%(first)s - 1)
       AND e.recorded_at <= {schema}.recorded_until(%(last)s)"""

# A head only grows, so this stays true of a range once it is.
_HEADS = f"""
WITH told AS (
    SELECT e.originator_id, max(e.originator_version) AS version,
           min(e.recorded_at) AS first_at, max(e.recorded_at) AS last_at
      FROM {{schema}}.stored_events e {_IN_RANGE} GROUP BY 1)
SELECT t.originator_id::text, ROW(t.version, t.first_at, t.last_at)::text,
       ROW(h.version, h.first_at, h.last_at)::text
  FROM told t LEFT JOIN {{schema}}.stream_heads h USING (originator_id)
 WHERE h.originator_id IS NULL OR h.version < t.version
    OR h.first_at > t.first_at OR h.last_at < t.last_at
 ORDER BY 1 LIMIT %(limit)s"""

_ALL_HEADS = """
WITH told AS (
    SELECT originator_id, count(*) AS events, max(originator_version) AS version,
           min(originator_version) AS lowest,
           min(recorded_at) AS first_at, max(recorded_at) AS last_at
      FROM {schema}.stored_events GROUP BY 1)
SELECT COALESCE(t.originator_id, h.originator_id)::text,
       CASE WHEN t.originator_id IS NOT NULL
            THEN ROW(t.events, t.lowest, t.version, t.first_at, t.last_at)::text END,
       CASE WHEN h.originator_id IS NOT NULL
            THEN ROW(h.version, 1, h.version, h.first_at, h.last_at)::text END
  FROM told t FULL JOIN {schema}.stream_heads h USING (originator_id)
 WHERE ROW(t.events, t.lowest, t.version, t.first_at, t.last_at)
       IS DISTINCT FROM ROW(h.version, 1, h.version, h.first_at, h.last_at)
 ORDER BY 1 LIMIT %(limit)s"""

_MARKS = f"""
WITH told AS (
    SELECT e.notification_id AS position, min(e.recorded_at) AS recorded_at
      FROM {{schema}}.stored_events e {_IN_RANGE} AND e.notification_id %% 256 = 0 GROUP BY 1),
kept AS (SELECT * FROM {{schema}}.log_marks WHERE position BETWEEN %(first)s AND %(last)s)
SELECT position::text, t.recorded_at::text, k.recorded_at::text
  FROM told t FULL JOIN kept k USING (position)
 WHERE t.recorded_at IS DISTINCT FROM k.recorded_at ORDER BY position LIMIT %(limit)s"""

# Rows that no range of positions shows: they stand at a time that is not their position's.
_STRAYS = """
SELECT e.notification_id::text, e.recorded_at::text
  FROM {schema}.stored_events e
  LEFT JOIN {schema}.log_marks low ON low.position = e.notification_id / 256 * 256
  LEFT JOIN {schema}.log_marks high ON high.position = (e.notification_id + 255) / 256 * 256
 WHERE e.notification_id < 1 OR e.recorded_at < low.recorded_at OR e.recorded_at > high.recorded_at
 ORDER BY e.notification_id LIMIT %(limit)s"""


class Mismatch(NamedTuple):
    """What the events say under a key, and what is kept of it."""

    key: str
    told: str | None
    kept: str | None


def heads_of(conn: Connection, schema: str, wanted: Range, limit: int) -> list[Mismatch]:
    """Heads that do not reach what a range of positions says of their aggregates."""
    return _mismatches(conn, schema, _HEADS, limit, first=wanted.first, last=wanted.last)


def all_heads(conn: Connection, schema: str, limit: int) -> list[Mismatch]:
    """Heads that do not say what all events do: versions from 1 on, each once, and their times.

    The whole log is read, at one moment of it.
    """
    return _mismatches(conn, schema, _ALL_HEADS, limit)


def marks_of(conn: Connection, schema: str, wanted: Range, limit: int) -> list[Mismatch]:
    """Marks of a range of positions that do not say the time of their event."""
    return _mismatches(conn, schema, _MARKS, limit, first=wanted.first, last=wanted.last)


def strays(conn: Connection, schema: str, limit: int) -> list[tuple[str, str]]:
    """Rows, by position and time, that stand where their position has no place."""
    query = sql.SQL(_STRAYS).format(schema=sql.Identifier(schema))
    found: list[tuple[str, str]] = conn.execute(query, {"limit": limit}).fetchall()
    return found


def _mismatches(
    conn: Connection, schema: str, text: LiteralString, limit: int, **values: int
) -> list[Mismatch]:
    query = sql.SQL(text).format(schema=sql.Identifier(schema))
    rows = conn.execute(query, {"limit": limit, **values}).fetchall()
    return [Mismatch._make(row) for row in rows]
