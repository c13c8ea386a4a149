"""The cache in front of market data: fresh within the bound, and one call at a time, exactly."""

from __future__ import annotations

import asyncio
from collections import Counter
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
from application.market_data.tiers import MILLISECOND, SECOND, TIER_1, Tiers
from tests.market_source import STEADY, Source, cached
from tests.virtual_time import now, run


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


def test_answer_that_grows_old_before_a_request_goes_on_is_fetched_again() -> None:
    """A process that is late itself waits for the next call, and refuses nothing that is young."""

    async def late() -> None:
        source = Source()
        skew = [0]

        async def fetch(symbol: str) -> Fetched[int]:
            fetched = await source.fetch(symbol)
            if source.calls[symbol] == 1:
                # All the clients are let go on, and the last of them 150 ms later.
                asyncio.get_running_loop().call_soon(skew.append, 150 * MILLISECOND)
            return Fetched(fetched.value, fetched.as_of + sum(skew))

        cache = SnapshotCache(fetch, lambda: now() + sum(skew), limits=STEADY)
        answers = await asyncio.gather(*(cache.get("AAPL") for _ in range(20)))
        assert {(2, MILLISECOND)} == {answer[:2] for answer in answers}
        assert (0, 1, 20) == (cache.metrics.refused_age, source.most_at_once, cache.metrics.waits)

    run(late())


def test_call_that_hangs_is_waited_for_by_the_first_alone() -> None:
    """Who comes when it has hung for longer than anybody waits is answered at once."""

    async def hanging() -> None:
        source = Source()
        cache = cached(source)
        await cache.get("IBM")
        source.hangs = lambda _: True
        await asyncio.sleep(3)
        began = now()
        first = await cache.get("IBM")
        assert (250 * MILLISECOND, "its source does not answer") == (now() - began, first.warning)
        began = now()
        assert "its source does not answer" == (await cache.get("IBM")).warning
        assert 0 == now() - began
        await cache.stop()

    run(hanging())


def test_request_that_is_given_up_leaves_the_others_waiting_for_the_same_call() -> None:
    """A client that hangs up ends its own wait and nobody else's."""

    async def given_up() -> None:
        source = Source(10 * MILLISECOND)
        cache = cached(source)
        waiting = [asyncio.create_task(cache.get("AAPL")) for _ in range(3)]
        await asyncio.sleep(0.005)
        waiting[0].cancel()
        await asyncio.gather(waiting[0], return_exceptions=True)
        assert {1} == {(await one).value for one in waiting[1:]}
        assert 1 == source.calls["AAPL"]

    run(given_up())


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
