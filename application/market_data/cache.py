"""Snapshots of market data in front of their source: few calls, none twice at once, none too old.

An answer is served until its tier's bound. Before that it is refreshed behind the request that
finds it old, or a little earlier by chance (XFetch: the longer a fetch takes, the earlier), and
only then do requests wait, all of them for the same one call.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Generic, NamedTuple, TypeVar

from application.market_data.hot_symbols import HotLimits, HotSymbols
from application.market_data.tiers import MILLISECOND, SECOND, Tier, Tiers

Value = TypeVar("Value")


class Fetched(NamedTuple, Generic[Value]):
    """What the source answers."""

    value: Value
    as_of: int
    """When the source knew itself to be at the log's head, on the cache's clock."""


class UnknownSymbol(Exception):
    """The source knows no such symbol; that is kept too, for a while."""

    def __init__(self, symbol: str) -> None:
        super().__init__(f"there is no instrument {symbol}")
        self.symbol = symbol


class SourceAway(Exception):
    """The source failed or did not answer in time, and nothing younger than the bound is there."""

    def __init__(self, symbol: str, why: str) -> None:
        super().__init__(f"no market data of {symbol} that is young enough: {why}")
        self.symbol = symbol
        self.why = why


class Answer(NamedTuple, Generic[Value]):
    """An answer to a client: the value, its age in microseconds, its tier."""

    value: Value
    age: int
    tier: int
    warning: str | None = None
    """Why it is older than it should be."""


AGES_UP_TO = (1, 5, 10, 25, 50, 75, 100, 250, 500, 1_000, 2_000, 5_000, 30_000)
"""The bounds of ages, in milliseconds, between which answers are counted."""
_BOUNDS = tuple(bound * MILLISECOND for bound in AGES_UP_TO)


@dataclass(slots=True)
class Ages:
    """How old what was served without a warning was."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(AGES_UP_TO) + 1))
    """By the bounds in `AGES_UP_TO`; the last is what lies beyond."""
    together: int = 0
    """The sum of all ages, in microseconds."""
    oldest: int = 0


@dataclass(slots=True)
class CacheMetrics:
    """What the cache has done, in numbers that only grow."""

    hits: int = 0
    """Served from memory at once, also those refreshed behind."""
    waits: int = 0
    """Requests that waited for the source, each its own or another's call."""
    calls: int = 0
    """Calls of the source."""
    failures: int = 0
    warned: int = 0
    """Served older than they should be, because the source failed or hung."""
    refused_away: int = 0
    refused_age: int = 0
    """Refused because what the source answered was too old already."""
    unknown: int = 0
    warmed: int = 0
    ages: dict[int, Ages] = field(default_factory=dict)
    """By tier."""

    def served(self, tier: int, age: int) -> None:
        """Note the age of an answer."""
        ages = self.ages.get(tier)
        if ages is None:
            ages = self.ages[tier] = Ages()
        ages.counts[bisect_left(_BOUNDS, age)] += 1
        ages.together += age
        if age > ages.oldest:
            ages.oldest = age


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """Times in microseconds, and how much is kept."""

    call_within: int = 2 * SECOND
    """After which time a call that hangs is given up."""
    wait_within: int = 250 * MILLISECOND
    """How long after its beginning a call is waited for; then requests take what is there, or are
    refused.
    """
    again_after: int = 100 * MILLISECOND
    """How soon a source that failed is called again for the symbol."""
    unknown_for: int = 5 * SECOND
    most: int = 50_000
    """How many symbols are kept, unknown ones included."""
    early: int = 1
    """The weight of XFetch; 0 fetches nothing before its time."""


class _Entry(Generic[Value]):
    """What is known of a symbol."""

    __slots__ = ("as_of", "came_at", "expires", "failed", "took", "value")

    def __init__(self, value: Value, as_of: int, came_at: int, expires: int, took: int) -> None:
        self.value = value
        self.as_of = as_of
        self.came_at = came_at
        self.expires = expires
        self.took = took
        self.failed: str | None = None


