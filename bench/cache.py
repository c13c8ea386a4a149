"""Prices jump and 5,000 clients ask: without a cache, with a naive one and with ours, in one run.

The source is a market-data process of its own that trades meanwhile, asked over its socket as it
is, and with a millisecond and ten more. Whether two calls of a symbol are ever under way at once
is counted at the call itself.
"""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import uvloop

from api.market_data.mirror import Mirror
from api.market_snapshots import MOST_LEVELS, MarketSnapshots
from api.refusals import MarketDataUnavailable
from application.market_data.tiers import MILLISECOND, SECOND, TIER_1, Tiers
from bench.market_process import SYMBOLS
from bench.report import goal, machine, percentile, say
from bench.venue import plain_environment
from infrastructure.clock import SteadyClock, SystemClock
from projections.market_data.depth import ALL_LEVELS
from projections.market_data.feed import FeedAway, Snapshot

QUICK: dict[str, Any] = {"clients": 1_000, "jumps": 3, "quiet_seconds": 1.0}
NAMES = [f"B{number:03d}" for number in range(SYMBOLS)]
LEADING = NAMES[:4]
TIERS = Tiers(symbols={1: LEADING})
OURS, NAIVE, NONE = "ours", "naive cache", "no cache"
SLOWER = {"as it is": 0, "1 ms slower": MILLISECOND, "10 ms slower": 10 * MILLISECOND}
JUMP_EVERY = 100 * MILLISECOND
WITHIN = 20 * MILLISECOND
"""Prices jump ten times a second, and each client asks once within this time of each jump."""
MIX = (
    "each symbol is asked for once, and 20 ms later prices jump: after each of {jumps} jumps, one"
    " in 100 ms, each of {clients} clients asks within 20 ms, nine of ten for one of four symbols"
    " of tier 1, the others for four of tier 3; the source trades a thousand commands a second"
    " meanwhile"
)
LEFT_OUT = (
    "clients are tasks in the gateway's process: no HTTP, no rendering. The naive cache keeps an"
    " answer for the same 50 ms and asks when it has expired, as often as it is asked itself"
)

Ask = Callable[[str], Awaitable[int]]
"""Asks for a symbol; how old the answer was when it was given, in microseconds."""


class CountedSource:
    """The feed's process, asked through this; it counts what is under way for each symbol."""

    def __init__(self, mirror: Mirror, slower: int) -> None:
        self._mirror = mirror
        self._slower = slower
        self._running: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.most_at_once = 0
        self.took: list[int] = []

    async def snapshot(self, symbol: str, levels: int = ALL_LEVELS) -> Snapshot:
        """All that stands of a symbol."""
        self.calls[symbol] += 1
        self._running[symbol] += 1
        self.most_at_once = max(self.most_at_once, self._running[symbol])
        clock = SteadyClock()
        began = clock.now()
        try:
            if self._slower:
                await asyncio.sleep(self._slower / SECOND)
            return await self._mirror.snapshot(symbol, levels)
        finally:
            self._running[symbol] -= 1
            self.took.append(clock.now() - began)


class NaiveCache:
    """Keeps an answer for the ttl of tier 1; whoever finds it expired asks the source."""

    def __init__(self, source: CountedSource) -> None:
        self._source = source
        self._kept: dict[str, tuple[Snapshot, int]] = {}
        self._clock = SteadyClock()

    async def get(self, symbol: str) -> Snapshot:
        """What is kept, or what the source says."""
        kept = self._kept.get(symbol)
        if kept is not None and kept[1] > self._clock.now():
            return kept[0]
        snapshot = await self._source.snapshot(symbol, MOST_LEVELS)
        self._kept[symbol] = snapshot, self._clock.now() + TIER_1.ttl
        return snapshot


class Asked(NamedTuple):
    """What the clients saw: microseconds that answers took, ages of tier 1, refusals."""

    took: list[int]
    ages: list[int]
    refused: Counter[str]


async def never(_: int) -> None:
    """No calendar opens in a benchmark."""


def ours(source: CountedSource) -> MarketSnapshots:
    """A gateway's cache in front of a source."""
    feed: Any = source
    return MarketSnapshots(feed, never, SteadyClock(), SystemClock(), tiers=TIERS)


