"""Whether writer and store answer: asked at most once a second, however many want to know."""

from __future__ import annotations

import asyncio

import psycopg

from api.view_progress import ViewProgress
from application.commands import ReadState
from application.ports import CommandBus
from domain.errors import Rejection
from domain.identifiers import Instant
from infrastructure.clock import VenueClock

WITHIN_SECONDS = 2.0
REMEMBERED_SECONDS = 1.0


class ClockStanding:
    """How the machine's clock, the time that is believed and the log's end stand to each other, in
    microseconds.
    """

    def __init__(self, clock: VenueClock) -> None:
        self._clock = clock
        self.last_at: Instant = 0
        """When the newest event was recorded, as the writer said when it was asked last."""

    @property
    def off(self) -> int:
        """By how much the machine's clock is off; 0 while it is believed."""
        return self._clock.off

    @property
    def ahead(self) -> int:
        """By how much the log's end is ahead of the time; 0 when it is not."""
        return max(0, self.last_at - self._clock.now())


class Heart:
    """The last positions that the writer and the views gave; None where none was given."""

    def __init__(self, bus: CommandBus, progress: ViewProgress, clock: VenueClock) -> None:
        self._bus = bus
        self._progress = progress
        self.clock = ClockStanding(clock)
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
        if reply.refusal is not None:
            return None
        self.clock.last_at = (reply.result or {}).get("last_at", 0)
        return reply.position

    async def _viewed(self) -> int | None:
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                return await self._progress.ask()
        except (Rejection, psycopg.Error, TimeoutError, OSError):
            return None
