"""The ends of random days against plain fractions: marks, profit of all and of the day, equity."""

from __future__ import annotations

import random
from collections import defaultdict
from fractions import Fraction
from uuid import UUID

import pytest

from application.commands import CloseDay
from domain.events import (
    AccountDayClosed,
    AccountOpened,
    CashDeposited,
    CashWithdrawn,
    DomainEvent,
    OrderFilled,
    PositionMarked,
    PositionTransferred,
)
from domain.terms import AccountKind, Side
from tests.model.desk_harness import DeskHarness
from tests.model.settling_desk import SettlingDesk

Key = tuple[UUID, UUID]
CENT = Fraction(1, 100)


class Plain:
    """What each account has, in dollars and shares, from what was paid in and traded."""

    def __init__(self) -> None:
        self.money: defaultdict[UUID, Fraction] = defaultdict(Fraction)
        self.held: defaultdict[Key, Fraction] = defaultdict(Fraction)
        self.cost: defaultdict[Key, Fraction] = defaultdict(Fraction)
        self.began: defaultdict[Key, Fraction] = defaultdict(Fraction)
        """What is held as it was worth when its last day ended, or cost since."""
        self.last: dict[UUID, Fraction] = {}
        self.accounts: list[UUID] = []

    def take(self, event: DomainEvent) -> None:
        """Add a fact."""
        if isinstance(event, AccountOpened):
            self.accounts.append(event.originator_id)
        elif isinstance(event, CashDeposited | CashWithdrawn):
            self.money[event.originator_id] += event.amount * CENT
        elif isinstance(event, PositionTransferred):
            key = (event.account_id, event.instrument_id)
            self.exchange(key, Fraction(event.qty, 10**8), event.cost * CENT)
        elif isinstance(event, OrderFilled):
            qty = Fraction(event.qty, 10**8) * (1 if event.side == Side.BUY else -1)
            price = Fraction(event.price, 10**event.price_decimals)
            self.money[event.account_id] -= qty * price
            self.last[event.instrument_id] = price
            self.exchange((event.account_id, event.instrument_id), qty, qty * price)

    def exchange(self, key: Key, qty: Fraction, paid: Fraction) -> None:
        """Shares come for dollars, or go; what is closed leaves at the average."""
        held = self.held[key]
        for basis in (self.cost, self.began):
            if held * qty >= 0:
                basis[key] += paid
            elif abs(qty) <= abs(held):
                basis[key] *= 1 + qty / held
            else:
                basis[key] = paid * (held + qty) / qty
        self.held[key] += qty

    def near(self, said: int, dollars: Fraction, cents: int = 1) -> None:
        """Rounded once is half a cent away at most; what adds up several may be some cents."""
        assert abs(said * CENT - dollars) * 2 <= cents * CENT, (said, dollars)

    def judge_mark(self, event: PositionMarked) -> None:
        """What a mark says, and the day that begins with it."""
        key = (event.account_id, event.instrument_id)
        mark = self.last.get(event.instrument_id, Fraction(100))
        assert Fraction(event.mark, 10**event.price_decimals) == mark
        assert Fraction(event.qty, 10**8) == self.held[key]
        worth = mark * self.held[key]
        self.near(event.market_value, worth)
        self.near(event.unrealized, worth - self.cost[key])
        self.near(event.unrealized - event.carried_over, worth - self.began[key], cents=2)
        self.began[key] = worth

    def judge_day(self, event: AccountDayClosed) -> None:
        """What an account's day says: all of it, each holding and the cash within a cent."""
        account = event.originator_id
        mine = {key: qty for key, qty in self.held.items() if key[0] == account and qty}
        values = [self.last.get(key[1], Fraction(100)) * qty for key, qty in mine.items()]
        parts = 2 * len(values) + 1
        self.near(event.equity, self.money[account] + sum(values, Fraction(0)), parts)
        self.near(event.long_value, sum((v for v in values if v > 0), Fraction(0)), parts)
        self.near(event.short_value, -sum((v for v in values if v < 0), Fraction(0)), parts)
        self.near(event.cash + event.unsettled, self.money[account])


def traded(seed: int, days: int) -> DeskHarness:
    """Odd lots at odd prices, long and short, for some days that are closed in small steps."""
    pick, desk = random.Random(seed), SettlingDesk(checked=False)
    lot = 10**6
    for symbol in ("X", "Y"):
        terms = {"opened": False, "calendar": "manual", "shortable": True}
        desk.instrument(symbol, lot=lot, tick=10**5, **terms)
    accounts = [desk.account(f"c{n}", 50_000) for n in range(3)]
    accounts += [desk.account(f"m{n}", 50_000, kind=AccountKind.MARGIN) for n in range(3)]
    for account in accounts[:4]:
        desk.hold(account, 50, pick.choice("XY"))
    for day in range(days):
        desk.day(20261120 + day, 20261124 + day, "X", "Y")
        for _ in range(40):
            price = Fraction(pick.randint(990_000, 1_010_000), 10**4)
            qty = Fraction(pick.randint(1, 400) * lot, 10**8)
            side = pick.choice((Side.BUY, Side.SELL))
            desk.place(pick.choice(accounts), side, qty, price, symbol=pick.choice("XY"))
        for symbol in ("X", "Y"):
            assert desk.close(symbol).refusal is None
        remaining = True
        while remaining:
            result = desk.ok(CloseDay(desk.at, tuple(accounts), pick.randint(1, 7))).result
            assert result is not None
            remaining = result["remaining"]
    desk.check()
    return desk


@pytest.mark.parametrize("seed", range(8))
def test_day_closed_at_random_is_what_fractions_say(seed: int) -> None:
    """Every mark of every day, however often holdings grew, shrank and turned over in it."""
    desk, plain = traded(seed, 4), Plain()
    marks = days = 0
    for event in desk.log:
        if isinstance(event, PositionMarked):
            plain.judge_mark(event)
            marks += 1
        elif isinstance(event, AccountDayClosed):
            plain.judge_day(event)
            days += 1
        else:
            plain.take(event)

    assert 4 * len(plain.accounts) == days
    assert marks > 20
