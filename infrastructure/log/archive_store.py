"""A store as an archive is made from it and held against it: one schema, whatever its layout."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.copy_rows import HEADER, TRAILER
from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.statements import INDEXES_ALONE, STORED_COLUMNS, EventTable

_PIECE = 1 << 20


class Sums(NamedTuple):
    """What the rows of a range come to."""

    rows: int
    checksum: str
    recorded_from: int
    recorded_until: int


class KeySums(NamedTuple):
    """What the request keys of a range come to."""

    rows: int
    checksum: str


class ArchivedStore(NamedTuple):
    """Where a store is; each question is asked of a connection of `reading`."""

    dsn: str
    schema: str

    @contextmanager
    def reading(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection that reads and changes nothing."""
        with AttentiveConnectionNow.open(self.dsn) as conn:
            conn.read_only = True
            conn.execute(
                sql.SQL("SET search_path TO {}, public").format(sql.Identifier(self.schema))
            )
            conn.execute("SET jit TO off")
            for setting in INDEXES_ALONE:
                if setting != "enable_bitmapscan":
                    conn.execute(sql.SQL("SET {} TO off").format(sql.Identifier(setting)))
            yield conn

    def find_keys_by_position(self) -> None:
        """Have an index that finds the request keys of a range: a few pages, made while all goes
        on. Stores that were never moved have none.
        """
        with AttentiveConnectionNow.open(self.dsn) as conn:
            table = self._keys().as_string(conn)
            found = conn.execute(
                "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid ="
                " i.indrelid AND a.attnum = i.indkey[0] WHERE i.indrelid = %s::regclass"
                " AND i.indisvalid AND a.attname = 'position')",
                (table,),
            ).fetchone()
            if found is not None and not found[0]:
                conn.execute(
                    sql.SQL(
                        "CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} USING brin (position)"
                        " WITH (autosummarize = on)"
                    ).format(sql.Identifier("request_keys_position_idx"), self._keys())
                )

    def last_position(self, conn: psycopg.Connection[Any]) -> int:
        """The position of the newest row; 0 in an empty log."""
        query = EventTable(self.schema, layout_of(conn, self.schema) or Layout.PLAIN).last()
        row = conn.execute(query.text, query.values).fetchone()
        assert row is not None
        return int(row[0])

    def event_copy(self, conn: psycopg.Connection[Any], first: int, last: int) -> Iterator[bytes]:
        """The rows of a range in binary form, by position."""
        return _copied(
            conn,
            sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
                _event_columns(),
                EventTable(self.schema).name,
                self._events_between(first, last),
                sql.SQL(
                    "recorded_at, notification_id" if self._chunked(conn) else "notification_id"
                ),
            ),
        )

    def key_copy(self, conn: psycopg.Connection[Any], first: int, last: int) -> Iterator[bytes]:
        """The request keys first used in a range in binary form, by position."""
        return _copied(
            conn,
            sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY position, account_id, request_key").format(
                _key_columns(), self._keys(), _between("position", first, last)
            ),
        )

    def sums(self, conn: psycopg.Connection[Any], first: int, last: int) -> Sums:
        """What the events of a range come to."""
        return _sums(conn, EventTable(self.schema).name, self._events_between(first, last))

    def key_sums(self, conn: psycopg.Connection[Any], first: int, last: int) -> KeySums:
        """What the request keys of a range come to."""
        return _key_sums(conn, self._keys(), _between("position", first, last))

    def originators(self, conn: psycopg.Connection[Any], first: int, last: int) -> list[bytes]:
        """The ids of the aggregates that have events in a range."""
        query = sql.SQL("SELECT DISTINCT originator_id FROM {} WHERE {}").format(
            EventTable(self.schema).name, self._events_between(first, last)
        )
        return [row[0].bytes for row in conn.execute(query)]

    def sums_of_files(
        self, conn: psycopg.Connection[Any], events: bytes, keys: bytes
    ) -> tuple[Sums, KeySums]:
        """What the rows in two files of an archive come to: loaded beside the store's tables,
        summed there, and gone.
        """
        event_table = sql.Identifier("pg_temp", "archived_events")
        key_table = sql.Identifier("pg_temp", "archived_keys")
        make = sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})")
        with conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL transaction_read_only TO off")
            conn.execute(make.format(event_table, EventTable(self.schema).name))
            conn.execute(make.format(key_table, self._keys()))
            load_events(conn, event_table, events)
            load_keys(conn, key_table, keys)
            everything = sql.SQL("true")
            return (
                _sums(conn, event_table, everything),
                _key_sums(conn, key_table, everything),
            )

    def _chunked(self, conn: psycopg.Connection[Any]) -> bool:
        layout = layout_of(conn, self.schema)
        return layout is not None and layout.chunked

    def _keys(self) -> sql.Identifier:
        return sql.Identifier(self.schema, REQUEST_KEYS.table)

    def _events_between(self, first: int, last: int) -> sql.Composed:
        """Which rows are of a range; parts of other times are not looked into."""
        schema = sql.Identifier(self.schema)
        return sql.SQL(
            "{} AND recorded_at BETWEEN {}.recorded_from({}) AND {}.recorded_until({})"
        ).format(_between("notification_id", first, last), schema, first - 1, schema, last)


