"""Sums of quantities stay within what can be stored, however cheap a share is."""

from __future__ import annotations

import asyncio
from uuid import UUID

from application.commands import (
    Deposit,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    Reply,
    Settle,
)
from domain.risk import MAX_POSITION
from domain.terms import AccountKind, Side
from tests.model.command_flow import BEGIN, CASH, InMemoryVenue
from tests.model.desk_harness import DeskHarness

MOST = 10**9 - 1
"""Shares in the largest order there is."""
CHEAP = "0.000000001"


def test_position_never_outgrows_what_can_be_stored():
    """Without a limit of its instrument a position still ends: long or short, and in time."""
    venue = DeskHarness(checked=False)
    terms = {"price_decimals": 9, "tick": 1, "reference_price": 1, "shortable": True}
    venue.instrument(**terms)
    long, short = (venue.account(name, kind=AccountKind.MARGIN) for name in ("long", "short"))
    codes = set()
    for _ in range(42):
        replies = (
            venue.place(short, Side.SELL, MOST, CHEAP),
            venue.place(long, Side.BUY, MOST, CHEAP),
        )
        codes |= {reply.refusal.code for reply in replies if reply.refusal is not None}

    assert {"POSITION_LIMIT_EXCEEDED"} == codes
    instrument = venue.desk.markets.by_symbol["X"].instrument.id
    held = venue.desk.accounts.positions[long.int, instrument.int].qty
    assert held == -venue.desk.accounts.positions[short.int, instrument.int].qty
    assert MAX_POSITION - 2 * MOST * 10**8 < held <= MAX_POSITION


async def settled_beyond_measure() -> tuple[Reply, Reply]:
    """Two accounts pass the largest quantity to and fro all day; then all of it settles."""
    venue = InMemoryVenue(1)
    running = asyncio.create_task(venue.writer.run())
    await venue.writer.ready.wait()

    async def opened(name: str) -> UUID:
        reply = await venue.decide(OpenAccount(name, name, int(AccountKind.MARGIN)))
        assert reply.result is not None
        await venue.decide(Deposit(UUID(reply.result["account_id"]), 10**8, name))
        return UUID(reply.result["account_id"])

    one, other = await opened("one"), await opened("other")
    await venue.decide(
        ListInstrument(
            "C", "C", "us_equity", "manual", 9, 1, 10**8, reference_price=1, shortable=True
        )
    )
    await venue.decide(OpenInstrument("C", 20251120, 20251121, BEGIN, BEGIN + 10**12))
    for number in range(2 * 380):
        account = (one, other)[number // 2 % 2 ^ number % 2]
        order = PlaceOrder(account, "C", 2 - number % 2, 2, 1, MOST * 10**8, 1, 0, f"c{number}")
        assert (await venue.decide(order)).refusal is None
    settled = await asyncio.wait_for(venue.decide(Settle(20251121)), 10)
    after = await asyncio.wait_for(venue.decide(OpenAccount("later", "later", CASH)), 10)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return settled, after


def test_position_sums_that_cannot_be_stored_stop_their_own_command_alone():
    """What no store can hold is set aside with its command, and the writer goes on."""
    settled, after = asyncio.run(settled_beyond_measure())

    assert settled.refusal is not None
    assert "COMMAND_QUARANTINED" == settled.refusal.code
    assert after.refusal is None
