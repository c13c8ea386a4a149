"""A second store that is fed by hand, and switches to it and back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.log import mode_changes
from infrastructure.log.mode_changes import Held
from infrastructure.log.stores import StoreAddress
from migrations.move.switching import Terms, switch
from migrations.runner import migrate
from projections.views import VIEWS

Row = tuple[Any, ...]
FEED_SECONDS = 0.01
HOLD_SECONDS = 20.0
VIEWS_SECONDS = 60
READERS_SECONDS = 2.0
BESIDE = (
    *("api_keys", "fix_sessions", "fix_messages", "quarantined_commands"),
    *("snapshots", "desk_snapshots"),
)
"""What is copied whole: the stores of tests are small."""


class MovedByHand:
    """Two schemas of one database: the truth is moved from one to the other, and back."""

    def __init__(self, dsn: str, truth: str, follower: str) -> None:
        self.dsn = dsn
        self.truth = truth
        self.follower = follower
        self._feeding = threading.Lock()
        self._held: Held | None = None

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
            self._run(
                conn,
                "UPDATE {truth}.writer_epoch SET peer_schema = %s, generation = generation + 1",
                self.follower,
            )
        self.feed()

    @contextmanager
    def fed(self) -> Iterator[None]:
        """Feed the follower from time to time, beside whatever happens."""
        stop = threading.Event()

        def feed() -> None:
            while not stop.wait(FEED_SECONDS):
                # It goes on when the server is there again.
                with suppress(psycopg.OperationalError):
                    self.feed()

        thread = threading.Thread(target=feed, name="feed")
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def feed(self) -> int:
        """Bring over the events that the follower lacks; returns where its log ends."""
        with self._feeding, self._connection() as conn, conn.transaction():
            self._copy_after(conn, "stored_events", "notification_id")
            self._copy_after(conn, "request_keys", "position")
            last = self._last(conn)
            conn.execute("SELECT pg_notify(%s, %s)", (self.follower, str(last)))
            return last

    def copy_beside(self) -> None:
        """Bring over what stands beside the log."""
        with self._feeding, self._connection() as conn, conn.transaction():
            conn.execute("SET LOCAL nexus.feeding TO on")
            for table in BESIDE:
                self._copy_whole(conn, table)
            self._run(
                conn,
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), max(id)) FROM"
                " {truth}.fix_sessions",
                f"{self.follower}.fix_sessions",
            )

    def wait_for_views(self) -> None:
        """Return when the follower has all its views, at the end of what it was fed."""
        ends = time.monotonic() + VIEWS_SECONDS
        query = (
            "SELECT count(*), min(position) FROM {follower}.projection_tracking"
            " WHERE state = 'active'"
        )
        with self._connection() as conn:
            while (found := self._run(conn, query)) != [(len(VIEWS), self._last(conn))]:
                assert time.monotonic() < ends, f"the views stand at {found}"
                time.sleep(0.02)

    def feed_up_to(self, truth: StoreAddress, follower: StoreAddress, position: int) -> None:
        """Bring over what the follower lacks (`migrations.move.switching.Feeding`)."""
        assert self.feed() >= position

    def sync_beside(
        self, truth: StoreAddress, follower: StoreAddress, *, final: bool = False
    ) -> None:
        """Bring over what stands beside the log, once nobody changes it."""
        if final:
            self.copy_beside()

    def hold(self, seconds: float = HOLD_SECONDS) -> None:
        """Keep back everything that would be written."""
        with self._connection() as conn:
            self._held = mode_changes.hold(conn, self._store(self.truth), seconds)
            assert self._held is not None

    def release(self) -> None:
        """Let the truth be written again: the switch did not come about."""
        assert self._held is not None
        with self._connection() as conn:
            assert mode_changes.let_go(conn, self._store(self.truth), self._held)

    def switch(self, in_the_middle: Callable[[], object] = bool) -> int:
        """Make the follower the truth; returns how many readers had to be ended. Something may
        happen in the middle: everything is held, and it is not decided yet.
        """
        switched = switch(
            *(self._store(self.truth), self._store(self.follower), self),
            Terms(whole=False, hold_seconds=HOLD_SECONDS),
            committing=lambda _: in_the_middle(),
        )
        self.truth, self.follower = self.follower, self.truth
        assert switched.drained is not None
        return switched.drained.ended

    def go_there(self) -> int:
        """Only the last steps of a switch, without a look at what the follower has."""
        truth, follower = self._store(self.truth), self._store(self.follower)
        assert self._held is not None
        with self._connection() as conn:
            assert mode_changes.leave_for_peer(conn, truth, self._held)
            drained = mode_changes.wait_until_unread(conn, truth, READERS_SECONDS)
            assert mode_changes.open_for_writes(conn, follower, self._held.epoch)
            assert mode_changes.follow_peer(conn, truth)
        self.truth, self.follower = self.follower, self.truth
        return drained.ended

    def _store(self, schema: str) -> StoreAddress:
        return StoreAddress(self.dsn, schema)

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

    def _last(self, conn: psycopg.Connection[Any]) -> int:
        """Where the follower's log ends."""
        query = "SELECT COALESCE(max(notification_id), 0) FROM {follower}.stored_events"
        return int(self._run(conn, query)[0][0])

    def _run(self, conn: psycopg.Connection[Any], text: str, *values: Any) -> list[Row]:
        query = sql.SQL(text).format(
            truth=sql.Identifier(self.truth), follower=sql.Identifier(self.follower)
        )
        cursor = conn.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True)
