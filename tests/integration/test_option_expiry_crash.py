"""Options of many holders that end while their writer is killed again and again."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from application.commands import (
    CloseInstrument,
    Deposit,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    Reply,
)
from application.requests import Command
from domain.errors import VenueUnavailable
from domain.events import InstrumentExpired, PositionExpired, PositionTraded
from domain.identifiers import NO_ID
from domain.option_terms import OPTION, OptionTerms, symbol_of
from domain.terms import AccountKind, OptionEnd, Right
from infrastructure.command_bus import UnixSocketBus
from tests.log_checks import check_replay, read_log
from tests.model.judged_log import judged
from tests.writer_process import DOLLAR, LOT, Partition, partition

pytestmark = [pytest.mark.crash, pytest.mark.soak]

HOLDERS = 230
"""Three decisions' worth, with who has written what they hold."""
KILLS = 4
TOMORROW = datetime.now(UTC).date() + timedelta(days=1)
DAY = TOMORROW.year * 10_000 + TOMORROW.month * 100 + TOMORROW.day
CALL = symbol_of("ACME", OptionTerms(DAY, int(Right.CALL), 90 * DOLLAR))
FAR = 2**52


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


async def opened(bus: UnixSocketBus, name: str, kind: AccountKind) -> UUID:
    """An account with a million."""
    reply = await ok(bus, OpenAccount(name, "", int(kind)))
    assert reply.result is not None
    account = UUID(reply.result["account_id"])
    await ok(bus, Deposit(account, 100_000_000, "cash"))
    return account


async def trade(bus: UnixSocketBus) -> None:
    """One who writes, and many who hold a contract each."""
    share = ("ACME", "", "us_equity", "manual", 4, 10**7, LOT)
    call = (CALL, "", OPTION, "", 2, 10**7, LOT)
    option = {"underlying": "ACME", "multiplier": 100, "strike": 90 * DOLLAR, "expiry": DAY}
    await ok(bus, ListInstrument(*share, reference_price=100 * DOLLAR))
    await ok(bus, ListInstrument(*call, **option, right=1, collar_bps=9_999, settlement_cycle=1))
    for symbol in ("ACME", CALL):
        await ok(bus, OpenInstrument(symbol, DAY, DAY, 0, FAR))
    writer = await opened(bus, "writer", AccountKind.MARGIN)
    await ok(bus, Deposit(writer, 10**12, "more"))
    price = 11 * DOLLAR
    await ok(bus, PlaceOrder(writer, CALL, 2, 2, 1, HOLDERS * LOT, price, 0, "w"))
    for number in range(HOLDERS):
        holder = await opened(bus, f"holder-{number}", AccountKind.CASH)
        await ok(bus, PlaceOrder(holder, CALL, 1, 2, 1, LOT, price, 0, f"h{number}"))


async def close(bus: UnixSocketBus) -> None:
    """End the underlying's session, however often it takes."""
    while True:
        try:
            reply = await bus.send(CloseInstrument("ACME"), "tester", "test")
        except VenueUnavailable:
            await asyncio.sleep(0.01)
            continue
        assert reply.refusal is None or reply.refusal.code == "WRONG_SESSION_STATE"
        return


@pytest.mark.parametrize("seed", [1, 2])
def test_option_expiry_killed_between_and_inside_its_commands_goes_on(
    venue: Partition, seed: int
) -> None:
    """The timers of the next writer end what is left: nothing twice, nothing half, for nobody
    more or less than the first command has fixed.
    """
    chance = random.Random(seed)

    async def run() -> None:
        bus = UnixSocketBus(venue.bus_path, timeout=30)
        try:
            await trade(bus)
            await close(bus)
            for _ in range(KILLS):
                # Between the timers' looks, while a part is decided, or while it is committed.
                await asyncio.sleep(chance.random() * 0.8)
                venue.writers[-1].signal(signal.SIGKILL)
                venue.writers[-1].ended()
                venue.start()
                await close(bus)
        finally:
            await bus.close()

    venue.start()
    asyncio.run(asyncio.wait_for(run(), 120))
    until = time.monotonic() + 30
    ended = "SELECT count(*) FROM stored_events WHERE topic = 'position.expired.v1'"
    while venue.rows(ended)[0][0] < HOLDERS + 1:
        assert time.monotonic() < until, "the contracts did not end"
        time.sleep(0.1)
    log = read_log(venue.dsn, venue.schema)
    log.check()
    assert 1 == sum(isinstance(event, InstrumentExpired) for event in log.events)
    ends = [event for event in log.events if isinstance(event, PositionExpired)]
    hows = Counter(OptionEnd(event.how) for event in ends)
    assert {OptionEnd.EXERCISED: HOLDERS, OptionEnd.ASSIGNED: 1} == hows
    assert {1} == set(Counter(event.account_id for event in ends).values())
    shares: Counter[UUID] = Counter()
    for event in log.events:
        if isinstance(event, PositionTraded) and event.order_id == NO_ID:
            shares[event.account_id] += event.qty if event.side == 1 else -event.qty
    assert {100 * LOT: HOLDERS, -100 * HOLDERS * LOT: 1} == Counter(shares.values())
    assert [] == judged(log.events).violations()
    check_replay(venue.dsn, venue.schema, venue.bus_path)
