"""A market-data process that takes a while, fails or hangs as it is told, on a simulated clock."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

from application.market_data.cache import CacheLimits, Fetched, SnapshotCache, UnknownSymbol
from application.market_data.tiers import MILLISECOND, SECOND
from tests.virtual_time import now

STEADY = CacheLimits(early=0)


class Source:
    """A market-data process that takes a while, and counts what runs at once."""

    def __init__(self, takes: int = MILLISECOND) -> None:
        self.takes = takes
        self.calls: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.most_at_once = 0
        self.fails: Callable[[str], bool] = lambda _: False
        self.hangs: Callable[[str], bool] = lambda _: False
        self.behind = 0
        self.unknown: set[str] = set()

    async def fetch(self, symbol: str) -> Fetched[int]:
        """The number of the call, as of when it began."""
        self.calls[symbol] += 1
        self.running[symbol] += 1
        self.most_at_once = max(self.most_at_once, self.running[symbol])
        as_of = now() - self.behind
        try:
            if self.hangs(symbol):
                await asyncio.sleep(3_600)
            await asyncio.sleep(self.takes / SECOND)
            if self.fails(symbol):
                raise ConnectionError("gone")
            if symbol in self.unknown:
                raise UnknownSymbol(symbol)
            return Fetched(self.calls[symbol], as_of)
        finally:
            self.running[symbol] -= 1


def cached(source: Source, limits: CacheLimits = STEADY, **options: object) -> SnapshotCache[int]:
    """A cache whose chance is the same in every run."""
    return SnapshotCache(source.fetch, now, limits=limits, random=Random(7), **options)  # type: ignore[arg-type]
