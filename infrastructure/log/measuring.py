"""What benchmarks ask of the event table itself: its shape, and what was committed together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from application.log.ports import RequestKey
from domain.events import DomainEvent
from infrastructure.log.codec import encode_event, typed_columns
from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.piping import pipe
from infrastructure.log.statements import EVENT_TABLE, STORED_COLUMNS, EventTable
from infrastructure.log.stores import StoreAddress

KeyOf = Callable[[DomainEvent, int], RequestKey | None]
_AT_ONCE = 50_000


def make_empty_copy(conn: psycopg.Connection[Any], schema: str, table: str) -> None:
    """Make a table of the event table's columns, constraints and indexes, without a row."""
    conn.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
            sql.Identifier(table), EventTable(schema).name
        )
    )


def plain_row(position: int, event: DomainEvent) -> tuple[Any, ...]:
    """The values of an event's row, in the order of `statements.STORED_COLUMNS`."""
    columns = typed_columns(event)
    return (
        event.originator_id,
        event.originator_version,
        event.TOPIC,
        encode_event(event),
        position,
        event.timestamp,
        *columns[1:],
    )


def count_committed_together(
    conn: psycopg.Connection[Any], schema: str, ones: Sequence[int], others: Sequence[int]
) -> int:
    """How many pairs of positions were stored by one transaction and one command."""
    row = conn.execute(
        sql.SQL(
            "SELECT count(*) FROM unnest(%s::bigint[], %s::bigint[]) AS pair (one, other)"
            " JOIN {events} a ON a.notification_id = one"
            " JOIN {events} b ON b.notification_id = other"
            " WHERE a.xmin = b.xmin AND a.correlation_id = b.correlation_id"
        ).format(events=EventTable(schema).name),
        (list(ones), list(others)),
    ).fetchone()
    assert row is not None
    return int(row[0])


class EventRows:
    """Puts events and their request keys into an empty store by COPY, outside of any writer:
    `with EventRows(conn, schema) as into: into.add(events, key_of_event)`.
    """

    def __init__(self, conn: psycopg.Connection[Any], schema: str) -> None:
        self._conn = conn
        self._schema = schema
        self._rows: list[tuple[Any, ...]] = []
        self._keys: list[tuple[Any, ...]] = []
        self.count = 0

    def add(self, events: Sequence[DomainEvent], key_of: KeyOf) -> None:
        """Put in the events of a command."""
        for event in events:
            self.count += 1
            self._rows.append(plain_row(self.count, event))
            key = key_of(event, self.count)
            if key is not None:
                self._keys.append(tuple(key))
        if len(self._rows) >= _AT_ONCE:
            self._put()

    def _put(self) -> None:
        keys = {column.name: column.type for column in REQUEST_KEYS.columns}
        for table, columns, rows in (
            (EVENT_TABLE, STORED_COLUMNS, self._rows),
            (REQUEST_KEYS.table, keys, self._keys),
        ):
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
                sql.Identifier(self._schema, table), sql.SQL(",").join(map(sql.Identifier, columns))
            )
            with self._conn.cursor().copy(statement) as copy:
                copy.set_types(list(columns.values()))
                for row in rows:
                    copy.write_row(row)
            rows.clear()
        self._conn.commit()

    def __enter__(self) -> EventRows:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self._put()
            self._conn.autocommit = True
            for table in (EVENT_TABLE, REQUEST_KEYS.table):
                name = sql.Identifier(self._schema, table)
                self._conn.execute(sql.SQL("VACUUM (ANALYZE) {}").format(name))


def copy_plainly(
    source: psycopg.Connection[Any], target: psycopg.Connection[Any], schema: str
) -> int:
    """Copy every event of a store into an empty table of its shape, which is gone afterwards; how
    many there were. Both connections are to its database.
    """
    table = f"copied_{schema}"
    make_empty_copy(target, schema, table)
    columns = sql.SQL(", ").join(map(sql.Identifier, STORED_COLUMNS))
    query = sql.SQL("SELECT {} FROM {} ORDER BY notification_id").format(
        columns, EventTable(schema).name
    )
    try:
        return pipe(
            source, query, target, sql.SQL("{} ({})").format(sql.Identifier(table), columns)
        )
    finally:
        target.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))


def say_alone(conn: psycopg.Connection[Any], store: StoreAddress) -> None:
    """Have a store say that it has no peer any more."""
    conn.execute(
        sql.SQL(
            "UPDATE {}.writer_epoch SET writes = 'here', peer_dsn = NULL, peer_schema = NULL,"
            " generation = generation + 1"
        ).format(sql.Identifier(store.schema))
    )


def recorded_between(conn: psycopg.Connection[Any], schema: str) -> tuple[datetime, datetime]:
    """When the first and the last event of a store were recorded."""
    row = conn.execute(
        sql.SQL("SELECT min(recorded_at), max(recorded_at) FROM {}").format(EventTable(schema).name)
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def vacuum(conn: psycopg.Connection[Any], schema: str) -> None:
    """Have the server look at the events of a store once, as it does with time."""
    conn.execute(sql.SQL("VACUUM (ANALYZE) {}").format(EventTable(schema).name))
