"""Checksums of a store's rows by range of positions, computed in the database.

A sum of row hashes does not depend on the order of rows nor on how the store lays them out, and the
hash of a row is the same on every version of PostgreSQL: equal sums over a range mean equal rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.statements import STORED_COLUMNS

Connection = psycopg.Connection[Any]

_ROW = ", ".join(f"e.{name}" for name in STORED_COLUMNS)
_KEY = ", ".join(f"e.{column.name}" for column in REQUEST_KEYS.columns)
_EVENT_HASH = f"hash_record_extended(ROW({_ROW}), 0)"
_KEY_HASH = f"hash_record_extended(ROW({_KEY}), 0)"
# Chunks of other times are not looked at.
_RANGE = """
  FROM {schema}.stored_events e
 WHERE e.notification_id BETWEEN %(first)s AND %(last)s
   AND e.recorded_at >= {schema}.recorded_from(%(first)s - 1)
   AND e.recorded_at <= {schema}.recorded_until(%(last)s)"""
_KEYS = " FROM {schema}.request_keys e WHERE e.position BETWEEN %(first)s AND %(last)s"


class Range(NamedTuple):
    """Positions of the log, both ends among them."""

    first: int
    last: int

    @property
    def positions(self) -> int:
        """How many there are."""
        return self.last - self.first + 1


class RowSum(NamedTuple):
    """How many rows there are in a range, and the sum of their hashes."""

    rows: int
    checksum: int


class EventSum(NamedTuple):
    """The events of a range: their sum, and whether they follow one another."""

    rows: int
    checksum: int
    first: int | None
    last: int | None
    misplaced: int
    """Rows that do not stand one position behind the row before, or are earlier than it."""
    earliest: datetime | None
    latest: datetime | None

    @property
    def sum(self) -> RowSum:
        """What is compared with another store's."""
        return RowSum(self.rows, self.checksum)

    def fills(self, wanted: Range) -> bool:
        """Whether every position of the range is there once, in the order of time."""
        ends = (self.first, self.last) == (wanted.first, wanted.last)
        return self.rows == wanted.positions and not self.misplaced and ends


class RowHash(NamedTuple):
    """A row's key as text, and the row's hash."""

    key: str
    checksum: int


def event_sum(conn: Connection, schema: str, wanted: Range) -> EventSum:
    """The events of a range of positions."""
    row = _one(
        conn,
        schema,
        "SELECT count(*), COALESCE(sum(hash::numeric), 0), min(position), max(position),"
        " count(*) FILTER (WHERE misplaced), min(at), max(at) FROM ("
        f"SELECT e.notification_id AS position, e.recorded_at AS at, {_EVENT_HASH} AS hash,"
        " e.notification_id <> lag(e.notification_id) OVER w + 1"
        " OR e.recorded_at < lag(e.recorded_at) OVER w AS misplaced"
        f"{_RANGE} WINDOW w AS (ORDER BY e.notification_id)) AS r WHERE position >= %(own)s",
        # With the row before the first one: it too must stand one position and no time behind.
        Range(wanted.first - 1, wanted.last),
        own=wanted.first,
    )
    return EventSum(int(row[0]), int(row[1]), *row[2:])


def key_sum(conn: Connection, schema: str, wanted: Range) -> RowSum:
    """The request keys that were first used in a range of positions."""
    row = _one(
        conn,
        schema,
        f"SELECT count(*), COALESCE(sum({_KEY_HASH}::numeric), 0){_KEYS}",
        wanted,
    )
    return RowSum(int(row[0]), int(row[1]))


def event_hashes(conn: Connection, schema: str, wanted: Range) -> list[RowHash]:
    """Every event row of a range: its position, and its hash."""
    rows = _all(
        conn, schema, f"SELECT e.notification_id::text, {_EVENT_HASH}{_RANGE} ORDER BY 1", wanted
    )
    return [RowHash._make(row) for row in rows]


def key_hashes(conn: Connection, schema: str, wanted: Range) -> list[RowHash]:
    """Every request key of a range: whose it is and what it says, and its row's hash."""
    rows = _all(
        conn,
        schema,
        f"SELECT e.account_id || ' ' || e.request_key, {_KEY_HASH}{_KEYS} ORDER BY 1",
        wanted,
    )
    return [RowHash._make(row) for row in rows]


def event_row(conn: Connection, schema: str, position: int) -> list[dict[str, Any]]:
    """The rows at a position, column by column: one, none, or those that are there at once."""
    rows = _all(
        conn,
        schema,
        f"SELECT row_to_json(r) FROM (SELECT {_ROW}{_RANGE}) AS r",
        Range(position, position),
    )
    return [row[0] for row in rows]


def key_row(conn: Connection, schema: str, wanted: Range, key: str) -> list[dict[str, Any]]:
    """The row of a request key, column by column."""
    query = (
        f"SELECT row_to_json(r) FROM (SELECT {_KEY}{_KEYS}"
        " AND e.account_id || ' ' || e.request_key = %(key)s) AS r"
    )
    return [row[0] for row in _all(conn, schema, query, wanted, key=key)]


def _one(
    conn: Connection, schema: str, text: LiteralString, wanted: Range, **more: int
) -> tuple[Any, ...]:
    (row,) = _all(conn, schema, text, wanted, **more)
    return row


def _all(
    conn: Connection, schema: str, text: LiteralString, wanted: Range, **more: str | int
) -> list[tuple[Any, ...]]:
    query = sql.SQL(text).format(schema=sql.Identifier(schema))
    values = {"first": wanted.first, "last": wanted.last, **more}
    found: list[tuple[Any, ...]] = conn.execute(query, values).fetchall()
    return found
