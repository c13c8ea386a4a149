"""The projector: follows the log and keeps all views of a partition, in one transaction a batch."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

import psycopg

from application.log.ports import EventSource
from application.log.whole_commands import whole_commands
from projections import tracking
from projections.columns import register
from projections.projection import Connection, FoldFailed, Projection, fold
from projections.tracking import PositionMoved

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[Connection]]
"""Opens a connection whose search_path is the partition's schema, in autocommit."""

BATCH_EVENTS = 5000
POLL_SECONDS = 0.5
_REST = 3.0
_LONGEST_REST = 0.03
_STANDBY_SECONDS = 0.5
_LOOK_SECONDS = 1.0
_FIRST_BACKOFF = 0.05
_LAST_BACKOFF = 2.0
_COLLECT_AFTER = 200_000
_RUNNER_LOCK = tracking.LOCK_CLASS + 1

# A view can be built again, and its position is lost with its rows: no need to wait for the disk.
# Rows are found by key, whatever the statistics of a table said when a statement was planned.
KEEPING = {
    "synchronous_commit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


def collect_seldom() -> None:
    """Let the collector of this process run seldom: events and rows hold no cycles to find."""
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


class Follower:
    """One view under way: where it stands and how it is written."""

    def __init__(self, view: Projection, position: int) -> None:
        self.view = view
        self.writers = tracking.writers(view)
        self.position = position
        self.key = (view.name, view.version)

    async def write(self, conn: Connection) -> None:
        """Write what the view has folded."""
        for writer, changes in zip(self.writers, self.view.changes, strict=True):
            if changes:
                await writer.write(conn, changes, first_fill=False)


class _WriteFailed(Exception):
    """A view's rows could not be written; the cause is the error."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower


class Runner:
    """Keeps views up to date; of several runners on one schema one works and the others wait."""

    def __init__(
        self,
        connect: Connect,
        source: EventSource,
        views: Sequence[Projection],
        *,
        batch_events: int = BATCH_EVENTS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._connect = connect
        self._source = source
        self._views = tuple(views)
        self._batch_events = batch_events
        self._poll_seconds = poll_seconds
        self._conn: Connection | None = None
        self._followers: list[Follower] = []
        self._failed: set[str] = set()
        self._had_error: set[str] = set()
        self._warned: set[str] = set()
        self._locked = False
        self._look_at = 0.0
        self._channel = ""

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Follow the log until told to stop; a server that goes away is waited for."""
        backoff = _FIRST_BACKOFF
        busy = False
        try:
            while stop is None or not stop.is_set():
                began = time.monotonic()
                try:
                    applied = await self.step()
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    if backoff == _FIRST_BACKOFF:
                        log.warning("views wait for the server: %s", str(error).strip())
                    await self.close()
                    await asyncio.sleep(backoff)
                    backoff = min(2 * backoff, _LAST_BACKOFF)
                    continue
                backoff = _FIRST_BACKOFF
                if applied == 0:
                    await self._source.wait(self._poll_seconds)
                elif busy and applied < self._batch_events:
                    # Under load, what gathers meanwhile is cheaper together.
                    worked = time.monotonic() - began
                    await asyncio.sleep(min(_REST * worked, _LONGEST_REST))
                busy = applied > 0
        finally:
            await self.close()

    async def step(self) -> int:
        """Apply what there is, at most one batch to the leading views and one to those behind."""
        conn = await self._ready()
        if conn is None:
            return 0
        if len(self._followers) < len(self._views) and time.monotonic() >= self._look_at:
            await self._look_again(conn)
        if not self._followers:
            return 0
        lead = max(follower.position for follower in self._followers)
        try:
            applied = await self._apply_after(conn, lead, None)
            behind = [f.position for f in self._followers if f.position < lead]
            if behind:
                last = min(behind)
                ahead = min(f.position for f in self._followers if f.position > last)
                applied += await self._apply_after(conn, last, ahead)
        except PositionMoved:
            log.info("views were moved by somebody else; reading where they stand")
            await self._look_again(conn)
            return 0
        return applied

    async def close(self) -> None:
        """Leave the server, and with it the runner's lock."""
        conn, self._conn = self._conn, None
        self._locked = False
        if conn is not None:
            await conn.close()

    async def _ready(self) -> Connection | None:
        """The connection that holds the runner's lock; None while another runner has it."""
        if self._conn is None or self._conn.closed:
            conn = await self._connect()
            try:
                register(conn.adapters)
                await tracking.configure(conn, KEEPING)
                self._channel = tracking.views_channel(await _schema(conn))
            except BaseException:
                await conn.close()
                raise
            self._conn = conn
            self._locked = False
        if not self._locked:
            if not await _try_lock(self._conn):
                await asyncio.sleep(_STANDBY_SECONDS)
                return None
            self._locked = True
            await tracking.prepare(self._conn, self._views)
            await self._look_again(self._conn)
        return self._conn

    async def _look_again(self, conn: Connection) -> None:
        """Follow the views whose tables in use are of this program's version."""
        active = {row.name: row for row in await tracking.tracked(conn) if row.state == "active"}
        self._had_error = set(await tracking.stopped(conn))
        self._failed &= self._had_error
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._followers = []
        for view in self._views:
            row = active[view.name]
            if row.version == view.version and view.name not in self._failed:
                self._followers.append(Follower(view, row.position))
            elif row.version != view.version and view.name not in self._warned:
                self._warned.add(view.name)
                log.warning(
                    "view %s: version %d serves and is not kept by this program, which has %d",
                    view.name,
                    row.version,
                    view.version,
                )

    async def _apply_after(self, conn: Connection, position: int, ahead: int | None) -> int:
        """Apply the next batch to the views that stand at a position."""
        limit = self._batch_events if ahead is None else min(self._batch_events, ahead - position)
        batch = await self._source.read(position, limit)
        if not batch:
            return 0
        if ahead is None or position + limit < ahead:
            batch = whole_commands(batch, limit)
        group = [f for f in self._followers if f.position == position]
        while group:
            try:
                fold([follower.view for follower in group], batch)
                break
            except FoldFailed as failure:
                assert failure.__cause__ is not None
                failed = next(f for f in group if f.view is failure.view)
                group.remove(failed)
                await self._fail(conn, failed, failure.__cause__)
        while group:
            try:
                await self._commit(conn, group, position, batch[-1].position)
                break
            except _WriteFailed as failure:
                assert failure.__cause__ is not None
                group.remove(failure.follower)
                await self._fail(conn, failure.follower, failure.__cause__)
        return len(batch)

    async def _commit(
        self, conn: Connection, group: Sequence[Follower], before: int, after: int
    ) -> None:
        async with conn.transaction():
            keys = [follower.key for follower in group]
            await tracking.advance(conn, keys, "active", before, after, channel=self._channel)
            for follower in group:
                try:
                    await follower.write(conn)
                except (psycopg.OperationalError, psycopg.InterfaceError):
                    raise
                except Exception as error:
                    raise _WriteFailed(follower) from error
        for follower in group:
            follower.position = after
            if follower.view.name in self._had_error:
                await tracking.clear_error(conn, follower.view.name)
                self._had_error.discard(follower.view.name)

    async def _fail(self, conn: Connection, follower: Follower, error: BaseException) -> None:
        """Stop one view alone: it stays where it is, readable, and `status` shows why."""
        log.error(
            "view %s stopped after position %d",
            follower.view.name,
            follower.position,
            exc_info=error,
        )
        self._followers.remove(follower)
        self._failed.add(follower.view.name)
        await tracking.record_error(conn, follower.view, follower.position, error)


async def _try_lock(conn: Connection) -> bool:
    cursor = await conn.execute(
        "SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))", (_RUNNER_LOCK,)
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def _schema(conn: Connection) -> str:
    row = await (await conn.execute("SELECT current_schema()")).fetchone()
    assert row is not None
    return str(row[0])
