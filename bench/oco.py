"""How fast order groups become durable beside plain orders, and how soon a sibling is canceled."""

from __future__ import annotations

import asyncio
import gc
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import psycopg
import uvloop
from psycopg import sql

from application.commands import Envelope, PlaceGroup, PlaceOrder, Reply, encode_command
from application.ports import CommandBus
from application.requests import Command
from application.writer.sequencer import Sequencer
from bench.flow import Floor, furnish
from bench.report import goal, machine, percentile
from bench.submit import WallClock, server, venue_processes
from domain.events import OrderCanceled, OrderFilled
from domain.money import QTY_UNIT
from domain.terms import CancelReason, Leg, OrderClass, OrderType, Side, TimeInForce
from infrastructure.command_bus import InProcessBus, UnixSocketBus
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

LEGS = 2
MIX = (
    "plain: limit sells that rest; groups: oco of the same limit sell and a stop-loss; executions:"
    " a limit ioc that buys one whole take-profit; 20 accounts, 10 instruments"
)
_IN_FLIGHT = 4_000
_TICK = 10**7
_PROFIT_TICKS = 10_100
_STOP_TICKS = 9_500
_QTY = 100 * QTY_UNIT
_TAKE_PROFIT = int(Leg.TAKE_PROFIT)
_STOP_LOSS = int(Leg.STOP_LOSS)
_FILLED = OrderFilled.TOPIC
_CANCELED = OrderCanceled.TOPIC


class Orders:
    """Commands that fit each other: what is sold, and what buys all of it."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._number = 0

    def _next(self) -> tuple[UUID, str, str]:
        """An account other than the buyer, a symbol and a name."""
        self._number += 1
        number = self._number
        accounts, symbols = self._floor.accounts[:-1], self._floor.symbols
        account = accounts[number % len(accounts)]
        return account, symbols[number % len(symbols)], f"b{number}"

    def plain(self, count: int) -> list[Command]:
        """Sells that rest at the take-profit's price."""
        made: list[Command] = []
        for _ in range(count):
            account, symbol, name = self._next()
            made.append(_limit(account, symbol, Side.SELL, TimeInForce.GTC, _QTY, name))
        return made

    def groups(self, count: int) -> list[Command]:
        """Groups of such a sell and a stop-loss."""
        made: list[Command] = []
        for _ in range(count):
            account, symbol, name = self._next()
            made.append(
                PlaceGroup(
                    account,
                    symbol,
                    int(OrderClass.OCO),
                    int(Side.SELL),
                    int(OrderType.LIMIT),
                    int(TimeInForce.GTC),
                    _QTY,
                    0,
                    0,
                    name,
                    _PROFIT_TICKS * _TICK,
                    _STOP_TICKS * _TICK,
                )
            )
        return made

    def executions(self, placed: Sequence[Any]) -> list[Command]:
        """As many buys, each of which takes one of these whole."""
        buyer = self._floor.accounts[-1]
        made: list[Command] = []
        for command in placed:
            _, _, name = self._next()
            made.append(_limit(buyer, command.symbol, Side.BUY, TimeInForce.IOC, _QTY, name))
        return made


def _limit(
    account: UUID, symbol: str, side: Side, time_in_force: TimeInForce, qty: int, name: str
) -> Command:
    price = _PROFIT_TICKS * _TICK
    kind = int(OrderType.LIMIT)
    return PlaceOrder(account, symbol, int(side), kind, int(time_in_force), qty, price, 0, name)


class Refused(Exception):
    """The writer refused what a benchmark measures."""


async def offer(sequencer: Sequencer, commands: Sequence[Command]) -> float:
    """Seconds until all of them are decided, committed and answered."""
    envelopes = [
        Envelope("bench", "bench", msgspec.Raw(encode_command(command))) for command in commands
    ]
    answered = 0
    refused: list[Reply] = []
    done = asyncio.Event()

    def answer(reply: Reply) -> None:
        nonlocal answered
        answered += 1
        if reply.refusal is not None:
            refused.append(reply)
        if answered == len(envelopes):
            done.set()

    started = perf_counter()
    for number, envelope in enumerate(envelopes):
        sequencer.submit(envelope, answer)
        if number % 100 == 99:
            await asyncio.sleep(0)
            while number - answered > _IN_FLIGHT:
                await asyncio.sleep(0.001)
    await done.wait()
    seconds = perf_counter() - started
    if refused and refused[0].refusal is not None:
        raise Refused(f"{len(refused)} refused: {refused[0].refusal.message}")
    return seconds


