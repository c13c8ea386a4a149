"""As many commands as go, in this process: by turns with the library's plain way and raw COPY."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from time import perf_counter_ns
from typing import Any

from application.requests import Command
from application.writer.sequencer import Sequencer
from bench.deciding import DeskAlone
from bench.flow import Floor, commands, furnish
from bench.in_process import Offered, envelopes_of, leading, uncollected
from bench.plain_library import PlainWay
from bench.processor import ENDED, Meter
from bench.report import Progress, percentile
from bench.store import raw
from bench.turns import median_of
from domain.events import DomainEvent
from infrastructure.command_bus import InProcessBus
from infrastructure.log.codec import encode_event
from infrastructure.log.source import PostgresEventSource
from migrations.runner import migrate

PROCESSOR = "processor us a command"
SCHEMA = "bench_sat"
_PAGE = 10_000


class Saturated:
    """The three ways on one server; each turn goes on where the last one ended."""

    def __init__(self, dsn: str, postmaster: int, sequencer: Sequencer, floor: Floor) -> None:
        self._dsn = dsn
        self._postmaster = postmaster
        self._sequencer = sequencer
        self._floor = floor

    def _meter(self, name: str) -> Meter:
        """Of this process, which does all but what the server does."""
        return Meter(self._dsn, self._postmaster, {name: os.getpid()}, rest=name)

    async def venue(self, count: int, seed: int) -> dict[str, Any]:
        """Through the sequencer, commands built beforehand."""
        envelopes = envelopes_of(commands(self._floor, count, seed, f"sat{seed}"))
        offered = Offered(self._sequencer, envelopes)
        before = self._sequencer.desk.position
        with self._meter("writer") as meter, uncollected():
            look = meter.look()
            seconds = await offered.seconds()
            used = meter.since(look)
        events = self._sequencer.desk.position - before
        return {
            "commands_per_s": round(count / seconds),
            "events_per_s": round(events / seconds),
            "events_per_command": round(events / count, 2),
            PROCESSOR: used.each(count),
        }

    def plain(self, way: PlainWay, made: Sequence[Command]) -> dict[str, Any]:
        """The library's plain way."""
        with self._meter("caller") as meter:
            look = meter.look()
            figures = way.run(made)
            return figures | {PROCESSOR: meter.since(look).each(len(made))}

    async def copied(self, after: int, count: int) -> dict[str, Any]:
        """COPY of the rows that so many commands have stored after a position."""
        events: list[DomainEvent] = []
        async with PostgresEventSource(self._dsn, SCHEMA) as source:
            while page := await source.read(after + len(events), _PAGE):
                events += [recorded.event for recorded in page]
        with self._meter("client") as meter:
            look = meter.look()
            done = raw(self._dsn, events, "copy")
            used = meter.since(look)
        used.ns["client"] -= done.encoding_ns
        # Its only backend left with its connection.
        used.ns["client's backends"] += used.ns.pop(ENDED)
        return {"commands_per_s": round(count / done.seconds), PROCESSOR: used.each(count)}


async def by_turns(
    dsn: str, postmaster: int, *, turns: int, count: int, plain: int, seed: int, say: Progress
) -> dict[str, Any]:
    """Each of the three in turn, and the median of the turns."""
    setup = DeskAlone()
    floor = await furnish(setup)
    made = commands(floor, turns * plain, seed, "plain")
    migrate(dsn, "bench_store")
    ours, theirs, raws = [], [], []
    async with leading(dsn, SCHEMA) as sequencer:
        ways = Saturated(dsn, postmaster, sequencer, await furnish(InProcessBus(sequencer.submit)))
        with PlainWay(dsn, "public", setup.commands) as way:
            for turn in range(turns):
                say(f"saturated in process, the plain way, COPY: turn {turn + 1} of {turns}")
                before = sequencer.desk.position
                ours.append(await ways.venue(count, seed + turn))
                theirs.append(ways.plain(way, made[turn * plain : (turn + 1) * plain]))
                raws.append(await ways.copied(before, count))
    return {
        "saturated in process": median_of(ours),
        "library's plain way": median_of(theirs),
        "raw COPY of the same rows": median_of(raws),
    }


def decide_and_encode(count: int, seed: int) -> dict[str, float]:
    """Microseconds to decide each order and encode its events: all that the caller waits for
    before the commit.
    """
    alone = DeskAlone()
    floor = asyncio.run(furnish(alone))
    made = commands(floor, count, seed, "cap")
    taken = []
    with uncollected():
        for command in made:
            begun = perf_counter_ns()
            for event in alone.decide(command).events:
                encode_event(event)
            taken.append(perf_counter_ns() - begun)
    taken.sort()
    return {
        "p50_us": round(percentile(taken, 0.5) / 1e3, 1),
        "p99_us": round(percentile(taken, 0.99) / 1e3, 1),
    }
