"""A settlement run whose writer is killed between and inside its commands."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from application.commands import (
    Deposit,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    Reply,
    Settle,
    TransferPosition,
)
from application.requests import Command
from domain.errors import VenueUnavailable
from domain.events import AccountSettled, PositionSettled, SettlementFailed, SettlementSettled
from domain.terms import AccountKind, Ledger
from infrastructure.command_bus import UnixSocketBus
from tests.log_checks import CheckedLog, check_replay, read_log
from tests.writer_process import DOLLAR, LOT, Partition, partition

pytestmark = pytest.mark.crash

SYMBOLS = ("ONE", "TWO", "THREE")
BUYERS = 12
KILLS = 4
AT_ONCE = 4
"""A command that was killed may have settled this many and its repeat as many: after all kills
but one, whenever they fell, something is still left of the thirty-nine obligations."""
VALUE_DATE, FAR = 20261124, 2**52


@pytest.fixture
def venue(schema: Any) -> Iterator[Partition]:
    """A partition whose writer is started by the test."""
    with partition(schema.dsn, schema.schema) as made:
        yield made


async def ok(bus: UnixSocketBus, command: Command) -> Reply:
    """Send a command that must not be refused."""
    reply = await bus.send(command, "tester", "test")
    assert reply.refusal is None, reply.refusal
    return reply


async def opened(bus: UnixSocketBus, name: str, cash: int) -> UUID:
    """An account with cash."""
    reply = await ok(bus, OpenAccount(name, "", int(AccountKind.CASH)))
    assert reply.result is not None
    account = UUID(reply.result["account_id"])
    await ok(bus, Deposit(account, cash, "cash"))
    return account


async def trade(bus: UnixSocketBus) -> None:
    """One seller, many buyers, one share of each instrument each; all due on one date."""
    seller = await opened(bus, "seller", 100)
    buyers = [await opened(bus, f"buyer-{number}", 1_000_000) for number in range(BUYERS)]
    for symbol in SYMBOLS:
        terms = (symbol, "", "us_equity", "manual", 4, 10**7, LOT)
        await ok(bus, ListInstrument(*terms, reference_price=100 * DOLLAR))
        await ok(bus, OpenInstrument(symbol, 20261120, VALUE_DATE, 0, FAR))
        await ok(bus, TransferPosition(seller, symbol, BUYERS * LOT, 0, f"stock {symbol}"))
        price = 100 * DOLLAR
        await ok(bus, PlaceOrder(seller, symbol, 2, 2, 1, BUYERS * LOT, price, 0, f"s {symbol}"))
        for number, buyer in enumerate(buyers):
            key = f"b {symbol} {number}"
            await ok(bus, PlaceOrder(buyer, symbol, 1, 2, 1, LOT, price, 0, key))


async def settle(bus: UnixSocketBus, limit: int) -> Reply:
    """One settlement command, sent until it is answered, as an operator would."""
    while True:
        try:
            return await ok(bus, Settle(VALUE_DATE, limit))
        except VenueUnavailable:
            await asyncio.sleep(0.01)


def check_all_settled(log: CheckedLog) -> None:
    """Every obligation settled once, whole: account and position with it; nobody owes."""
    log.check()
    settled = [event for event in log.events if isinstance(event, SettlementSettled)]
    keys = Counter((e.account_id, e.instrument_id, e.value_date) for e in settled)
    assert {1} == set(keys.values())
    assert (BUYERS + 1) * len(SYMBOLS) == len(keys)
    assert [] == [event for event in log.events if isinstance(event, SettlementFailed)]
    for kind in (AccountSettled, PositionSettled):
        assert len(settled) == sum(isinstance(event, kind) for event in log.events)
    balances: Counter[tuple[UUID, int]] = Counter()
    for event in log.events:
        for party, ledger, amount in getattr(event, "postings", ()):
            balances[party, ledger] += amount
    for (_, ledger), amount in balances.items():
        if ledger in (Ledger.RECEIVABLE, Ledger.PAYABLE):
            assert 0 == amount


@pytest.mark.parametrize("seed", [1, 2])
def test_settlement_killed_between_and_inside_its_commands_goes_on(
    venue: Partition, seed: int
) -> None:
    """Whenever the writer dies, the run is completed: nothing twice, nothing half, nothing left."""
    chance = random.Random(seed)

    async def run() -> int:
        bus = UnixSocketBus(venue.bus_path, timeout=30)
        kills = 0
        try:
            await trade(bus)
            remaining = True
            while remaining:
                sending = asyncio.ensure_future(settle(bus, AT_ONCE))
                if kills < KILLS:
                    # Before, while or after it is decided and committed: as it happens to fall.
                    await asyncio.sleep(chance.random() * 0.004)
                    venue.writers[-1].signal(signal.SIGKILL)
                    venue.writers[-1].ended()
                    kills += 1
                    venue.start()
                result = (await sending).result
                assert result is not None
                remaining = result["remaining"]
        finally:
            await bus.close()
        return kills

    venue.start()
    assert KILLS == asyncio.run(asyncio.wait_for(run(), 120))
    check_all_settled(read_log(venue.dsn, venue.schema))
    check_replay(venue.dsn, venue.schema, venue.bus_path)
