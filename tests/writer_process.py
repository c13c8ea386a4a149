"""Writers as processes of their own, on a store that is there, and clients on their bus."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from api.processes.environment import SOURCES
from api.processes.looking import listener_pid
from application.commands import (
    CancelOrder,
    Deposit,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    Reply,
    TransferPosition,
)
from application.requests import Command
from domain.errors import VenueUnavailable
from infrastructure.command_bus import UnixSocketBus
from tests.homes import place

LOT = 10**8
DOLLAR = 10**9
SYMBOL = "ACME"


class Partition:
    """A migrated schema with writers that tests start, stop and kill."""

    def __init__(self, dsn: str, schema: str, home: Path) -> None:
        self.dsn = dsn
        self.schema = schema
        self.home = home
        self.bus_path = home / "bus.sock"
        self.writers: list[WriterProcess] = []

    def start(self, *arguments: str, dsn: str | None = None, **settings: Any) -> WriterProcess:
        """Start one more writer process."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_")}
        environment |= {
            "PYTHONPATH": SOURCES,
            "NEXUS_DATABASE_URL": dsn or self.dsn,
            "NEXUS_SCHEMA": self.schema,
            "NEXUS_BUS_PATH": str(self.bus_path),
            **{f"NEXUS_{name.upper()}": str(value) for name, value in settings.items()},
        }
        writer = WriterProcess(self, len(self.writers), environment, arguments)
        self.writers.append(writer)
        return writer

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the partition's schema."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema)))
            return conn.execute(query.encode(), values).fetchall()

    def leader(self) -> WriterProcess:
        """The process that leads, waited for."""
        found: list[WriterProcess] = []

        def leads() -> bool:
            pid = listener_pid(self.bus_path)
            found[:] = [w for w in self.writers if pid is not None and w.pid == pid]
            return bool(found)

        wait_until(leads, "a writer to lead")
        return found[0]

    def end_writers_backend(self) -> int:
        """End the store's side of whoever leads, as a failing network would; how many ended."""
        return len(
            self.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s",
                f"nexus writer {self.schema}",
            )
        )


class WriterProcess:
    """One `nexus serve --only writer`."""

    def __init__(
        self,
        partition: Partition,
        number: int,
        environment: dict[str, str],
        arguments: Sequence[str],
    ) -> None:
        self._said = partition.home / f"writer-{number}.log"
        with open(self._said, "wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "api.cli.main", "serve", "--only", "writer", *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def said(self) -> str:
        """All it has printed."""
        return self._said.read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def says(self, words: str) -> None:
        """Wait until it has printed these words."""
        wait_until(lambda: words in self.said, f"the writer to say {words!r}", lambda: self.said)

    def ended(self, timeout: float = 20) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait(timeout)

    def end(self) -> None:
        """Make sure that it is gone."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def wait_until(
    met: Callable[[], bool], what: str, also: Callable[[], str] = str, seconds: float = 30
) -> None:
    """Wait for a condition; AssertionError when it is not met in time."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, f"waited in vain for {what}: {also()}"
        time.sleep(0.01)


@contextmanager
def partition(dsn: str, schema: str) -> Iterator[Partition]:
    """A partition whose processes are gone after the block."""
    with tempfile.TemporaryDirectory(prefix="nexus-", dir=place()) as home:
        made = Partition(dsn, schema, Path(home))
        try:
            yield made
        finally:
            for writer in made.writers:
                writer.end()


class BusClient:
    """Sends orders over the bus until each is answered, and notes what it was told."""

    def __init__(self, path: Path) -> None:
        self.bus = UnixSocketBus(path, timeout=30)
        self.account = UUID(int=0)
        self.told: dict[str, Reply] = {}
        self.answers = 0

    async def open(self) -> None:
        """An instrument in session and an account with cash and stock."""
        opened = await self.bus.send(OpenAccount("trader", "", 1), "tester", "test")
        assert opened.result is not None
        self.account = UUID(opened.result["account_id"])
        commands: list[Command] = [
            Deposit(self.account, 10**12, "cash"),
            ListInstrument(
                SYMBOL, "", "us_equity", "manual", 4, 10**7, LOT, reference_price=100 * DOLLAR
            ),
            OpenInstrument(SYMBOL, 20261120, 20261124, 0, 2**52),
            TransferPosition(self.account, SYMBOL, 10**6 * LOT, 0, "stock"),
        ]
        for command in commands:
            reply = await self.bus.send(command, "tester", "test")
            assert reply.refusal is None, reply

    def order(self, key: str, side: int = 1) -> PlaceOrder:
        """A resting order."""
        price = (99 if side == 1 else 101) * DOLLAR
        return PlaceOrder(self.account, SYMBOL, side, 2, 1, LOT, price, 0, key)

    async def place(self, key: str) -> Reply:
        """Place an order, again and again until its outcome is known."""
        reply = await self._until_answered(self.order(key))
        known = self.told.setdefault(key, reply)
        assert known.order is not None and reply.order is not None, reply
        assert known.order.order_id == reply.order.order_id, key
        return reply

    async def cancel(self, key: str) -> Reply:
        """Cancel an order, again and again until its outcome is known."""
        return await self._until_answered(CancelOrder(self.account, None, key, f"cancel {key}"))

    async def _until_answered(self, command: Command) -> Reply:
        while True:
            try:
                reply = await self.bus.send(command, "tester", "test")
            except VenueUnavailable:
                await asyncio.sleep(0.01)
                continue
            if reply.refusal is None or reply.refusal.code != "QUEUE_FULL":
                self.answers += 1
                return reply
            await asyncio.sleep(0.01)

    async def trade(self, stop: asyncio.Event, name: str) -> None:
        """Place and cancel until told to stop; some orders are sent twice."""
        number = 0
        while not stop.is_set():
            number += 1
            key = f"{name}-{number}"
            replies = await asyncio.gather(self.place(key), self.place(key))
            assert [None, None] == [reply.refusal for reply in replies], replies
            if number % 3 == 0:
                assert (await self.cancel(key)).refusal is None

    async def answered_more(self, count: int) -> None:
        """Wait for more answers."""
        wanted = self.answers + count
        while self.answers < wanted:
            await asyncio.sleep(0.005)
