"""Kinds of subscribers: what each is promised, and that none of them holds anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from projections.market_data.depth import BookChanges
from projections.market_data.fanout import Fanout
from projections.market_data.records import LOG, Kind, Record
from projections.market_data.subscribers import Conflating, Critical, Lossy, Place, Stretch
from projections.market_data.waking import Waker

QUOTE, TRADE, LEVEL = int(Kind.QUOTE), int(Kind.TRADE), int(Kind.LEVEL)
OUTSIDE = 2
MILLI = 1_000


class LoopClock:
    """The loop's own clock, in microseconds."""

    def now(self) -> int:
        """The present moment."""
        return int(asyncio.get_running_loop().time() * 1_000_000)


def told(sequence: int, instrument: int = 0, kind: int = QUOTE, source: int = LOG) -> Record:
    """An update whose command ends at the position of its number."""
    return Record(source, instrument, kind, 0, sequence, 0, sequence if source == LOG else 0)


class NoBooks:
    """A feed in which no book ever changes."""

    def changes(self, instrument: int, after: int | None) -> BookChanges:
        """An empty book."""
        return BookChanges(0, [], after is None)


class WrittenLog:
    """A log of quotes of instrument 0, one a position, and who asked for what."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.asked: list[int] = []

    async def read(self, place: Place) -> Stretch:
        """The next three."""
        self.asked.append(place.position)
        await asyncio.sleep(0)
        upto = min(place.position + 3, self.end)
        return Stretch([told(number) for number in range(place.position + 1, upto + 1)], upto)


def ring(records: int = 16, subscribers: int = 128) -> Fanout:
    """A small feed."""
    return Fanout(records=records, instruments=4, subscribers=subscribers)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long."""

    async def within() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(within())


# -- lossy ---------------------------------------------------------------------------------


def test_feed_lossy_subscriber_counts_exactly_what_the_ring_had_no_more():
    """Of its own rows only, and with what it is given everything is told of."""
    fanout = ring()
    lossy = Lossy(fanout)
    fanout.publish(told(1))
    lossy.subscribe(0, QUOTE)
    for number in range(2, 102):
        fanout.publish(told(number))
        fanout.publish(told(number, 1))

    given = []
    while page := lossy.take(3):
        given += page

    assert list(range(94, 102)) == [one.sequence for one in given]
    assert 100 == lossy.dropped + len(given)


def test_feed_lossy_subscriber_is_given_nothing_from_before_it_subscribed():
    """Nor what it missed between two subscriptions; neither counts as dropped."""
    fanout = ring()
    lossy = Lossy(fanout)
    fanout.publish(told(1))
    lossy.subscribe(0, QUOTE)
    lossy.subscribe(0, QUOTE)
    fanout.publish(told(2))
    assert [2] == [one.sequence for one in lossy.take()]

    lossy.unsubscribe(0, QUOTE)
    fanout.publish(told(3))
    lossy.subscribe(0, QUOTE)
    fanout.publish(told(4))

    assert [4] == [one.sequence for one in lossy.take()]
    assert 0 == lossy.dropped


def test_feed_subscriber_that_left_is_given_nothing_of_whoever_has_its_slot_now():
    """Its last page may be asked for after it was closed."""

    async def scene() -> None:
        fanout = ring(subscribers=1)
        makers = (
            lambda: Lossy(fanout),
            lambda: Critical(fanout, WrittenLog(9), 0),
            lambda: Conflating(fanout, NoBooks(), rate=10),
        )
        for number, make in enumerate(makers):
            left = make()
            left.subscribe(0, QUOTE)
            left.close()
            left.close()
            again = Lossy(fanout)
            assert again.slot == left.slot
            again.subscribe(0, QUOTE)
            fanout.publish(told(number + 1))

            if isinstance(left, Critical):
                assert [] == await left.read() == await left.take()
            elif isinstance(left, Conflating):
                assert [] == left.take(10**9)
            else:
                assert [] == left.take()
            assert [number + 1] == [one.sequence for one in again.take()]
            again.close()

    run(scene)


# -- critical ------------------------------------------------------------------------------


def test_feed_critical_subscriber_reads_past_the_ring_out_of_the_log_and_comes_back():
    """Forty records through a ring of sixteen while it slept: each once, in order, and the newest
    out of the ring again.
    """

    async def scene() -> None:
        fanout, log = ring(), WrittenLog(40)
        critical = Critical(fanout, log, 0)
        critical.subscribe(0, QUOTE)
        for number in range(1, 41):
            fanout.publish(told(number))

        given = []
        while page := await critical.read(5):
            given += page

        assert list(range(1, 41)) == [one.sequence for one in given]
        assert (40, 24) == (critical.position, critical.from_log)
        assert [0, 3, 6, 9, 12, 15, 18, 21] == log.asked

    run(scene)


