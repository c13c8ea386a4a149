"""How far the views have come, so that a client reads at least what it wrote."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import psycopg
from psycopg import sql

from api.door.together import Together
from api.refusals import ProjectionBehind
from infrastructure.log.pool import StorePool
from infrastructure.log.reads import PooledLog
from projections import tracking
from projections.tracking import views_channel
from projections.troubles import troubles
from projections.views import all_views

POLL_SECONDS = 0.025
RECONNECT_SECONDS = 1.0
LISTENS_SECONDS = 1.0
"""How long it listens before it asks whether the server is still there."""


class ViewProgress:
    """The position each serving view has reached: woken by notification, asked as a net."""

    def __init__(self, pool: StorePool) -> None:
        self._pool = pool
        self._log = PooledLog(pool)
        self._views = all_views()
        self._moved = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None
        self._reached: dict[str, int] = {}
        # However many wait, one of them asks.
        self._asking: Together[None, None] = Together(self._ask_store)

    async def start(self) -> None:
        """Begin to listen."""
        self._listener = asyncio.create_task(self._listen(), name="view-progress")

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def moved(self) -> None:
        """Ask and listen in the store that is the truth now: its views are others."""
        self._reached.clear()
        await self.stop()
        await self.start()

    async def wait_for(self, position: int, views: Sequence[str], seconds: float) -> None:
        """Return once these views hold this position; raises ProjectionBehind after a while."""
        if self._least(views) >= position:
            return
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while True:
            moved = self._moved
            if await self.ask(views) >= position:
                return
            left = ends - loop.time()
            if left <= 0:
                raise ProjectionBehind(position, self._least(views))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, POLL_SECONDS)):
                    await moved.wait()

    async def ask(self, views: Sequence[str] = ()) -> int:
        """What the store says of these views, or of all; one that is being built is not asked."""
        await self._asking.find_anew(None)
        return self._least(views or tuple(self._reached))

    async def _ask_store(self, _: tuple[None, ...]) -> dict[None, None]:
        async with self._pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT name, position FROM projection_tracking WHERE state = 'active'"
            )
            self._reached = dict(await cursor.fetchall())
        return {}

    async def troubles(self) -> list[str]:
        """What keeps views from being as the log is; one sentence each."""
        async with self._pool.connection() as conn:
            rows, errors = await tracking.tracked(conn), await tracking.stopped(conn)
        # The log's end is asked after the positions, as both may grow.
        return troubles(self._views, rows, errors, await self._log.last_position())

    def _least(self, views: Sequence[str]) -> int:
        return min((self._reached.get(name, 0) for name in views), default=0)

    async def _listen(self) -> None:
        """Wake who waits whenever a view says that it moved; polling covers a lost connection."""
        while True:
            with contextlib.suppress(psycopg.Error):
                conn, state = await self._pool.stores.connect("nexus views")
                channel = views_channel(state.address.schema)
                async with conn:
                    await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                    while True:
                        async for _ in conn.notifies(timeout=LISTENS_SECONDS):
                            moved, self._moved = self._moved, asyncio.Event()
                            moved.set()
                        await conn.execute("SELECT 1")
            await asyncio.sleep(RECONNECT_SECONDS)
