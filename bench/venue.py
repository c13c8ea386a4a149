"""What a benchmark runs against: a store of its own, and the venue's processes on it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import psycopg

from application.commands import ReadState
from bench.flow import Floor, furnish
from infrastructure.command_bus import UnixSocketBus
from infrastructure.embedded_server import EmbeddedServer
from migrations.runner import migrate

START_SECONDS = 60.0
NO_SNAPSHOTS = {"NEXUS_DESK_SNAPSHOT_EVERY": "100000000"}


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
        "NEXUS_FEED_PATH": str(home / "feed"),
    }


class ProcessEnded(Exception):
    """A process of the venue ended while it was measured; the message is what it said last."""


class Process:
    """One process of the venue: `with Process(role, …) as it: it.pid`.

    Its connections carry the role's name, and what it says is kept in its home.
    """

    def __init__(
        self, role: str, environment: dict[str, str], arguments: Sequence[str] = ()
    ) -> None:
        self._role = role
        self._said = Path(environment["NEXUS_DATA_DIR"]).parent / f"{role}.out"
        with self._said.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api.cli.main", "serve", "--only", role, *arguments],
                env={**environment, "PGAPPNAME": f"bench {role}"},
                stdout=output,
            )
        self.pid = self._process.pid

    def check(self) -> None:
        """Raise ProcessEnded when it has: figures by process would be another's."""
        code = self._process.poll()
        if code is not None:
            said = self._said.read_text(errors="replace").strip()[-500:]
            raise ProcessEnded(f"the {self._role} ended with {code}: {said}")

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait(30)


class Processes(NamedTuple):
    """Processes of a venue, by role, and the socket of its writer."""

    bus: Path
    by_role: dict[str, Process]

    @property
    def pids(self) -> dict[str, int]:
        """The id of each by its role."""
        return {role: process.pid for role, process in self.by_role.items()}

    def check(self) -> None:
        """Raise ProcessEnded when one has ended, as a writer does that was taken over."""
        for process in self.by_role.values():
            process.check()


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
    with ExitStack() as running:
        processes = {
            "writer": running.enter_context(Process("writer", environment | NO_SNAPSHOTS)),
            "projector": running.enter_context(Process("projector", environment)),
        }
        asyncio.run(until_it_leads(bus))
        if standby:
            processes["standby"] = running.enter_context(Process("standby", environment))
        yield Processes(bus, processes)


async def until_it_leads(path: Path) -> None:
    """Return when the writer behind a socket answers."""
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
