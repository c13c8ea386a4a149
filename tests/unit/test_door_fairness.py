"""Each key has its share of a gateway: a rate, places, and a line of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest

from api.door.fairness import (
    CANCELS_TIMES,
    KEYS_AT_ONCE,
    WAITING_OF_A_KEY,
    Bounds,
    Fairness,
    Kind,
    Pace,
)
from api.door.rates import Standing
from api.refusals import TooManyRequests
from domain.errors import QueueFull, Rejection

BOUNDS = Bounds(requests_per_second=10, under_way=2, sockets=3, oldest_seconds=1.0)


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Gateway:
    """Requests of some keys, each under way until it is told to end."""

    def __init__(self, bounds: Bounds = BOUNDS) -> None:
        self.time = Time()
        self.fairness = Fairness(bounds, self.time)
        self.under_way: list[tuple[str, int]] = []
        self._ends: dict[tuple[str, int], asyncio.Event] = {}

    def ask(
        self, key_id: str, number: int, kind: Kind = Kind.ORDER, waited: float = 0.0
    ) -> asyncio.Task[str]:
        """Begin a request; what becomes of it is its code, or nothing."""
        return asyncio.create_task(self._serve((key_id, number), kind, waited))

    async def _serve(self, name: tuple[str, int], kind: Kind, waited: float) -> str:
        try:
            await self.fairness.enter(name[0], kind, waited)
        except Rejection as refusal:
            return refusal.code
        self.under_way.append(name)
        self._ends[name] = asyncio.Event()
        try:
            await self._ends[name].wait()
        finally:
            self.under_way.remove(name)
            self.fairness.leave(name[0], kind)
        return ""

    def end(self, key_id: str, number: int) -> None:
        """Answer a request."""
        self._ends[key_id, number].set()

    async def settle(self) -> list[tuple[str, int]]:
        """What is under way when everything went on that can."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self.under_way


def play(scene: Callable[[Gateway], Awaitable[None]], bounds: Bounds = BOUNDS) -> None:
    """Have a scene happen, and leave nobody behind."""

    async def main() -> None:
        gateway = Gateway(bounds)
        await scene(gateway)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await gateway.settle()
        assert all(not places._lines for places in gateway.fairness._places.values())
        assert all(not places._turns for places in gateway.fairness._places.values())

    asyncio.run(main())


def test_one_key_has_so_many_under_way_and_the_rest_wait_in_order() -> None:
    """Beyond its places a key's requests wait, and go on one by one as others end."""

    async def scene(gateway: Gateway) -> None:
        for number in range(5):
            gateway.ask("a", number)
        assert [("a", 0), ("a", 1)] == await gateway.settle()
        gateway.end("a", 1)
        assert [("a", 0), ("a", 2)] == await gateway.settle()
        gateway.end("a", 0)
        gateway.end("a", 2)
        assert [("a", 3), ("a", 4)] == await gateway.settle()

    play(scene)


def test_no_key_waits_behind_the_line_of_another() -> None:
    """Whatever one key has in line, another's request goes on at once."""

    async def scene(gateway: Gateway) -> None:
        for number in range(500):
            gateway.ask("a", number)
        await gateway.settle()
        gateway.ask("b", 0)
        assert ("b", 0) in await gateway.settle()

    play(scene)


def test_keys_that_wait_for_the_same_places_are_served_by_turns() -> None:
    """Where all places are taken each key that waits has the next one, one after the other."""

    async def scene(gateway: Gateway) -> None:
        for number in range(KEYS_AT_ONCE):
            gateway.ask(f"full {number}", 0)
            gateway.ask(f"full {number}", 1)
        await gateway.settle()
        for number in range(3):
            gateway.ask("a", number)
        for number in range(3):
            gateway.ask("b", number)
        assert 2 * KEYS_AT_ONCE == len(await gateway.settle())
        came = []
        for number in range(4):
            gateway.end(f"full {number}", 0)
            came.append((await gateway.settle())[-1])
        assert [("a", 0), ("b", 0), ("a", 1), ("b", 1)] == came

    play(scene)


def test_cancels_and_reads_wait_for_no_order() -> None:
    """Each kind has places of its own: where orders wait, risk can be taken away."""

    async def scene(gateway: Gateway) -> None:
        for number in range(100):
            gateway.ask("a", number)
        gateway.ask("a", 1_000, Kind.CANCEL)
        gateway.ask("a", 1_001, Kind.READ)
        assert {("a", 1_000), ("a", 1_001)} <= set(await gateway.settle())

    play(scene)


