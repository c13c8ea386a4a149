"""Work on the log that does not give up while the store is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from application.log.away import Away
from application.log.ports import OutcomeUnknown

Done = TypeVar("Done")


async def persist(work: Callable[[], Awaitable[Done]], away: Away) -> Done:
    """Do a piece of work, again and again while the store is away, which is said once."""
    while True:
        try:
            done = await work()
        except OutcomeUnknown as error:
            away.gone(error)
            await asyncio.sleep(away.pause())
        else:
            away.back()
            return done
