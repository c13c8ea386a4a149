"""However orders are cut, crossed, undone and settled, an account has what its trades are worth."""

from __future__ import annotations

import random
from collections import defaultdict
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from application.commands import BustTrade, CorrectTrade, SetCommissionSchedule, Settle
from domain.commission import Kind
from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from domain.identifiers import HOUSE
from domain.terms import Ledger, Side
from tests.model.desk_harness import DeskHarness, shares, wire
from tests.model.judged_log import judged
from tests.model.settling_desk import MONDAY, WEDNESDAY, SettlingDesk

BUY, SELL = Side.BUY, Side.SELL
LOTS = (("0.01", "0.51"), ("0.0001", "51"), ("0.00000001", "51000"), ("1", "1.0051"))
"""A lot, and a price at which it is worth half a cent, or no whole number of them."""


class Exact:
    """What every account's trades are worth, from fills, busts and corrections alone."""

    def __init__(self) -> None:
        self.worth: defaultdict[UUID, Fraction] = defaultdict(Fraction)

    def take(self, event: Any) -> None:
        if isinstance(event, OrderFilled):
            self._add(event, event.price)
        elif isinstance(event, OrderFillBusted):
            self._add(event, -event.price)
        elif isinstance(event, OrderFillCorrected):
            self._add(event, event.price - event.old_price)

    def _add(self, event: Any, price: int) -> None:
        worth = Fraction(price * event.qty, 10 ** (event.price_decimals + 8))
        self.worth[event.account_id] += -worth if event.side == BUY else worth


def live_through(seed: int, commands: int, *, undo: bool, both_ways: bool) -> DeskHarness:
    """Poor cash accounts in a market of fine prices and lots; `both_ways` they also sell."""
    draw = random.Random(seed)
    lot, reference = LOTS[seed % len(LOTS)]
    unit = Fraction(lot)
    venue = DeskHarness(checked=False)
    venue.instrument(
        lot=shares(lot), tick=wire("0.0001"), reference_price=wire(reference), collar_bps=9_000
    )
    rich = venue.account("rich", 10**7)
    venue.hold(rich, 10**6)
    poor = [venue.account(f"p{number}", Fraction(draw.randint(1, 400), 100)) for number in range(5)]
    if both_ways:
        for account in poor:
            venue.hold(account, unit * 5)
    exact, start = Exact(), {}
    for account in (rich, *poor):
        start[account] = venue.desk.accounts.by_id[account.int].cash
    made: dict[UUID, tuple[OrderFilled, OrderFilled]] = {}
    base = Fraction(reference)
    for _ in range(commands):
        price = base * draw.randint(80, 120) / 100
        limit = Fraction(round(price * 10_000), 10_000)
        choice, who = draw.random(), draw.choice(poor)
        qty = unit * draw.randint(1, 7)
        if choice < 0.45:
            venue.place(who, BUY, qty, limit)
        elif choice < 0.8:
            venue.place(draw.choice(poor) if both_ways else rich, SELL, qty, limit)
        elif choice < 0.9:
            venue.cancel_all(who)
        elif not (undo and made):
            continue
        else:
            trade_id = draw.choice(sorted(made))
            venue.desk.trades_found[trade_id] = made[trade_id]
            if choice < 0.95:
                venue.send(BustTrade(trade_id, 1, "error"))
            else:
                venue.send(CorrectTrade(trade_id, 1, wire(limit), "error"))
        fills = venue.happened(OrderFilled)
        for one, other in zip(fills[::2], fills[1::2], strict=True):
            made[one.trade_id] = one, other
        for event in venue.events:
            exact.take(event)
        assert_posted(venue, exact, start, never_negative=not undo)
    venue.check()
    settle(venue, undo=undo)
    assert_posted(venue, exact, start, never_negative=not undo)
    return venue


