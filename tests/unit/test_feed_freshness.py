"""How old market data is: fresh while its source says so, refused or waited for beyond a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from projections.market_data.fanout import Fanout
from projections.market_data.freshness import Bounded, Freshness, TooOld
from projections.market_data.records import LOG, Kind, Record

QUOTE = int(Kind.QUOTE)
OUTSIDE = 2
MILLI = 1_000


class SetClock:
    """A clock that stands where it is set."""

    def __init__(self) -> None:
        self.at = 5_000_000

    def now(self) -> int:
        """The set moment."""
        return self.at


def told(sequence: int, instrument: int = 0, kind: int = QUOTE, source: int = LOG) -> Record:
    """An update whose command ends at the position of its number."""
    return Record(source, instrument, kind, 0, sequence, 0, sequence if source == LOG else 0)


def ring(records: int = 16, subscribers: int = 128) -> Fanout:
    """A small feed."""
    return Fanout(records=records, instruments=4, subscribers=subscribers)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long."""

    async def within() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(within())


def test_feed_of_unmoved_prices_is_fresh_while_its_source_says_so():
    """Age is counted from when the source knew that it had told everything, not from the price."""
    clock, fanout = SetClock(), ring()
    freshness = Freshness(clock)
    bounded = Bounded(fanout, freshness)
    fanout.publish(told(1))
    with pytest.raises(TooOld, match="of an unknown age"):
        bounded.read(0, QUOTE)

    freshness.confirm(LOG, clock.at)
    clock.at += 3_600_000 * MILLI
    freshness.confirm(LOG, clock.at - 40 * MILLI)

    aged = bounded.read(0, QUOTE)
    assert aged.record is not None
    assert (1, 40 * MILLI) == (aged.record.sequence, aged.age)
    assert bounded.read(3, QUOTE).record is None


def test_feed_older_than_the_limit_is_refused():
    """At the limit it is served, a microsecond beyond it is not; 100 ms unless it is set."""
    clock, fanout = SetClock(), ring()
    freshness = Freshness(clock)
    bounded, strict = Bounded(fanout, freshness), Bounded(fanout, freshness, limit=5)
    fanout.publish(told(1))
    freshness.confirm(LOG, clock.at)

    clock.at += 100 * MILLI
    assert bounded.read(0, QUOTE).record is not None
    with pytest.raises(TooOld, match="100000 µs old, and at most 5 µs"):
        strict.read(0, QUOTE)
    clock.at += 1
    with pytest.raises(TooOld) as refusal:
        bounded.read(0, QUOTE)

    assert (100 * MILLI + 1, 100 * MILLI) == (refusal.value.age, refusal.value.limit)
    assert (1, 1) == (bounded.refused, strict.refused)


def test_feed_is_of_unknown_age_after_its_clock_went_back():
    """What may be old is not taken for new; the next confirmation heals it."""
    clock, fanout = SetClock(), ring()
    freshness = Freshness(clock)
    bounded = Bounded(fanout, freshness)
    freshness.confirm(LOG, clock.at)
    clock.at -= 1

    with pytest.raises(TooOld, match="unknown age"):
        bounded.read(0, QUOTE)
    freshness.confirm(LOG, clock.at)
    assert 0 == bounded.read(0, QUOTE).age


def test_feed_source_that_is_silent_makes_only_its_own_prices_old():
    """A reference feed that stops does not stop the venue's own."""
    clock, fanout = SetClock(), ring()
    freshness = Freshness(clock)
    own = Bounded(fanout, freshness)
    outside = Bounded(fanout, freshness, source=OUTSIDE)
    freshness.confirm(OUTSIDE, clock.at)
    clock.at += 200 * MILLI
    freshness.confirm(LOG, clock.at)

    assert 0 == own.read(0, QUOTE).age
    with pytest.raises(TooOld):
        outside.read(0, QUOTE)


def test_feed_reader_that_waits_is_served_once_the_source_has_caught_up():
    """And refused when that takes longer than it waits."""

    async def scene() -> None:
        clock, fanout = SetClock(), ring()
        freshness = Freshness(clock)
        bounded = Bounded(fanout, freshness)
        fanout.publish(told(1))
        freshness.confirm(LOG, clock.at - 500 * MILLI)
        waiting = asyncio.create_task(bounded.wait(0, QUOTE, within=10_000 * MILLI))
        await asyncio.sleep(0)
        freshness.confirm(OUTSIDE, clock.at)
        await asyncio.sleep(0)
        assert not waiting.done()

        freshness.confirm(LOG, clock.at)
        assert 0 == (await waiting).age
        clock.at += 500 * MILLI
        with pytest.raises(TooOld):
            await bounded.wait(0, QUOTE, within=MILLI)

    run(scene)