def test_line_in_which_one_waits_too_long_takes_no_more() -> None:
    """429 at once when it is the key's own; what stands in line stays."""

    async def scene(gateway: Gateway) -> None:
        tasks = [gateway.ask("a", number) for number in range(4)]
        await gateway.settle()
        gateway.time.now += 1.01
        assert "TOO_MANY_REQUESTS" == await gateway.ask("a", 4)
        gateway.ask("b", 0)
        assert ("b", 0) in await gateway.settle()
        for number in (0, 1):
            gateway.end("a", number)
        await gateway.settle()
        for number in (2, 3):
            gateway.end("a", number)
        assert [""] * 4 == await asyncio.gather(*tasks)
        gateway.ask("a", 5)
        assert ("a", 5) in await gateway.settle()

    play(scene)


def test_request_waits_in_line_no_longer_than_anybody_has_use_for() -> None:
    """It is refused then, and what comes after it has its turn all the same."""

    async def scene(gateway: Gateway) -> None:
        gateway.ask("a", 0)
        gateway.ask("a", 1)
        waits = [gateway.ask("a", number) for number in (2, 3)]
        assert ["TOO_MANY_REQUESTS"] * 2 == await asyncio.gather(*waits)
        gateway.ask("a", 4)
        gateway.end("a", 0)
        assert [("a", 1), ("a", 4)] == await gateway.settle()

    play(scene, BOUNDS._replace(oldest_seconds=0.02))


def test_what_a_request_waited_to_be_begun_counts_to_its_age() -> None:
    """But for one that takes risk away."""

    async def scene(gateway: Gateway) -> None:
        for number in (0, 1):
            gateway.ask("a", number, waited=29.0)
        for number in range(2 * CANCELS_TIMES):
            gateway.ask("a", 10 + number, Kind.CANCEL)
        cancel = gateway.ask("a", 30, Kind.CANCEL, waited=29.98)
        assert "TOO_MANY_REQUESTS" == await gateway.ask("a", 2, waited=29.98)
        assert 2 + 2 * CANCELS_TIMES == len(gateway.under_way)
        assert not cancel.done()
        waits = gateway.ask("a", 3, waited=29.0)
        await gateway.settle()
        gateway.time.now += 1.01
        assert "TOO_MANY_REQUESTS" == await gateway.ask("a", 4)
        assert not waits.done()

    play(scene, BOUNDS._replace(oldest_seconds=30.0))


def test_what_waits_too_long_to_be_begun_hears_whose_fault_that_is() -> None:
    """429 where its key waits alone or has all its places, 503 where others wait as well."""

    async def scene(gateway: Gateway) -> None:
        for number in (0, 1):
            gateway.ask("full", number)
        await gateway.settle()
        asked = [("full", False), ("alone", True), ("one of many", False)]
        late = [gateway.fairness.too_late(key, Kind.ORDER, alone=alone) for key, alone in asked]
        assert ["TOO_MANY_REQUESTS"] * 2 + ["QUEUE_FULL"] == [one.code for one in late]

    play(scene)


def test_long_line_of_others_is_no_reason_to_refuse_who_has_none() -> None:
    """As long as keys have their turn in time."""

    async def scene(gateway: Gateway) -> None:
        keys = [f"many {number}" for number in range(KEYS_AT_ONCE)]
        for key_id in keys:
            for number in range(6):
                gateway.ask(key_id, number)
        await gateway.settle()
        gateway.time.now += 0.9
        for key_id in keys:
            gateway.end(key_id, 0)
            await gateway.settle()
        gateway.time.now += 0.2
        other = gateway.ask("other", 0)
        await gateway.settle()
        assert not other.done()
        for number, key_id in enumerate(keys):
            assert number < 4
            gateway.end(key_id, 1)
        assert ("other", 0) in await gateway.settle()

    play(scene)


def test_crowd_that_waited_too_long_hears_that_its_own_key_asks_too_much() -> None:
    """Each of it, though places are free by the time that the last one hears it."""

    async def scene(gateway: Gateway) -> None:
        gateway.ask("a", 0)
        gateway.ask("a", 1)
        waits = [gateway.ask("a", number) for number in range(2, 20)]
        await gateway.settle()
        loop = asyncio.get_running_loop()
        for number in (0, 1):
            loop.call_later(0.001, gateway.end, "a", number)
        # Whoever has places leaves and whoever waits is passed over in one turn of the loop.
        time.sleep(0.1)
        assert ["TOO_MANY_REQUESTS"] * 18 == await asyncio.gather(*waits)

    play(scene, BOUNDS._replace(oldest_seconds=0.02))


