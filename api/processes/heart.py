"""Whether writer and store answer: asked at most once a second, however many want to know."""

from __future__ import annotations

import asyncio

import psycopg

from api.view_progress import ViewProgress
from application.commands import ReadState
from application.ports import CommandBus
from domain.errors import Rejection

WITHIN_SECONDS = 2.0
REMEMBERED_SECONDS = 1.0


class Heart:
    """The last positions that the writer and the views gave; None where none was given."""

    def __init__(self, bus: CommandBus, progress: ViewProgress) -> None:
        self._bus = bus
        self._progress = progress
        self._asking = asyncio.Lock()
        self._until = 0.0
        self._last: tuple[int | None, int | None] = (None, None)

    async def beat(self) -> tuple[int | None, int | None]:
        """The writer's position and the views'."""
        async with self._asking:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._until:
                written, viewed = await asyncio.gather(self._written(), self._viewed())
                self._last = (written, viewed)
                self._until = loop.time() + REMEMBERED_SECONDS
            return self._last

    async def _written(self) -> int | None:
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                reply = await self._bus.send(ReadState(), "gateway", "http")
        except (Rejection, TimeoutError, OSError):
            return None
        return reply.position if reply.refusal is None else None

    async def _viewed(self) -> int | None:
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                return await self._progress.ask()
        except (psycopg.Error, TimeoutError, OSError):
            return None
