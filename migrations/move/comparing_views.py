"""The views of two stores compared row by row, each at one and the same position of the log.

The projector of the follower waits for a lock meanwhile; what the views still lack to where the
truth's views stand is folded in a transaction that is rolled back when all is compared.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import AsyncConnection, sql

from infrastructure.attentive import AttentiveConnection
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.stores import StoreAddress
from infrastructure.log.table_sums import TableSums
from migrations.move.differences import NAMED, Difference, differences_of, unequal_keys
from projections import tracking
from projections.connections import ViewConnection, open_connection
from projections.projection import Projection
from projections.rebuild import Rebuild
from projections.tracking import Tracked, relation
from projections.views import all_views

PATIENCE_SECONDS = 30.0
PAGE_EVENTS = 20_000
_LOOK_SECONDS = 0.02
_LOCK_TIMEOUT = "30s"

Say = Callable[[str], None]


class ComparedViews(NamedTuple):
    """What was compared, at which position, and what differed."""

    tables: int
    rows: int
    position: int
    unequal: tuple[str, ...]
    """The views with differences."""
    differences: tuple[Difference, ...]


class ViewsNotComparable(Exception):
    """The views of one store cannot be brought to where those of the other are; says why."""


async def compare_views(
    truth: StoreAddress, follower: StoreAddress, say: Say = lambda text: None
) -> ComparedViews:
    """Compare every view in use of one store with the other's. Raises ViewsNotComparable."""
    theirs = await open_connection(lambda: _connect(follower))
    try:
        ours = await _connect(truth)
        try:
            async with PostgresEventSource(*follower, pinned=True) as log:
                return await _Comparison(ours, theirs, log, truth, follower, say).run()
        finally:
            await ours.close()
    finally:
        await theirs.conn.close()


async def rebuild_view(store: StoreAddress, name: str) -> None:
    """Build a view of a store again from that store's own log, beside its projector."""
    (view,) = (view for view in all_views() if view.name == name)
    async with PostgresEventSource(*store, pinned=True) as log:
        await Rebuild(lambda: _connect(store), log, view).run()


async def _connect(store: StoreAddress) -> AsyncConnection[Any]:
    conn = await AttentiveConnection.open(
        store.dsn, application_name=f"nexus verify {store.schema}"[:63]
    )
    try:
        await conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(store.schema)))
        await conn.execute("SET TimeZone TO 'UTC'")
    except BaseException:
        await conn.close()
        raise
    return conn


