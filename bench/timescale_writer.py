"""What a move costs the writer, and how fast logs of other layouts are appended to: by turns.

A follower on another server is fed by a process of its own, so the writer does what it did
before; one in the same database gets every append in the same statement.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from statistics import median
from typing import Any, NamedTuple

import psycopg
import uvloop
from psycopg import sql

from application.log.ports import Batch
from application.writer.sequencer import Sequencer
from bench.flow import Floor, commands, furnish
from bench.in_process import Offered, envelopes_of, leading, uncollected
from bench.report import Progress
from bench.store import decided
from infrastructure.command_bus import InProcessBus
from infrastructure.log.layouts import Layout
from infrastructure.log.measuring_modes import name_each_other
from infrastructure.log.stores import StoreAddress, Writes, find_truth
from infrastructure.log.writing import PostgresEventLog
from migrations.move.feed import feed_up_to
from migrations.runner import migrate

COST = "writer's processor us a command"
RATE = "events appended a second"
ALONE, FED, BOTH = "alone", "fed by a mover", "both stores in one statement"
_BATCH = 1_000
_FEED_SECONDS = 0.02


class Seated(NamedTuple):
    """A sequencer that leads, and whom it trades for."""

    sequencer: Sequencer
    floor: Floor


def writer_costs(
    dsn: str, layout: Layout, *, count: int, turns: int, seed: int, say: Progress
) -> dict[str, Any]:
    """The processor of this process for each command: alone, followed from outside, and with a
    follower of a layout in the same statement.
    """
    each = uvloop.run(_costs(dsn, layout, count, turns, seed, say))
    return {
        COST: {name: round(us, 1) for name, us in each.items()}
        | {f"{name}, times alone": round(each[name] / each[ALONE], 3) for name in (FED, BOTH)}
    }


async def _costs(
    dsn: str, layout: Layout, count: int, turns: int, seed: int, say: Progress
) -> dict[str, float]:
    taken: dict[str, list[float]] = {ALONE: [], FED: [], BOTH: []}
    async with AsyncExitStack() as stack:
        seats = {
            ALONE: await stack.enter_async_context(_seated(dsn, "bench_alone", layout, None)),
            FED: await stack.enter_async_context(_seated(dsn, "bench_fed", layout, Writes.HERE)),
            BOTH: await stack.enter_async_context(_seated(dsn, "bench_both", layout, Writes.BOTH)),
        }
        for turn in range(turns):
            say(f"the writer's processor: turn {turn + 1} of {turns}")
            for name, seat in seats.items():
                made = commands(seat.floor, count, seed + turn, f"{name} {turn}")
                offered = Offered(seat.sequencer, envelopes_of(made))
                with uncollected():
                    began = time.process_time()
                    await offered.seconds()
                    taken[name].append((time.process_time() - began) / count * 1e6)
        if find_truth(dsn, "bench_both").writes is not Writes.BOTH:
            raise RuntimeError("the follower was left behind: nothing was measured of both")
    return {name: median(found) for name, found in taken.items()}


@asynccontextmanager
async def _seated(
    dsn: str, schema: str, layout: Layout, writes: Writes | None
) -> AsyncIterator[Seated]:
    """A writer on a new plain store; with a mode it has a follower, fed or written too."""
    truth, follower = StoreAddress(dsn, schema), StoreAddress(dsn, f"{schema}_peer")
    stores = (truth,) if writes is None else (truth, follower)
    async with AsyncExitStack() as stack:
        sequencer = await stack.enter_async_context(leading(dsn, schema))
        stack.enter_context(_gone_afterwards(*stores))
        if writes is not None:
            migrate(dsn, follower.schema, layout=layout)
            with psycopg.connect(dsn, autocommit=True) as conn:
                name_each_other(conn, truth, follower, writes)
        if writes is Writes.HERE:
            stack.enter_context(_fed(truth, follower))
        yield Seated(sequencer, await furnish(InProcessBus(sequencer.submit)))


@contextmanager
def _fed(truth: StoreAddress, follower: StoreAddress) -> Iterator[None]:
    """A process that feeds the follower while the block runs."""
    feeding = multiprocessing.get_context("spawn").Process(
        target=_feed, args=(truth, follower), daemon=True
    )
    feeding.start()
    try:
        yield
    finally:
        feeding.kill()
        feeding.join()


def _feed(truth: StoreAddress, follower: StoreAddress) -> None:
    while True:
        feed_up_to(truth, follower)
        time.sleep(_FEED_SECONDS)


def append_rates(
    dsn: str, layout: Layout, *, count: int, turns: int, seed: int, say: Progress
) -> dict[str, Any]:
    """The events of so many commands, appended as a writer does to a plain log and to one of a
    layout, in commits of 1,000.
    """
    events, keys = decided(count, seed)
    by_batch: dict[int, list[Any]] = {}
    for key in keys:
        by_batch.setdefault((key.position - 1) // _BATCH, []).append(key)
    batches = [
        Batch(first + 1, events[first : first + _BATCH], by_batch.get(number, []))
        for number, first in enumerate(range(0, len(events), _BATCH))
    ]
    rates: dict[Layout, list[float]] = {Layout.PLAIN: [], layout: []}
    for turn in range(turns):
        say(f"appending to {layout} and to a plain log: turn {turn + 1} of {turns}")
        for one, found in rates.items():
            seconds = uvloop.run(_append(StoreAddress(dsn, "bench_append"), one, batches))
            found.append(len(events) / seconds)
    each = {one: median(found) for one, found in rates.items()}
    beside = round(each[layout] / each[Layout.PLAIN], 2)
    return {RATE: {one.value: round(rate) for one, rate in each.items()} | {"beside plain": beside}}


async def _append(store: StoreAddress, layout: Layout, batches: list[Batch]) -> float:
    """Seconds to append to a new store."""
    migrate(store.dsn, store.schema, layout=layout)
    with _gone_afterwards(store):
        log = PostgresEventLog(store.dsn, store.schema, 0)
        await log.take_over()
        began = time.perf_counter()
        for batch in batches:
            await log.append(batch)
        seconds = time.perf_counter() - began
        await log.close()
    return seconds


@contextmanager
def _gone_afterwards(*stores: StoreAddress) -> Iterator[None]:
    try:
        yield
    finally:
        for store in stores:
            with psycopg.connect(store.dsn, autocommit=True) as conn:
                drop = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE")
                conn.execute(drop.format(sql.Identifier(store.schema)))
