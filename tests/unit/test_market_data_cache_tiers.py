"""Which symbols the cache keeps freshest, and that it does so before anybody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from application.market_data.hot_symbols import HotLimits
from application.market_data.tiers import SECOND, TIER_1, Tier, Tiers
from application.market_data.warm_up import BEFORE_OPEN, keep_warm, warm_time
from tests.market_source import Source, cached
from tests.virtual_time import now, run


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
        told: list[int | None] = [None, 380 * SECOND]

        async def next_open(_: int) -> int | None:
            return told.pop(0) if len(told) > 1 else told[0]

        warming = asyncio.create_task(keep_warm(cache, next_open, now))
        await asyncio.sleep(90)
        for _ in range(50):
            await asyncio.sleep(0.013)
            assert (await cache.get("MSFT")).age <= TIER_1.served_until
        assert 0 == cache.metrics.waits
        assert 1 == source.most_at_once
        warming.cancel()
        await asyncio.gather(warming, return_exceptions=True)
        await cache.stop()

    run(morning())


def test_leading_symbol_that_is_not_listed_is_not_warmed_again_and_again() -> None:
    """It is looked for as seldom as any unknown symbol is, also before an open."""

    async def morning() -> None:
        source = Source()
        source.unknown.add("AAPL")
        cache = cached(source)
        for _ in range(1_200):
            cache.warm(cache.hottest())
            await asyncio.sleep(0.025)
        assert 5 <= source.calls["AAPL"] <= 9
        assert source.calls["MSFT"] > 400

    run(morning())


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
