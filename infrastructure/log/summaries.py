"""Sums of the days of a log that are over, in tables, where there are no continuous aggregates."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.partitions import DAY, midnight
from infrastructure.log.statements import EVENT_TABLE

_POSITIONS = "count(*), min(notification_id), max(notification_id)"
_SUMS: Final = {
    "symbol_days": (
        f"instrument_id, {_POSITIONS}, count(traded_qty), sum(traded_qty), sum(traded_notional)",
        "instrument_id",
    ),
    "topic_days": (f"instrument_id, topic, {_POSITIONS}", "instrument_id, topic"),
    "kind_days": (f"split_part(topic, '.', 1), {_POSITIONS}", "split_part(topic, '.', 1)"),
}
"""Of each table what it sums up, in the order of its columns after the day, and by what."""


class Day(NamedTuple):
    """A day as a summary has it."""

    begin: datetime
    events: int
    first_position: int
    last_position: int

    @property
    def whole(self) -> bool:
        """Whether every event of it was counted: positions have no gap."""
        return self.events == self.last_position - self.first_position + 1


def sum_up(conn: psycopg.Connection[Any], schema: str, before: datetime) -> int:
    """Sum up every day that is over by an instant and is not summed up whole, a transaction each;
    answers with how many. All events of these days must be here.
    """
    summed = _summed(conn, schema)
    # One that ends before the next begins was made when not all of its events were here.
    ends = {a.begin for a, b in pairwise(summed) if b.first_position != a.last_position + 1}
    known = {day.begin: day for day in summed if day.whole and day.begin not in ends}
    cursor = _unbroken_until(list(known.values()), _next(conn, schema, None))
    done = 0
    while (begin := _next(conn, schema, cursor)) is not None and begin + DAY <= before:
        if begin not in known:
            _sum_day(conn, schema, begin)
            done += 1
        cursor = begin + DAY
    return done


def forget(conn: psycopg.Connection[Any], schema: str, first: datetime, end: datetime) -> None:
    """Take the sums of days away whose rows were changed: they are summed up again."""
    with conn.transaction():
        for table in _SUMS:
            conn.execute(
                sql.SQL("DELETE FROM {} WHERE day >= %s AND day < %s").format(
                    sql.Identifier(schema, table)
                ),
                (first, end),
            )


def _unbroken_until(days: list[Day], oldest: datetime | None) -> datetime | None:
    """The end of the days that are summed up, when nothing is missing before it."""
    if not days or oldest is None or oldest < days[0].begin:
        return None
    follows = all(b.first_position == a.last_position + 1 for a, b in pairwise(days))
    return days[-1].begin + DAY if follows else None


def _summed(conn: psycopg.Connection[Any], schema: str) -> list[Day]:
    query = sql.SQL(
        "SELECT day, sum(events)::bigint, min(first_position), max(last_position)"
        " FROM {}.kind_days GROUP BY day ORDER BY day"
    ).format(sql.Identifier(schema))
    with conn.cursor(row_factory=tuple_row) as cursor:
        return [Day(midnight(row[0]), *row[1:]) for row in cursor.execute(query).fetchall()]


def _next(conn: psycopg.Connection[Any], schema: str, since: datetime | None) -> datetime | None:
    """The first day with an event in it, from an instant on."""
    query = sql.SQL(
        "SELECT recorded_at FROM {} WHERE recorded_at >= COALESCE(%s, '-infinity'::timestamptz)"
        " ORDER BY recorded_at LIMIT 1"
    ).format(sql.Identifier(schema, EVENT_TABLE))
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query, (since,)).fetchone()
    return None if row is None else midnight(row[0])


def _sum_day(conn: psycopg.Connection[Any], schema: str, begin: datetime) -> None:
    with conn.transaction():
        for table, (summed, by) in _SUMS.items():
            names = {
                "table": sql.Identifier(schema, table),
                "log": sql.Identifier(schema, EVENT_TABLE),
                "summed": sql.SQL(summed),
                "by": sql.SQL(by),
            }
            conn.execute(sql.SQL("DELETE FROM {table} WHERE day = %s").format(**names), (begin,))
            conn.execute(
                sql.SQL(
                    "INSERT INTO {table} SELECT %s, {summed} FROM {log}"
                    " WHERE recorded_at >= %s AND recorded_at < %s GROUP BY {by}"
                ).format(**names),
                (begin, begin, begin + DAY),
            )
