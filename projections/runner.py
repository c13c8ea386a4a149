"""The projector: follows the log and keeps all views of a partition, in one transaction a batch."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Sequence

import psycopg

from application.log.away import Away
from application.log.ports import EventSource
from application.log.whole_commands import whole_commands
from projections import retiring, tracking
from projections.connections import Connect, Connection, ViewConnection, open_connection
from projections.followers import Follower, Group, WriteFailed
from projections.projection import FoldFailed, Projection
from projections.renewal import OpenSource, Renewal
from projections.runners_lock import RunnersLock
from projections.spacing import Spacing
from projections.tracking import PositionMoved

log = logging.getLogger(__name__)

BATCH_EVENTS = 5000
POLL_SECONDS = 0.5
_STANDBY_SECONDS = 0.5
_LOOK_SECONDS = 1.0
_COLLECT_AFTER = 200_000


def collect_seldom() -> None:
    """Let the collector of this process run seldom: events and rows hold no cycles to find."""
    gc.set_threshold(_COLLECT_AFTER, 20, 100)


class Runner:
    """Keeps views up to date; of several runners on one schema one works and the others wait.

    With `renew_from` it also builds views whose version grew. `complete` says that the schema has
    no other views than these: what is left of others is dropped.
    """

    def __init__(
        self,
        connect: Connect,
        source: EventSource,
        views: Sequence[Projection],
        *,
        batch_events: int = BATCH_EVENTS,
        poll_seconds: float = POLL_SECONDS,
        renew_from: OpenSource | None = None,
        complete: bool = False,
    ) -> None:
        self._connect = connect
        self._source = source
        self._views = tuple(views)
        self._batch_events = batch_events
        self._poll_seconds = poll_seconds
        self._renewal = Renewal(connect, renew_from) if renew_from is not None else None
        self._complete = complete
        self._spacing = Spacing()
        self._commands = 0
        self._session: ViewConnection | None = None
        self._kept = {view.name: Follower(view) for view in self._views}
        self._followers: list[Follower] = []
        self._groups: dict[tuple[str, ...], Group] = {}
        self._failed: set[str] = set()
        self._had_error: set[str] = set()
        self._warned: set[str] = set()
        self._locked = False
        self._lock = RunnersLock()
        self._look_at = 0.0
        self._channel = ""
        self._away = Away(log.warning)

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Follow the log until told to stop; a server that goes away is waited for."""
        try:
            while stop is None or not stop.is_set():
                began = time.monotonic()
                try:
                    applied = await self.step()
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    self._away.gone(error)
                    await self.close()
                    await asyncio.sleep(self._away.pause())
                    continue
                self._away.back()
                pause = self._spacing.pause(self._commands, began, time.monotonic())
                if applied == 0:
                    await self._source.wait(self._poll_seconds)
                elif applied < self._batch_events and pause > 0:
                    await asyncio.sleep(pause)
        finally:
            await self.close()

    async def step(self) -> int:
        """Apply what there is, at most one batch to the leading views and one to those behind."""
        self._commands = 0
        session = await self._ready()
        if session is None:
            return 0
        if len(self._followers) < len(self._views) and time.monotonic() >= self._look_at:
            await self._look_again(session.conn)
        if not self._followers:
            return 0
        lead = max(follower.position for follower in self._followers)
        try:
            applied = await self._apply_after(session, lead, None)
            behind = [f.position for f in self._followers if f.position < lead]
            if behind:
                last = min(behind)
                ahead = min(f.position for f in self._followers if f.position > last)
                applied += await self._apply_after(session, last, ahead)
        except PositionMoved:
            log.info("views were moved by somebody else; reading where they stand")
            await self._look_again(session.conn)
            return 0
        return applied

    async def close(self) -> None:
        """Leave the server, and with it the runner's lock; what is being built is left as it is."""
        session, self._session = self._session, None
        self._locked = False
        if self._renewal is not None:
            await self._renewal.stop()
        if session is not None:
            await session.conn.close()

    async def _ready(self) -> ViewConnection | None:
        """The session that holds the runner's lock; None while another runner has it."""
        if self._session is None or self._session.conn.closed:
            self._locked = False
            self._session = await open_connection(self._connect)
            self._channel = tracking.views_channel(await _schema(self._session.conn))
        conn = self._session.conn
        if not self._locked:
            if not await self._lock.take(conn):
                await asyncio.sleep(_STANDBY_SECONDS)
                return None
            self._locked = True
            await tracking.prepare(conn, self._views)
            if self._complete:
                await retiring.retire_unknown(conn, self._views)
            await tracking.name_those_ahead(conn, self._views, self._source.last_position)
            await self._look_again(conn)
        elif not await self._lock.keep(conn):
            self._locked = False
            return None
        return self._session

    async def _look_again(self, conn: Connection) -> None:
        """Follow the views whose tables in use are of this program's version and of this log."""
        active = {row.name: row for row in await tracking.tracked(conn) if row.state == "active"}
        stopped = await tracking.stopped(conn)
        self._had_error = set(stopped)
        self._failed &= self._had_error
        self._look_at = time.monotonic() + _LOOK_SECONDS
        self._followers = []
        self._groups = {}
        for view in self._views:
            row = active[view.name]
            if row.version < view.version and self._renewal is not None:
                self._renewal.renew(view, row, stopped)
            elif row.version != view.version:
                self._warn(view, row.version)
            elif view.name not in self._failed and not tracking.is_ahead(row, stopped):
                follower = self._kept[view.name]
                follower.position = row.position
                self._followers.append(follower)

    def _warn(self, view: Projection, serving: int) -> None:
        """Say once that another version serves, which this program cannot keep."""
        if view.name not in self._warned:
            self._warned.add(view.name)
            log.warning(
                "view %s: version %d serves and is not kept by this program, which has %d; run the"
                " newer program, or `nexus projections rebuild %s` for this one's",
                *(view.name, serving, view.version, view.name),
            )

    async def _apply_after(self, session: ViewConnection, position: int, ahead: int | None) -> int:
        """Apply the next batch to the views that stand at a position."""
        limit = self._batch_events if ahead is None else min(self._batch_events, ahead - position)
        batch = await self._source.read(position, limit)
        if not batch:
            return 0
        if ahead is None or position + limit < ahead:
            batch = whole_commands(batch, limit)
        self._commands += len({recorded.event.correlation_id.int for recorded in batch})
        while group := self._group_at(position):
            try:
                group.fold(batch)
                await group.commit(session, position, batch[-1].position)
            except FoldFailed as failure:
                assert failure.__cause__ is not None
                failed = next(f for f in group.followers if f.view is failure.view)
                await self._fail(session.conn, failed, failure.__cause__)
            except WriteFailed as failure:
                assert failure.__cause__ is not None
                await self._fail(session.conn, failure.follower, failure.__cause__)
            else:
                await self._mended(session.conn, group)
                break
        return len(batch)

    def _group_at(self, position: int) -> Group | None:
        """The views that stand at a position, together."""
        followers = [f for f in self._followers if f.position == position]
        if not followers:
            return None
        names = tuple(follower.name for follower in followers)
        group = self._groups.get(names)
        if group is None:
            group = self._groups[names] = Group(followers, self._channel)
        return group

    async def _mended(self, conn: Connection, group: Group) -> None:
        """Forget the errors of views that went on."""
        for name in {follower.name for follower in group.followers} & self._had_error:
            await tracking.clear_error(conn, name)
            self._had_error.discard(name)

    async def _fail(self, conn: Connection, follower: Follower, error: BaseException) -> None:
        """Stop one view alone: it stays where it is, readable, and `status` shows why."""
        log.error(
            "view %s stopped after position %d",
            follower.name,
            follower.position,
            exc_info=error,
        )
        self._followers.remove(follower)
        self._failed.add(follower.name)
        await tracking.record_error(conn, follower.view, follower.position, error)


async def _schema(conn: Connection) -> str:
    row = await (await conn.execute("SELECT current_schema()")).fetchone()
    assert row is not None
    return str(row[0])