class _Call:
    """A call of the source that is under way, and who waits for it."""

    __slots__ = ("_patience", "over", "task")

    def __init__(self, task: asyncio.Task[None], patience: float) -> None:
        self.task = task
        # One event for all who wait, however many: each with a timer of its own would hold up
        # the loop for longer than the answer is young.
        self.over = asyncio.Event()
        self._patience = asyncio.get_running_loop().call_later(patience, self.over.set)
        task.add_done_callback(self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._patience.cancel()
        self.over.set()


class SnapshotCache(Generic[Value]):
    """Answers by symbol out of memory, for one event loop.

    `fetch` asks the source for one symbol: it raises UnknownSymbol, or anything else when it
    fails. `clock` gives microseconds that never run back. At most one call of a symbol is under
    way at any time, also when it hangs.
    """

    def __init__(
        self,
        fetch: Callable[[str], Awaitable[Fetched[Value]]],
        clock: Callable[[], int],
        *,
        tiers: Tiers | None = None,
        hot: HotLimits | None = None,
        limits: CacheLimits | None = None,
        random: Random | None = None,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._tiers = tiers or Tiers()
        self._named = self._tiers.named()
        self._limits = limits or CacheLimits()
        self._random = random or Random()
        self._entries: dict[str, _Entry[Value]] = {}
        self._unknown: dict[str, int] = {}
        self._not_before: dict[str, int] = {}
        self._calls: dict[str, _Call] = {}
        self.hot = HotSymbols(hot)
        self.metrics = CacheMetrics()

    def tier_of(self, symbol: str) -> Tier:
        """The tier of a symbol now: the faster of the given one and the one it has earned."""
        given = self._named.get(symbol, self._tiers.last)
        raised = self.hot.tier(symbol)
        if raised is None or raised >= given.number:
            return given
        return self._tiers.tiers[raised - 1]

    async def get(self, symbol: str) -> Answer[Value]:
        """The newest that may be served; raises UnknownSymbol or SourceAway."""
        now = self._clock()
        self.hot.asked(symbol, now)
        tier = self.tier_of(symbol)
        entry = self._entries.get(symbol)
        if entry is not None and now - entry.as_of <= tier.served_until:
            if now + self._early(entry) >= entry.expires:
                self._call(symbol, now)
            self.metrics.hits += 1
            self.metrics.served(tier.number, now - entry.as_of)
            return Answer(entry.value, now - entry.as_of, tier.number)
        if self._unknown.get(symbol, 0) > now:
            self.metrics.unknown += 1
            raise UnknownSymbol(symbol)
        return await self._waited(symbol, tier, now)

    def warm(self, symbols: Iterable[str]) -> None:
        """Have fetched what is not there or will soon expire, each once; nobody waits for it."""
        now = self._clock()
        for symbol in symbols:
            entry = self._entries.get(symbol)
            if entry is None and self._unknown.get(symbol, 0) > now:
                continue
            if entry is None or now + self._early(entry) >= entry.expires:
                under_way = len(self._calls)
                self._call(symbol, now)
                self.metrics.warmed += len(self._calls) - under_way

    def hottest(self) -> list[str]:
        """The symbols of the first tiers: those that are kept warm."""
        last = self._tiers.last.number
        known = dict.fromkeys((*self._named, *self.hot.raised()))
        return [symbol for symbol in known if self.tier_of(symbol).number < last]

    @property
    def kept(self) -> int:
        """How many symbols there are answers of."""
        return len(self._entries)

    async def stop(self) -> None:
        """Give up every call that is under way."""
        calls = [call.task for call in self._calls.values()]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _early(self, entry: _Entry[Value]) -> int:
        """How much before its time this request finds the answer old, by chance."""
        if not self._limits.early:
            return 0
        return int(entry.took * self._limits.early * self._random.expovariate(1))

    async def _waited(self, symbol: str, tier: Tier, began: int) -> Answer[Value]:
        """What there is once the one call of this symbol has ended, or has taken too long."""
        self.metrics.waits += 1
        now = began
        while True:
            why = "its source failed a moment ago"
            call = self._call(symbol, now)
            if call is not None:
                await call.over.wait()
                why = "its source failed" if call.task.done() else "its source does not answer"
                now = self._clock()
            if self._unknown.get(symbol, 0) > now:
                self.metrics.unknown += 1
                raise UnknownSymbol(symbol)
            entry = self._entries.get(symbol)
            if entry is None:
                self.metrics.refused_away += 1
                raise SourceAway(symbol, why)
            age = now - entry.as_of
            if age <= tier.served_until:
                self.metrics.served(tier.number, age)
                return Answer(entry.value, age, tier.number)
            if call is None or not call.task.done() or entry.failed is not None:
                return self._covered(symbol, tier, entry, age, why)
            # It came young enough, and grew old while this request was not let go on.
            was_young = entry.came_at - entry.as_of <= tier.served_until
            if not was_young or now - began > self._limits.wait_within:
                self.metrics.refused_age += 1
                raise SourceAway(symbol, f"its source is {age / SECOND:.3f} s behind")

    def _covered(
        self, symbol: str, tier: Tier, entry: _Entry[Value], age: int, why: str
    ) -> Answer[Value]:
        """What there is while the source fails or hangs, with a warning, as long as that may be."""
        if age <= tier.failing_until:
            self.metrics.warned += 1
            return Answer(entry.value, age, tier.number, warning=entry.failed or why)
        self.metrics.refused_away += 1
        raise SourceAway(symbol, entry.failed or why)

    def _call(self, symbol: str, now: int) -> _Call | None:
        """The call of a symbol that is under way, or a new one; None soon after one failed."""
        call = self._calls.get(symbol)
        if call is None:
            if self._not_before.get(symbol, 0) > now:
                return None
            task = asyncio.create_task(self._ask(symbol), name=f"market data {symbol}")
            # Not before it has ended, however long that takes: another beside it is never begun.
            task.add_done_callback(lambda _: self._calls.pop(symbol, None))
            call = self._calls[symbol] = _Call(task, self._limits.wait_within / SECOND)
        return call

    async def _ask(self, symbol: str) -> None:
        began = self._clock()
        self.metrics.calls += 1
        try:
            async with asyncio.timeout(self._limits.call_within / SECOND):
                fetched = await self._fetch(symbol)
        except UnknownSymbol:
            self._entries.pop(symbol, None)
            self._make_room(self._unknown)
            self._unknown[symbol] = self._clock() + self._jittered(self._limits.unknown_for, 20)
        except Exception as error:
            self._failed(symbol, error)
        else:
            self._keep(symbol, fetched, began)

    def _keep(self, symbol: str, fetched: Fetched[Value], began: int) -> None:
        now = self._clock()
        tier = self.tier_of(symbol)
        self._unknown.pop(symbol, None)
        self._not_before.pop(symbol, None)
        if symbol not in self._entries:
            self._make_room(self._entries)
        self._entries[symbol] = _Entry(
            fetched.value,
            min(fetched.as_of, now),
            now,
            now + self._jittered(tier.ttl, tier.jitter_percent),
            now - began,
        )

    def _failed(self, symbol: str, error: Exception) -> None:
        self.metrics.failures += 1
        now = self._clock()
        self._make_room(self._not_before)
        self._not_before[symbol] = now + self._jittered(self._limits.again_after, 20)
        entry = self._entries.get(symbol)
        if entry is not None:
            hung = isinstance(error, TimeoutError)
            entry.failed = "its source does not answer" if hung else "its source failed"

    def _jittered(self, time: int, percent: int) -> int:
        return time + self._random.randint(-percent, percent) * time // 100

    def _make_room(self, kept: dict[str, int] | dict[str, _Entry[Value]]) -> None:
        """Forget what was kept first, beyond the bound: names are a client's to invent."""
        while len(kept) >= self._limits.most:
            del kept[next(iter(kept))]
