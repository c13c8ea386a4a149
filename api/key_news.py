"""Hears of every key that changes, in whichever gateway, the moment that is committed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import psycopg
from psycopg import sql

from infrastructure.log.beside_rows import keys_channel
from infrastructure.log.stores import Stores, StoreState, StoreUnreachable

RECONNECT_SECONDS = 0.5


class KeyNews:
    """Listens where the writer tells of keys, and passes their ids on.

    Whenever it was away, any key may have changed: `changed` is called with None then.
    """

    def __init__(self, stores: Stores, changed: Callable[[str | None], object]) -> None:
        self._stores = stores
        self._changed = changed
        self._listener: asyncio.Task[None] | None = None
        self.listening = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen."""
        self._listener = asyncio.create_task(self._listen(), name="keys")

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def moved(self, _: StoreState | None = None) -> None:
        """Listen in the store that is the truth now."""
        await self.stop()
        await self.start()

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(psycopg.Error, OSError, StoreUnreachable):
                conn, state = await self._stores.connect("nexus keys", reading=True)
                channel = sql.Identifier(keys_channel(state.address.schema))
                async with conn:
                    await conn.execute(sql.SQL("LISTEN {}").format(channel))
                    self._changed(None)
                    self.listening.set()
                    async for notice in conn.notifies():
                        self._changed(notice.payload)
            self.listening.clear()
            await asyncio.sleep(RECONNECT_SECONDS)
