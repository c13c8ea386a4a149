"""Ranges of the log from one store into another, whole rows and all that belongs to them."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.codec import decode_event
from infrastructure.log.derived import UNDOING_TOPICS, undone_trade
from infrastructure.log.layouts import Layout
from infrastructure.log.piping import Pace, pipe
from infrastructure.log.stores import StoreAddress
from infrastructure.log.tables import EVENTS, KEYS, LogTable

MARK_EVERY = 256
HEADS_AT_ONCE = 1_000
"""A head that is being merged keeps a writer of both stores waiting: so few at a time."""


class Positions(NamedTuple):
    """A range of the log, both ends included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many positions it has."""
        return self.last - self.first + 1


class Copied(NamedTuple):
    """What a range came to."""

    rows: int
    keys: int


class IncompleteRange(Exception):
    """The store that a range was copied from has not all of it."""

    def __init__(self, store: StoreAddress, positions: Positions, rows: int) -> None:
        super().__init__(
            f"store {store.schema} has {rows} of the {positions.size} events"
            f" {positions.first} to {positions.last}; `nexus audit verify` says which are gone"
        )


class End(NamedTuple):
    """One end of a copy: a store, its layout and a connection of the caller's in autocommit."""

    conn: psycopg.Connection[Any]
    store: StoreAddress
    layout: Layout

    def table(self, name: str) -> sql.Identifier:
        """A table of this store, by its whole name."""
        return sql.Identifier(self.store.schema, name)

    def times(self, positions: Positions) -> tuple[str, str]:
        """Between which times a range was recorded, as far as this store knows."""
        if not self.layout.chunked:
            return "-infinity", "infinity"
        first, last = one(
            self.conn,
            sql.SQL("SELECT {}({})::text, {}({})::text").format(
                self.table("recorded_from"),
                positions.first - 1,
                self.table("recorded_until"),
                positions.last,
            ),
        )
        return str(first), str(last)

    def last_position(self) -> int:
        """The newest position here."""
        text = "SELECT position FROM {head}" if self.layout.chunked else _LAST
        query = sql.SQL(text).format(head=self.table("log_head"), events=self.table(EVENTS.name))
        return int(one(self.conn, query)[0])


_LAST = "SELECT COALESCE(max(notification_id), 0) FROM {events}"


_HEADS = "(originator_id uuid, version bigint, first_at timestamptz, last_at timestamptz)"
_PAGE_HEADS = f"CREATE TEMPORARY TABLE IF NOT EXISTS page_heads {_HEADS} ON COMMIT DELETE ROWS"
_RANGE_HEADS = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS range_heads {_HEADS};
CREATE INDEX IF NOT EXISTS range_heads_idx ON range_heads (originator_id);
TRUNCATE range_heads
"""
_MERGE_HEADS = """
WITH next_heads AS MATERIALIZED (
    SELECT * FROM {gathered}
    WHERE %(after)s::uuid IS NULL OR originator_id > %(after)s
    ORDER BY originator_id LIMIT %(limit)s
), merged AS (
    INSERT INTO {heads} AS h (originator_id, version, first_at, last_at)
    SELECT s.originator_id, s.version, s.first_at, s.last_at FROM next_heads s
    LEFT JOIN {heads} k ON k.originator_id = s.originator_id
    -- A head that says as much already is not even locked: it only grows.
    WHERE k.originator_id IS NULL OR k.version < s.version
       OR k.first_at > s.first_at OR k.last_at < s.last_at
    ORDER BY s.originator_id
    ON CONFLICT (originator_id) DO UPDATE SET
        version = greatest(h.version, excluded.version),
        first_at = least(h.first_at, excluded.first_at),
        last_at = greatest(h.last_at, excluded.last_at)
    WHERE h.version < excluded.version
       OR h.first_at > excluded.first_at OR h.last_at < excluded.last_at
)
SELECT max(originator_id::text)::uuid FROM next_heads
"""


def one(conn: psycopg.Connection[Any], query: sql.Composed, values: Any = None) -> tuple[Any, ...]:
    """The only row of an answer."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query, values).fetchone()
    assert row is not None, "an answer of one row"
    return tuple(row)


def open_end(store: StoreAddress, layout: Layout, name: str = "nexus mover") -> End:
    """An end on a connection of its own, made for copying; raises psycopg.Error."""
    conn = AttentiveConnectionNow.open(store.dsn, application_name=f"{name} {store.schema}"[:63])
    try:
        # A range is found by its index, whatever the statistics of a growing table say.
        conn.execute("SET enable_seqscan TO off")
        # Half a day of another zone would move a day's rows to its neighbour in a report.
        conn.execute("SET timezone TO 'UTC'")
    except BaseException:
        conn.close()
        raise
    return End(conn, store, layout)


