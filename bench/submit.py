"""How fast commands become durable, beside the same decisions saved the library's plain way."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from time import perf_counter, perf_counter_ns, time_ns
from typing import Any

import msgspec
import psycopg
import uvloop

from application.commands import Envelope, Reply, encode_command
from application.deciding.handlers import HANDLERS
from application.desk.desk import Desk
from application.requests import Command
from application.writer.request_keys import fingerprint
from application.writer.sequencer import Sequencer
from bench import plain_library
from bench.flow import MIX, Floor, commands, furnish
from bench.plain_library import BENCH_TIME
from bench.report import goal, machine, percentile
from domain.decision import Decision
from infrastructure.command_bus import InProcessBus, UnixSocketBus
from infrastructure.embedded_server import EmbeddedServer
from infrastructure.log.codec import encode_event
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

_IN_FLIGHT = 4_000


class WallClock:
    """The machine's clock."""

    def now(self) -> int:
        """Microseconds since 1970 UTC."""
        return time_ns() // 1000


class Collected:
    """A bus that decides on a desk alone and keeps the commands: what a set-up consists of."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.commands: list[Command] = []

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Decide at once, store nothing."""
        self.commands.append(command)
        number = len(self.commands)
        decision = Decision(BENCH_TIME + number, 0, number, actor, gateway, self.desk.position + 1)
        body = fingerprint(encode_command(command))
        reply = HANDLERS[type(command)](self.desk, decision, command, body)
        self.desk.position += len(decision.events)
        return reply or Reply(self.desk.position)


@contextmanager
def server() -> Iterator[EmbeddedServer]:
    """An embedded server of its own, gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="nxbench-"))
    home.chmod(0o755)
    try:
        with EmbeddedServer(home / "d", home / "s", on_message=lambda _: None) as running:
            running.start()
            warm_wal(running.dsn())
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


def warm_wal(dsn: str, segments: int = 64) -> None:
    """Bring a new server where any is after its first checkpoints: with log files to reuse.

    Making and zeroing a file of 16 MB holds every commit up for some 50 ms.
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE public.warm (number int)")
        for number in range(segments):
            conn.execute("INSERT INTO public.warm VALUES (%s)", (number,))
            conn.execute("SELECT pg_switch_wal()")
        conn.execute("DROP TABLE public.warm")
        conn.execute("CHECKPOINT")


async def saturate(dsn: str, schema: str, count: int, seed: int) -> dict[str, Any]:
    """Commands a second through the sequencer in this process, commands built beforehand."""
    migrate(dsn, schema)
    log = PostgresEventLog(dsn, schema, 0)
    sequencer = Sequencer(log, PostgresSnapshots(dsn, schema), WallClock(), say=lambda _: None)
    leading = asyncio.create_task(sequencer.run())
    await sequencer.ready.wait()
    floor = await furnish(InProcessBus(sequencer.submit))
    envelopes = [
        Envelope("bench", "bench", msgspec.Raw(encode_command(command)))
        for command in commands(floor, count, seed, "sat")
    ]
    before = sequencer.desk.position
    unanswered = count
    done = asyncio.Event()

    def answer(_: Reply) -> None:
        nonlocal unanswered
        unanswered -= 1
        if not unanswered:
            done.set()

    gc.collect()
    gc.freeze()
    gc.disable()
    started = perf_counter()
    for number, envelope in enumerate(envelopes):
        sequencer.submit(envelope, answer)
        if number % 100 == 99:
            await asyncio.sleep(0)
            while number - (count - unanswered) > _IN_FLIGHT:
                await asyncio.sleep(0.001)
    await done.wait()
    seconds = perf_counter() - started
    gc.enable()
    gc.unfreeze()
    events = sequencer.desk.position - before
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    await log.close()
    return {
        "commands_per_s": round(count / seconds),
        "events_per_s": round(events / seconds),
        "events_per_command": round(events / count, 2),
    }


def capture(setup: Collected, made: list[Command]) -> dict[str, Any]:
    """Microseconds to decide each order and encode its events: all that the caller waits for
    before the commit.
    """
    taken = []
    desk = setup.desk
    gc.collect()
    gc.freeze()
    gc.disable()
    for number, command in enumerate(made, start=len(setup.commands) + 1):
        body = fingerprint(encode_command(command))
        begun = perf_counter_ns()
        decision = Decision(BENCH_TIME + number, 0, number, "bench", "bench", desk.position + 1)
        HANDLERS[type(command)](desk, decision, command, body)
        for event in decision.events:
            encode_event(event)
        taken.append(perf_counter_ns() - begun)
        desk.position += len(decision.events)
    gc.enable()
    gc.unfreeze()
    taken.sort()
    return {
        "p50_us": round(percentile(taken, 0.5) / 1e3, 1),
        "p99_us": round(percentile(taken, 0.99) / 1e3, 1),
    }


