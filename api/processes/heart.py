"""Whether writer and store answer and the views are kept.

It is asked at most once a second, however many want to know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from api.view_progress import ViewProgress
from application.commands import ReadState
from application.ports import CommandBus
from domain.errors import Rejection
from domain.identifiers import Instant
from infrastructure.clock import VenueClock

WITHIN_SECONDS = 2.0
REMEMBERED_SECONDS = 1.0
STILL_SECONDS = 10.0
"""How long views may stand behind the log without moving before that is a trouble."""


class Beat(NamedTuple):
    """The last positions that the writer and the views gave, None where none was given; and what
    keeps views from being as the log is.
    """

    written: int | None
    viewed: int | None
    troubles: Sequence[str]

    @property
    def ready(self) -> bool:
        """Whether orders are taken and what is read is not stale for good."""
        return self.written is not None and self.viewed is not None and not self.troubles


class _Behind(NamedTuple):
    """Views that had not come to where the log ended, when they were first seen so."""

    viewed: int
    written: int
    since: float


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
    """Asks for all who want to know."""

    def __init__(self, bus: CommandBus, progress: ViewProgress, clock: VenueClock) -> None:
        self._bus = bus
        self._progress = progress
        self.clock = ClockStanding(clock)
        self._asking = asyncio.Lock()
        self._until = 0.0
        self._last = Beat(None, None, ())
        self._behind: _Behind | None = None

    async def beat(self) -> Beat:
        """How writer, store and views are."""
        async with self._asking:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._until:
                written, (viewed, troubles) = await asyncio.gather(self._written(), self._viewed())
                troubles = [*troubles, *self._standing_still(written, viewed, loop.time())]
                self._last = Beat(written, viewed, troubles)
                self._until = loop.time() + REMEMBERED_SECONDS
            return self._last

    def _standing_still(self, written: int | None, viewed: int | None, now: float) -> list[str]:
        """Whether the views have stayed where they are although the log went on."""
        if written is None or viewed is None or viewed >= written:
            self._behind = None
            return []
        behind = self._behind
        if behind is None or behind.viewed != viewed:
            self._behind = _Behind(viewed, written, now)
            return []
        if now - behind.since < STILL_SECONDS:
            return []
        return [
            f"the views stand still at position {viewed} for {now - behind.since:.0f} s, and the"
            f" log ends at {written}: see whether the projector runs"
        ]

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

    async def _viewed(self) -> tuple[int | None, Sequence[str]]:
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                return await self._progress.ask(), await self._progress.troubles()
        except (Rejection, psycopg.Error, TimeoutError, OSError):
            return None, ()
