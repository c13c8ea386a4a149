"""The committed events of a partition as readers follow them: by position, woken by notice."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, sql

from application.log.ports import Recorded
from infrastructure.log.codec import decode_event

log = logging.getLogger(__name__)

Found = TypeVar("Found")
Row = tuple[int, str, bytes]

POLL_SECONDS = 0.5
_FIRST_BACKOFF = 0.05
_LAST_BACKOFF = 2.0

_READ = """
SELECT notification_id, topic, state FROM stored_events
 WHERE notification_id > %s ORDER BY notification_id LIMIT %s
"""
_READ_TOPICS = """
SELECT notification_id, topic, state FROM stored_events
 WHERE notification_id > %s AND topic = ANY(%s) ORDER BY notification_id LIMIT %s
"""
_RANGE = """
SELECT notification_id, topic, state FROM stored_events
 WHERE notification_id > %s AND notification_id <= %s ORDER BY notification_id
"""
_RANGE_TOPICS = """
SELECT notification_id, topic, state FROM stored_events
 WHERE notification_id > %s AND notification_id <= %s AND topic = ANY(%s)
 ORDER BY notification_id
"""
_STREAM = """
SELECT notification_id, topic, state FROM stored_events
 WHERE originator_id = %s ORDER BY originator_version
"""
_LAST = "SELECT COALESCE(max(notification_id), 0) FROM stored_events"

# The log is read through its two indexes and never otherwise, whatever the statistics say of a
# table that grew since they were taken.
_SETTINGS = ("enable_seqscan", "enable_bitmapscan", "enable_sort")


class PostgresEventSource:
    """Reads a partition's log, and goes on by itself when the server was away.

    For one follower: reading waits while the same source waits for news.
    """

    def __init__(self, dsn: str, schema: str, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._dsn = dsn
        self._schema = schema
        self._poll_seconds = poll_seconds
        self._conn: AsyncConnection[Any] | None = None

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events with positions above `after`, in order, at most `limit`."""
        if topics:
            return await self._events(_READ_TOPICS, (after, list(topics), limit))
        return await self._events(_READ, (after, limit))

    async def read_range(
        self, after: int, up_to: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events above `after` and up to a position; other topics never leave the server.

        It is for rebuilds: how far it has read is known whatever the topics left out.
        """
        if topics:
            return await self._events(_RANGE_TOPICS, (after, up_to, list(topics)))
        return await self._events(_RANGE, (after, up_to))

    async def stream(self, originator_id: UUID) -> Sequence[Recorded]:
        """All events of one aggregate, in order."""
        return await self._events(_STREAM, (originator_id,))

    async def last_position(self) -> int:
        """The position of the newest committed event; 0 in an empty log."""

        async def last(conn: AsyncConnection[Any]) -> int:
            row = await (await conn.execute(_LAST)).fetchone()
            assert row is not None
            return int(row[0])

        return await self._persist(last)

    async def wait(self, timeout: float) -> None:
        """Return when something may have been committed since, or after `timeout` seconds."""

        async def notified(conn: AsyncConnection[Any]) -> None:
            async for _ in conn.notifies(timeout=timeout, stop_after=1):
                pass

        await self._persist(notified)

    async def follow(
        self, after: int, *, limit: int = 1000, topics: Sequence[str] = ()
    ) -> AsyncIterator[Sequence[Recorded]]:
        """Batches of committed events above a position, for ever."""
        while True:
            batch = await self.read(after, limit, topics=topics)
            if batch:
                after = batch[-1].position
                yield batch
            if len(batch) < limit:
                await self.wait(self._poll_seconds)

    async def close(self) -> None:
        """Leave the server."""
        conn, self._conn = self._conn, None
        if conn is not None:
            await conn.close()

    async def __aenter__(self) -> PostgresEventSource:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _events(self, query: str, arguments: tuple[Any, ...]) -> list[Recorded]:
        async def fetch(conn: AsyncConnection[Any]) -> list[Row]:
            async with conn.cursor(binary=True) as cursor:
                await cursor.execute(query, arguments)
                return await cursor.fetchall()

        rows = await self._persist(fetch)
        return [Recorded(position, decode_event(topic, state)) for position, topic, state in rows]

    async def _persist(self, work: Callable[[AsyncConnection[Any]], Awaitable[Found]]) -> Found:
        """Do a piece of reading, again and again while the server is away."""
        backoff = _FIRST_BACKOFF
        while True:
            try:
                return await work(await self._connected())
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if backoff == _FIRST_BACKOFF:
                    log.warning("the log cannot be read, trying again: %s", str(error).strip())
                await self.close()
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, _LAST_BACKOFF)

    async def _connected(self) -> AsyncConnection[Any]:
        if self._conn is None:
            conn = await AsyncConnection.connect(self._dsn, autocommit=True, connect_timeout=10)
            try:
                await conn.execute(
                    sql.SQL("SET search_path TO {}").format(sql.Identifier(self._schema))
                )
                for setting in _SETTINGS:
                    await conn.execute(sql.SQL("SET {} TO off").format(sql.Identifier(setting)))
                await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._schema)))
            except BaseException:
                await conn.close()
                raise
            self._conn = conn
        return self._conn
