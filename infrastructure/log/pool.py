"""A pool of connections to the store that is the truth, renewed when another one is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NamedTuple, Self
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from application.log.away import Away
from infrastructure.attentive import AttentiveConnection
from infrastructure.log.statements import EventTable
from infrastructure.log.stores import StoreAddress, Stores

AGAIN_SECONDS = 0.05
GIVE_UP_SECONDS = 3.0
"""After which the pool itself tries no more: the next who asks has it try at once."""

log = logging.getLogger(__name__)
# It says every attempt. That a store is away is said once, here.
logging.getLogger("psycopg.pool").setLevel(logging.ERROR)

Pool = AsyncConnectionPool[AsyncConnection[Any]]


class MovedAway(psycopg.OperationalError):
    """The connection is to a store that is the truth no more."""


class _Found(NamedTuple):
    """To which store a connection is."""

    store: StoreAddress
    events: EventTable


class _Followed(AsyncConnection[Any]):
    """How the pool opens what it holds."""

    @classmethod
    async def connect(  # type: ignore[override]
        cls, _: str = "", *, pool: StorePool, **options: Any
    ) -> AsyncConnection[Any]:
        return await pool.open_connection(**options)


class StorePool(Pool):
    """Connections whose search_path is the schema of the truth, each holding its readers' lock.

    `moved` is to be called when the truth is another store: what lies idle is closed at once, and
    what is in use when it comes back. Nobody is given a connection to a store that was left.
    """

    def __init__(
        self, stores: Stores, *, min_size: int = 1, max_size: int = 1, timeout: float = 30.0
    ) -> None:
        self.stores = stores
        self.away = Away(log.warning)
        self._found: WeakKeyDictionary[AsyncConnection[Any], _Found] = WeakKeyDictionary()
        super().__init__(
            kwargs={"pool": self},
            connection_class=_Followed,
            check=self._is_current,
            min_size=min_size,
            max_size=max_size,
            timeout=timeout,
            reconnect_timeout=GIVE_UP_SECONDS,
            open=False,
        )

    def events_of(self, conn: AsyncConnection[Any]) -> EventTable:
        """The event table of the store that a connection of this pool is to."""
        return self._found[conn].events

    async def moved(self) -> None:
        """Renew every connection, also one that was just being opened."""
        await self.drain()
        await asyncio.sleep(AGAIN_SECONDS)
        left = [conn for conn, found in self._found.items() if found.store != self.stores.known]
        if any(not conn.closed for conn in left):
            await self.drain()

    async def open_connection(self, **options: Any) -> AsyncConnection[Any]:
        """A connection as the pool holds them."""
        try:
            conn, state = await self.stores.connect("nexus reads", names=True, **options)
        except psycopg.OperationalError as error:
            self.away.gone(error)
            raise
        self.away.back()
        self._found[conn] = _Found(state.address, EventTable(state.address.schema, state.layout))
        return conn

    async def _is_current(self, conn: AsyncConnection[Any]) -> None:
        if self._found[conn].store != self.stores.known:
            await conn.close()
            raise MovedAway("the log has moved to another store")
        if isinstance(conn, AttentiveConnection) and conn.given_up:
            await conn.close()
            raise psycopg.OperationalError("the server was found to be gone")

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self
