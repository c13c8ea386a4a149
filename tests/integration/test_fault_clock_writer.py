"""Writers on a real store whose machine's clock jumps while clients trade, also at a takeover."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from api.cli.exit_codes import Exit
from api.processes.writer import Writer
from application.commands import Deposit, ListInstrument, OpenAccount, PlaceOrder, SetAccountLimits
from application.requests import Command
from domain.identifiers import drawn_at
from infrastructure.clock import VenueClock
from infrastructure.command_bus import UnixSocketBus
from infrastructure.settings import Settings

SECOND = 1_000_000_000
HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
NOON = 1_795_262_400 * SECOND
"""2026-11-21T12:00:00Z."""
LOT, DOLLAR = 10**8, 10**9


class Jumping:
    """A machine's clock that jumps by what is set. It begins at noon: no session ends by itself."""

    def __init__(self) -> None:
        self.by = 0
        self._began = NOON - time.monotonic_ns()

    def true(self) -> int:
        """Nanoseconds since 1970."""
        return self._began + time.monotonic_ns()

    def wall(self) -> int:
        """Nanoseconds since 1970, and the jump."""
        return self.true() + self.by


class Traded:
    """A client of the writers, and what the log says of its orders."""

    def __init__(self, schema: Any, settings: Settings) -> None:
        self.schema = schema
        self.settings = settings
        self.jump = Jumping()
        self.said: list[str] = []
        self.bus = UnixSocketBus(settings.bus_socket)
        self.account = UUID(int=0)
        self.orders = 0

    def writer(self, origin: int | None = None) -> Writer:
        """A writer that starts while the clock stands where it does."""
        clock = VenueClock(origin=origin, wall=self.jump.wall, say=self.said.append)
        return Writer(self.settings, self.schema.dsn, clock=clock, say=self.said.append)

    async def ok(self, command: Command) -> dict[str, Any]:
        """A command that must not be refused."""
        reply = await self.bus.send(command, "client", "test")
        assert reply.refusal is None, reply.refusal
        return reply.result or {}

    async def furnish(self) -> None:
        """An instrument around the clock, and an account with cash and an order rate."""
        listed = ListInstrument(
            "X", "X", "us_equity", "24/7", 4, 10**7, LOT, reference_price=100 * DOLLAR
        )
        await self.ok(listed)
        self.account = UUID((await self.ok(OpenAccount("a", "", 1)))["account_id"])
        await self.ok(Deposit(self.account, 10**12, "cash"))
        await self.ok(SetAccountLimits(self.account, 0, 20))
        while self.rows("SELECT 1 FROM stored_events WHERE topic LIKE 'instrument.opened%'") == []:
            await asyncio.sleep(0.05)

    async def trade(self, count: int = 5) -> None:
        """Day orders, none of which trades."""
        for _ in range(count):
            self.orders += 1
            key = f"o{self.orders}"
            order = PlaceOrder(self.account, "X", 1, 2, 0, LOT, 90 * DOLLAR, 0, key)
            await self.ok(order)
            await asyncio.sleep(0.06)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the schema."""
        with psycopg.connect(self.schema.dsn, autocommit=True) as conn:
            conn.execute(
                sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema.schema))
            )
            return conn.execute(query.encode()).fetchall()


@pytest.fixture
def heard() -> Iterator[None]:
    """Put the signals back to where they were: a writer listens to them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@asynccontextmanager
async def leading(writer: Writer) -> AsyncIterator[None]:
    """A writer at work, until it is asked to leave."""
    running = asyncio.create_task(writer.run())
    try:
        yield
        assert not running.done(), "it ended by itself"
    finally:
        writer.stop()
        assert Exit.OK == await asyncio.wait_for(running, 20)


@pytest.mark.parametrize("jump", [DAY, -HOUR])
def test_orders_through_a_clock_that_jumps_have_their_times_and_stay(
    schema: Any, tmp_path: Path, jump: int, heard: None
) -> None:
    """Before, while and after it is elsewhere, and by a writer that takes over meanwhile: each
    order has its own time, within a second of the true one, ids grow, day orders stay and the rate
    refuses nobody.
    """
    settings = Settings(partition_schema=schema.schema, bus_path=tmp_path / "bus")
    traded = Traded(schema, settings)
    began = traded.jump.true() // 1000

    async def work() -> None:
        first = traded.writer()
        origin = (traded.jump.true() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1000
        async with leading(first):
            await traded.furnish()
            await traded.trade()
            traded.jump.by = jump
            await traded.trade()
        async with leading(traded.writer(origin)):
            await traded.trade()
            traded.jump.by = 0
            await traded.trade()
        await traded.bus.close()

    asyncio.run(asyncio.wait_for(work(), 60))
    rows = traded.rows(
        "SELECT originator_id, correlation_id, (extract(epoch FROM recorded_at) * 1e6)::bigint"
        " FROM stored_events WHERE topic LIKE 'order.accepted%' ORDER BY notification_id"
    )
    assert 20 == traded.orders == len(rows)
    times = [at for _, _, at in rows]
    assert times == sorted(set(times))
    assert all(began <= at <= traded.jump.true() // 1000 for at in times)
    assert [drawn_at(command) for _, command, _ in rows] == times
    ids = [order_id.int for order_id, _, _ in rows]
    assert ids == sorted(set(ids))
    ended = "SELECT 1 FROM stored_events WHERE topic LIKE 'order.expired%'"
    closed = "SELECT 1 FROM stored_events WHERE topic LIKE 'instrument.closed%'"
    assert [] == traded.rows(ended) == traded.rows(closed)
    assert 3 == len([text for text in traded.said if "the machine's clock" in text])
