"""What people ask of months of events, as each layout answers it, and what it takes on the disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log.layouts import Layout

FAIR_INDEXES: tuple[LiteralString, ...] = (
    "(recorded_at)",
    "(instrument_id, recorded_at)",
)
"""Indexes by which a plain table finds the rows of each question and no others."""
COVERING_INDEXES: tuple[LiteralString, ...] = (
    "(recorded_at, instrument_id) INCLUDE (topic)",
    "(instrument_id, recorded_at) INCLUDE (topic)",
    "(recorded_at, instrument_id) INCLUDE (traded_qty, traded_notional)"
    " WHERE traded_qty IS NOT NULL",
)
"""Indexes out of which alone it answers them: one for each question, paid by every append."""


class Question(NamedTuple):
    """One pattern of asking: as the rows answer it, and as a store in parts does."""

    name: str
    rows: LiteralString
    parts: LiteralString
    gains: bool
    """Whether a store in parts is expected to answer faster."""


_UTC_DAY: LiteralString = "(recorded_at AT TIME ZONE 'UTC')::date"
_DAY: LiteralString = "(day AT TIME ZONE 'UTC')::date"
_TIMES: LiteralString = "recorded_at >= %(since)s AND recorded_at < %(until)s"
_DAYS: LiteralString = "day >= %(since)s AND day < %(until)s"
_ONE_DAY: LiteralString = "recorded_at >= %(since)s AND recorded_at < %(next_day)s"

_VOLUME = (
    f"SELECT {_UTC_DAY}, instrument_id, count(*), sum(traded_qty), sum(traded_notional)"
    f" FROM {{events}} WHERE traded_qty IS NOT NULL AND {_TIMES} GROUP BY 1, 2 ORDER BY 1, 2",
    f"SELECT {_DAY}, s.instrument_id, s.trades + COALESCE(u.trades, 0),"
    " s.qty + COALESCE(u.qty, 0), s.notional + COALESCE(u.notional, 0)"
    " FROM {symbol_days} s LEFT JOIN (SELECT traded_on, instrument_id, sum(trades) AS trades,"
    " sum(qty) AS qty, sum(notional) AS notional FROM {undone_trades} GROUP BY 1, 2) u"
    f" ON u.traded_on = {_DAY} AND u.instrument_id = s.instrument_id"
    f" WHERE {_DAYS} AND s.trades > 0 ORDER BY 1, 2",
)
_COUNTS = (
    f"SELECT {_UTC_DAY}, instrument_id, count(*) FROM {{events}} WHERE {_TIMES}"
    " GROUP BY 1, 2 ORDER BY 1, 2",
    f"SELECT {_DAY}, instrument_id, events FROM {{symbol_days}} WHERE {_DAYS} ORDER BY 1, 2",
)
_SYMBOL = (
    f"SELECT topic, count(*) FROM {{events}} WHERE instrument_id = %(symbol)s AND {_TIMES}"
    " GROUP BY 1 ORDER BY 1",
    "SELECT topic, sum(events)::bigint FROM {topic_days}"
    f" WHERE instrument_id = %(symbol)s AND {_DAYS} GROUP BY 1 ORDER BY 1",
)
_DAY_COUNTED = (
    f"SELECT topic, count(*) FROM {{events}} WHERE {_ONE_DAY} GROUP BY 1 ORDER BY 1",
    # By a range of constants: of anything else it is not seen which parts it leaves out.
    "SELECT topic, sum(events)::bigint FROM {topic_days}"
    " WHERE day >= %(since)s AND day < %(next_day)s GROUP BY 1 ORDER BY 1",
)
_SYMBOL_ROWS: LiteralString = (
    "SELECT notification_id, topic, state FROM {events} WHERE instrument_id = %(symbol)s"
    f" AND {_TIMES} ORDER BY recorded_at, notification_id"
)
_DAY_ROWS: LiteralString = (
    "SELECT notification_id, topic, state FROM {events}"
    f" WHERE {_ONE_DAY} ORDER BY recorded_at, notification_id"
)

QUESTIONS = (
    Question("daily volume of every symbol, a month", *_VOLUME, True),
    Question("events of every symbol and day, a month", *_COUNTS, True),
    Question("one symbol's events by topic, a month", *_SYMBOL, True),
    Question("one day's events by topic", *_DAY_COUNTED, True),
    Question("one symbol's rows, a month", _SYMBOL_ROWS, _SYMBOL_ROWS, False),
    Question("one day's rows", _DAY_ROWS, _DAY_ROWS, False),
)


class Asked(NamedTuple):
    """Of which time and which instrument."""

    since: datetime
    until: datetime
    symbol: UUID

    def values(self) -> dict[str, Any]:
        """The values of every question."""
        return {**self._asdict(), "next_day": self.since + timedelta(days=1)}


def make_indexes(
    conn: psycopg.Connection[Any], schema: str, definitions: Sequence[LiteralString]
) -> None:
    """Give a plain store indexes in the place of those it got by this."""
    for (name,) in conn.execute(
        "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND indexname LIKE 'fair\\_%%'",
        (schema,),
    ).fetchall():
        conn.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(schema, name)))
    table = sql.Identifier(schema, "stored_events")
    for number, definition in enumerate(definitions):
        conn.execute(
            sql.SQL("CREATE INDEX {} ON {} {}").format(
                sql.Identifier(f"fair_{number}"), table, sql.SQL(definition)
            )
        )
    conn.execute(sql.SQL("VACUUM (ANALYZE) {}").format(table))


def answer(
    conn: psycopg.Connection[Any], schema: str, layout: Layout, question: Question, asked: Asked
) -> list[tuple[Any, ...]]:
    """The answer of a store."""
    with conn.cursor(binary=True, row_factory=tuple_row) as cursor:
        return cursor.execute(_query(schema, layout, question), asked.values()).fetchall()


def answer_ms(
    conn: psycopg.Connection[Any], schema: str, layout: Layout, question: Question, asked: Asked
) -> float:
    """How long the server takes to plan, find and write out the answer, which it does not send."""
    explained = sql.SQL("EXPLAIN (ANALYZE, TIMING OFF, SERIALIZE BINARY, FORMAT JSON) {}").format(
        _query(schema, layout, question)
    )
    row = conn.execute(explained, asked.values()).fetchone()
    assert row is not None
    (told,) = row[0]
    return float(told["Planning Time"] + told["Execution Time"])


def _query(schema: str, layout: Layout, question: Question) -> sql.Composed:
    names = {"events": "stored_events"}
    names |= {name: name for name in ("symbol_days", "topic_days", "undone_trades")}
    text = question.parts if layout.chunked else question.rows
    return sql.SQL(text).format(**{k: sql.Identifier(schema, v) for k, v in names.items()})


class Disk(NamedTuple):
    """Bytes and rows of the events of a store before a time, its own indexes among them."""

    size: int
    rows: int


class DiskOfRows(NamedTuple):
    """What a plain store's events take: as they are kept, and with the indexes that were added for
    questions (`make_indexes`).
    """

    kept: Disk
    indexed: Disk


def disk_of_rows(conn: psycopg.Connection[Any], schema: str) -> DiskOfRows:
    """What a plain store's events take."""
    row = conn.execute(
        sql.SQL(
            "SELECT pg_total_relation_size({name}), (SELECT COALESCE(sum(pg_relation_size("
            "i.indexrelid)), 0) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
            " WHERE i.indrelid = {name}::regclass AND c.relname LIKE 'fair\\_%'),"
            " (SELECT count(*) FROM {events})"
        ).format(
            name=sql.Literal(f"{schema}.stored_events"),
            events=sql.Identifier(schema, "stored_events"),
        )
    ).fetchone()
    assert row is not None
    size, added, rows = map(int, row)
    return DiskOfRows(Disk(size - added, rows), Disk(size, rows))


