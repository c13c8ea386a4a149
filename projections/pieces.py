"""Long work on a loop that serves others too: a millisecond of it at a time."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TypeVar

from psycopg import AsyncCursor

TURN_SECONDS = 0.001
ROWS_AT_ONCE = 64

Row = TypeVar("Row")


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


async def rows_of(cursor: AsyncCursor[Row]) -> list[Row]:
    """All rows of an answer that is there, read in pieces."""
    turn = Turn()
    rows = await cursor.fetchmany(ROWS_AT_ONCE)
    found = rows
    while len(rows) == ROWS_AT_ONCE:
        await turn.is_over()
        rows = await cursor.fetchmany(ROWS_AT_ONCE)
        found += rows
    return found
