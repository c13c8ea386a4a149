"""How long until the venue serves again after kill -9, with and without a desk snapshot."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, NamedTuple

import psycopg
import uvloop

from api.market_data.mirror import Mirror
from application.commands import OpenAccount
from application.desk.state import dump, state_hash
from application.log.ports import Batch, DeskSnapshot, RequestKey
from application.writer.loading import load_desk
from bench.deciding import BENCH_TIME
from bench.flow import MIX
from bench.raw_reading import raw_reading
from bench.report import Progress, goal, machine, say
from bench.store import decided
from bench.venue import NO_SNAPSHOTS, environment_of, server, short_home
from domain.events import DomainEvent
from infrastructure.clock import SteadyClock
from infrastructure.command_bus import UnixSocketBus
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

QUICK = {"events": 100_000, "turns": 1}
TIMES_READING = 1.5
TIMES_EMPTY = 4
TELLS_WITHIN_S = 2
_SCHEMA = "bench_recover"
_EMPTY = "bench_empty"
_BATCH = 2_000
_TAIL_SHARE = 20
"""Events after the snapshot: a 20th, as on average of a million with one each 100,000."""
_EVENTS_PER_COMMAND = 2.7


async def fill(
    dsn: str, schema: str, events: Sequence[DomainEvent], keys: Sequence[RequestKey]
) -> int:
    """A log of these events; returns how many it holds."""
    migrate(dsn, schema)
    log = PostgresEventLog(dsn, schema, 0)
    await log.take_over()
    at = 0
    for first in range(0, len(events), _BATCH):
        end = at
        while end < len(keys) and keys[end].position <= first + _BATCH:
            end += 1
        await log.append(Batch(first + 1, events[first : first + _BATCH], keys[at:end]))
        at = end
    await log.close()
    return len(events)


async def snapshot(dsn: str, schema: str, position: int) -> DeskSnapshot:
    """The desk's snapshot at a position, as the follower takes it; it is not saved."""
    log = PostgresEventLog(dsn, schema, 0)
    desk, _ = await load_desk(_UpTo(log, position), _None(), 0)  # type: ignore[arg-type]
    await log.close()
    return DeskSnapshot(desk.position, state_hash(desk), dump(desk))


async def _save(dsn: str, schema: str, taken: DeskSnapshot) -> None:
    await PostgresSnapshots(dsn, schema).save(taken, BENCH_TIME)


async def _forget(dsn: str, schema: str) -> None:
    store = PostgresSnapshots(dsn, schema)
    await store.drop([one.position for one in await store.taken()])


class _UpTo:
    """A log that ends at a position."""

    def __init__(self, log: PostgresEventLog, last: int) -> None:
        self._log = log
        self._last = last

    async def read(self, after: int, limit: int) -> Any:
        """As the log, no further than the last."""
        return (
            await self._log.read(after, min(limit, self._last - after))
            if (after < self._last)
            else []
        )


class _None:
    """No snapshots."""

    async def latest(self, up_to: int | None = None) -> None:
        """None."""


def seconds_to_serve(dsn: str, schema: str, home: Path) -> tuple[float, int]:
    """Start a writer, kill it with -9 once it serves, start another, wait for its first answer."""
    environment = environment_of(dsn, schema, home) | NO_SNAPSHOTS
    command = [sys.executable, "-m", "api.cli.main", "serve", "--only", "writer"]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    first = start()
    _position(home / "bus")
    first.send_signal(signal.SIGKILL)
    first.wait()
    _until_lock_is_free(dsn, schema)
    started = perf_counter()
    second = start()
    try:
        position = _position(home / "bus")
        return perf_counter() - started, position
    finally:
        second.kill()
        second.wait()
        _until_lock_is_free(dsn, schema)


def seconds_to_tell(dsn: str, schema: str, home: Path) -> tuple[float, int]:
    """Start a market-data process and wait until it knows itself at the head of the log."""
    environment = environment_of(dsn, schema, home)
    command = [sys.executable, "-m", "api.cli.main", "serve", "--only", "market-data"]
    started = perf_counter()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        position = asyncio.run(_told(Path(environment["NEXUS_FEED_PATH"])))
        return perf_counter() - started, position
    finally:
        process.kill()
        process.wait()


