"""The cache in front of market data: fresh within the bound, and one call at a time, exactly."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from application.market_data.cache import (
    AGES_UP_TO,
    CacheLimits,
    Fetched,
    SnapshotCache,
    SourceAway,
    UnknownSymbol,
)
from application.market_data.hot_symbols import HotLimits
from application.market_data.tiers import MILLISECOND, SECOND, TIER_1, Tier, Tiers
from application.market_data.warm_up import BEFORE_OPEN, keep_warm, warm_time
from tests.virtual_time import now, run

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


def test_requests_that_miss_together_wait_for_one_call() -> None:
    """5,000 clients that ask at once cost the source one call, and get one answer."""

    async def spike() -> None:
        source = Source(10 * MILLISECOND)
        cache = cached(source)

        answers = await asyncio.gather(*(cache.get("AAPL") for _ in range(5_000)))

        assert {(1, 10 * MILLISECOND, 1)} == {answer[:3] for answer in answers}
        assert (1, 1, 5_000) == (source.calls["AAPL"], source.most_at_once, cache.metrics.waits)

    run(spike())


def test_stale_answer_is_served_while_it_is_refreshed() -> None:
    """Between the ttl and the bound nobody waits; beyond it everybody waits for the one call."""

    async def ages() -> None:
        source = Source()
        cache = cached(source)
        await cache.get("AAPL")

        await asyncio.sleep(0.070)
        stale = await cache.get("AAPL")
        assert (1, 71 * MILLISECOND, 1) == stale[:3]
        await asyncio.sleep(0.002)
        assert 2 == (await cache.get("AAPL")).value
        assert 1 == cache.metrics.waits

        await asyncio.sleep(0.200)
        fresh = await cache.get("AAPL")
        assert (3, MILLISECOND) == fresh[:2]
        assert 2 == cache.metrics.waits

    run(ages())


def test_leading_symbol_is_never_older_than_its_bound() -> None:
    """Whatever the source takes, and however requests fall, a tier-1 answer is under 100 ms old."""

    async def a_day() -> None:
        chance = Random(3)
        source = Source()
        cache = cached(source, CacheLimits())
        for _ in range(20_000):
            source.takes = chance.choice((100, MILLISECOND, 10 * MILLISECOND, 60 * MILLISECOND))
            await asyncio.sleep(chance.expovariate(chance.choice((5, 100, 2_000))))
            assert (await cache.get("AAPL")).age <= TIER_1.served_until
        assert source.most_at_once == 1
        assert 50 * MILLISECOND < cache.metrics.ages[1].oldest <= TIER_1.served_until

    run(a_day())


def test_answer_that_is_too_old_when_it_comes_is_refused() -> None:
    """The age counts from when the source was at the log's head, not from when it answered."""

    async def behind() -> None:
        source = Source()
        cache = cached(source)
        source.behind = 150 * MILLISECOND

        with pytest.raises(SourceAway, match=r"AAPL .* its source is 0\.151 s behind"):
            await cache.get("AAPL")
        assert 1 == cache.metrics.refused_age

    run(behind())


def test_symbols_fetched_together_do_not_expire_together() -> None:
    """Each ttl stands off by chance: of 1,000 symbols few are fetched in the same millisecond."""

    async def expiries() -> None:
        source = Source(1)
        cache = cached(source, tiers=Tiers(symbols={}), hot=HotLimits(rates=()))
        symbols = [f"S{number}" for number in range(1_000)]
        await asyncio.gather(*(cache.get(symbol) for symbol in symbols))
        fetched_at: Counter[int] = Counter()
        while now() < 1_210 * MILLISECOND:
            before, at = source.calls.total(), now() // MILLISECOND
            for symbol in symbols:
                await cache.get(symbol)
            await asyncio.sleep(0.010)
            fetched_at[at] = source.calls.total() - before

        assert 1_000 == fetched_at.total()
        apart = [at for at, count in fetched_at.items() if count]
        assert 800 <= min(apart) <= 815
        assert 1_190 <= max(apart) <= 1_215
        assert max(fetched_at.values()) < 60

    run(expiries())


def test_slow_source_is_asked_before_an_answer_expires() -> None:
    """By chance one request of many finds the answer old early, so that none has to wait."""

    async def early() -> None:
        source = Source(20 * MILLISECOND)
        cache = cached(source, CacheLimits(early=1))
        await cache.get("AAPL")
        for _ in range(5_000):
            await asyncio.sleep(0.001)
            await cache.get("AAPL")

        assert 1 == cache.metrics.waits
        # 5 s, a call every 50 ms at the latest, and never one beside another.
        assert 80 < source.calls["AAPL"] < 250
        assert 1 == source.most_at_once

    run(early())