class _Comparison:
    def __init__(
        self,
        ours: AsyncConnection[Any],
        theirs: ViewConnection,
        log: PostgresEventSource,
        truth: StoreAddress,
        follower: StoreAddress,
        say: Say,
    ) -> None:
        self._ours = ours
        self._theirs = theirs
        self._log = log
        self._schemas = (truth.schema, follower.schema)
        self._say = say
        self._views = {view.name: view for view in all_views()}
        self._deadline = time.monotonic() + PATIENCE_SECONDS

    async def run(self) -> ComparedViews:
        async with self._theirs.conn.transaction(force_rollback=True):
            held = await self._hold_follower()
            await self._until(lambda: self._truth_is_past(held), "the truth's views lag")
            async with self._ours.transaction(force_rollback=True):
                await self._ours.execute(
                    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
                )
                standing = await self._standing(self._ours, "the truth")
                furthest = max((row.position for row in standing.values()), default=0)
                await self._until(lambda: self._log_has(furthest), "the follower's log lags")
                for name, view in self._views.items():
                    self._same_version(view, standing[name], held[name])
                    await self._fold(view, held[name].position, standing[name].position)
                return await self._compare(furthest)

    async def _hold_follower(self) -> dict[str, Tracked]:
        """Keep the follower's projector where it stands."""
        conn = self._theirs.conn
        # Before each batch the projector changes rows of this table: locked whole, neither can
        # hold one of them while it waits for another.
        await conn.execute("SELECT set_config('lock_timeout', %s, true)", (_LOCK_TIMEOUT,))
        try:
            await conn.execute("LOCK TABLE projection_tracking IN SHARE ROW EXCLUSIVE MODE")
        except psycopg.errors.LockNotAvailable:
            raise ViewsNotComparable("the follower's views are being built or switched") from None
        await conn.execute("SET LOCAL lock_timeout TO 0")
        return await self._standing(self._theirs.conn, "the follower")

    async def _standing(self, conn: AsyncConnection[Any], whose: str) -> dict[str, Tracked]:
        """Where every view stands; raises where one is missing, or was stopped by an error."""
        active = {row.name: row for row in await tracking.tracked(conn) if row.state == "active"}
        stopped = await tracking.stopped(conn)
        for name in self._views:
            if name in stopped:
                raise ViewsNotComparable(f"view {name} of {whose} is stopped: {stopped[name][1]}")
            if name not in active:
                raise ViewsNotComparable(f"view {name} of {whose} is not built yet")
        return active

    def _same_version(self, view: Projection, truth: Tracked, follower: Tracked) -> None:
        if not truth.version == follower.version == view.version:
            raise ViewsNotComparable(
                f"view {view.name} is of version {truth.version} in the truth and of"
                f" {follower.version} in the follower; this program compares {view.version}"
            )

    async def _truth_is_past(self, held: dict[str, Tracked]) -> bool:
        standing = await self._standing(self._ours, "the truth")
        return all(standing[name].position >= held[name].position for name in self._views)

    async def _log_has(self, position: int) -> bool:
        return await self._log.last_position() >= position

    async def _until(self, met: Callable[[], Any], why: str) -> None:
        while not await met():
            if time.monotonic() > self._deadline:
                raise ViewsNotComparable(f"{why} for more than {PATIENCE_SECONDS:.0f} s")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _fold(self, view: Projection, position: int, up_to: int) -> None:
        """Bring a view of the follower to a position, in the transaction that is open."""
        writers = tracking.writers(view)
        while position < up_to:
            end = min(position + PAGE_EVENTS, up_to)
            view.fold(await self._log.read_range(position, end, topics=view.topics))
            for writer, changes in zip(writers, view.changes, strict=True):
                await self._theirs.run(writer.statements(changes))
            position = end

    async def _compare(self, position: int) -> ComparedViews:
        # Folding wants rows by key; what follows wants all of them.
        await self._theirs.conn.execute("SET LOCAL enable_seqscan TO on")
        differences: list[Difference] = []
        unequal: list[str] = []
        tables = rows = 0
        for view in self._views.values():
            for table in view.tables:
                columns = [column.name for column in table.columns]
                name = relation(table, view.version)
                sums = [TableSums(schema, name, columns, table.key) for schema in self._schemas]
                ours, theirs = await self._both(sums, TableSums.whole)
                tables, rows = tables + 1, rows + ours[0][0]
                if ours != theirs:
                    unequal += [view.name] if view.name not in unequal else []
                    differences += await self._name(f"view {table.name}", sums)
                self._say(f"view {table.name}: {ours[0][0]} rows")
        return ComparedViews(tables, rows, position, tuple(unequal), tuple(differences))

    async def _name(self, place: str, sums: Sequence[TableSums]) -> list[Difference]:
        """Which rows of a table differ, and in which columns."""
        ours, theirs = await self._both(sums, TableSums.buckets)
        values: dict[str, Any] = {"buckets": sorted({row[0] for row in set(ours) ^ set(theirs)})}
        keys = unequal_keys(*await self._both(sums, TableSums.hashes, values))
        found: list[Difference] = []
        for key in keys[:NAMED]:
            truth, follower = await self._both(sums, TableSums.row, {**values, "key": key})
            found += differences_of(
                place, key, [row[0] for row in truth], [row[0] for row in follower]
            )
        if len(keys) > NAMED:
            found.append(Difference(place, f"{len(keys) - NAMED} more rows", "", None, None))
        return found

    async def _both(
        self,
        sums: Sequence[TableSums],
        ask: Callable[[TableSums], sql.Composed],
        values: dict[str, Any] | None = None,
    ) -> tuple[list[Any], list[Any]]:
        """The answers of both stores, computed side by side."""
        ours, theirs = await asyncio.gather(
            self._ours.execute(ask(sums[0]), values),
            self._theirs.conn.execute(ask(sums[1]), values),
        )
        return await ours.fetchall(), await theirs.fetchall()
