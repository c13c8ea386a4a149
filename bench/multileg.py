"""How fast multi-leg orders become durable beside plain orders, for each of their legs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import uvloop

from application.commands import (
    Deposit,
    ListOptionChain,
    OpenAccount,
    OpenInstrument,
    PlaceMultiLeg,
    PlaceOrder,
)
from application.ports import CommandBus
from application.requests import Command
from bench.flow import Floor, furnish
from bench.in_process import leading, uncollected
from bench.oco import at_rate, offer, spread
from bench.one_row import one_row_latencies
from bench.report import Progress, goal, machine, say
from bench.turns import median_of
from bench.venue import server, short_home, venue_processes
from domain.identifiers import MAX_INSTANT
from domain.money import QTY_UNIT
from domain.terms import AccountKind, OrderType, PositionIntent, Right, Side, TimeInForce
from infrastructure.command_bus import InProcessBus, UnixSocketBus

QUICK = {"rounds": 2, "size": 2_000, "seconds": 1.0, "turns": 1}
PER_LEG = 0.5
SHARES, OPTIONS = "plain, shares", "plain, options on margin"
PAIR, FOUR, CONDOR = "two shares", "four shares", "iron condor, on margin"
BESIDE = {PAIR: SHARES, FOUR: SHARES, CONDOR: OPTIONS}
"""The plain orders that each kind is compared with: of the same instruments and accounts."""
EXECUTED, RESTING = "executed at once", "resting"
MIX = (
    "executed at once: a limit order that the books fill whole, against one maker's large orders;"
    " resting: one whose net price the books do not pay. Plain: limit orders"
    " of one of these instruments in the same two ways. Shares by cash accounts, condors of four"
    " options by a margin account, and options one by one as well"
)
_TICK = 10**7
_CENT = 10**7
_MID_TICKS = 10_000
_UNITS = 100 * QTY_UNIT
_CONTRACTS = QTY_UNIT
_DEPTH = 10**7 * QTY_UNIT
_STRIKES = (90, 95, 105, 110)
_EXPIRY = 20270115


class Kind(NamedTuple):
    """One kind of multi-leg order: what its legs are, and how much a unit may cost."""

    legs: tuple[tuple[str, int, int, int], ...]
    executed_at: int
    rests_at: int
    qty: int


class Floors(NamedTuple):
    """Who trades what: shares, and options of the first of them."""

    shares: Floor
    writer: UUID
    """The margin account that trades condors."""
    buyer: UUID
    """The one that buys options one by one."""
    kinds: dict[str, Kind]


async def furnish_strategies(bus: CommandBus) -> Floors:
    """A floor with a maker's large orders on both sides of every book; again changes nothing."""
    floor = await furnish(bus)
    maker = floor.accounts[-1]

    async def ask(command: Command) -> dict[str, Any]:
        reply = await bus.send(command, "bench", "bench")
        if reply.refusal is not None:
            raise RuntimeError(f"{type(command).__name__}: {reply.refusal.message}")
        return reply.result or {}

    for symbol in floor.symbols:
        for side, ticks in ((Side.BUY, _MID_TICKS - 1), (Side.SELL, _MID_TICKS + 1)):
            await ask(_limit(maker, symbol, side, ticks * _TICK, _DEPTH, f"{symbol}{side}"))
    options = await _options(ask, floor.symbols[0])
    writer, buyer = [await _on_margin(ask, name) for name in ("bench writer", "bench buyer")]
    return Floors(floor, writer, buyer, _kinds(floor.symbols, options))


async def _on_margin(ask: Any, name: str) -> UUID:
    account = UUID(str((await ask(OpenAccount(name, "", int(AccountKind.MARGIN))))["account_id"]))
    await ask(Deposit(account, 10**14, "bench cash"))
    return account