@pytest.mark.parametrize("takes", [300, MILLISECOND, 10 * MILLISECOND])
def test_spike_costs_the_source_a_tenth_and_has_no_stampede(takes: int) -> None:
    """Prices jump, and 5,000 clients ask within 20 ms of each jump: the source is called at most a
    tenth as often as by a cache that only lets answers expire.
    """

    async def spike() -> tuple[Source, Source]:
        source, naive_source = Source(takes), Source(takes)
        cache = cached(source, CacheLimits())
        chance = Random(11)
        kept: dict[str, tuple[int, int]] = {}

        async def naive(symbol: str) -> None:
            found = kept.get(symbol)
            if found is None or found[1] <= now():
                fetched = await naive_source.fetch(symbol)
                kept[symbol] = (fetched.value, now() + TIER_1.ttl)

        async def client() -> None:
            for jump in range(4):
                await asyncio.sleep(jump / 10 + chance.random() / 50 - now() / SECOND)
                symbol = chance.choice(("AAPL", "GOOGL", "MSFT", "AMZN"))
                assert (await cache.get(symbol)).age <= TIER_1.served_until
                await naive(symbol)

        await asyncio.gather(*(client() for _ in range(5_000)))
        return source, naive_source

    source, naive_source = run(spike())
    assert 1 == source.most_at_once
    assert naive_source.most_at_once > 10
    assert source.calls.total() * 10 <= naive_source.calls.total()


def test_source_that_fails_is_covered_within_the_bound_and_then_refused() -> None:
    """An older answer comes with a warning; beyond the bound there is a clear refusal."""

    async def failing() -> None:
        source = Source()
        cache = cached(source)
        await cache.get("IBM")
        source.fails = lambda symbol: symbol == "IBM"

        await asyncio.sleep(10)
        covered = await cache.get("IBM")
        assert (1, "its source failed") == (covered.value, covered.warning)
        with pytest.raises(SourceAway, match="IBM that is young enough: its source failed"):
            await asyncio.sleep(25)
            await cache.get("IBM")
        assert 1 == (await cache.get("AAPL")).value

    run(failing())


def test_failed_source_is_left_alone_for_a_moment() -> None:
    """A thousand requests a second make ten calls of a source that is down."""

    async def down() -> None:
        source = Source(0)
        source.fails = lambda _: True
        cache = cached(source)
        for _ in range(1_000):
            with pytest.raises(SourceAway):
                await cache.get("AAPL")
            await asyncio.sleep(0.001)

        assert 8 <= source.calls["AAPL"] <= 13

    run(down())


def test_symbol_that_hangs_harms_no_other_and_is_called_once() -> None:
    """Who asks for it is refused in time, every time; the others go on as ever."""

    async def hanging() -> None:
        source = Source()
        source.hangs = lambda symbol: symbol == "AAPL"
        cache = cached(source)
        began = now()
        refusals = await asyncio.gather(
            *(cache.get("AAPL") for _ in range(50)), return_exceptions=True
        )
        assert 250 * MILLISECOND == now() - began
        assert {"its source does not answer"} == {
            r.why for r in refusals if isinstance(r, SourceAway)
        }
        assert MILLISECOND == (await cache.get("MSFT")).age

        await asyncio.sleep(5)
        source.hangs = lambda _: False
        assert 2 == (await cache.get("AAPL")).value
        assert 1 == source.most_at_once
        await cache.stop()

    run(hanging())


def test_unknown_symbol_is_remembered_for_a_while() -> None:
    """Asking for what is not there costs one call; once it is listed it is found."""

    async def unknown() -> None:
        source = Source()
        source.unknown.add("NOPE")
        cache = cached(source)
        for _ in range(100):
            with pytest.raises(UnknownSymbol):
                await cache.get("NOPE")
        assert 1 == source.calls["NOPE"]

        source.unknown.clear()
        await asyncio.sleep(7)
        assert 2 == (await cache.get("NOPE")).value

    run(unknown())


def test_names_that_a_client_invents_do_not_fill_the_memory() -> None:
    """What is kept of symbols, known, unknown and failed, is bounded."""

    async def hostile() -> None:
        source = Source(0)
        limits = CacheLimits(most=100, early=0)
        cache = cached(source, limits, hot=HotLimits(most=100))
        for number in range(2_000):
            source.unknown = {f"X{number}"} if number % 3 else set()
            source.fails = lambda _, number=number: number % 3 == 1  # type: ignore[misc]
            with suppress(UnknownSymbol, SourceAway):
                await cache.get(f"X{number}")

        kept = (cache._entries, cache._unknown, cache._not_before, cache.hot)
        assert all(len(part) <= 100 for part in kept)
        assert not cache._calls

    run(hostile())


def test_symbol_that_many_ask_for_is_raised_and_lowered_again() -> None:
    """It gets the freshness of the first tier while it is hot, and loses it when it cools."""

    async def heat() -> None:
        source = Source()
        cache = cached(source, hot=HotLimits(rates=(100, 10), half_life=SECOND))
        assert 3 == (await cache.get("GME")).tier
        for _ in range(3_000):
            await asyncio.sleep(0.005)
            hot = await cache.get("GME")
        assert (1, 1) == (hot.tier, cache.tier_of("GME").number)
        assert hot.age <= TIER_1.served_until
        assert 2 == cache.hot.promoted

        await asyncio.sleep(2.5)
        cache.hot.cool(now())
        assert 2 == cache.tier_of("GME").number
        await asyncio.sleep(10)
        cache.hot.cool(now())
        assert 3 == cache.tier_of("GME").number
        assert 1 == cache.tier_of("AAPL").number

    run(heat())


