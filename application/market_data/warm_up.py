"""Keeps the cache warm from five minutes before an open until shortly after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from application.market_data.cache import SnapshotCache
from application.market_data.tiers import MILLISECOND, SECOND

BEFORE_OPEN = 300 * SECOND
AFTER_OPEN = 5 * SECOND
EVERY = 25 * MILLISECOND


class WarmTime(NamedTuple):
    """From when until when the cache is kept warm, on the venue's clock."""

    begins_at: int
    ends_at: int


def warm_time(opens_at: int) -> WarmTime:
    """The time around an open in which symbols are fetched before anybody asks."""
    return WarmTime(opens_at - BEFORE_OPEN, opens_at + AFTER_OPEN)


async def keep_warm(
    cache: SnapshotCache[Any],
    next_open: Callable[[int], int],
    clock: Callable[[], int],
) -> None:
    """Refresh the first tiers around every open, until canceled.

    `next_open` says when the first session opens that opens after an instant; `clock` is the
    venue's, in microseconds.
    """
    while True:
        now = clock()
        time = warm_time(next_open(now - AFTER_OPEN))
        if now < time.begins_at:
            # A clock that is set is noticed within a second.
            await asyncio.sleep(min(SECOND, time.begins_at - now) / SECOND)
            continue
        await cache.warm(cache.hottest())
        await asyncio.sleep(EVERY / SECOND)
