"""How fast order groups become durable beside plain orders, and how soon a sibling is canceled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import uvloop

from application.commands import PlaceGroup, PlaceOrder
from application.log.whole_commands import follow
from application.ports import CommandBus
from application.requests import Command
from application.writer.sequencer import Sequencer
from bench.flow import Floor, furnish
from bench.in_process import Offered, envelopes_of, leading, uncollected
from bench.one_row import one_row_latencies
from bench.report import Progress, goal, machine, percentile, say
from bench.turns import median_of
from bench.venue import server, short_home, venue_processes
from domain.events import OrderCanceled, OrderFilled
from domain.money import QTY_UNIT
from domain.terms import CancelReason, Leg, OrderClass, OrderType, Side, TimeInForce
from infrastructure.command_bus import InProcessBus, UnixSocketBus
from infrastructure.log.measuring import count_committed_together
from infrastructure.log.source import PostgresEventSource

QUICK = {"rounds": 2, "size": 5_000, "seconds": 2, "turns": 1}
TIMES_ONE_ROW = 20
LEGS = 2
MIX = (
    "plain: limit sells that rest; groups: oco of the same limit sell and a stop-loss; executions:"
    " a limit ioc that buys one whole take-profit; 20 accounts, 10 instruments"
)
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

    def __init__(self, floor: Floor, name: str = "") -> None:
        self._floor = floor
        self._name = name
        self._number = 0

    def _next(self) -> tuple[UUID, str, str]:
        """An account other than the buyer, a symbol and a name."""
        self._number += 1
        number = self._number
        accounts, symbols = self._floor.accounts[:-1], self._floor.symbols
        account = accounts[number % len(accounts)]
        return account, symbols[number % len(symbols)], f"{self._name}b{number}"

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
                    account_id=account,
                    symbol=symbol,
                    order_class=int(OrderClass.OCO),
                    side=int(Side.SELL),
                    order_type=int(OrderType.LIMIT),
                    time_in_force=int(TimeInForce.GTC),
                    qty=_QTY,
                    limit_price=0,
                    stop_price=0,
                    client_order_id=name,
                    take_profit_price=_PROFIT_TICKS * _TICK,
                    stop_loss_price=_STOP_TICKS * _TICK,
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
    return PlaceOrder(
        account_id=account,
        symbol=symbol,
        side=int(side),
        order_type=kind,
        time_in_force=int(time_in_force),
        qty=qty,
        limit_price=price,
        stop_price=0,
        client_order_id=name,
    )


class Refused(Exception):
    """The writer refused what a benchmark measures."""


async def offer(sequencer: Sequencer, commands: Sequence[Command]) -> float:
    """Seconds until all of them are decided, committed and answered."""
    offered = Offered(sequencer, envelopes_of(commands))
    seconds = await offered.seconds()
    if offered.refused:
        refusal = offered.refused[0].refusal
        assert refusal is not None
        raise Refused(f"{len(offered.refused)} refused: {refusal.message}")
    return seconds


async def saturate(dsn: str, schema: str, rounds: int, size: int) -> dict[str, float]:
    """Plain orders and groups by turns through one writer in this process, a second of each."""
    seconds = {"plain": 0.0, "taken": 0.0, "groups": 0.0, "executed": 0.0}
    async with leading(dsn, schema) as sequencer:
        orders = Orders(await furnish(InProcessBus(sequencer.submit)))
        with uncollected():
            for _ in range(rounds):
                plain = orders.plain(size)
                groups = orders.groups(size // LEGS)
                seconds["plain"] += await offer(sequencer, plain)
                seconds["taken"] += await offer(sequencer, orders.executions(plain))
                seconds["groups"] += await offer(sequencer, groups)
                seconds["executed"] += await offer(sequencer, orders.executions(groups))
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
    async for page in follow(source, after, topics=(_FILLED, _CANCELED)):
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


async def execute(
    path: Path, dsn: str, schema: str, rate: int, seconds: float, name: str = ""
) -> dict[str, Any]:
    """Execute take-profits at a rate through the bus, and watch the committed events.

    Each counts from when it was due. One execution takes one group, in order, so that the
    n-th cancel belongs to the n-th execution. A name keeps the orders of a turn apart.
    """
    bus = UnixSocketBus(path, timeout=60)
    source = PostgresEventSource(dsn, schema)
    try:
        orders = Orders(await furnish(bus), name)
        groups = orders.groups(int(rate * seconds))
        await _place(bus, groups)
        executions = orders.executions(groups)
        last = await source.last_position()
        watching = asyncio.create_task(subscribe(source, last, len(groups)))
        with uncollected():
            due, answered = await at_rate(bus, executions, rate)
            seen = await asyncio.wait_for(watching, 30)
    finally:
        await bus.close()
        await source.close()
    together = _together(dsn, schema, seen)
    siblings = [at - begun for begun, (at, _) in zip(due, seen.cancels, strict=True)]
    apart = [cancel - fill for (fill, _), (cancel, _) in zip(seen.fills, seen.cancels, strict=True)]
    return {
        "executed": len(groups),
        "submitted to answered, ms": spread([b - a for a, b in zip(due, answered, strict=True)]),
        "submitted to sibling's cancel at a subscriber, ms": spread(siblings),
        "fill to sibling's cancel at a subscriber, ms": spread(apart),
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


async def at_rate(
    bus: CommandBus, commands: Sequence[Command], rate: int
) -> tuple[list[float], list[float]]:
    """Send commands by the clock: when each was due, and when it was answered."""
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
        return count_committed_together(
            conn,
            schema,
            [position for _, position in seen.fills],
            [position for _, position in seen.cancels],
        )


def spread(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and largest of these, in milliseconds."""
    ordered = sorted(seconds)
    return {
        "p50": round(percentile(ordered, 0.5) * 1e3, 3),
        "p99": round(percentile(ordered, 0.99) * 1e3, 3),
        "max": round(ordered[-1] * 1e3, 3),
    }


