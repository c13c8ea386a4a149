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
    """Ask the store, again while it is away; raises VenueUnavailable when it stays so, or when
    it takes a question and does not answer.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + (PATIENCE_SECONDS if seconds is None else seconds)
    backoff = FIRST_BACKOFF
    while True:
        try:
            return await _answered(ask, ends - loop.time())
        except AWAY as error:
            if loop.time() + backoff > ends:
                raise VenueUnavailable(STORE_AWAY) from error
        await asyncio.sleep(backoff)
        backoff = min(2 * backoff, LAST_BACKOFF)


async def _answered(ask: Callable[[], Awaitable[Found]], seconds: float) -> Found:
    """The answer, if it comes in time. One that does not is not waited for: a connection to a
    server that stands still cannot even be told to give up.
    """
    asked = asyncio.ensure_future(ask())
    try:
        done, _ = await asyncio.wait((asked,), timeout=seconds)
    except asyncio.CancelledError:
        asked.cancel()
        raise
    if not done:
        asked.add_done_callback(_heard_too_late)
        asked.cancel()
        raise VenueUnavailable(STORE_AWAY)
    return asked.result()


def _heard_too_late(asked: asyncio.Future[Found]) -> None:
    if not asked.cancelled():
        asked.exception()
