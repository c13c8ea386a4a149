"""From a quote in hand to a thousand subscribers told of it, beside the plain ways, in one run.

*Told* is: every interested subscriber's pending bit is set, and the record is readable through its
cursor. The plain ways are told when each has been called, or has the quote in a queue of its own.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.feed_sockets import CLIENTS, measure_sockets
from bench.quote_path import measure_steps, measure_whole
from bench.report import goal, machine, percentile, say
from bench.turns import median_of
from infrastructure.clock import SteadyClock
from projections.market_data.fanout import Fanout, implementation
from projections.market_data.records import LOG, Kind, Record
from projections.market_data.subscribers import Lossy
from projections.market_data.waking import Waker

QUICK: dict[str, Any] = {
    "quotes": 5_000, "paced": 300, "turns": 1, "rounds": 20, "clients": 100, "seconds": 1,
    "path": 200,
}  # fmt: skip
SUBSCRIBERS = 1_000
QUOTE = int(Kind.QUOTE)
RING = 65_536
OURS, CALLBACKS, DEQUES, QUEUES = "ring", "callbacks", "deque.append", "asyncio.Queue"
MIX = f"one quote after another of one instrument that all {SUBSCRIBERS} subscribers want"
WHOLE = "from an order's acknowledgement until it is in a gateway's mirror"
LEFT_OUT = (
    "one thread; garbage collection off while timed; no book, log, network or encoding: the quote "
    "is a record already. A tight loop keeps its memory in the caches; paced at 1 kHz the thread "
    "sleeps in between. The queues are emptied outside of the time, the callbacks keep the newest. "
    "The WebSocket clients share another core, and the channel's process a core with its publisher."
    " Steps of the path are timed alone, without what is waited for in between: that is in the"
    " whole, with orders 4 ms apart and nothing else to do"
)

Tell = Callable[[Record], None]


def quote(number: int) -> Record:
    """The quote with a number."""
    words = 1_000_000 + number % 100, 500, 0, 1_010_000, 700
    return Record(LOG, 7, QUOTE, 0, number, number, number, *words)


class Newest:
    """A subscriber as a callback: it keeps what it is told."""

    __slots__ = ("record",)

    def told(self, record: Record) -> None:
        """Keep the newest."""
        self.record = record


class Way(NamedTuple):
    """One way of telling all subscribers, what empties their queues afterwards, and what each of
    them was told last.
    """

    tell: Tell
    empty: Callable[[], None]
    newest: Callable[[], list[Record]]


def nothing() -> None:
    """No queue is to be emptied."""


def ring() -> Way:
    """Ours: the shared ring with an interest bit for each subscriber."""
    fanout = Fanout(records=RING, instruments=64, subscribers=SUBSCRIBERS)
    slots = [fanout.open() for _ in range(SUBSCRIBERS)]
    for slot in slots:
        fanout.subscribe(slot, 7, QUOTE)
    woken: deque[int] = deque(maxlen=1)
    fanout.wake_by(lambda: woken.append(1))

    def empty() -> None:
        fanout.take_ready(SUBSCRIBERS)
        fanout.rearm()

    def newest() -> list[Record]:
        return [fanout.read(slot, 0, RING).records[-1] for slot in slots if fanout.is_pending(slot)]

    return Way(fanout.publish, empty, newest)


def callbacks() -> Way:
    """A Python call for each subscriber."""
    keepers = [Newest() for _ in range(SUBSCRIBERS)]
    listeners = [keeper.told for keeper in keepers]

    def tell(record: Record) -> None:
        for listener in listeners:
            listener(record)

    return Way(tell, nothing, lambda: [keeper.record for keeper in keepers])


def deques() -> Way:
    """A mailbox for each subscriber."""
    boxes: list[deque[Record]] = [deque() for _ in range(SUBSCRIBERS)]

    def tell(record: Record) -> None:
        for box in boxes:
            box.append(record)

    def empty() -> None:
        for box in boxes:
            box.clear()

    return Way(tell, empty, lambda: [box[-1] for box in boxes])


def queues() -> Way:
    """A queue of asyncio for each subscriber."""
    boxes: list[asyncio.Queue[Record]] = [asyncio.Queue() for _ in range(SUBSCRIBERS)]

    def tell(record: Record) -> None:
        for box in boxes:
            box.put_nowait(record)

    def empty() -> None:
        for box in boxes:
            while not box.empty():
                box.get_nowait()

    def newest() -> list[Record]:
        return [[box.get_nowait() for _ in range(box.qsize())][-1] for box in boxes]

    return Way(tell, empty, newest)


WAYS: dict[str, Callable[[], Way]] = {
    OURS: ring,
    CALLBACKS: callbacks,
    DEQUES: deques,
    QUEUES: queues,
}


def timed(way: Way, count: int, interval_ns: int) -> dict[str, float]:
    """Microseconds from a quote in hand to all told, one quote each interval."""
    records = [quote(number) for number in range(1, count + 1)]
    clock, took = time.perf_counter_ns, []
    due = clock()
    for number, record in enumerate(records):
        if interval_ns:
            due += interval_ns
            if (wait := due - clock()) > 0:
                time.sleep(wait / 1e9)
        begun = clock()
        way.tell(record)
        took.append(clock() - begun)
        if interval_ns or number % 64 == 63:
            way.empty()
    took.sort()
    return {
        "p50_us": round(percentile(took, 0.5) / 1e3, 2),
        "p99_us": round(percentile(took, 0.99) / 1e3, 2),
        "p999_us": round(percentile(took, 0.999) / 1e3, 2),
    }


def measure_telling(quotes: int, paced: int) -> dict[str, Any]:
    """Each way in a tight loop and at a quote a millisecond."""
    figures: dict[str, Any] = {"tight loop": {}, "paced at 1 kHz": {}}
    for name, make in WAYS.items():
        way = make()
        timed(way, 200, 0)
        gc.collect()
        gc.disable()
        try:
            # The slow ways are given fewer: their shape is known sooner.
            count = quotes if name == OURS else max(200, quotes // 10)
            figures["tight loop"][name] = timed(way, count, 0)
            figures["paced at 1 kHz"][name] = timed(way, paced, 1_000_000)
        finally:
            gc.enable()
    return figures


class Consumers:
    """A thousand tasks that wait, and when each had the quote in hand."""

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._ran: list[int] = []

    async def read(self, subscriber: Lossy) -> None:
        """Wait as a subscriber of the ring."""
        while not subscriber.closed:
            await subscriber.wait()
            if subscriber.take():
                self._ran.append(time.perf_counter_ns())

    async def receive(self, queue: asyncio.Queue[Record]) -> None:
        """Wait for a queue of one's own."""
        while True:
            await queue.get()
            self._ran.append(time.perf_counter_ns())

    async def told_by(self, tell: Tell) -> dict[str, float]:
        """When the first and the last of them ran after a quote."""
        first, last = [], []
        for number in range(1, self._rounds + 1):
            await asyncio.sleep(0.002)
            self._ran.clear()
            begun = time.perf_counter_ns()
            tell(quote(number))
            while len(self._ran) < SUBSCRIBERS:
                await asyncio.sleep(0)
            first.append(self._ran[0] - begun)
            last.append(self._ran[-1] - begun)
        first.sort()
        last.sort()
        return {
            "first p50_us": round(percentile(first, 0.5) / 1e3, 1),
            "last p50_us": round(percentile(last, 0.5) / 1e3, 1),
            "last p99_us": round(percentile(last, 0.99) / 1e3, 1),
        }