def assert_posted(
    venue: DeskHarness, exact: Exact, start: dict[UUID, int], *, never_negative: bool
) -> None:
    """Each account is its exact value rounded, the house has the rest, and all sums to zero."""
    rest = 0
    for account in venue.desk.accounts.by_id.values():
        brought = account.cash + account.unsettled - start[account.id]
        assert round(exact.worth[account.id] * 100) == brought
        rest -= brought
        if never_negative:
            assert account.cash >= 0
            assert account.cash + account.unsettled >= 0
    assert rest == venue.ledger[HOUSE, int(Ledger.ROUNDING)]
    assert 2 * abs(rest) <= len(start)
    assert 0 == venue.ledger[HOUSE, int(Ledger.CLEARING)] == sum(venue.ledger.values())


def settle(venue: DeskHarness, *, undo: bool) -> None:
    """Everything settles; only where trades were undone may an account be short of what it had."""
    result = venue.ok(Settle(20_991_231)).result
    assert result is not None
    while result["remaining"]:
        result = venue.ok(Settle(20_991_231)).result
    assert undo or 0 == result["unsettled"]


def trade_two(seed: int, commands: int) -> SettlingDesk:
    """Poor cash accounts that trade two instruments whose trades settle apart."""
    draw = random.Random(seed)
    lot, reference = LOTS[seed % len(LOTS)]
    unit, base = Fraction(lot), Fraction(reference)
    desk = SettlingDesk(checked=False)
    terms = {"lot": shares(lot), "tick": wire("0.0001"), "reference_price": wire(reference)}
    for symbol in ("A", "B"):
        desk.instrument(symbol, opened=False, collar_bps=9_000, **terms)
    poor = [desk.account(f"p{number}", Fraction(draw.randint(0, 300), 100)) for number in range(4)]
    for account in poor:
        desk.hold(account, unit * 40, "A")
        desk.hold(account, unit * 40, "B")
        if seed % 3:
            maker, taker = draw.choice(((-1, 3), (0, 5), (2, 2))) if seed % 3 == 1 else (0, 0)
            tiers = ((0, maker * 10**6, taker * 10**6),)
            schedule = (int(Kind.PER_SHARE), tiers, draw.choice((0, 3, 100)), 0)
            desk.ok(SetCommissionSchedule(account, *schedule))
    desk.day(MONDAY, draw.choice((MONDAY, WEDNESDAY)), "A")
    desk.day(MONDAY, draw.choice((MONDAY, WEDNESDAY)), "B")
    for _ in range(commands):
        limit = Fraction(round(base * draw.randint(80, 120) * 100), 10_000)
        who, symbol, side = draw.choice(poor), draw.choice("AB"), draw.choice((BUY, SELL))
        if draw.random() < 0.1:
            desk.cancel_all(who)
        else:
            desk.place(who, side, unit * draw.randint(1, 7), limit, symbol=symbol)
        assert all(one.cash >= one.owed for one in desk.desk.accounts.by_id.values())
    desk.check()
    return desk


@given(st.integers(0, 10**6))
@hypothesis_settings(max_examples=30)
def test_fill_value_is_paid_whichever_trades_settle_first(seed: int) -> None:
    """What has cash for its purchases settles them: alone, before any proceeds, to the cent."""
    desk = trade_two(seed, 80)
    for date in (MONDAY, WEDNESDAY):
        assert [] == desk.short(date)
        assert all(one.cash >= 0 for one in desk.desk.accounts.by_id.values())
    for account in desk.desk.accounts.by_id.values():
        assert (0, 0) == (account.payable, account.receivable)
    assert {} == {name: n for name, n in judged(desk.log).failed.items() if n}


@given(st.integers(0, 10**6), st.booleans(), st.booleans())
@hypothesis_settings(max_examples=25)
def test_fill_value_is_what_every_account_has(seed: int, undo: bool, both_ways: bool) -> None:
    """To the cent, at every command, with orders of every size between poor cash accounts."""
    live_through(seed, 60, undo=undo, both_ways=both_ways)


@pytest.mark.parametrize("seed", range(4))
def test_fill_value_stays_exact_over_a_long_day(seed: int) -> None:
    """Rounding does not drift: after hundreds of fills it is still within half a cent."""
    live_through(seed, 400, undo=False, both_ways=True)