def asking(way: str, source: CountedSource, snapshots: MarketSnapshots) -> Ask:
    """How a symbol is asked for."""

    naive = NaiveCache(source)

    async def by_ours(symbol: str) -> int:
        return (await snapshots.get(symbol)).age

    async def by_naive(symbol: str) -> int:
        return age_of(await naive.get(symbol))

    async def uncached(symbol: str) -> int:
        return age_of(await source.snapshot(symbol, MOST_LEVELS))

    return {OURS: by_ours, NAIVE: by_naive, NONE: uncached}[way]


def age_of(snapshot: Snapshot) -> int:
    """How long ago its source knew itself at the head of the log."""
    assert snapshot.as_of is not None
    return SteadyClock().now() - snapshot.as_of


async def client(ask: Ask, when: list[tuple[int, str]], asked: Asked, clock: SteadyClock) -> None:
    """One client: asks when its time has come, and notes how old the answer is."""
    for at, symbol in when:
        if (wait := at - clock.now()) > 0:
            await asyncio.sleep(wait / SECOND)
        began = clock.now()
        try:
            age = await ask(symbol)
        except (MarketDataUnavailable, FeedAway):
            asked.refused[symbol] += 1
            continue
        asked.took.append(clock.now() - began)
        if symbol in LEADING:
            asked.ages.append(age)


async def spike(way: str, mirror: Mirror, slower: int, clients: int, jumps: int) -> dict[str, Any]:
    """All clients at once, jump by jump, one way."""
    chance, clock = Random(11), SteadyClock()
    source = CountedSource(mirror, slower)
    snapshots = ours(source)
    ask, asked = asking(way, source, snapshots), Asked([], [], Counter())
    # Not before all of them are there and wait.
    begins = clock.now() + clients * 200
    works = []
    for _ in range(clients):
        when = []
        for jump in range(jumps):
            symbols = LEADING if chance.random() < 0.9 else NAMES[4:]
            at = begins + jump * JUMP_EVERY + chance.randrange(WITHIN)
            when.append((at, chance.choice(symbols)))
        works.append(client(ask, when, asked, clock))
    # Trading had begun: somebody asked for each symbol a moment before.
    before = [(begins - WITHIN, name) for name in NAMES]
    works += [client(ask, [one], Asked([], [], Counter()), clock) for one in before]
    await asyncio.gather(*works)
    await snapshots.stop()
    asked.took.sort()
    return {
        "source calls": source.calls.total(),
        "answered": len(asked.took),
        "most at once of a symbol": source.most_at_once,
        "refused": asked.refused.total(),
        "refused for age": snapshots.cache.metrics.refused_age,
        "tier-1 age p100 ms": round(max(asked.ages, default=0) / MILLISECOND, 2),
        "answer p50 us": percentile(asked.took, 0.5),
        "answer p99 us": percentile(asked.took, 0.99),
        "source p50 us": percentile(sorted(source.took), 0.5),
    }


async def quiet(mirror: Mirror, seconds: float) -> dict[str, Any]:
    """Ours with a request a millisecond: what a hit takes, and what is refused for its age."""
    chance, clock = Random(7), SteadyClock()
    source = CountedSource(mirror, 0)
    snapshots = ours(source)
    cache = snapshots.cache.metrics
    hits, ages, refused, asked = [], [], 0, 0
    ends = clock.now() + int(seconds * SECOND)
    while clock.now() < ends:
        await asyncio.sleep(0.001)
        for _ in range(4):
            before, began = cache.hits, clock.now()
            asked += 1
            try:
                answer = await snapshots.get(chance.choice(LEADING))
            except MarketDataUnavailable:
                refused += 1
                continue
            if cache.hits > before:
                hits.append(clock.now() - began)
            ages.append(answer.age)
    await snapshots.stop()
    hits.sort()
    return {
        "requests": asked,
        "hits %": round(100 * len(hits) / asked, 2),
        "hit p50 us": percentile(hits, 0.5),
        "hit p99 us": percentile(hits, 0.99),
        "source calls": source.calls.total(),
        "source p50 us": percentile(sorted(source.took), 0.5),
        "refused for age %": round(100 * cache.refused_age / asked, 4),
        "refused %": round(100 * refused / asked, 4),
        "tier-1 age p100 ms": round(max(ages, default=0) / MILLISECOND, 2),
    }


