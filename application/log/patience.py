"""Work on the log that does not give up while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.log.ports import OutcomeUnknown

Done = TypeVar("Done")

_FIRST_BACKOFF = 0.1
_LAST_BACKOFF = 0.5


async def persist(work: Callable[[], Awaitable[Done]], say: Callable[[str], object]) -> Done:
    """Do a piece of work, again and again while the store is away."""
    backoff = _FIRST_BACKOFF
    while True:
        try:
            return await work()
        except OutcomeUnknown as error:
            say(f"the store is away, trying again: {error}")
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LAST_BACKOFF)