class RangeCopy:
    """Brings ranges of the source's log into the target; the caller's transaction is around it."""

    def __init__(self, source: End, target: End) -> None:
        self._source = source
        self._target = target

    def copy(
        self, positions: Positions, pace: Pace = lambda rows: None, beside: Pace = lambda rows: None
    ) -> Copied:
        """Bring the events of a range, their keys, and what a chunked store keeps beside them.

        All but the heads (`merge_heads`). `pace` hears of events, `beside` of what comes with them.
        Raises IncompleteRange and psycopg.Error.
        """
        rows = self._copy(EVENTS, positions, pace)
        if rows != positions.size:
            raise IncompleteRange(self._source.store, positions, rows)
        keys = self._copy(KEYS, positions, beside)
        if self._target.layout.chunked:
            self._copy_marks(positions)
            self._undo_trades(positions)
        return Copied(rows, keys)

    def take_out(self, positions: Positions) -> None:
        """Take a range out of the target, to bring it again."""
        named = [(EVENTS.name, EVENTS.position), (KEYS.name, KEYS.position)]
        if self._target.layout.chunked:
            named += [("log_marks", "position"), ("undone_trades", "position")]
        for table, column in named:
            bounds = (
                self._times(self._target, positions) if table == EVENTS.name else sql.SQL("true")
            )
            self._target.conn.execute(
                sql.SQL("DELETE FROM {} WHERE {} BETWEEN {} AND {} AND {}").format(
                    self._target.table(table), sql.Identifier(column), *positions, bounds
                )
            )

    def merge_heads(self, positions: Positions) -> None:
        """Let the target's heads know the aggregates of a range, within the caller's transaction.

        Heads only grow by this, so that it does no harm to do it again, or before the rows come.
        """
        if self._target.layout.chunked:
            self._target.conn.execute(_PAGE_HEADS)
            self._gather_heads(positions, sql.Identifier("page_heads"))
            self._merge_heads(sql.Identifier("page_heads"), None)

    def merge_heads_gently(self, positions: Positions, pace: Pace = lambda rows: None) -> None:
        """The same in small transactions of their own, for which no writer waits long; over a
        connection that serves nothing else.
        """
        conn, gathered = self._target.conn, sql.Identifier("range_heads")
        # What was merged outlasts a crash with the range that is committed after it.
        conn.execute("SET synchronous_commit TO off")
        conn.execute(_RANGE_HEADS)
        self._gather_heads(positions, gathered)
        after: Any = None
        while True:
            after = self._merge_heads(gathered, HEADS_AT_ONCE, after)
            if after is None:
                return
            pace(HEADS_AT_ONCE)

    def _copy(self, table: LogTable, positions: Positions, pace: Pace) -> int:
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        where = self._where(table, positions)
        query = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
            columns, self._source.table(table.name), where, sql.Identifier(table.position)
        )
        into = sql.SQL("{} ({})").format(self._target.table(table.name), columns)
        return pipe(self._source.conn, query, self._target.conn, into, pace)

    def _where(self, table: LogTable, positions: Positions) -> sql.Composed:
        named = sql.SQL("{} BETWEEN {} AND {}").format(sql.Identifier(table.position), *positions)
        if table is not EVENTS:
            return named
        return sql.SQL("{} AND {}").format(named, self._times(self._source, positions))

    def _times(self, end: End, positions: Positions) -> sql.Composed:
        """Between which times a range was recorded, said plainly, so that planning sees it."""
        first, last = end.times(positions)
        return sql.SQL("recorded_at BETWEEN {} AND {}").format(first, last)

    def _copy_marks(self, positions: Positions) -> None:
        first = -(-positions.first // MARK_EVERY) * MARK_EVERY
        if first > positions.last:
            return
        if self._source.layout.chunked:
            query = sql.SQL(
                "SELECT position, recorded_at FROM {} WHERE position BETWEEN {} AND {}"
            ).format(self._source.table("log_marks"), *positions)
        else:
            query = sql.SQL(
                "SELECT e.notification_id, e.recorded_at FROM generate_series({}::bigint, {}, {})"
                " AS g (position) JOIN {} e ON e.notification_id = g.position"
            ).format(first, positions.last, MARK_EVERY, self._source.table(EVENTS.name))
        into = sql.SQL("{} (position, recorded_at)").format(self._target.table("log_marks"))
        pipe(self._source.conn, query, self._target.conn, into)

    def _undo_trades(self, positions: Positions) -> None:
        query = sql.SQL(
            "SELECT notification_id, topic, state FROM {} WHERE {} AND topic = ANY({})"
        ).format(
            self._source.table(EVENTS.name),
            self._where(EVENTS, positions),
            list(UNDOING_TOPICS),
        )
        with self._source.conn.cursor(binary=True, row_factory=tuple_row) as cursor:
            found = cursor.execute(query).fetchall()
        told = (
            undone_trade(position, decode_event(topic, state)) for position, topic, state in found
        )
        rows = [row for row in told if row is not None]
        if rows:
            into = sql.SQL(
                "INSERT INTO {} (position, instrument_id, traded_on, qty, notional, trades)"
                " VALUES (%s, %s, %s, %s, %s, %s)"
            ).format(self._target.table("undone_trades"))
            with self._target.conn.cursor() as cursor:
                cursor.executemany(into, rows)

    def _gather_heads(self, positions: Positions, into: sql.Identifier) -> None:
        """The aggregates of a range, into a table of the target's session."""
        query = sql.SQL(
            "SELECT originator_id, max(originator_version), min(recorded_at), max(recorded_at)"
            " FROM {} WHERE {} GROUP BY originator_id ORDER BY originator_id"
        ).format(self._source.table(EVENTS.name), self._where(EVENTS, positions))
        pipe(self._source.conn, query, self._target.conn, into)

    def _merge_heads(self, gathered: sql.Identifier, limit: int | None, after: Any = None) -> Any:
        """Merge what was gathered, so many after an id; the last id, None where there were none.

        In the order of ids: who else merges heads takes them in the same order.
        """
        heads = self._target.table("stream_heads")
        merge = sql.SQL(_MERGE_HEADS).format(heads=heads, gathered=gathered)
        return one(self._target.conn, merge, {"limit": limit, "after": after})[0]
