"""How long until the venue serves again after kill -9, with and without a desk snapshot."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import psycopg
import uvloop

from application.commands import OpenAccount
from application.desk.state import dump, state_hash
from application.ports import Batch, DeskSnapshot, RequestKey
from application.writer.loading import load_desk
from bench.flow import MIX
from bench.report import goal, machine
from bench.store import decided
from bench.submit import plain_environment, server
from domain.events import DomainEvent
from infrastructure.command_bus import UnixSocketBus
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

_BATCH = 2_000
_TAIL = 50_000
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


async def snapshot(dsn: str, schema: str, position: int) -> int:
    """Take a desk snapshot at a position, as the follower does; returns its bytes."""
    log = PostgresEventLog(dsn, schema, 0)
    desk, _ = await load_desk(_UpTo(log, position), _None(), 0)  # type: ignore[arg-type]
    state = dump(desk)
    await PostgresSnapshots(dsn, schema).save(
        DeskSnapshot(desk.position, state_hash(desk), state), desk.last_at
    )
    await log.close()
    return len(state)


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

    async def latest(self) -> None:
        """None."""


def seconds_to_serve(dsn: str, schema: str, home: Path) -> tuple[float, int]:
    """Start a writer, kill it with -9 once it serves, start another, wait for its first answer."""
    environment = {
        **plain_environment(),
        "NEXUS_DATABASE_URL": dsn,
        "NEXUS_SCHEMA": schema,
        "NEXUS_DATA_DIR": str(home / "data"),
        "NEXUS_RUNTIME_DIR": str(home / "run"),
        "NEXUS_BUS_PATH": str(home / "bus"),
        "NEXUS_DESK_SNAPSHOT_EVERY": "100000000",
    }
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


def run(*, events: int = 1_000_000, seed: int = 7) -> dict[str, Any]:
    """The whole benchmark."""
    about = machine()
    home = Path(tempfile.mkdtemp(prefix="nxbench-"))
    try:
        with server() as running:
            dsn = running.dsn()
            made = decided(int(events / _EVENTS_PER_COMMAND), seed)
            held = uvloop.run(fill(dsn, "bench_recover", *made))
            del made
            without, at_without = seconds_to_serve(dsn, "bench_recover", home)
            size = uvloop.run(snapshot(dsn, "bench_recover", max(0, held - _TAIL)))
            with_one, at_with = seconds_to_serve(dsn, "bench_recover", home)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert at_without == at_with == held
    return {
        "figures": {
            "events": held,
            "without a snapshot, s": round(without, 2),
            "with a snapshot, s": round(with_one, 2),
            "events after the snapshot": min(_TAIL, held),
            "snapshot bytes": size,
        },
        "machine": about,
        "mix": f"events of: {MIX}",
        "left_out": "the start of PostgreSQL; includes the start of Python and the first answer",
        "goals": [goal("s to serve with a snapshot", round(with_one, 2), 2.0, at_most=True)],
    }