def disk_of_parts(conn: psycopg.Connection[Any], schema: str, layout: Layout) -> dict[str, Disk]:
    """What the events of a store in parts take: those in compressed parts, and the others."""
    if layout is Layout.TIMESCALE or layout is Layout.HYPERTABLE:
        parts = conn.execute(
            "SELECT c.is_compressed, c.range_start, c.range_end, d.total_bytes"
            " FROM timescaledb_information.chunks c JOIN chunks_detailed_size(%(table)s) d"
            " USING (chunk_schema, chunk_name) WHERE c.hypertable_schema = %(schema)s"
            " AND c.hypertable_name = 'stored_events'",
            {"table": f"{schema}.stored_events", "schema": schema},
        ).fetchall()
    else:
        parts = []
    found = {"compressed": Disk(0, 0), "others": Disk(0, 0)}
    if not parts:
        row = conn.execute(
            "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree(%s)",
            (f"{schema}.stored_events",),
        ).fetchone()
        rows = _count(conn, schema, None, None)
        assert row is not None
        return found | {"others": Disk(int(row[0]), rows)}
    for compressed, since, until, size in parts:
        name = "compressed" if compressed else "others"
        before = found[name]
        rows = _count(conn, schema, since, until)
        found[name] = Disk(before.size + int(size), before.rows + rows)
    return found


def _count(
    conn: psycopg.Connection[Any], schema: str, since: datetime | None, until: datetime | None
) -> int:
    row = conn.execute(
        sql.SQL(
            "SELECT count(*) FROM {} WHERE (%(since)s::timestamptz IS NULL"
            " OR recorded_at >= %(since)s AND recorded_at < %(until)s)"
        ).format(sql.Identifier(schema, "stored_events")),
        {"since": since, "until": until},
    ).fetchone()
    assert row is not None
    return int(row[0])
