"""A second store of a partition, and switches to it and back, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.log import mode_changes
from infrastructure.log.layouts import Layout
from infrastructure.log.mode_changes import Held
from infrastructure.log.stores import StoreAddress
from infrastructure.log.upkeep import keep
from migrations.move.beside import sync_beside
from migrations.move.feed import feed_up_to
from migrations.runner import migrate
from projections.views import VIEWS

HOLD_SECONDS = 20.0
VIEWS_SECONDS = 60
READERS_SECONDS = 2.0


class MovedByHand:
    """Two schemas of one database: the truth is moved from one to the other, and back."""

    def __init__(self, dsn: str, truth: str, follower: str, layout: Layout = Layout.PLAIN) -> None:
        self.dsn = dsn
        self.truth = truth
        self.follower = follower
        self._layout = layout
        self._held: Held | None = None

    def prepare(self) -> None:
        """Make the follower, and let each know of the other."""
        migrate(self.dsn, self.follower, layout=self._layout)
        with self._connection() as conn:
            if self._layout.chunked:
                keep(conn, self.follower, self._layout)
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

    def feed(self) -> int:
        """Bring over the events that the follower lacks; returns where its log ends."""
        return feed_up_to(*self._stores())

    def copy_beside(self) -> None:
        """Bring over what stands beside the log."""
        sync_beside(*self._stores())

    def wait_for_views(self) -> None:
        """Return when the follower has all its views, at the end of what it was fed."""
        ends = time.monotonic() + VIEWS_SECONDS
        last = self.feed()
        query = (
            "SELECT count(*), min(position) FROM {follower}.projection_tracking"
            " WHERE state = 'active'"
        )
        with self._connection() as conn:
            while (found := self._run(conn, query)) != [(len(VIEWS), last)]:
                assert time.monotonic() < ends, f"the views stand at {found}"
                time.sleep(0.02)

    def hold(self, seconds: float = HOLD_SECONDS) -> None:
        """Keep back everything that would be written."""
        with self._connection() as conn:
            self._held = mode_changes.hold(conn, self._stores()[0], seconds)
            assert self._held is not None

    def release(self) -> None:
        """Let the truth be written again: the switch did not come about."""
        assert self._held is not None
        with self._connection() as conn:
            assert mode_changes.let_go(conn, self._stores()[0], self._held)

    def switch(self, in_the_middle: Callable[[], object] = bool) -> int:
        """Make the follower the truth; returns how many readers had to be ended. Something may
        happen in the middle: everything is held, and it is not decided yet.
        """
        self.copy_beside()
        self.hold()
        self.feed()
        sync_beside(*self._stores(), final=True)
        self.wait_for_views()
        in_the_middle()
        return self.go_there()

    def go_there(self) -> int:
        """Only the last steps of a switch, without a look at what the follower has."""
        truth, follower = self._stores()
        assert self._held is not None
        with self._connection() as conn:
            assert mode_changes.leave_for_peer(conn, truth, self._held)
            drained = mode_changes.wait_until_unread(conn, truth, READERS_SECONDS)
            assert mode_changes.open_for_writes(conn, follower, self._held.epoch)
            assert mode_changes.follow_peer(conn, truth)
        self.truth, self.follower = self.follower, self.truth
        return drained.ended

    def _stores(self) -> tuple[StoreAddress, StoreAddress]:
        """The truth and the follower."""
        return StoreAddress(self.dsn, self.truth), StoreAddress(self.dsn, self.follower)

    def _run(self, conn: psycopg.Connection[Any], text: str, *values: Any) -> list[tuple[Any, ...]]:
        query = sql.SQL(text).format(
            truth=sql.Identifier(self.truth), follower=sql.Identifier(self.follower)
        )
        cursor = conn.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def _connection(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.dsn, autocommit=True)
