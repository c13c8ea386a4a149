"""Long work on a loop that serves others too: a millisecond of it at a time."""

from __future__ import annotations

import asyncio
from time import perf_counter

TURN_SECONDS = 0.001


class Turn:
    """A turn of the loop, which is given on when it has taken long enough."""

    __slots__ = ("_began",)

    def __init__(self) -> None:
        self._began = perf_counter()

    async def is_over(self) -> None:
        """Let others go on, if it is their turn."""
        if perf_counter() - self._began > TURN_SECONDS:
            await asyncio.sleep(0)
            self._began = perf_counter()