def run(
    *,
    rounds: int = 8,
    size: int = 10_000,
    rate: int = 500,
    seconds: float = 4,
    turns: int = 5,
    say: Progress = say,
) -> dict[str, Any]:
    """The whole benchmark."""
    about = machine()
    with server() as running, short_home() as home:
        dsn = running.dsn()
        say("plain orders and groups in process, by turns")
        saturated = uvloop.run(saturate(dsn, "bench_oco", rounds, size))
        with venue_processes(dsn, "bench_oco_bus", home) as processes:
            runs = []
            for turn in range(turns):
                say(f"executed through the bus: turn {turn + 1} of {turns}")
                alone = uvloop.run(one_row_latencies(dsn, 1.0))
                executed = uvloop.run(
                    execute(processes.bus, dsn, "bench_oco_bus", rate, seconds, f"t{turn}-")
                )
                runs.append(executed | {"one-row commit, ms": alone})
    executed = median_of(runs)
    figures = {
        "saturated in process, by turns": saturated,
        "legs per second to plain orders per second": round(
            saturated["legs_per_s"] / saturated["plain_orders_per_s"], 2
        ),
        f"executed through the bus at {rate}/s": executed,
    }
    return {
        "figures": figures,
        "machine": about,
        "mix": MIX,
        "turns": f"executions: the median of {turns}",
        "left_out": "HTTP; commissions; groups whose stop is elected; the driver, the subscriber,"
        " the projector and PostgreSQL share the cores",
        "goals": goals(saturated, runs),
    }


def goals(saturated: dict[str, float], runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Judge the groups by plain orders, and the sibling's cancel by a one-row commit."""
    times = median(
        one["submitted to sibling's cancel at a subscriber, ms"]["p99"]
        / one["one-row commit, ms"]["p99_ms"]
        for one in runs
    )
    together = min(one["fill and cancel in one transaction"] / one["executed"] for one in runs)
    ratio = saturated["legs_per_s"] / saturated["plain_orders_per_s"]
    return [
        goal("legs/s to plain orders/s", round(ratio, 2), 0.5),
        goal(
            "p99 to the sibling's cancel, times a one-row commit's",
            round(times, 1),
            TIMES_ONE_ROW,
            at_most=True,
        ),
        goal("siblings canceled in the fill's own commit", round(together, 6), 1),
    ]
