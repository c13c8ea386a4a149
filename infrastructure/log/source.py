"""The committed events of a partition as readers follow them: by position, woken by notice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, sql

from application.log.away import Away
from infrastructure.log.reads import EventReads
from infrastructure.log.statements import INDEXES_ALONE, Ask, EventTable
from infrastructure.log.stores import Stores, moves_channel

log = logging.getLogger(__name__)

Found = TypeVar("Found")

BUSY_SECONDS = 1.0
"""Who has read for so long without waiting once has no use for notices."""


class PostgresEventSource(EventReads):
    """Reads a partition's log, and goes on by itself when the server was away
    (`application.log.ports.EventSource`). Where the log moves it follows, but for a pinned one.

    For one follower: reading waits while the same source waits for news. Each notice wakes the
    server's side of whoever listens, so a pinned one, to which nothing else is told, listens from
    its first wait on, and no more while it always finds something.
    """

    def __init__(self, dsn: str, schema: str, *, pinned: bool = False) -> None:
        self._stores = Stores(dsn, schema, pinned=pinned)
        self._pinned = pinned
        self._events = EventTable(schema)
        self._conn: AsyncConnection[Any] | None = None
        self._asking = 0
        self._listens = False
        self._waited_at = 0.0
        self._away = Away(log.warning)

    async def wait(self, timeout: float) -> None:
        """Return when something may have been committed since, or after `timeout` seconds."""
        self._waited_at = monotonic()

        async def notified(conn: AsyncConnection[Any]) -> None:
            if not self._listens:
                await self._listen(conn, self._events.schema)
                # Of what was committed before nobody was told: it is to be looked for.
                return
            async for notice in conn.notifies(timeout=timeout, stop_after=1):
                if notice.channel == moves_channel(self._stores.known):
                    # What is read next is read in the store that is the truth by then.
                    await self.close()

        await self._persist(notified)

    async def moved(self) -> None:
        """Leave the store, as the log has moved to another; who waits in it hears so himself."""
        if not self._asking:
            await self.close()

    async def close(self) -> None:
        """Leave the server."""
        conn, self._conn, self._listens = self._conn, None, False
        if conn is not None:
            await conn.close()

    async def __aenter__(self) -> PostgresEventSource:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        async def fetch(conn: AsyncConnection[Any]) -> list[tuple[Any, ...]]:
            query = ask(self._events)
            async with conn.cursor(binary=True) as cursor:
                await cursor.execute(query.text, query.values)
                rows = await cursor.fetchall()
            if self._pinned and self._listens and monotonic() - self._waited_at > BUSY_SECONDS:
                await conn.execute("UNLISTEN *")
                self._listens = False
            return rows

        return await self._persist(fetch)

    async def _persist(self, work: Callable[[AsyncConnection[Any]], Awaitable[Found]]) -> Found:
        """Do a piece of reading, again and again while the server is away."""
        while True:
            self._asking += 1
            try:
                done = await work(await self._connected())
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                self._away.gone(error)
                await self.close()
                await asyncio.sleep(self._away.pause())
            else:
                self._away.back()
                return done
            finally:
                self._asking -= 1

    async def _connected(self) -> AsyncConnection[Any]:
        if self._conn is None:
            conn, state = await self._stores.connect("nexus source", reading=not self._pinned)
            try:
                for setting in INDEXES_ALONE:
                    await conn.execute(sql.SQL("SET {} TO off").format(sql.Identifier(setting)))
                schema = state.address.schema
                if not self._pinned:
                    await self._listen(conn, schema, moves_channel(state.address))
            except BaseException:
                await conn.close()
                raise
            self._conn, self._events = conn, EventTable(schema, state.layout)
        return self._conn

    async def _listen(self, conn: AsyncConnection[Any], *channels: str) -> None:
        for channel in channels:
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._listens = True