async def measure_consumers(rounds: int) -> dict[str, Any]:
    """When the consumers ran, woken by the ring and by queues."""
    consumers = Consumers(rounds)
    fanout = Fanout(records=RING, instruments=64, subscribers=SUBSCRIBERS)
    waker = Waker(fanout, SteadyClock(), asyncio.get_running_loop())
    subscribers = [Lossy(fanout) for _ in range(SUBSCRIBERS)]
    for subscriber in subscribers:
        subscriber.subscribe(7, QUOTE)
        waker.add(subscriber)
    tasks = [asyncio.create_task(consumers.read(subscriber)) for subscriber in subscribers]
    figures: dict[str, Any] = {OURS: await consumers.told_by(fanout.publish)}
    for subscriber in subscribers:
        waker.remove(subscriber)
    await asyncio.gather(*tasks)
    waker.close()

    boxes: list[asyncio.Queue[Record]] = [asyncio.Queue() for _ in range(SUBSCRIBERS)]
    tasks = [asyncio.create_task(consumers.receive(box)) for box in boxes]

    def put(record: Record) -> None:
        for box in boxes:
            box.put_nowait(record)

    figures[QUEUES] = await consumers.told_by(put)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return figures


def measure_memory(quotes: int) -> dict[str, Any]:
    """Bytes of all that is kept while every subscriber sleeps, at a rate and at ten times it."""
    figures: dict[str, Any] = {}
    for name, make in ((OURS, ring), (QUEUES, queues)):
        kept = {}
        for times in (1, 10):
            tracemalloc.start()
            way = make()
            # Few enough that the queues, which keep every quote a thousand times, fit in memory.
            for number in range(1, times * quotes + 1):
                way.tell(quote(number))
            kept[f"{times} times the rate"] = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            del way
        figures[name] = kept
    return figures