async def _options(ask: Any, underlying: str) -> list[str]:
    """Four contracts with a maker on both sides of each."""
    maker = await _on_margin(ask, "bench option maker")
    listed: list[str] = []
    for right, strikes in ((Right.PUT, _STRIKES[:2]), (Right.CALL, _STRIKES[2:])):
        chain = await ask(
            ListOptionChain(
                underlying=underlying,
                expiries=(_EXPIRY,),
                strikes=tuple(strike * 10**9 for strike in strikes),
                rights=(int(right),),
                tick=_CENT,
            )
        )
        for one in chain["contracts"]:
            listed.append(one["symbol"])
            if one["phase"] == "closed":
                await ask(OpenInstrument(one["symbol"], 20260102, 20260106, 0, MAX_INSTANT))
    for symbol in listed:
        for side, cents in ((Side.BUY, 100), (Side.SELL, 101)):
            price = cents * _CENT
            await ask(_limit(maker, symbol, side, price, 10**4 * QTY_UNIT, f"{symbol}{side}"))
    return listed


def _kinds(symbols: Sequence[str], options: Sequence[str]) -> dict[str, Kind]:
    buy, sell = int(Side.BUY), int(Side.SELL)
    opens = {
        buy: int(PositionIntent.BUY_TO_OPEN),
        sell: int(PositionIntent.SELL_TO_OPEN),
    }
    shares = [(symbol, (buy, sell)[at % 2], 1, 0) for at, symbol in enumerate(symbols)]
    wings = [
        (symbol, side, 1, opens[side])
        for symbol, side in zip(options, (buy, sell, sell, buy), strict=True)
    ]
    return {
        PAIR: Kind(tuple(shares[:2]), 2 * _TICK, -2 * _TICK, _UNITS),
        FOUR: Kind(tuple(shares[:4]), 4 * _TICK, -4 * _TICK, _UNITS),
        CONDOR: Kind(tuple(wings), 2 * _CENT, -2 * _CENT, _CONTRACTS),
    }


def _limit(account: UUID, symbol: str, side: int, price: int, qty: int, name: str) -> PlaceOrder:
    return PlaceOrder(
        account_id=account,
        symbol=symbol,
        side=int(side),
        order_type=int(OrderType.LIMIT),
        time_in_force=int(TimeInForce.GTC),
        qty=qty,
        limit_price=price,
        stop_price=0,
        client_order_id=name,
    )


class Orders:
    """Makes commands, none of a name that was given."""

    def __init__(self, floors: Floors, name: str = "") -> None:
        self._floors = floors
        self._name = name
        self._number = 0

    def _next(self) -> tuple[UUID, str]:
        self._number += 1
        accounts = self._floors.shares.accounts[:-1]
        return accounts[self._number % len(accounts)], f"{self._name}m{self._number}"

    def plain(self, count: int, what: str, way: str) -> list[Command]:
        """Buys of one instrument that trade at once, or rest; of what a strategy has as legs."""
        kind = self._floors.kinds[what]
        symbols = self._floors.shares.symbols
        price = (_MID_TICKS + (1 if way == EXECUTED else -5)) * _TICK
        if what == CONDOR:
            symbols = [leg[0] for leg in kind.legs]
            price = (101 if way == EXECUTED else 99) * _CENT
        made: list[Command] = []
        for _ in range(count):
            account, name = self._next()
            account = self._floors.buyer if what == CONDOR else account
            symbol = symbols[self._number % len(symbols)]
            made.append(_limit(account, symbol, Side.BUY, price, kind.qty, name))
        return made

    def strategies(self, count: int, what: str, way: str) -> list[Command]:
        """Multi-leg orders of a kind that trade at once, or rest."""
        kind = self._floors.kinds[what]
        made: list[Command] = []
        for _ in range(count):
            account, name = self._next()
            made.append(
                PlaceMultiLeg(
                    self._floors.writer if what == CONDOR else account,
                    int(OrderType.LIMIT),
                    int(TimeInForce.GTC),
                    kind.qty,
                    kind.executed_at if way == EXECUTED else kind.rests_at,
                    name,
                    kind.legs,
                )
            )
        return made


