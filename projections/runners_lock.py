"""The lock of the one runner of several that works, and what becomes of one that nobody gives back.

The lock only saves work: whoever commits names the position that the views stand at, and where
two did at once one would learn that they were moved. So a runner whose own former connection
keeps the lock, because its process of the server stands still, works without.
"""

from __future__ import annotations

import logging
import time

from projections import tracking
from projections.connections import Connection

log = logging.getLogger(__name__)

ENDING_SECONDS = 2.0
"""How long a former connection may take to give the lock back."""
AGAIN_SECONDS = 1.0
_CLASS = tracking.LOCK_CLASS + 1
_HOLDER = """
SELECT l.pid, a.backend_start::text FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.classid = %s::bigint::oid
   AND l.objid = (hashtext(current_schema())::bigint & 4294967295)::oid
"""
_OWN = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"

Backend = tuple[int, str | None]
"""A process of the server, and when it was started: numbers are given again."""


class RunnersLock:
    """The lock as one runner has it, from connection to connection."""

    def __init__(self) -> None:
        self._mine: set[Backend] = set()
        self._waits_since: float | None = None
        self._lacks = False
        self._look_at = 0.0

    async def take(self, conn: Connection) -> bool:
        """Whether this runner may work: it has the lock, or nobody else has."""
        holder = None
        if await _locked(conn):
            self._lacks = False
        else:
            holder = await _backend(conn, _HOLDER, _CLASS)
            if holder not in self._mine:
                self._waits_since = None
                return False
            now = time.monotonic()
            self._waits_since = self._waits_since or now
            if now - self._waits_since < ENDING_SECONDS:
                return False
            log.warning(
                "process %s of the store has the projector's lock and neither works nor ends: views"
                " are kept without; end it on the store's machine (kill -9)",
                holder and holder[0],
            )
            self._lacks = True
        self._waits_since = None
        own = await _backend(conn, _OWN)
        # Of those before only one that has the lock yet can matter.
        self._mine = {one for one in (holder, own) if one is not None}
        return True

    async def keep(self, conn: Connection) -> bool:
        """Whether it may go on: one that lacks the lock has it as soon as it is free."""
        now = time.monotonic()
        if not self._lacks or now < self._look_at:
            return True
        self._look_at = now + AGAIN_SECONDS
        if await _locked(conn):
            self._lacks = False
            return True
        return await _backend(conn, _HOLDER, _CLASS) in self._mine


async def _locked(conn: Connection) -> bool:
    cursor = await conn.execute(
        "SELECT pg_try_advisory_lock(%s, hashtext(current_schema()))", (_CLASS,)
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def _backend(conn: Connection, query: str, *values: int) -> Backend | None:
    row: Backend | None = await (await conn.execute(query.encode(), values)).fetchone()
    return row