@contextmanager
def venue_processes(dsn: str, schema: str, home: Path) -> Iterator[Path]:
    """A writer and a projector as processes of their own; yields the writer's socket."""
    migrate(dsn, schema)
    environment = {
        **plain_environment(),
        "NEXUS_DATABASE_URL": dsn,
        "NEXUS_SCHEMA": schema,
        "NEXUS_DATA_DIR": str(home / "data"),
        "NEXUS_RUNTIME_DIR": str(home / "run"),
        "NEXUS_BUS_PATH": str(home / "bus"),
        "NEXUS_DESK_SNAPSHOT_EVERY": "100000000",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "api.cli.main", "serve", "--only", role],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for role in ("writer", "projector")
    ]
    try:
        yield home / "bus"
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def plain_environment() -> dict[str, str]:
    """This environment without any setting of the venue."""
    return {key: value for key, value in os.environ.items() if not key.startswith("NEXUS_")}


def at_rate(path: Path, floor: Floor, rate: int, seconds: float, seed: int) -> dict[str, Any]:
    """Drive the writer at a rate from another process."""
    given = json.dumps({"accounts": [str(a) for a in floor.accounts], "symbols": floor.symbols})
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "bench.driver",
            *("--socket", str(path)),
            *("--rate", str(rate)),
            *("--seconds", str(seconds)),
            *("--seed", str(seed)),
        ],
        input=given,
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(finished.stdout)
    return result


async def _floor_through(path: Path) -> Floor:
    bus = UnixSocketBus(path, timeout=60)
    try:
        return await furnish(bus)
    finally:
        await bus.close()


def run(*, seconds: float = 20, long_seconds: float = 60, seed: int = 7) -> dict[str, Any]:
    """The whole benchmark; `long_seconds` of 0 leaves the run with a checkpoint out."""
    figures: dict[str, Any] = {}
    about = machine()
    with server() as running:
        dsn = running.dsn()
        figures["saturated in process"] = uvloop.run(saturate(dsn, "bench_sat", 100_000, seed))
        setup = Collected()
        floor = asyncio.run(furnish(setup))
        made = commands(floor, 20_000, seed, "cap")
        plain = plain_library.measure(dsn, "public", setup.commands, made[:4_000])
        figures["library's plain way"] = plain
        figures["decide and encode an order"] = capture(setup, made)
        home = Path(tempfile.mkdtemp(prefix="nxbench-"))
        try:
            with venue_processes(dsn, "bench_bus", home) as path:
                floor = uvloop.run(_floor_through(path))
                at_rate(path, floor, 2_000, 3, seed)
                for rate in (2_000, 5_000, 10_000):
                    _checkpoint(dsn)
                    figures[f"through the bus at {rate}/s"] = at_rate(
                        path, floor, rate, seconds, seed + rate
                    )
                if long_seconds:
                    figures["through the bus at 10000/s, a checkpoint inside"] = _with_checkpoint(
                        dsn, path, floor, long_seconds, seed
                    )
                figures["projections behind at the end, events"] = _lag(dsn, "bench_bus")
        finally:
            shutil.rmtree(home, ignore_errors=True)
    fastest = figures["through the bus at 10000/s"]
    saturated = figures["saturated in process"]["commands_per_s"]
    return {
        "figures": figures,
        "machine": about,
        "mix": MIX + "; 20 accounts, 10 instruments; each with a request key",
        "left_out": "HTTP; commissions; the driver, the projector and PostgreSQL share the cores",
        "goals": [
            goal("answered/s at 10,000/s", fastest["answered_per_s"], 9_900),
            goal("p99 ms at 10,000/s", fastest["p99_ms"], 5, at_most=True),
            goal("saturation commands/s", saturated, 20_000),
            goal("times the plain way", round(saturated / plain["commands_per_s"], 1), 10),
            goal(
                "capture p99 us", figures["decide and encode an order"]["p99_us"], 100, at_most=True
            ),
        ],
    }


def _with_checkpoint(
    dsn: str, path: Path, floor: Floor, seconds: float, seed: int
) -> dict[str, Any]:
    checkpoint = Timer(seconds / 3, _checkpoint, (dsn,))
    checkpoint.start()
    try:
        return at_rate(path, floor, 10_000, seconds, seed + 1)
    finally:
        checkpoint.join()


def _checkpoint(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CHECKPOINT")


def _lag(dsn: str, schema: str) -> int:
    """Events committed that the slowest active view has not taken in yet."""
    with psycopg.connect(dsn, options=f"-c search_path={schema}") as conn:
        row = conn.execute(
            "SELECT (SELECT max(notification_id) FROM stored_events)"
            " - coalesce(min(position), 0) FROM projection_tracking WHERE state = 'active'"
        ).fetchone()
    assert row is not None
    return int(row[0])