def load_events(conn: psycopg.Connection[Any], table: sql.Identifier, packed: bytes) -> None:
    """Put the rows of a file of events into a table."""
    _load(conn, table, _event_columns(), packed)


def load_keys(conn: psycopg.Connection[Any], table: sql.Identifier, packed: bytes) -> None:
    """Put the rows of a file of request keys into a table."""
    _load(conn, table, _key_columns(), packed)


def _load(
    conn: psycopg.Connection[Any], table: sql.Identifier, columns: sql.Composed, packed: bytes
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(table, columns)
    with gzip.open(io.BytesIO(packed)) as rows, conn.cursor().copy(statement) as copy:
        while data := rows.read(_PIECE):
            copy.write(data)


def _sums(conn: psycopg.Connection[Any], table: sql.Identifier, where: sql.Composable) -> Sums:
    query = sql.SQL(
        "SELECT count(*), COALESCE(sum(hash_record_extended(ROW({}), 0)::numeric), 0)::text,"
        " COALESCE((extract(epoch FROM min(recorded_at)) * 1000000)::bigint, 0),"
        " COALESCE((extract(epoch FROM max(recorded_at)) * 1000000)::bigint, 0)"
        " FROM {} WHERE {}"
    ).format(_event_columns(), table, where)
    row = conn.execute(query).fetchone()
    assert row is not None
    return Sums(*row)


def _key_sums(
    conn: psycopg.Connection[Any], table: sql.Identifier, where: sql.Composable
) -> KeySums:
    query = sql.SQL(
        "SELECT count(*), COALESCE(sum(hash_record_extended(ROW({}), 0)::numeric), 0)::text"
        " FROM {} WHERE {}"
    ).format(_key_columns(), table, where)
    row = conn.execute(query).fetchone()
    assert row is not None
    return KeySums(*row)


def _event_columns() -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, STORED_COLUMNS))


def _key_columns() -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in REQUEST_KEYS.columns)


def _between(column: str, first: int, last: int) -> sql.Composed:
    # COPY takes no parameters.
    return sql.SQL("{} BETWEEN {} AND {}").format(
        sql.Identifier(column), sql.Literal(first), sql.Literal(last)
    )


def _copied(conn: psycopg.Connection[Any], query: sql.Composed) -> Iterator[bytes]:
    """The rows of a query, each as the bytes of a binary COPY."""
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(query)
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        for data in copy:
            row = bytes(data)
            if row.startswith(HEADER):
                # The server sends the header with the first row, or on its own.
                row = row[len(HEADER) :]
            if row and row != TRAILER:
                yield row