def test_rate_near_the_limit_does_not_swing_between_tiers() -> None:
    """Raised at the limit, lowered only well below it."""

    async def swing() -> None:
        chance = Random(5)
        cache = cached(Source(), hot=HotLimits(rates=(100,), half_life=SECOND))
        for _ in range(20_000):
            await asyncio.sleep(chance.expovariate(100))
            cache.hot.asked("GME", now())
        assert cache.hot.promoted - cache.hot.demoted == 1
        assert cache.hot.promoted <= 2

    run(swing())


def test_cache_is_warm_from_five_minutes_before_the_open() -> None:
    """The first request of the day waits for nobody, and nothing is fetched in the night."""
    opens_at = 3_600 * SECOND

    asked: list[int] = []

    async def next_open(after: int) -> int:
        asked.append(after)
        return opens_at if after < opens_at else 10**15

    async def morning() -> None:
        source = Source()
        cache = cached(source)
        warming = asyncio.create_task(keep_warm(cache, next_open, now))
        await asyncio.sleep((opens_at - BEFORE_OPEN) / SECOND - 1)
        assert 0 == source.calls.total()
        await asyncio.sleep(2)
        assert {"AAPL", "GOOGL", "MSFT", "AMZN"} == set(source.calls)
        await asyncio.sleep(BEFORE_OPEN / SECOND - 1)
        for symbol in ("AAPL", "GOOGL", "MSFT", "AMZN"):
            assert (await cache.get(symbol)).age <= TIER_1.served_until
        assert (0, 4) == (cache.metrics.waits, cache.metrics.hits)
        after = source.calls.total()
        await asyncio.sleep(60)
        assert source.calls.total() < after + 4 * 200
        assert 1 == source.most_at_once
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)

    run(morning())
    assert (opens_at - BEFORE_OPEN, opens_at + 5 * SECOND) == warm_time(opens_at)
    # Once a minute, and when the open is over: who answers may have to ask a store.
    assert len(asked) <= 3_660 // 60 + 3


def test_symbol_that_hangs_before_the_open_keeps_no_other_cold() -> None:
    """Warming begins a call of each and waits for none; and who cannot say when it opens is asked
    again.
    """

    async def morning() -> None:
        source = Source()
        source.hangs = lambda symbol: symbol == "AAPL"
        cache = cached(source)
        told: list[int | None] = [None, 600 * SECOND]

        async def next_open(_: int) -> int | None:
            return told.pop(0) if len(told) > 1 else told[0]

        warming = asyncio.create_task(keep_warm(cache, next_open, now))
        await asyncio.sleep(590)
        for _ in range(50):
            await asyncio.sleep(0.013)
            assert (await cache.get("MSFT")).age <= TIER_1.served_until
        assert 0 == cache.metrics.waits
        assert 1 == source.most_at_once
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await cache.stop()

    run(morning())


def test_ages_are_counted_by_tier() -> None:
    """Every answer without a warning once, between the bounds where it lies."""

    async def count() -> None:
        cache = cached(Source(MILLISECOND))
        for _ in range(3):
            await cache.get("AAPL")
            await asyncio.sleep(0.030)
        await cache.get("IBM")

        ages = cache.metrics.ages
        assert {1, 3} == set(ages)
        counted = dict(zip((*AGES_UP_TO, None), ages[1].counts, strict=True))
        assert {1: 1, 50: 1, 75: 1} == {bound: n for bound, n in counted.items() if n}
        assert (61 * MILLISECOND, 93 * MILLISECOND) == (ages[1].oldest, ages[1].together)
        assert 1 == sum(ages[3].counts)

    run(count())


@pytest.mark.parametrize(
    ("build", "wrong"),
    [
        (lambda: Tier(1, 0, 1, 1), "ttl"),
        (lambda: Tier(1, 10, 5, 20), "served_until"),
        (lambda: Tier(1, 5, 10, 8), "failing_until"),
        (lambda: Tier(1, 5, 10, 20, jitter_percent=100), "jitter_percent"),
        (lambda: Tiers(tiers=(TIER_1, TIER_1)), "numbered from 1"),
        (lambda: Tiers(symbols={4: ("A",)}), "no tier 4"),
        (lambda: Tiers(symbols={1: ("A",), 2: ("A",)}), "A is of two tiers"),
    ],
)
def test_bounds_that_contradict_each_other_are_refused(
    build: Callable[[], object], wrong: str
) -> None:
    """A cache that could never keep its promise is not built."""
    with pytest.raises(ValueError, match=wrong):
        build()