async def saturate(dsn: str, schema: str, rounds: int, size: int) -> dict[str, float]:
    """Plain orders and groups by turns through one writer in this process, a second of each."""
    migrate(dsn, schema)
    log = PostgresEventLog(dsn, schema, 0)
    sequencer = Sequencer(log, PostgresSnapshots(dsn, schema), WallClock(), say=lambda _: None)
    leading = asyncio.create_task(sequencer.run())
    await sequencer.ready.wait()
    orders = Orders(await furnish(InProcessBus(sequencer.submit)))
    seconds = {"plain": 0.0, "taken": 0.0, "groups": 0.0, "executed": 0.0}
    gc.collect()
    gc.freeze()
    gc.disable()
    for _ in range(rounds):
        plain = orders.plain(size)
        groups = orders.groups(size // LEGS)
        seconds["plain"] += await offer(sequencer, plain)
        seconds["taken"] += await offer(sequencer, orders.executions(plain))
        seconds["groups"] += await offer(sequencer, groups)
        seconds["executed"] += await offer(sequencer, orders.executions(groups))
    gc.enable()
    gc.unfreeze()
    leading.cancel()
    await asyncio.gather(leading, return_exceptions=True)
    await log.close()
    count, grouped = rounds * size, rounds * (size // LEGS)
    return {
        "plain_orders_per_s": round(count / seconds["plain"]),
        "groups_per_s": round(grouped / seconds["groups"]),
        "legs_per_s": round(LEGS * grouped / seconds["groups"]),
        "plain_executions_per_s": round(count / seconds["taken"]),
        "executions_with_sibling_per_s": round(grouped / seconds["executed"]),
    }


class Seen(NamedTuple):
    """When a subscriber had each take-profit's fill and each stop-loss's cancel, and where."""

    fills: list[tuple[float, int]]
    cancels: list[tuple[float, int]]


async def subscribe(source: PostgresEventSource, after: int, count: int) -> Seen:
    """Follow committed events until so many siblings are canceled."""
    seen = Seen([], [])
    async for page in source.follow(after, topics=(_FILLED, _CANCELED)):
        now = perf_counter()
        for position, event in page:
            if isinstance(event, OrderFilled) and event.leg == _TAKE_PROFIT:
                seen.fills.append((now, position))
            elif isinstance(event, OrderCanceled) and _is_sibling(event):
                seen.cancels.append((now, position))
        if len(seen.cancels) >= count:
            break
    return seen


def _is_sibling(event: OrderCanceled) -> bool:
    return event.leg == _STOP_LOSS and event.reason == CancelReason.OTHER_LEG


async def execute(path: Path, dsn: str, schema: str, rate: int, seconds: float) -> dict[str, Any]:
    """Execute take-profits at a rate through the bus, and watch the committed events.

    Each counts from when it was due. One execution takes one group, in order, so that the
    n-th cancel belongs to the n-th execution.
    """
    bus = UnixSocketBus(path, timeout=60)
    source = PostgresEventSource(dsn, schema)
    try:
        orders = Orders(await furnish(bus))
        groups = orders.groups(int(rate * seconds))
        await _place(bus, groups)
        executions = orders.executions(groups)
        last = await source.last_position()
        watching = asyncio.create_task(subscribe(source, last, len(groups)))
        gc.collect()
        gc.freeze()
        gc.disable()
        due, answered = await _at_rate(bus, executions, rate)
        seen = await asyncio.wait_for(watching, 30)
        gc.enable()
        gc.unfreeze()
    finally:
        await bus.close()
        await source.close()
    together = _together(dsn, schema, seen)
    siblings = [at - begun for begun, (at, _) in zip(due, seen.cancels, strict=True)]
    apart = [cancel - fill for (fill, _), (cancel, _) in zip(seen.fills, seen.cancels, strict=True)]
    return {
        "executed": len(groups),
        "submitted to answered, ms": _spread([b - a for a, b in zip(due, answered, strict=True)]),
        "submitted to sibling's cancel at a subscriber, ms": _spread(siblings),
        "fill to sibling's cancel at a subscriber, ms": _spread(apart),
        "fill and cancel in one transaction": together,
    }


async def _place(bus: CommandBus, groups: Sequence[Command]) -> None:
    for begin in range(0, len(groups), 400):
        replies = await asyncio.gather(
            *(bus.send(command, "bench", "bench") for command in groups[begin : begin + 400])
        )
        for reply in replies:
            if reply.refusal is not None:
                raise Refused(reply.refusal.message)


async def _at_rate(
    bus: CommandBus, commands: Sequence[Command], rate: int
) -> tuple[list[float], list[float]]:
    """When each was due, and when it was answered."""
    started = perf_counter()
    due = [started + number / rate for number in range(len(commands))]
    answered = [0.0] * len(commands)

    async def one(number: int) -> None:
        reply = await bus.send(commands[number], "bench", "bench")
        answered[number] = perf_counter()
        if reply.refusal is not None:
            raise Refused(reply.refusal.message)

    under_way = []
    for number, at in enumerate(due):
        ahead = at - perf_counter()
        if ahead > 0:
            await asyncio.sleep(ahead)
        under_way.append(asyncio.create_task(one(number)))
    await asyncio.gather(*under_way)
    return due, answered


def _together(dsn: str, schema: str, seen: Seen) -> int:
    """How many fills and cancels of siblings the store holds from one transaction."""
    with psycopg.connect(dsn) as conn:
        row = conn.execute(
            sql.SQL(
                "SELECT count(*) FROM unnest(%s::bigint[], %s::bigint[]) AS pair (fill, cancel)"
                " JOIN {events} f ON f.notification_id = fill"
                " JOIN {events} c ON c.notification_id = cancel"
                " WHERE f.xmin = c.xmin AND f.correlation_id = c.correlation_id"
            ).format(events=sql.Identifier(schema, "stored_events")),
            ([position for _, position in seen.fills], [position for _, position in seen.cancels]),
        ).fetchone()
    assert row is not None
    return int(row[0])


def _spread(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50": round(percentile(ordered, 0.5) * 1e3, 3),
        "p99": round(percentile(ordered, 0.99) * 1e3, 3),
        "max": round(ordered[-1] * 1e3, 3),
    }


def run(
    *, rounds: int = 8, size: int = 10_000, rate: int = 500, seconds: float = 20
) -> dict[str, Any]:
    """The whole benchmark."""
    about = machine()
    with server() as running:
        dsn = running.dsn()
        saturated = uvloop.run(saturate(dsn, "bench_oco", rounds, size))
        home = Path(tempfile.mkdtemp(prefix="nxbench-"))
        try:
            with venue_processes(dsn, "bench_oco_bus", home) as path:
                executed = uvloop.run(execute(path, dsn, "bench_oco_bus", rate, seconds))
        finally:
            shutil.rmtree(home, ignore_errors=True)
    together = executed["fill and cancel in one transaction"] / executed["executed"]
    ratio = round(saturated["legs_per_s"] / saturated["plain_orders_per_s"], 2)
    seen = executed["submitted to sibling's cancel at a subscriber, ms"]
    return {
        "figures": {
            "saturated in process, by turns": saturated,
            "legs per second to plain orders per second": ratio,
            f"executed through the bus at {rate}/s": executed,
        },
        "machine": about,
        "mix": MIX,
        "left_out": "HTTP; commissions; groups whose stop is elected; the driver, the subscriber,"
        " the projector and PostgreSQL share the cores",
        "goals": [
            goal("legs/s to plain orders/s", ratio, 0.5),
            goal("p99 ms to the sibling's cancel", seen["p99"], 100, at_most=True),
            goal("siblings canceled in the fill's own commit", round(together, 6), 1),
        ],
    }
