"""What a benchmark runs against: a store of its own, and the venue's processes on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from application.commands import ReadState
from bench.flow import Floor, furnish
from infrastructure.command_bus import UnixSocketBus
from infrastructure.embedded_server import EmbeddedServer
from migrations.runner import migrate

START_SECONDS = 60.0
NO_SNAPSHOTS = {"NEXUS_DESK_SNAPSHOT_EVERY": "100000000"}


class Processes(NamedTuple):
    """Processes of a venue: the writer's socket, and the id of each by its role."""

    bus: Path
    pids: dict[str, int]


@contextmanager
def server() -> Iterator[EmbeddedServer]:
    """An embedded server of its own, gone afterwards."""
    with short_home() as home:
        with EmbeddedServer(home / "d", home / "s", on_message=lambda _: None) as running:
            running.start()
            warm_wal(running.dsn())
            yield running


@contextmanager
def short_home() -> Iterator[Path]:
    """A directory for data and sockets, whose paths must be short; gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="nxbench-"))
    home.chmod(0o755)
    try:
        yield home
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


def checkpoint(dsn: str) -> None:
    """Have the server write all it holds now, so that it need not while something is timed."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CHECKPOINT")


def plain_environment() -> dict[str, str]:
    """This environment without any setting of the venue."""
    return {key: value for key, value in os.environ.items() if not key.startswith("NEXUS_")}


def environment_of(dsn: str, schema: str, home: Path) -> dict[str, str]:
    """What a process of the venue needs to know."""
    return {
        **plain_environment(),
        "NEXUS_DATABASE_URL": dsn,
        "NEXUS_SCHEMA": schema,
        "NEXUS_DATA_DIR": str(home / "data"),
        "NEXUS_RUNTIME_DIR": str(home / "run"),
        "NEXUS_BUS_PATH": str(home / "bus"),
    }


@contextmanager
def process_of(
    role: str, environment: dict[str, str], arguments: Sequence[str] = ()
) -> Iterator[int]:
    """One process of the venue; yields its id. Its connections carry the role's name."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "serve", "--only", role, *arguments],
        env={**environment, "PGAPPNAME": f"bench {role}"},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def venue_processes(
    dsn: str, schema: str, home: Path, *, standby: bool = False
) -> Iterator[Processes]:
    """A writer that leads and a projector as processes of their own, and a standby if wanted.

    Desk snapshots are the standby's: without one none are taken.
    """
    migrate(dsn, schema)
    environment = environment_of(dsn, schema, home)
    bus = home / "bus"
    with (
        process_of("writer", environment | NO_SNAPSHOTS) as writer,
        process_of("projector", environment) as projector,
    ):
        asyncio.run(_until_it_leads(bus))
        pids = {"writer": writer, "projector": projector}
        if not standby:
            yield Processes(bus, pids)
            return
        with process_of("standby", environment) as follower:
            yield Processes(bus, pids | {"standby": follower})


async def _until_it_leads(path: Path) -> None:
    bus = UnixSocketBus(path, timeout=START_SECONDS)
    try:
        await bus.send(ReadState(), "bench", "bench")
    finally:
        await bus.close()


async def furnished(path: Path) -> Floor:
    """The floor of a venue that is reached through its socket."""
    bus = UnixSocketBus(path, timeout=START_SECONDS)
    try:
        return await furnish(bus)
    finally:
        await bus.close()
