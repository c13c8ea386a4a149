"""The way of a quote from the log to a client: what each step of it costs, and the whole of it.

The steps are timed alone, one after another for each command; the whole is from an order's
acknowledgement until its level is in the mirror of another process, through a venue's processes.
"""

from __future__ import annotations

import asyncio
import gc
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from time import perf_counter_ns
from typing import Any
from uuid import UUID

import msgspec
import uvloop

from api.market_data.mirror import Mirror
from api.market_data.mirrored import Mirrored
from api.market_data.wire import Told, encode, packed, packed_snapshot, said_in, unpacked
from api.ws.market_data import messages
from application.log.ports import Recorded
from application.orders import PlaceOrder
from bench.deciding import DeskAlone
from bench.flow import commands, furnish
from bench.report import percentile
from bench.venue import (
    NO_SNAPSHOTS,
    Process,
    environment_of,
    furnished,
    server,
    short_home,
    until_it_leads,
)
from domain.money import QTY_UNIT
from infrastructure.clock import SteadyClock
from infrastructure.command_bus import UnixSocketBus
from infrastructure.log.codec import decode_event, encode_event
from migrations.runner import migrate
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.feed import FeedAway, Snapshot, listed
from projections.market_data.records import Kind
from projections.market_data.subscribers import Lossy

LEVEL = int(Kind.LEVEL)
SYMBOLS = 4
WARM = 200
APART_SECONDS = 0.004
SCHEMA = "bench_path"
READ, APPLIED, RING, SENT, HEARD, MIRRORED, SAID = (
    "events out of their rows",
    "books, levels and records",
    "told to the ring",
    "onto the socket",
    "off the socket",
    "the mirror's book and ring",
    "a message of the book channel",
)
STEPS = (READ, APPLIED, RING, SENT, HEARD, MIRRORED, SAID)
_JSON = msgspec.json.Encoder()


class Way:
    """Every step of one process after another, for one command at a time."""

    def __init__(self, alone: DeskAlone) -> None:
        self.took: dict[str, list[int]] = defaultdict(list)
        self._alone = alone
        self._data = MarketData()
        self._ring = Fanout(records=65_536, instruments=64, subscribers=16)
        self._mirrored_ring = Fanout(records=65_536, instruments=64, subscribers=16)
        self._mirrored = Mirrored(self._mirrored_ring)

    def begin(self, events: Iterable[Any]) -> None:
        """Stand where these events led to, and be followed from there."""
        for records in self._data.commands(self._placed(events)):
            self._ring.publish_all(records)
        data = self._data
        self._mirrored.listed(0, [data.instrument(index).id for index in range(len(data))])
        for index in range(len(data)):
            stands = packed_snapshot(_whole(data, index), data.stamp_of(index))
            self._mirrored.follow(index, stands)

    def go(self, events: Iterable[Any]) -> None:
        """Time the steps for the events of one command, if they change a book."""
        rows = [(event.TOPIC, encode_event(event)) for event in events]
        decoded = self._timed(READ, lambda: [decode_event(*row) for row in rows])
        placed = self._placed(decoded)
        told = self._timed(APPLIED, lambda: list(self._data.commands(placed)))
        records = [record for command in told for record in command]
        levels = [record for record in records if record.kind == LEVEL]
        if not levels:
            for name in (READ, APPLIED):
                self.took[name].pop()
            return
        self._timed(RING, lambda: self._ring.publish_all(records))
        frame = self._timed(SENT, lambda: encode([Told(packed(records))]))
        (said,) = self._timed(HEARD, lambda: said_in(memoryview(frame)))
        assert isinstance(said, Told)
        heard = self._timed(HEARD, lambda: unpacked(said.records), again=True)
        self._timed(MIRRORED, lambda: self._mirrored.told(heard))
        sequence = levels[-1].sequence
        span = messages.Span(sequence - 1, sequence, 0)
        of = messages.Told("BENCH", 4)
        self._timed(SAID, lambda: _JSON.encode([messages.book(of, span, levels)]))

    def _placed(self, events: Iterable[Any]) -> list[Recorded]:
        first = self._data.position + 1
        return [Recorded(first + number, event) for number, event in enumerate(events)]

    def _timed(self, name: str, step: Callable[[], Any], *, again: bool = False) -> Any:
        began = perf_counter_ns()
        done = step()
        took = perf_counter_ns() - began
        if again:
            self.took[name][-1] += took
        else:
            self.took[name].append(took)
        return done