async def _told(path: Path) -> int:
    mirror = Mirror(path, SteadyClock())
    mirror.start()
    await mirror.freshness.confirmed()
    await mirror.stop()
    return mirror.position


def _position(path: Path) -> int:
    async def ask() -> int:
        bus = UnixSocketBus(path, timeout=300)
        try:
            # An account that is there already: decided like any command, and changes nothing.
            reply = await bus.send(OpenAccount("bench 0", "", 1), "bench", "bench")
            return reply.position
        finally:
            await bus.close()

    return asyncio.run(ask())


def _until_lock_is_free(dsn: str, schema: str) -> None:
    """Wait for PostgreSQL to notice that the killed writer is gone."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for _ in range(1_000):
            row = conn.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s",
                (f"nexus writer {schema}",),
            ).fetchone()
            if row is not None and row[0] == 0:
                return
            sleep(0.005)


class Turn(NamedTuple):
    """Seconds: to start on an empty log, to read all events, to serve without and with a
    snapshot, and with it to tell market data.
    """

    empty: float
    reading: float
    without: float
    with_one: float
    market_data: float

    @property
    def beside_reading(self) -> float:
        """Serving again, as a multiple of a start on an empty log and merely reading this one."""
        return self.without / (self.empty + self.reading)

    @property
    def with_one_beside_empty(self) -> float:
        """Serving again with a snapshot, as a multiple of a start on an empty log."""
        return self.with_one / self.empty


def measure(dsn: str, held: int, turns: int, home: Path, say: Progress) -> list[Turn]:
    """By turns: the snapshot comes and goes."""
    migrate(dsn, _EMPTY)
    taken = uvloop.run(snapshot(dsn, _SCHEMA, held - held // _TAIL_SHARE))
    measured = []
    for turn in range(turns):
        say(f"turn {turn + 1} of {turns}")
        empty, _ = seconds_to_serve(dsn, _EMPTY, home)
        reading = uvloop.run(raw_reading(dsn, _SCHEMA, held))
        without, at_without = seconds_to_serve(dsn, _SCHEMA, home)
        uvloop.run(_save(dsn, _SCHEMA, taken))
        with_one, at_with = seconds_to_serve(dsn, _SCHEMA, home)
        market_data, at_told = seconds_to_tell(dsn, _SCHEMA, home)
        uvloop.run(_forget(dsn, _SCHEMA))
        assert at_without == at_with == at_told == held
        measured.append(Turn(empty, reading, without, with_one, market_data))
    return measured


def run(
    *, events: int = 1_000_000, turns: int = 3, seed: int = 7, say: Progress = say
) -> dict[str, Any]:
    """The whole benchmark."""
    about = machine()
    with server() as running, short_home() as home:
        dsn = running.dsn()
        made = decided(int(events / _EVENTS_PER_COMMAND), seed)
        held = uvloop.run(fill(dsn, _SCHEMA, *made))
        del made
        measured = measure(dsn, held, turns, home, say)
    middle = Turn(*(median(column) for column in zip(*measured, strict=True)))
    beside_reading = median(turn.beside_reading for turn in measured)
    beside_empty = median(turn.with_one_beside_empty for turn in measured)
    return {
        "figures": {
            "events": held,
            "start on an empty log, s": round(middle.empty, 2),
            "reading and decoding all events, s": round(middle.reading, 2),
            "without a snapshot, s": round(middle.without, 2),
            "with a snapshot, s": round(middle.with_one, 2),
            "market data with a snapshot, s": round(middle.market_data, 2),
            "events after the snapshot": held // _TAIL_SHARE,
        },
        "machine": about,
        "mix": f"events of: {MIX}",
        "turns": f"the median of {turns}",
        "left_out": "the start of PostgreSQL; each start includes Python's and the first answer",
        "goals": [
            goal(
                "without a snapshot, times a start and reading",
                round(beside_reading, 2),
                TIMES_READING,
                at_most=True,
            ),
            goal(
                "with a snapshot, times a start on an empty log",
                round(beside_empty, 2),
                TIMES_EMPTY,
                at_most=True,
            ),
            goal(
                "market data with a snapshot, s from the start of its process",
                round(middle.market_data, 2),
                TELLS_WITHIN_S,
                at_most=True,
            ),
        ],
    }