def test_feed_critical_subscriber_of_a_quiet_instrument_is_not_behind():
    """What concerns it not may lap the ring: it has seen that it is not concerned."""

    async def scene() -> None:
        fanout, log = ring(), WrittenLog(0)
        critical = Critical(fanout, log, 0)
        critical.subscribe(3, QUOTE)
        for number in range(1, 100):
            fanout.publish(told(number, 1))
            assert [] == await critical.read()
        fanout.publish(told(100, 3))

        assert [100] == [one.sequence for one in await critical.read()]
        assert [] == log.asked

    run(scene)


def test_feed_critical_subscriber_is_not_given_what_is_in_no_log():
    """And what comes from outside does not move its place, however much of it there is."""

    async def scene() -> None:
        fanout, log = ring(), WrittenLog(1)
        critical = Critical(fanout, log, 0)
        for kind in (QUOTE, int(Kind.REFERENCE)):
            critical.subscribe(0, kind)
        fanout.publish(told(1))
        for number in range(50):
            fanout.publish(told(number, 0, int(Kind.REFERENCE), OUTSIDE))

        given = await critical.take()

        assert [1] == [one.sequence for one in given]
        assert [] == await critical.read()
        assert 1 == critical.position

    run(scene)


def test_feed_critical_subscriber_that_waits_is_woken_and_ends_when_it_is_closed():
    """It sleeps while there is nothing, and its task ends with it."""

    async def scene() -> None:
        fanout = ring()
        waker = Waker(fanout, LoopClock(), asyncio.get_running_loop())
        critical = Critical(fanout, WrittenLog(0), 0)
        critical.subscribe(0, QUOTE)
        waker.add(critical)
        taking = asyncio.create_task(critical.take())
        await asyncio.sleep(0)
        assert not taking.done()

        fanout.publish(told(1))
        assert [1] == [one.sequence for one in await taking]
        taking = asyncio.create_task(critical.take())
        await asyncio.sleep(0)
        waker.remove(critical)

        assert [] == await taking

    run(scene)


# -- conflating ----------------------------------------------------------------------------


def test_feed_conflating_subscriber_is_given_the_newest_and_told_how_much_that_stands_for():
    """The latest wins; the first it is given is what stands already."""
    fanout = ring()
    fanout.publish(told(1))
    client = Conflating(fanout, NoBooks(), rate=10)
    client.subscribe(0, QUOTE)
    client.subscribe(1, QUOTE)

    (first,) = client.take(0)
    for number in range(2, 60):
        fanout.publish(told(number))
    fanout.publish(told(3, 1))
    second, other = client.take(100 * MILLI)

    assert (True, 1, 0) == (first.whole, first.sequence, first.skipped)
    assert (False, 1, 59, 57) == (second.whole, second.previous, second.sequence, second.skipped)
    assert [59] == [one.sequence for one in second.records]
    assert (1, 3) == (other.instrument, other.sequence)
    assert 57 == client.skipped
    assert [] == client.take(200 * MILLI)


def test_feed_conflating_subscriber_is_throttled_to_its_rate():
    """A message every 100 ms at ten a second, and the newest waits for its turn."""
    fanout = ring()
    client = Conflating(fanout, NoBooks(), rate=10)
    client.subscribe(0, QUOTE)
    given = []
    for milli in range(1_000):
        fanout.publish(told(milli + 1))
        given += [update.sequence for update in client.take(milli * MILLI)]

    assert [1, 101, 201, 301, 401, 501, 601, 701, 801, 901] == given


def test_feed_conflating_subscriber_waits_at_most_an_interval_whatever_the_clock_does():
    """A clock that went back by an hour silences nobody."""
    fanout = ring()
    client = Conflating(fanout, NoBooks(), rate=10)
    client.subscribe(0, QUOTE)
    fanout.publish(told(1))
    assert client.take(3_600_000 * MILLI)
    fanout.publish(told(2))

    assert 100 * MILLI == client.due(0)


def test_feed_client_that_subscribes_is_told_what_stands_without_waiting_for_a_change():
    """Of a price that nobody moves for hours too; and again when it subscribes again."""

    async def scene() -> None:
        fanout, clock = ring(), LoopClock()
        fanout.publish(told(1))
        waker = Waker(fanout, clock, asyncio.get_running_loop())
        client = Conflating(fanout, NoBooks(), rate=1_000)
        waker.add(client)
        for _ in range(2):
            client.subscribe(0, QUOTE)
            await client.wait()
            assert [1] == [update.sequence for update in client.take(clock.now())]
        waker.close()

    run(scene)


