"""Keeps the cache warm from five minutes before an open until shortly after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from application.market_data.cache import SnapshotCache
from application.market_data.tiers import MILLISECOND, SECOND

BEFORE_OPEN = 300 * SECOND
AFTER_OPEN = 5 * SECOND
EVERY = 25 * MILLISECOND
ASKED_AGAIN = 60 * SECOND
"""How long an open that was told is believed: sessions are listed and calendars change."""

NextOpen = Callable[[int], Awaitable[int | None]]
"""When the first session opens that opens after an instant; None while nobody can say."""


class WarmTime(NamedTuple):
    """From when until when the cache is kept warm, on the venue's clock."""

    begins_at: int
    ends_at: int


def warm_time(opens_at: int) -> WarmTime:
    """The time around an open in which symbols are fetched before anybody asks."""
    return WarmTime(opens_at - BEFORE_OPEN, opens_at + AFTER_OPEN)


class _Told:
    """The next open as it was told last, and asked again when it is over or may have changed."""

    def __init__(self, next_open: NextOpen) -> None:
        self._next_open = next_open
        self._asked_at = 0
        self._time: WarmTime | None = None

    async def at(self, now: int) -> WarmTime | None:
        """The warm time that is under way at an instant, or else the next."""
        # A clock that was set back makes what was told void.
        fresh = 0 < self._asked_at <= now < self._asked_at + ASKED_AGAIN
        if not fresh or (self._time is not None and now > self._time.ends_at):
            opens_at = await self._next_open(now - AFTER_OPEN)
            self._time = None if opens_at is None else warm_time(opens_at)
            self._asked_at = now
        return self._time


async def keep_warm(
    cache: SnapshotCache[Any], next_open: NextOpen, clock: Callable[[], int]
) -> None:
    """Refresh the first tiers around every open, until canceled; `clock` is the venue's, in
    microseconds.
    """
    told = _Told(next_open)
    while True:
        now = clock()
        time = await told.at(now)
        if time is None or now < time.begins_at:
            # A clock that is set is noticed within a second.
            wait = SECOND if time is None else min(SECOND, time.begins_at - now)
            await asyncio.sleep(wait / SECOND)
            continue
        # A symbol whose source hangs holds up no other.
        cache.warm(cache.hottest())
        await asyncio.sleep(EVERY / SECOND)
