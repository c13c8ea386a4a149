"""Waiting for a store that is away for a moment, and saying so when it stays away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from domain.errors import VenueUnavailable

STORE_AWAY = "the store does not answer"
PATIENCE_SECONDS = 5.0
FIRST_BACKOFF, LAST_BACKOFF = 0.05, 1.0

AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError, OSError)
"""What a store that is away, or a pool that has no connection to give, is known by."""

Found = TypeVar("Found")


async def patiently(ask: Callable[[], Awaitable[Found]], seconds: float | None = None) -> Found:
    """Ask the store, again while it is away; raises VenueUnavailable when it stays so."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + (PATIENCE_SECONDS if seconds is None else seconds)
    backoff = FIRST_BACKOFF
    while True:
        try:
            return await ask()
        except AWAY as error:
            if loop.time() + backoff > ends:
                raise VenueUnavailable(STORE_AWAY) from error
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, LAST_BACKOFF)