def test_line_of_a_key_has_an_end() -> None:
    """However young what waits is."""

    async def scene(gateway: Gateway) -> None:
        for number in range(2 + WAITING_OF_A_KEY):
            gateway.ask("a", number)
        await gateway.settle()
        assert "TOO_MANY_REQUESTS" == await gateway.ask("a", -1)

    play(scene)


def test_venue_that_is_too_busy_for_all_says_so() -> None:
    """503 where no key has more than its share, and one waits for too long all the same."""

    async def scene(gateway: Gateway) -> None:
        for number in range(KEYS_AT_ONCE):
            gateway.ask(f"full {number}", 0)
            gateway.ask(f"full {number}", 1)
        await gateway.settle()
        gateway.ask("a", 0)
        await gateway.settle()
        gateway.time.now += 0.9
        waits = gateway.ask("b", 0)
        await gateway.settle()
        gateway.time.now += 0.2
        assert "QUEUE_FULL" == await gateway.ask("c", 0)
        assert "TOO_MANY_REQUESTS" != await gateway.ask("d", 0)
        assert not waits.done()

    play(scene)


@pytest.mark.parametrize("place_given", [False, True])
def test_client_that_hangs_up_in_line_keeps_no_place(place_given: bool) -> None:
    """Whether its turn has come in the very same moment or not."""

    async def scene(gateway: Gateway) -> None:
        tasks = [gateway.ask("a", number) for number in range(4)]
        await gateway.settle()
        if place_given:
            gateway.end("a", 0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        tasks[2].cancel()
        await gateway.settle()
        gateway.end("a", 1)
        await gateway.settle()
        if not place_given:
            gateway.end("a", 0)
            await gateway.settle()
        assert [("a", 3)] == gateway.under_way
        gateway.ask("a", 4)
        assert [("a", 3), ("a", 4)] == await gateway.settle()

    play(scene)


def test_rate_of_a_key_is_a_second_of_it_at_once_and_then_as_time_goes_by() -> None:
    """What is over it is not counted; another key has its own."""
    time = Time()
    fairness = Fairness(BOUNDS, time)

    said = [fairness.count("a") for _ in range(12)]
    assert [True] * 10 + [False] * 2 == [taken for taken, _ in said]
    assert Standing(10, 9, 1) == said[0][1]
    assert Standing(10, 0, 1) == said[9][1]
    assert (True, Standing(10, 9, 1)) == fairness.count("b")
    time.now += 0.25
    assert [True, True, False] == [fairness.count("a")[0] for _ in range(3)]
    time.now += 60
    assert (True, Standing(10, 9, 1)) == fairness.count("a")


def test_sockets_of_a_key_are_counted_while_they_are_open() -> None:
    """So many and no more, and again as many when they are closed."""
    fairness = Fairness(BOUNDS, Time())
    for _ in range(3):
        fairness.open_socket("a")
    with pytest.raises(TooManyRequests):
        fairness.open_socket("a")
    fairness.open_socket("b")
    fairness.close_socket("a")
    fairness.open_socket("a")
    for key_id in "aaab":
        fairness.close_socket(key_id)
    assert not fairness._sockets


def test_turn_counts_and_waits_and_gives_its_place_back() -> None:
    """Over a socket as over HTTP, whatever becomes of it."""

    async def main() -> None:
        fairness = Fairness(Bounds(requests_per_second=3, under_way=1), Time())
        for _ in range(2):
            with pytest.raises(QueueFull):
                async with fairness.turn("a", Kind.ORDER):
                    raise QueueFull
        async with fairness.turn("a", Kind.ORDER):
            pass
        with pytest.raises(TooManyRequests):
            async with fairness.turn("a", Kind.ORDER):
                raise AssertionError

    asyncio.run(main())


def test_refusals_are_told_at_a_pace_and_not_the_more_often_the_more_are_asked_for() -> None:
    """Some at once; then each later than the one before, and none later than ten seconds."""
    time = Time()
    pace = Pace(per_second=10, at_once=3, longest=10, clock=time)

    assert [0.0, 0.0, 0.0, 0.1, 0.2] == [round(pace.pause(), 6) for _ in range(5)]
    time.now += 0.5
    assert [0.0, 0.0, 0.0, 0.1] == [round(pace.pause(), 6) for _ in range(4)]
    pauses = [pace.pause() for _ in range(1_000)]
    assert 10.0 >= max(pauses) > 9.9
    capped = sorted(pauses[100:])
    assert 0.1 > max(later - one for one, later in pairwise(capped))
    time.now += 60
    assert 0.0 == pace.pause()