def _whole(data: MarketData, index: int) -> Snapshot:
    instrument = listed(data.instrument(index))
    book = data.changes(index, None)
    return Snapshot(instrument, book, data.levels(index).checksum, (), None, data.position)


def measure_steps(count: int) -> dict[str, Any]:
    """What each step takes for a command that changes a book."""
    alone = DeskAlone()
    floor = asyncio.run(furnish(alone, accounts=8, symbols=SYMBOLS))
    replayed = DeskAlone()
    way = Way(replayed)
    way.begin([event for one in alone.commands for event in replayed.decide_only(one).events])
    for number, command in enumerate(commands(floor, WARM + count, 11, "path")):
        if number == WARM:
            way.took.clear()
            gc.collect()
            gc.disable()
        way.go(replayed.decide_only(command).events)
    gc.enable()
    steps = {name: _of(way.took[name], 1e3, "us") for name in STEPS}
    return {
        "commands that changed a book": len(way.took[RING]),
        **steps,
        "all steps, us": round(sum(step["p50_us"] for step in steps.values()), 1),
    }


def _of(took: list[int], unit: float, name: str) -> dict[str, float]:
    taken = sorted(took)
    return {
        f"p50_{name}": round(percentile(taken, 0.5) / unit, 2),
        f"p99_{name}": round(percentile(taken, 0.99) / unit, 2),
    }


def measure_whole(count: int) -> dict[str, Any]:
    """From an order's acknowledgement until its level is in a gateway's mirror."""
    with server() as running, short_home() as home:
        migrate(running.dsn(), SCHEMA)
        feed = home / "feed"
        environment = environment_of(running.dsn(), SCHEMA, home) | NO_SNAPSHOTS
        environment |= {"NEXUS_FEED_PATH": str(feed)}
        with Process("writer", environment), Process("market-data", environment):
            uvloop.run(until_it_leads(home / "bus"))
            return uvloop.run(_trade(home / "bus", feed, count))


async def _trade(bus_path: Path, feed: Path, count: int) -> dict[str, Any]:
    floor = await furnished(bus_path)
    account, symbol = floor.accounts[0], floor.symbols[0]
    bus, mirror = UnixSocketBus(bus_path), Mirror(feed, SteadyClock())
    mirror.start()
    try:
        while True:
            try:
                followed = await mirror.follow(symbol)
                break
            except FeedAway:
                await asyncio.sleep(0.05)
        waits = Lossy(mirror.fanout)
        mirror.waker.add(waits)
        waits.subscribe(followed.row, LEVEL)
        took = []
        for number in range(count):
            order = _resting(account, symbol, number)
            answer = asyncio.create_task(_answered_at(bus, order))
            while not waits.take():
                await waits.wait()
            there = perf_counter_ns()
            took.append(max(0, there - await answer))
            await asyncio.sleep(APART_SECONDS)
        mirror.waker.remove(waits)
        return _of(took, 1e6, "ms") | {"orders": count}
    finally:
        await mirror.stop()
        await bus.close()


async def _answered_at(bus: UnixSocketBus, order: PlaceOrder) -> int:
    reply = await bus.send(order, "bench", "bench")
    at = perf_counter_ns()
    if reply.refusal is not None:
        raise RuntimeError(reply.refusal.message)
    return at


def _resting(account: UUID, symbol: str, number: int) -> PlaceOrder:
    return PlaceOrder(
        account_id=account,
        symbol=symbol,
        side=1,
        order_type=2,
        time_in_force=1,
        qty=QTY_UNIT,
        limit_price=(90 * 100 + number % 900) * 10**7,
        stop_price=0,
        client_order_id=f"path-{number}",
    )