async def saturate(dsn: str, schema: str, rounds: int, size: int) -> dict[str, dict[str, float]]:
    """Plain and multi-leg orders by turns through one writer in this process: legs a second."""
    seconds: dict[tuple[str, str], float] = {}
    counts: dict[tuple[str, str], int] = {}
    async with leading(dsn, schema) as sequencer:
        bus = InProcessBus(sequencer.submit)
        floors = await furnish_strategies(bus)
        orders = Orders(floors)
        with uncollected():
            for _ in range(rounds):
                for way in (EXECUTED, RESTING):
                    batches = {
                        SHARES: orders.plain(size, PAIR, way),
                        OPTIONS: orders.plain(size, CONDOR, way),
                    }
                    for what, kind in floors.kinds.items():
                        batches[what] = orders.strategies(size // len(kind.legs), what, way)
                    for what, commands in batches.items():
                        key = what, way
                        seconds[key] = seconds.get(key, 0.0) + await offer(sequencer, commands)
                        legs = len(floors.kinds[what].legs) if what in floors.kinds else 1
                        counts[key] = counts.get(key, 0) + legs * len(commands)
    return {
        way: {
            what: round(counts[what, at] / took)
            for (what, at), took in seconds.items()
            if at == way
        }
        for way in (EXECUTED, RESTING)
    }


async def at_a_rate(
    path: Path, what: str, rate: int, seconds: float, name: str
) -> dict[str, float]:
    """Milliseconds from when a multi-leg order was due until it was answered, through the bus."""
    bus = UnixSocketBus(path, timeout=60)
    try:
        orders = Orders(await furnish_strategies(bus), name)
        count = int(rate * seconds)
        if what in (SHARES, OPTIONS):
            made = orders.plain(count, CONDOR if what == OPTIONS else PAIR, EXECUTED)
        else:
            made = orders.strategies(count, what, EXECUTED)
        with uncollected():
            due, answered = await at_rate(bus, made, rate)
    finally:
        await bus.close()
    return spread([after - before for before, after in zip(due, answered, strict=True)])


def run(
    *,
    rounds: int = 8,
    size: int = 4_000,
    rate: int = 300,
    seconds: float = 4,
    turns: int = 5,
    say: Progress = say,
) -> dict[str, Any]:
    """The whole benchmark."""
    about = machine()
    with server() as running, short_home() as home:
        dsn = running.dsn()
        say("plain and multi-leg orders in process, by turns")
        saturated = uvloop.run(saturate(dsn, "bench_multileg", rounds, size))
        with venue_processes(dsn, "bench_multileg_bus", home) as processes:
            runs = []
            for turn in range(turns):
                say(f"through the bus: turn {turn + 1} of {turns}")
                told: dict[str, Any] = {
                    "one-row commit": uvloop.run(one_row_latencies(dsn, 1.0)),
                }
                for number, what in enumerate((SHARES, OPTIONS, *BESIDE)):
                    name = f"t{turn}k{number}-"
                    told[what] = uvloop.run(at_a_rate(processes.bus, what, rate, seconds, name))
                runs.append(told)
    return {
        "figures": {
            "legs a second, in process, by turns": saturated,
            "orders a second, in process": _orders_of(saturated),
            f"ms until answered, at {rate} orders/s through the bus": median_of(runs),
        },
        "machine": about,
        "mix": MIX,
        "turns": f"through the bus: the median of {turns}",
        "left_out": "HTTP; commissions; opposite multi-leg orders; sequential ones; the driver,"
        " the projector and PostgreSQL share the cores",
        "goals": goals(saturated),
    }


def _orders_of(saturated: dict[str, dict[str, float]]) -> dict[str, dict[str, int]]:
    """How many whole orders a second that is."""
    legs = {PAIR: 2, FOUR: 4, CONDOR: 4}
    return {
        way: {what: round(rate / legs.get(what, 1)) for what, rate in rates.items()}
        for way, rates in saturated.items()
    }


def goals(saturated: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Judge what a leg costs by what a plain order does, in the same way."""
    return [
        goal(
            f"legs/s of {what}, {way}, to plain orders/s",
            round(rates[what] / rates[beside], 2),
            PER_LEG,
        )
        for way, rates in saturated.items()
        for what, beside in BESIDE.items()
    ]
