"""Closing everything, and stops that trail, while writers are killed: each once, and none lost."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from application.commands import (
    CloseAllPositions,
    Deposit,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    ReadOrder,
    Reply,
    TransferPosition,
)
from application.requests import Command
from domain.errors import VenueUnavailable
from domain.events import OrderAccepted, OrderFilled, OrderTrailed, OrderTriggered
from domain.terms import OrderType, Side, TimeInForce
from infrastructure.command_bus import UnixSocketBus
from tests.log_checks import check_replay, read_log
from tests.model.judged_log import judged
from tests.writer_process import DOLLAR, LOT, Partition, partition

pytestmark = pytest.mark.crash

BUY, SELL = int(Side.BUY), int(Side.SELL)
LIMIT, TRAILING = int(OrderType.LIMIT), int(OrderType.TRAILING_STOP)
GTC = int(TimeInForce.GTC)
POSITIONS = 60
STOPS = 120
KILLS = 2
SEED = 20261121


@pytest.fixture
def venue(schema: Any) -> Iterator[Partition]:
    """A partition without a writer yet."""
    with partition(schema.dsn, schema.schema) as made:
        yield made


class Client:
    """Sends each command again and again, with its key, until its outcome is known."""

    def __init__(self, bus: UnixSocketBus) -> None:
        self.bus = bus

    async def send(self, command: Command) -> Reply:
        """One command, done once."""
        while True:
            try:
                return await self.bus.send(command, "tester", "test")
            except VenueUnavailable:
                await asyncio.sleep(0.01)

    async def ok(self, command: Command) -> Reply:
        """A command that must be taken."""
        reply = await self.send(command)
        assert reply.refusal is None, reply.refusal
        return reply

    async def account(self, name: str) -> UUID:
        """An account on margin, with cash."""
        opened = await self.ok(OpenAccount(name, "", 1))
        assert opened.result is not None
        account = UUID(opened.result["account_id"])
        await self.ok(Deposit(account, 10**12, "cash"))
        return account

    async def instrument(self, symbol: str) -> None:
        """An instrument in session."""
        terms = {"reference_price": 100 * DOLLAR, "collar_bps": 5_000}
        await self.ok(ListInstrument(symbol, "", "us_equity", "manual", 4, 10**7, LOT, **terms))
        await self.ok(OpenInstrument(symbol, 20261120, 20261124, 0, 2**52))

    async def place(self, account: UUID, symbol: str, side: int, price: int, key: str) -> Reply:
        """An order of one share at some cents."""
        limit = price * DOLLAR // 100
        return await self.ok(
            PlaceOrder(account, symbol, side, LIMIT, GTC, LOT, limit, 0, key),
        )


async def while_killed(
    venue: Partition, work: Callable[[asyncio.Event], Awaitable[None]], chance: random.Random
) -> None:
    """Work while whoever leads is killed, each time after some of the work is done."""
    for _ in range(KILLS):
        standby = venue.start()
        await asyncio.to_thread(standby.says, "standing by")
    some_done = asyncio.Event()
    working = asyncio.ensure_future(work(some_done))
    for _ in range(KILLS):
        some_done.clear()
        wait = asyncio.ensure_future(some_done.wait())
        await asyncio.wait((wait, working), return_when=asyncio.FIRST_COMPLETED)
        wait.cancel()
        if working.done():
            break
        await asyncio.sleep(chance.random() * 0.01)
        leader = await asyncio.to_thread(venue.leader)
        leader.signal(signal.SIGKILL)
        await asyncio.to_thread(leader.ended)
    await asyncio.wait_for(working, 90)


def with_a_client(venue: Partition, play: Callable[[Client], Awaitable[None]]) -> None:
    """Run a scene with a writer and a client; then every promise of a log is looked at."""
    venue.start()
    venue.leader()

    async def run() -> None:
        bus = UnixSocketBus(venue.bus_path, timeout=30)
        await play(Client(bus))
        await bus.close()

    asyncio.run(asyncio.wait_for(run(), 150))
    assert [(1 + KILLS,)] == venue.rows("SELECT epoch FROM writer_epoch")
    log = read_log(venue.dsn, venue.schema)
    log.check()
    assert {} == {name: n for name, n in judged(log.events).failed.items() if n}
    check_replay(venue.dsn, venue.schema, venue.bus_path)


async def close_all(client: Client, account: UUID, some_done: asyncio.Event) -> list[str]:
    """Close everything in as many steps as it takes, as one request does; the symbols closed."""
    closed: list[str] = []
    command = CloseAllPositions(account, "all", cancel_orders=True)
    while True:
        reply = await client.ok(command)
        told = reply.result
        assert told is not None
        closed += [order.symbol for order in reply.closing]
        some_done.set()
        if not told["remaining"]:
            return closed
        step, passed = command.step + 1, told["passed"]
        cancels = not passed
        command = CloseAllPositions(account, f"all {step}", cancels, step, passed)
        await asyncio.sleep(0.05)


def test_all_positions_are_closed_once_through_kill_9(venue: Partition) -> None:
    """What orders hold is freed, and each position sold, by one order each: whoever repeats the
    request is told the same.
    """
    symbols = [f"P{number}" for number in range(POSITIONS)]
    seen: list[list[str]] = []

    async def play(client: Client) -> None:
        holder, buyer = await client.account("holder"), await client.account("buyer")
        for symbol in symbols:
            await client.instrument(symbol)
            await client.ok(TransferPosition(holder, symbol, 3 * LOT, 0, f"stock {symbol}"))
            await client.place(holder, symbol, SELL, 11_000, f"ask {symbol}")
            for number in range(3):
                await client.place(buyer, symbol, BUY, 9_990, f"bid {symbol} {number}")

        async def work(some_done: asyncio.Event) -> None:
            seen.append(await close_all(client, holder, some_done))

        await while_killed(venue, work, random.Random(SEED))
        seen.append(await close_all(client, holder, asyncio.Event()))

    with_a_client(venue, play)

    first, again = seen
    assert symbols == first == again
    log = read_log(venue.dsn, venue.schema)
    market = [e for e in log.events if isinstance(e, OrderAccepted) and e.order_type == 1]
    assert symbols == [event.symbol for event in market]
    assert {3 * LOT} == {event.qty for event in market}
    sold = {event.originator_id for event in market}
    filled = [e for e in log.events if isinstance(e, OrderFilled) and e.originator_id in sold]
    assert POSITIONS * 3 * LOT == sum(event.qty for event in filled)


def test_trailing_stops_stand_where_the_best_price_puts_them_through_kill_9(
    venue: Partition,
) -> None:
    """None is lost, none elected twice, and each follows every trade since it was placed."""
    chance = random.Random(SEED)
    placed: dict[UUID, tuple[UUID, int]] = {}
    standing: dict[UUID, int] = {}

    async def play(client: Client) -> None:
        holder = await client.account("holder")
        sides = [await client.account(name) for name in ("seller", "buyer")]
        await client.instrument("ACME")
        for account in (holder, sides[0]):
            await client.ok(TransferPosition(account, "ACME", 10_000 * LOT, 0, "stock"))

        async def trade(price: int, number: int) -> None:
            for account, side in zip(sides, (SELL, BUY), strict=True):
                await client.place(account, "ACME", side, price, f"{number} {side}")

        async def work(some_done: asyncio.Event) -> None:
            price = 10_000
            await trade(price, -1)
            for number in range(STOPS):
                trail = chance.randint(20, 900)
                reply = await client.ok(
                    PlaceOrder(
                        *(holder, "ACME", SELL, TRAILING, GTC, LOT, 0, 0, f"stop {number}"),
                        trail_price=trail * DOLLAR // 100,
                    )
                )
                assert reply.order is not None
                placed[reply.order.order_id] = holder, trail * 100
                price += chance.choice((-15, 5, 20, 40))
                await trade(price, number)
                if number % 40 == 20:
                    some_done.set()

        await while_killed(venue, work, chance)
        for order_id in placed:
            order = (await client.ok(ReadOrder(holder, order_id))).order
            assert order is not None
            if not order.triggered_at:
                standing[order_id] = order.stop_price

    with_a_client(venue, play)

    events = read_log(venue.dsn, venue.schema).events
    elected = [event.originator_id for event in events if isinstance(event, OrderTriggered)]
    assert len(elected) == len(set(elected))
    assert set(placed) == set(elected) | set(standing)
    assert elected and standing
    for order_id, stop in standing.items():
        (first,) = [n for n, e in enumerate(events) if getattr(e, "originator_id", 0) == order_id
                    and isinstance(e, OrderAccepted)]  # fmt: skip
        seen = [e.price for e in events[first:] if isinstance(e, OrderFilled)]
        best = max(seen + [e.price for e in events[:first] if isinstance(e, OrderFilled)][-1:])
        assert best - placed[order_id][1] == stop
        moves = [e for e in events if isinstance(e, OrderTrailed) and e.originator_id == order_id]
        assert len({event.water_mark for event in moves}) == len(moves)
