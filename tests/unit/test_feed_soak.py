"""The feed under load for a while: it keeps what it was made with, however fast quotes come."""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc

import pytest

from infrastructure.clock import SteadyClock
from projections.market_data.depth import BookChanges
from projections.market_data.fanout import Fanout
from projections.market_data.records import LOG, Kind, Record
from projections.market_data.subscribers import Conflating, Critical, Lossy, Place, Stretch
from projections.market_data.waking import Waker

QUOTE = int(Kind.QUOTE)
A_SUBSCRIBER = 1_024
"""Bytes that one may have more or less of between two looks: a turn it waits for, a future."""


class NoBooks:
    """A feed in which no book ever changes."""

    def changes(self, instrument: int, after: int | None) -> BookChanges:
        """An empty book."""
        return BookChanges(0, [], after is None)


class QuoteLog:
    """A log of quotes, one a position."""

    async def read(self, place: Place) -> Stretch:
        """The next five hundred."""
        await asyncio.sleep(0)
        last = place.position + 500
        return Stretch([told(number) for number in range(place.position + 1, last + 1)], last)


def told(number: int) -> Record:
    """The quote at a position."""
    return Record(LOG, 0, QUOTE, 0, number, number, number, 100 + number % 7)


class Load:
    """Throttled clients, one that keeps up, some that sleep, one far behind."""

    def __init__(self, clients: int) -> None:
        self.clock = SteadyClock()
        self.fanout = Fanout(records=4_096, instruments=4, subscribers=1_000)
        self.waker = Waker(self.fanout, self.clock, asyncio.get_running_loop())
        self.number = 0
        self.told = [0] * clients
        self.kept_up = 0
        self.quick = Lossy(self.fanout)
        self.asleep = [Lossy(self.fanout) for _ in range(50)]
        self.behind = Critical(self.fanout, QuoteLog(), 0)
        self.clients = [Conflating(self.fanout, NoBooks(), rate=10) for _ in range(clients)]
        for subscriber in (self.quick, *self.asleep, self.behind, *self.clients):
            self.waker.add(subscriber)
            subscriber.subscribe(0, QUOTE)
        self._tasks = [asyncio.create_task(self._keep_up())]
        self._tasks += [asyncio.create_task(self._listen(n)) for n in range(clients)]

    async def _keep_up(self) -> None:
        while not self.quick.closed:
            await self.quick.wait()
            while page := self.quick.take():
                self.kept_up += len(page)

    async def _listen(self, number: int) -> None:
        client = self.clients[number]
        while not client.closed:
            await client.wait()
            for update in client.take(self.clock.now()):
                self.told[number] = update.sequence

    async def publish(self, rate: int, seconds: float) -> int:
        """So many quotes a second, or as fast as they go; the bytes that stand afterwards."""
        due = time.monotonic()
        for _ in range(int(200 * seconds)):
            due += 0.005
            for _ in range(rate // 200):
                self.number += 1
                self.fanout.publish(told(self.number))
            # A turn for the others, however late it is.
            await asyncio.sleep(max(0, due - time.monotonic()))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    async def leave(self) -> None:
        """Let the clients see the newest, then go."""
        async with asyncio.timeout(20):
            while min(self.told) < self.number or self.kept_up < self.number:
                await asyncio.sleep(0.01)
        for subscriber in (self.quick, *self.asleep, *self.clients):
            self.waker.remove(subscriber)
        await asyncio.gather(*self._tasks)


async def soaked(clients: int, seconds: float) -> None:
    """The same load at a rate and at ten times it."""
    tracemalloc.start()
    try:
        load = Load(clients)
        await load.publish(1_000, 0.3)
        slow = await load.publish(1_000, seconds)
        quick = await load.publish(10_000, seconds)
        assert abs(quick - slow) < A_SUBSCRIBER * (clients + 52)
        await load.leave()
    finally:
        tracemalloc.stop()
    assert 0 == load.quick.dropped
    assert [] == [one for one in load.asleep if one.cursor]
    given = 0
    while given < load.number and (page := await load.behind.read()):
        assert list(range(given + 1, given + len(page) + 1)) == [one.position for one in page]
        given = page[-1].position
    assert given == load.number
    assert load.behind.from_log > 0


def test_feed_keeps_no_more_at_ten_times_the_rate():
    """With subscribers that sleep, and others that are throttled; nobody that reads is left out."""
    asyncio.run(soaked(200, 0.4))


@pytest.mark.soak
def test_feed_keeps_no_more_after_minutes_at_ten_times_the_rate():
    """The same for a minute at each rate."""
    asyncio.run(soaked(900, 60.0))
