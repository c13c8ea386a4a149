"""A second store that is fed by hand, and a switch to it in plain SQL, one step after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from migrations.runner import migrate

Row = tuple[Any, ...]
FEED_SECONDS = 0.01
SWITCH_WITHIN = 20
READERS_SECONDS = 2.0
BESIDE = (
    *("api_keys", "fix_sessions", "fix_messages", "quarantined_commands"),
    *("snapshots", "desk_snapshots"),
)
"""What is copied whole, again and again: the stores of tests are small."""


class MovedByHand:
    """Two schemas of one database: the truth is moved from one to the other, and back."""

    def __init__(self, dsn: str, truth: str, follower: str) -> None:
        self.dsn = dsn
        self.truth = truth
        self.follower = follower
        self._feeding = threading.Lock()

    def prepare(self) -> None:
        """Make the follower, and let each know of the other."""
        migrate(self.dsn, self.follower)
        with self._connection() as conn:
            self._run(
                conn,
                "INSERT INTO {follower}.writer_epoch (partition, epoch, holder, backend_pid,"
                " taken_at, writes, peer_schema) SELECT partition, epoch, holder, backend_pid,"
                " taken_at, 'fed', %s FROM {truth}.writer_epoch",
                self.truth,
            )
            self._change(conn, self.truth, "peer_schema = {name}", self.follower)
        self.feed()

    @contextmanager
    def fed(self) -> Iterator[None]:
        """Feed the follower from time to time, beside whatever happens."""
        stop = threading.Event()

        def feed() -> None:
            while not stop.wait(FEED_SECONDS):
                self.feed()

        thread = threading.Thread(target=feed, name="feed")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def feed(self) -> int:
        """Bring over what the follower lacks; returns up to which position it stands."""
        with self._feeding, self._connection() as conn, conn.transaction():
            conn.execute("SET LOCAL nexus.feeding TO on")
            for table, position in (("stored_events", "notification_id"), ("request_keys", None)):
                self._copy_after(conn, table, position or "position")
            for table in BESIDE:
                self._copy_whole(conn, table)
            self._run(
                conn,
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), max(id)) FROM"
                " {truth}.fix_sessions",
                f"{self.follower}.fix_sessions",
            )
            last = self._last(conn, self.follower)
            conn.execute("SELECT pg_notify(%s, %s)", (self.follower, str(last)))
            return last

    def hold(self, seconds: float = SWITCH_WITHIN) -> None:
        """Keep everything back that would be written."""
        with self._connection() as conn:
            self._change(
                conn,
                self.truth,
                f"writes = 'held', held_until = clock_timestamp() + interval '{seconds} seconds'",
            )

    def release(self) -> None:
        """Let the truth be written again: the switch did not come about."""
        with self._connection() as conn:
            self._change(conn, self.truth, "writes = 'here', held_until = NULL")

    def switch(self) -> int:
        """Make the follower the truth; returns how many readers had to be ended."""
        self.hold()
        last = self.feed()
        self._views_caught_up(last)
        return self.go_there()

    def go_there(self) -> int:
        """The rest of a switch: the commit point, the readers, the opening."""
        with self._connection() as conn:
            self._change(conn, self.truth, "writes = 'there', held_until = NULL")
        ended = self._readers_gone(self.truth)
        self.truth, self.follower = self.follower, self.truth
        with self._connection() as conn:
            assert self._last(conn, self.truth) == self._last(conn, self.follower)
            self._change(conn, self.truth, "writes = 'here', epoch = epoch + 1")
            # From now on it is kept in step, for the way back.
            self._change(conn, self.follower, "writes = 'fed'")
        return ended

    def _views_caught_up(self, position: int) -> None:
        ends = time.monotonic() + SWITCH_WITHIN
        with self._connection() as conn:
            while True:
                rows = self._run(
                    conn,
                    "SELECT min(position) FROM {follower}.projection_tracking"
                    " WHERE state = 'active'",
                )
                if rows[0][0] is not None and rows[0][0] >= position:
                    return
                assert time.monotonic() < ends, f"the views stand at {rows}, not at {position}"
                time.sleep(0.01)

    def _readers_gone(self, schema: str) -> int:
        """Wait until nobody reads a store any more, and end those who stay."""
        name = f"nexus readers {schema}"
        ends = time.monotonic() + READERS_SECONDS
        ended = 0
        with self._connection() as conn:
            while True:
                (row,) = conn.execute(
                    "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (name,)
                ).fetchall()
                if row[0]:
                    return ended
                if time.monotonic() > ends:
                    ended += conn.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks, hashtextextended(%s, 0) h"
                        " WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()"
                        " AND (classid::bigint << 32) | objid::bigint = h"
                        " AND database = (SELECT oid FROM pg_database"
                        " WHERE datname = current_database())",
                        (name,),
                    ).rowcount
                time.sleep(0.01)

    def _copy_after(self, conn: psycopg.Connection[Any], table: str, position: str) -> None:
        columns = self._columns(conn, table)
        self._run(
            conn,
            f"INSERT INTO {{follower}}.{table} ({columns}) SELECT {columns} FROM {{truth}}.{table}"
            f" WHERE {position} > (SELECT COALESCE(max({position}), 0) FROM {{follower}}.{table})",
        )

    def _copy_whole(self, conn: psycopg.Connection[Any], table: str) -> None:
        columns = self._columns(conn, table)
        self._run(conn, f"DELETE FROM {{follower}}.{table}")
        self._run(
            conn,
            f"INSERT INTO {{follower}}.{table} ({columns}) OVERRIDING SYSTEM VALUE"
            f" SELECT {columns} FROM {{truth}}.{table}",
        )

    def _columns(self, conn: psycopg.Connection[Any], table: str) -> str:
        rows = conn.execute(
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
            (self.truth, table),
        ).fetchall()
        return ", ".join(name for (name,) in rows)

    def _last(self, conn: psycopg.Connection[Any], schema: str) -> int:
        table = sql.Identifier(schema, "stored_events")
        query = sql.SQL("SELECT COALESCE(max(notification_id), 0) FROM {}").format(table)
        (row,) = conn.execute(query).fetchall()
        return int(row[0])

    def _change(
        self, conn: psycopg.Connection[Any], schema: str, what: str, name: str | None = None
    ) -> None:
        """Change the mode of a store, and tell whoever listens."""
        with conn.transaction():
            conn.execute(
                sql.SQL("UPDATE {table} SET generation = generation + 1, " + what).format(
                    table=sql.Identifier(schema, "writer_epoch"), name=sql.Literal(name)
                )
            )
            conn.execute("SELECT pg_notify(%s, '')", (f"{schema}_moves",))

    def _run(self, conn: psycopg.Connection[Any], text: str, *values: Any) -> list[Row]:
        query = sql.SQL(text).format(
            truth=sql.Identifier(self.truth), follower=sql.Identifier(self.follower)
        )
        cursor = conn.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True)