async def one_hop(mirror: Mirror, calls: int = 2_000) -> dict[str, float]:
    """What every hit would cost more, did all API processes of a machine share a cache: the way to
    another process and back, here with a book of ten levels.
    """
    clock, took = SteadyClock(), []
    for number in range(calls):
        began = clock.now()
        await mirror.snapshot(NAMES[number % SYMBOLS], 10)
        took.append(clock.now() - began)
    took.sort()
    return {"p50 us": percentile(took, 0.5), "p99 us": percentile(took, 0.99)}


async def idle(mirror: Mirror, within: float = 30.0) -> None:
    """Return when the source has done all that was asked of it, by those too who gave up."""
    clock = SteadyClock()
    async with asyncio.timeout(within):
        for _ in range(3):
            took = SECOND
            while took > 20 * MILLISECOND:
                began = clock.now()
                with suppress(FeedAway):
                    await mirror.snapshot(NAMES[0], 1)
                took = clock.now() - began
                await asyncio.sleep(0.01)


@asynccontextmanager
async def source_process(standing: int) -> AsyncIterator[Mirror]:
    """A market-data process that trades, and the mirror of a gateway on it."""
    with TemporaryDirectory(prefix="nexus-bench-") as folder:
        path = Path(folder) / "feed.sock"
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.market_process", str(path), str(standing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=plain_environment(),
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            told = await asyncio.to_thread(process.stdout.readline)
            if told.strip() != b"ready":
                raise RuntimeError("the market-data process did not start")
            mirror = Mirror(path, SteadyClock())
            mirror.start()
            async with asyncio.timeout(10):
                while mirror.away:
                    await asyncio.sleep(0.01)
            yield mirror
            await mirror.stop()
        finally:
            process.stdin.close()
            process.wait(10)
            process.stdout.close()


async def measure(clients: int, jumps: int, quiet_seconds: float, standing: int) -> dict[str, Any]:
    """Every way with every source, and a quiet time."""
    figures: dict[str, Any] = {}
    async with source_process(standing) as mirror:
        say("a quiet time")
        figures["quiet"] = await quiet(mirror, quiet_seconds)
        figures["one hop over a socket"] = await one_hop(mirror)
        for name, slower in SLOWER.items():
            figures[name] = {}
            for way in (NONE, NAIVE, OURS):
                say(f"{clients} clients, {way}, source {name}")
                gc.collect()
                await idle(mirror)
                figures[name][way] = await spike(way, mirror, slower, clients, jumps)
    return figures


def calls_an_answer(figures: dict[str, Any]) -> float:
    """What an answer cost the source: who answers nobody has saved nothing."""
    return float(figures["source calls"] / max(1, figures["answered"]))


def run(
    clients: int = 5_000, jumps: int = 4, quiet_seconds: float = 5.0, standing: int = 20_000
) -> dict[str, Any]:
    """Measure, and judge by the goals."""
    if min(clients, jumps, standing) < 1 or quiet_seconds <= 0:
        raise ValueError("clients, jumps and standing are at least one each, and quiet takes time")
    about = machine()
    figures = uvloop.run(measure(clients, jumps, quiet_seconds, standing))
    ways = [figures[name] for name in SLOWER]
    fewer = {
        name: round(100 * (1 - calls_an_answer(one[OURS]) / calls_an_answer(one[NAIVE])), 2)
        for name, one in zip(SLOWER, ways, strict=True)
    }
    oldest = max(one[OURS]["tier-1 age p100 ms"] for one in [*ways, {OURS: figures["quiet"]}])
    at_once = max(one[OURS]["most at once of a symbol"] for one in ways)
    return {
        "figures": figures,
        "machine": about,
        "mix": MIX.format(clients=clients, jumps=jumps),
        "left_out": LEFT_OUT,
        "goals": [
            *(
                goal(f"percent_fewer_calls_than_naive, source {name}", value, 90)
                for name, value in fewer.items()
            ),
            goal("calls_of_a_symbol_at_once", at_once, 1, at_most=True),
            goal("tier_1_age_p100_ms", oldest, TIER_1.served_until / MILLISECOND, at_most=True),
            goal(
                "percent_refused_for_age_when_quiet",
                figures["quiet"]["refused for age %"],
                0.1,
                at_most=True,
            ),
        ],
    }
