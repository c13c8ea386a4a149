"""The log of ninety days, decided by a real desk and put into a store as rows.

Symbols are asked for as in markets, a few much and many little (Zipf). What rests is canceled
again, so that books stay as deep as they are.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from random import Random
from typing import NamedTuple
from uuid import UUID

import psycopg

from application.commands import CancelOrder, PlaceOrder
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot
from application.requests import Command
from application.writer.request_keys import key_of_event
from bench.deciding import DeskAlone
from bench.flow import Floor, furnish
from bench.report import Progress
from domain.money import QTY_UNIT
from infrastructure.log.measuring import EventRows
from infrastructure.log.snapshots import PostgresSnapshots

DAYS = 90
SYMBOLS = 200
ACCOUNTS = 20
MIX = (
    "60 % resting limits, 25 % cancels, 15 % marketable; Zipf over 200 symbols (a log of less than"
    f" 200,000 rows has fewer), 20 accounts, evenly over {DAYS} days that end now; no busts"
)
_DAY = 86_400_000_000
_TICK = 10**7
_MID = 10_000
_RESTING = 5_000
_EVENTS_EACH = 3.1
"""Events that a command comes to, about: how far commands stand apart follows from it."""
_SECOND = 1_000_000
_SAID_EVERY = 500_000


class Filled(NamedTuple):
    """What was put into a store."""

    rows: int
    seconds: float
    floor: Floor
    symbols: list[UUID]
    """Instruments, those that are asked for most first."""


def orders(floor: Floor, seed: int) -> Iterator[Command]:
    """The flow, without end."""
    random = Random(seed)
    weights = list(accumulate(1 / rank for rank in range(1, len(floor.symbols) + 1)))
    resting: deque[tuple[UUID, str]] = deque()
    number = 0
    while True:
        number += 1
        name = f"ts-{number}"
        kind = random.random()
        if (kind < 0.25 and resting) or len(resting) > _RESTING:
            owner, target = resting.popleft()
            yield CancelOrder(owner, None, target, name)
            continue
        account = random.choice(floor.accounts)
        (symbol,) = random.choices(floor.symbols, cum_weights=weights)
        side = random.choice((1, 2))
        rests = kind < 0.85
        away = 1 + int(random.expovariate(0.2)) if rests else -10
        ticks = _MID - away if side == 1 else _MID + away
        if rests:
            resting.append((account, name))
        yield PlaceOrder(
            account_id=account,
            symbol=symbol,
            side=side,
            order_type=2,
            time_in_force=1 if rests else 3,
            qty=random.randint(1, 10) * 100 * QTY_UNIT,
            limit_price=ticks * _TICK,
            stop_price=0,
            client_order_id=name,
        )


def fill(dsn: str, schema: str, rows: int, seed: int, say: Progress) -> Filled:
    """Decide a log of about so many rows and put it into an empty store, with its keys and the
    snapshot of its desk.
    """
    now = time.time_ns() // 1000
    desk = DeskAlone(now - DAYS * _DAY)
    symbols, accounts = min(SYMBOLS, max(10, rows // 1_000)), min(ACCOUNTS, max(2, rows // 5_000))
    floor = asyncio.run(furnish(desk, accounts=accounts, symbols=symbols))
    replayed = DeskAlone(now - DAYS * _DAY)
    began = time.perf_counter()
    with psycopg.connect(dsn) as conn, EventRows(conn, schema) as into:
        for command in desk.commands:
            into.add(replayed.decide_only(command).events, key_of_event)
        flow = orders(floor, seed)
        said = 0
        while into.count < rows:
            # So far apart that the last one happens about now.
            left = max(1, int((rows - into.count) / _EVENTS_EACH))
            replayed.apart = max(1, (now - _SECOND - replayed.desk.last_at) // left)
            into.add(replayed.decide_only(next(flow)).events, key_of_event)
            if into.count - said > _SAID_EVERY:
                said = into.count
                say(f"{said:,} rows decided")
    asyncio.run(_keep(dsn, schema, replayed))
    markets = replayed.desk.markets.by_symbol
    return Filled(
        into.count,
        time.perf_counter() - began,
        floor,
        [markets[name].instrument.id for name in floor.symbols],
    )


async def _keep(dsn: str, schema: str, alone: DeskAlone) -> None:
    desk = alone.desk
    taken = DeskSnapshot(desk.position, state_hash(desk), dump(desk))
    await PostgresSnapshots(dsn, schema).save(taken, desk.last_at)
