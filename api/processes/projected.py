"""Which of the two stores of a move a projector keeps the views of, and when it may begin."""

from __future__ import annotations

import asyncio

import psycopg

from infrastructure.log.stores import StoreAddress, Stores, Writes
from infrastructure.log.wholeness import holds_events, is_whole

LOOK_SECONDS = 0.5


async def store_to_project(entry: StoreAddress, *, peer: bool) -> StoreAddress:
    """The store that the settings name, or the other one of a move, once it holds the whole log.

    One that a finished move has left has no views: its peer is the only store then.
    """
    while True:
        try:
            found = await _find(entry, peer)
        except (psycopg.OperationalError, psycopg.InterfaceError):
            found = None
        if found is not None:
            return found
        await asyncio.sleep(LOOK_SECONDS)


async def _find(entry: StoreAddress, peer: bool) -> StoreAddress | None:
    conn, state = await Stores(*entry, pinned=True).connect("nexus projector", reading=False)
    async with conn:
        left = state.writes is Writes.THERE and not await holds_events(conn, entry)
        if peer is left and not left:
            return entry if await is_whole(conn, state) else None
    if state.peer is None or (peer and left):
        return None
    conn, state = await Stores(*state.peer, pinned=True).connect("nexus projector", reading=False)
    async with conn:
        return state.address if await is_whole(conn, state) else None
