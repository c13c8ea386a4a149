"""A seeded order flow for the benchmarks: 60 % resting limits, 30 % cancels, 10 % marketable."""

from __future__ import annotations

from random import Random
from typing import NamedTuple
from uuid import UUID

from application.commands import (
    CancelOrder,
    Deposit,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    TransferPosition,
)
from application.ports import CommandBus
from application.requests import Command
from domain.identifiers import MAX_INSTANT
from domain.money import QTY_UNIT

MIX = "60 % resting limits, 30 % cancels, 10 % marketable (half market, half limit ioc)"
_TICK = 10**7
_MID_TICKS = 10_000
_FAR_FUTURE = MAX_INSTANT


class Floor(NamedTuple):
    """Who trades what: account ids and symbols that exist, are funded and are open."""

    accounts: list[UUID]
    symbols: list[str]


async def furnish(bus: CommandBus, *, accounts: int = 20, symbols: int = 10) -> Floor:
    """Open and fund accounts, list and open instruments; calling it again changes nothing."""

    async def ask(command: Command) -> dict[str, object]:
        reply = await bus.send(command, "bench", "bench")
        if reply.refusal is not None:
            raise RuntimeError(f"{type(command).__name__}: {reply.refusal.message}")
        return reply.result or {}

    names = [f"B{number:03d}" for number in range(symbols)]
    for name in names:
        listed = await ask(
            ListInstrument(
                name, name, "us_equity", "manual", 4, _TICK, QTY_UNIT, reference_price=100 * 10**9
            )
        )
        if listed["phase"] == "closed":
            await ask(OpenInstrument(name, 20260102, 20260106, 0, _FAR_FUTURE))
    ids = []
    for number in range(accounts):
        opened = await ask(OpenAccount(f"bench {number}", "", 1))
        account = UUID(str(opened["account_id"]))
        ids.append(account)
        await ask(Deposit(account, 10**14, "bench cash"))
        for name in names:
            await ask(TransferPosition(account, name, 10**8 * QTY_UNIT, 10**13, f"bench {name}"))
    return Floor(ids, names)


def commands(floor: Floor, count: int, seed: int, prefix: str) -> list[Command]:
    """`count` commands of the mix. Cancels name orders placed 50 to 5,000 commands before."""
    random = Random(seed)
    resting: list[tuple[UUID, str]] = []
    made: list[Command] = []
    for number in range(count):
        kind = random.random()
        account = random.choice(floor.accounts)
        symbol = random.choice(floor.symbols)
        side = random.choice((1, 2))
        name = f"{prefix}-{number}"
        if kind < 0.6 or (kind < 0.9 and len(resting) < 50):
            away = 1 + int(random.expovariate(0.2))
            ticks = _MID_TICKS - away if side == 1 else _MID_TICKS + away
            qty = random.randint(1, 10) * 100 * QTY_UNIT
            made.append(
                PlaceOrder(
                    account_id=account,
                    symbol=symbol,
                    side=side,
                    order_type=2,
                    time_in_force=1,
                    qty=qty,
                    limit_price=ticks * _TICK,
                    stop_price=0,
                    client_order_id=name,
                )
            )
            resting.append((account, name))
        elif kind < 0.9:
            at = max(0, len(resting) - 1 - int(random.expovariate(0.002)))
            owner, target = resting.pop(min(at, len(resting) - 50))
            made.append(CancelOrder(owner, None, target, name))
        else:
            qty = random.randint(1, 5) * 100 * QTY_UNIT
            if random.random() < 0.5:
                made.append(
                    PlaceOrder(
                        account_id=account,
                        symbol=symbol,
                        side=side,
                        order_type=1,
                        time_in_force=3,
                        qty=qty,
                        limit_price=0,
                        stop_price=0,
                        client_order_id=name,
                    )
                )
            else:
                ticks = _MID_TICKS + 10 if side == 1 else _MID_TICKS - 10
                made.append(
                    PlaceOrder(
                        account_id=account,
                        symbol=symbol,
                        side=side,
                        order_type=2,
                        time_in_force=3,
                        qty=qty,
                        limit_price=ticks * _TICK,
                        stop_price=0,
                        client_order_id=name,
                    )
                )
    return made