def run(
    quotes: int = 100_000,
    paced: int = 3_000,
    turns: int = 3,
    rounds: int = 200,
    *,
    clients: int = CLIENTS,
    seconds: int = 3,
    path: int = 5_000,
) -> dict[str, Any]:
    """Measure, and judge by the goals."""
    if min(quotes, paced, turns, rounds, clients, seconds, path // 10) < 1:
        raise ValueError(
            "quotes, paced, turns, rounds, clients and seconds are at least one each, path ten"
        )
    about = machine()
    told = []
    for turn in range(turns):
        say(f"telling {SUBSCRIBERS} subscribers, turn {turn + 1} of {turns}")
        told.append(measure_telling(quotes, paced))
    figures: dict[str, Any] = median_of(told)
    say("letting them run")
    figures["consumers ran after"] = asyncio.run(measure_consumers(rounds))
    say("memory at ten times the rate")
    figures["bytes kept for sleeping subscribers"] = measure_memory(100)
    say(f"{clients} conflating WebSocket clients on one core")
    sockets = measure_sockets(clients, seconds)
    figures[f"{clients} conflating WebSocket clients on one core"] = sockets
    say("the path of a quote")
    figures["path of a quote, step by step"] = measure_steps(path)
    figures[WHOLE] = measure_whole(path // 10)
    tight = figures["tight loop"]
    kept = figures["bytes kept for sleeping subscribers"][OURS]
    # Of the medians: on a machine that others use the slower way is interrupted the more.
    times_callbacks = tight[CALLBACKS]["p50_us"] / tight[OURS]["p50_us"]
    memory = kept["10 times the rate"] / kept["1 times the rate"]
    return {
        "figures": figures | {"subscribers": SUBSCRIBERS, "quotes": quotes},
        "machine": about | {"fanout": implementation()},
        "mix": MIX,
        "turns": turns,
        "left_out": LEFT_OUT,
        "goals": [
            goal("p99_us_in_a_tight_loop", tight[OURS]["p99_us"], 10, at_most=True),
            goal("times_the_callbacks_at_p50", round(times_callbacks, 1), 15),
            goal("memory_at_ten_times_the_rate", round(memory, 3), 1.01, at_most=True),
            goal("socket_messages_of_those_due", sockets["told of those due"], 0.95),
        ],
    }