@pytest.mark.parametrize("rate", [0, -1, 1_000_001])
def test_feed_rate_that_is_none_is_refused_by_its_name(rate):
    """Before a slot is taken."""
    fanout = ring(subscribers=1)
    with pytest.raises(ValueError, match=f"rate is {rate}"):
        Conflating(fanout, NoBooks(), rate=rate)
    fanout.open()


# -- waking --------------------------------------------------------------------------------


def test_feed_wakes_a_thousand_subscribers_with_few_callbacks_of_the_loop():
    """A batch a callback, and every one of them is told."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        fanout = ring(subscribers=1_000)
        waker = Waker(fanout, LoopClock(), loop)
        clients = [Lossy(fanout) for _ in range(1_000)]
        for client in clients:
            waker.add(client)
            client.subscribe(0, QUOTE)
        waiting = [asyncio.create_task(client.wait()) for client in clients]
        await asyncio.sleep(0)
        fanout.publish(told(1))
        turns, pairs = 0, list(zip(clients, waiting, strict=True))
        while not all(client._told or task.done() for client, task in pairs):
            turns += 1
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)

        assert turns <= 1_000 // 64 + 2
        assert all([1] == [one.sequence for one in client.take()] for client in clients)

    run(scene)


def test_feed_of_a_slow_subscriber_holds_neither_the_publisher_nor_the_others():
    """One never reads, one reads once, one keeps up: each has what it was promised."""

    async def scene() -> None:
        fanout = ring()
        waker = Waker(fanout, LoopClock(), asyncio.get_running_loop())
        asleep, slow, quick = Lossy(fanout), Critical(fanout, WrittenLog(1_000), 0), Lossy(fanout)
        given: list[int] = []
        for client in (asleep, slow, quick):
            waker.add(client)
            client.subscribe(0, QUOTE)

        async def keep_up() -> None:
            while not given or given[-1] < 1_000:
                await quick.wait()
                while page := quick.take():
                    given.extend(one.sequence for one in page)

        keeping = asyncio.create_task(keep_up())
        await asyncio.sleep(0)
        for number in range(1, 1_001):
            fanout.publish(told(number))
            if number % 8 == 0:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
        await keeping

        assert list(range(1, 1_001)) == given
        assert 0 == quick.dropped
        late = []
        while page := await slow.read():
            late += [one.sequence for one in page]
        assert list(range(1, 1_001)) == late

    run(scene)


def test_feed_tells_throttled_subscribers_when_they_are_due_and_one_that_left_never():
    """Each of a hundred at its rate; who left is not told, nor is who has its slot now."""

    async def scene() -> None:
        fanout, clock = ring(subscribers=200), LoopClock()
        waker = Waker(fanout, clock, asyncio.get_running_loop())
        clients = [Conflating(fanout, NoBooks(), rate=50) for _ in range(100)]
        for client in clients:
            waker.add(client)
            client.subscribe(0, QUOTE)
        given: list[list[int]] = [[] for _ in clients]
        taken_at: list[list[int]] = [[] for _ in clients]

        async def listen(number: int, client: Conflating) -> None:
            while not client.closed:
                await client.wait()
                now = clock.now()
                for update in client.take(now):
                    given[number].append(update.sequence)
                    taken_at[number].append(now)

        tasks = [asyncio.create_task(listen(*pair)) for pair in enumerate(clients)]
        for number in range(1, 101):
            fanout.publish(told(number))
            await asyncio.sleep(0.001)
            if number == 50:
                waker.remove(clients[0])
                again = Lossy(fanout)
                assert again.slot == clients[0].slot
                waker.add(again)
        while any(mine[-1] < 100 for mine in given[1:]):
            await asyncio.sleep(0.001)
        for client in clients[1:]:
            waker.remove(client)
        await asyncio.gather(*tasks)
        waker.close()

        assert given[0][-1] <= 50
        assert not again._told
        for mine, at in zip(given[1:], taken_at[1:], strict=True):
            assert mine == sorted(set(mine))
            assert all(later - sooner >= 20 * MILLI for sooner, later in pairwise(at))

    run(scene)


def test_feed_client_with_the_slot_of_one_that_left_keeps_its_own_turn():
    """The turn of who left is not taken for its own: it is told once it is due, and not before."""

    async def scene() -> None:
        fanout, clock = ring(subscribers=1), LoopClock()
        waker = Waker(fanout, clock, asyncio.get_running_loop())
        for rate in (20, 10):
            client = Conflating(fanout, NoBooks(), rate=rate)
            waker.add(client)
            client.subscribe(0, QUOTE)
            fanout.publish(told(fanout.head + 1))
            await client.wait()
            assert client.take(clock.now())
            fanout.publish(told(fanout.head + 1))
            await asyncio.sleep(0)
            if rate == 20:
                waker.remove(client)
        await client.wait()
        assert client.take(clock.now())
        waker.close()

    run(scene)
