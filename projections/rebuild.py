"""Builds a view again from the log beside the one in use, compares the two, and switches.

The next tables grow under names of their own and are tracked like a view, so a rebuild that
was killed goes on where it was. Queries use stable names; the switch renames the tables and
points those names at them in one transaction, at the position where the old ones stood.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psycopg
from psycopg import sql

from application.log.ports import EventRanges, Recorded
from projections import tracking
from projections.connections import Connect, Connection, ViewConnection, open_connection
from projections.projection import Projection, Table, create_indexes, create_table
from projections.tables import checksum, drop_table, exists, rename
from projections.tracking import Tracked, building_name, relation

CHUNK_EVENTS = 50_000
_SUFFIX = "_next"
_REBUILD_LOCK = tracking.LOCK_CLASS + 2
_SWITCH_ATTEMPTS = 20


class Progress(NamedTuple):
    """How far a rebuild has come: positions of the log, and events the view wanted."""

    position: int
    target: int
    passed: int
    handled: int
    seconds: float


class Comparison(NamedTuple):
    """One table in use beside the one built, at the same position."""

    table: str
    rows_in_use: int
    rows_built: int
    equal: bool


class Rebuilt(NamedTuple):
    """What a rebuild did; `passed` and `handled` count this run alone."""

    name: str
    version: int
    previous_version: int | None
    position: int
    passed: int
    handled: int
    seconds: float
    compared: tuple[Comparison, ...]
    switched: bool

    @property
    def equal(self) -> bool:
        """Whether the tables in use were what the log says; a new version may differ."""
        return self.previous_version != self.version or all(c.equal for c in self.compared)


class RebuildUnderWay(Exception):
    """Another process builds this view."""


class SwitchBlocked(Exception):
    """Long transactions hold the tables in use; what is built stays and waits."""


class Rebuild:
    """One view's rebuild."""

    def __init__(
        self,
        connect: Connect,
        source: EventRanges,
        view: Projection,
        *,
        chunk_events: int = CHUNK_EVENTS,
        on_progress: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._connect = connect
        self._source = source
        self._view = view
        self._chunk_events = chunk_events
        self._on_progress = on_progress
        self._writers = tracking.writers(view, _SUFFIX)
        self._key = (building_name(view), view.version)
        self._advance = tracking.Advance([self._key], "building")
        self._session: ViewConnection
        self._position = 0
        self._passed = 0
        self._handled = 0
        self._filling = 0.0

    async def run(self, *, switch: bool = True) -> Rebuilt:
        """Build, compare and switch; without `switch` only compare, and drop what was built."""
        self._session = await open_connection(self._connect)
        conn = self._session.conn
        try:
            await self._lock(conn)
            await tracking.prepare(conn, [])
            await self._begin(conn)
            target = await self._target(conn)
            while self._position < target:
                await self._fill(conn, target)
                target = await self._target(conn)
            await self._index(conn)
            compared = await self._compare(conn)
            active = await self._active(conn)
            if switch:
                await self._switch(conn)
            else:
                await self._drop(conn)
        finally:
            await conn.close()
        return Rebuilt(
            name=self._view.name,
            version=self._view.version,
            previous_version=active.version if active else None,
            position=self._position,
            passed=self._passed,
            handled=self._handled,
            seconds=self._filling,
            compared=compared,
            switched=switch,
        )

    async def _lock(self, conn: Connection) -> None:
        cursor = await conn.execute(
            "SELECT pg_try_advisory_lock(%s, hashtext(current_schema() || '.' || %s))",
            (_REBUILD_LOCK, self._view.name),
        )
        row = await cursor.fetchone()
        if row is None or not row[0]:
            raise RebuildUnderWay(f"view {self._view.name} is being built by another process")

    async def _begin(self, conn: Connection) -> None:
        """Go on with what an earlier run has built of this version, or start from nothing."""
        name, version = self._key
        async with conn.transaction():
            await tracking.lock_definitions(conn)
            begun = [row for row in await tracking.tracked(conn) if row.name == name]
            last = await self._source.last_position()
            for row in begun:
                # What was built of a longer log than this one is not this log's.
                if row.version == version and row.position <= last:
                    self._position = row.position
                    return
            await self._drop_tables(conn, begun)
            for table in self._view.tables:
                await conn.execute(create_table(table, self._next(table)))
            await tracking.track(conn, name, version, 0, "building")

    async def _target(self, conn: Connection) -> int:
        """Where the tables in use stand; the end of the log when they are broken or missing."""
        active = await self._active(conn)
        last = await self._source.last_position()
        if active is None or self._view.name in await tracking.stopped(conn):
            return last
        return min(active.position, last)

    async def _active(self, conn: Connection) -> Tracked | None:
        for row in await tracking.tracked(conn):
            if row.name == self._view.name and row.state == "active":
                return row
        return None

    async def _fill(self, conn: Connection, target: int) -> None:
        """Fill up to a position, a transaction a chunk; the next one is read meanwhile."""
        if self._position >= target:
            return
        reading = asyncio.create_task(self._read(target))
        try:
            while self._position < target:
                began = time.monotonic()
                end, batch = await reading
                before, self._position = self._position, end
                if end < target:
                    reading = asyncio.create_task(self._read(target))
                self._view.fold(batch)
                async with conn.transaction():
                    await self._write(before, end)
                self._count(end - before, len(batch), time.monotonic() - began, target)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _read(self, target: int) -> tuple[int, Sequence[Recorded]]:
        end = min(self._position + self._chunk_events, target)
        return end, await self._source.read_range(self._position, end, topics=self._view.topics)

    async def _write(self, before: int, after: int) -> None:
        await self._session.run([self._advance.statement(before, after)])
        for writer, changes in zip(self._writers, self._view.changes, strict=True):
            await writer.fill(self._session, changes)

    def _count(self, passed: int, handled: int, seconds: float, target: int) -> None:
        self._passed += passed
        self._handled += handled
        self._filling += seconds
        self._on_progress(
            Progress(self._position, target, self._passed, self._handled, self._filling)
        )

    async def _index(self, conn: Connection) -> None:
        began = time.monotonic()
        for table in self._view.tables:
            for index in create_indexes(table, self._next(table)):
                await conn.execute(index)
            await conn.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(self._next(table))))
        self._filling += time.monotonic() - began

    async def _compare(self, conn: Connection) -> tuple[Comparison, ...]:
        """Compare with the tables in use, at the one position that a snapshot shows of them.

        Nothing is compared with another version, nor with what stands where no log is.
        """
        active = await self._active(conn)
        if active is None or active.version != self._view.version:
            return ()
        if self._view.name in await tracking.stopped(conn):
            return ()
        if active.position > await self._source.last_position():
            return ()
        other = await self._connect()
        try:
            async with other.transaction():
                await other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                seen = await self._active(other)
                assert seen is not None
                in_use = {
                    table.name: await checksum(other, relation(table, seen.version))
                    for table in self._view.tables
                    if await exists(other, relation(table, seen.version))
                }
            await self._fill(conn, seen.position)
            compared = []
            for table in self._view.tables:
                if table.name in in_use:
                    built = await checksum(other, self._next(table))
                    used = in_use[table.name]
                    compared.append(Comparison(table.name, used[0], built[0], used == built))
        finally:
            await other.close()
        return tuple(compared)

    async def _switch(self, conn: Connection) -> None:
        for _ in range(_SWITCH_ATTEMPTS):
            position = self._position
            try:
                async with conn.transaction():
                    await conn.execute("SET LOCAL lock_timeout TO '1s'")
                    await self._switch_once(conn)
                return
            except psycopg.errors.LockNotAvailable:
                # Readers go first; what this attempt had filled was rolled back with it.
                self._position = position
        raise SwitchBlocked(f"view {self._view.name} is built; long transactions block the switch")

    async def _switch_once(self, conn: Connection) -> None:
        view = self._view
        await tracking.lock_definitions(conn)
        # From here the projector waits before its next batch, and the position stands still.
        await conn.execute(
            "SELECT 1 FROM projection_tracking WHERE name = %s AND state = 'active' FOR UPDATE",
            (view.name,),
        )
        target = await self._target(conn)
        while self._position < target:
            end, batch = await self._read(target)
            view.fold(batch)
            before, self._position = self._position, end
            await self._write(before, end)
        active = await self._active(conn)
        for table in view.tables:
            await conn.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(table.name)))
            if active is not None:
                await drop_table(conn, relation(table, active.version))
            await rename(conn, self._next(table), relation(table, view.version))
        await tracking.point_queries(conn, view)
        if active is not None and active.version != view.version:
            await tracking.track(conn, view.name, active.version, active.position, "retired")
        await tracking.track(conn, view.name, view.version, self._position, "active")
        await tracking.untrack(conn, building_name(view))
        await tracking.clear_error(conn, view.name)

    async def _drop(self, conn: Connection) -> None:
        async with conn.transaction():
            await self._drop_tables(conn, [])
            await tracking.untrack(conn, building_name(self._view))

    async def _drop_tables(self, conn: Connection, begun: Sequence[Tracked]) -> None:
        for version in {self._view.version, *(row.version for row in begun)}:
            for table in self._view.tables:
                await drop_table(conn, relation(table, version) + _SUFFIX)
        await tracking.untrack(conn, building_name(self._view))

    def _next(self, table: Table) -> str:
        return relation(table, self._view.version) + _SUFFIX
