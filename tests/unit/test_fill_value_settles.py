"""What an account pays is what it bought, whichever trades settle first; sales change no cent."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from application.commands import SetCommissionSchedule
from application.desk.state import dump, load
from domain.account import Account
from domain.commission import Kind
from domain.events import OrderFilled
from domain.terms import Side
from tests.model.desk_harness import shares, wire
from tests.model.judged_log import judged
from tests.model.settling_desk import MONDAY, WEDNESDAY, SettlingDesk

BUY, SELL = Side.BUY, Side.SELL
FINE = {
    "lot": shares("0.01"),
    "tick": wire("0.01"),
    "reference_price": wire("0.20"),
    "collar_bps": 9_000,
}


def desk_of(cash: str, first: str, second: str) -> SettlingDesk:
    """Account `x` has cash and 10 of `second`; `first` settles on Monday, `second` on Wednesday."""
    desk = SettlingDesk(checked=False)
    for symbol in (first, second):
        desk.instrument(symbol, opened=False, **FINE)
    desk.x, desk.m = desk.account("x", cash), desk.account("m", 1_000)
    desk.hold(desk.x, 10, second)
    desk.hold(desk.m, 100, first)
    desk.day(MONDAY, MONDAY, first)
    desk.day(MONDAY, WEDNESDAY, second)
    return desk


def place(desk: SettlingDesk, *order: Any, symbol: str) -> None:
    """An order that is taken."""
    assert desk.place(*order, symbol=symbol).refusal is None


def trade_in_turn(desk: SettlingDesk, times: int = 50) -> None:
    """What `x` buys of A and sells of B comes in fills of 0.6 cents, one of each in turn."""
    place(desk, desk.x, BUY, 1, Fraction("0.30"), symbol="A")
    place(desk, desk.x, SELL, 2, Fraction("0.20"), symbol="B")
    place(desk, desk.m, BUY, "0.03", Fraction("0.20"), symbol="B")
    for _ in range(times):
        place(desk, desk.m, SELL, "0.02", Fraction("0.30"), symbol="A")
        place(desk, desk.m, BUY, "0.03", Fraction("0.20"), symbol="B")


def test_fill_value_of_purchases_is_paid_whatever_is_sold_between_them():
    """0.30 of A and 0.31 of B, in fifty fills of each: 0.30 is owed and paid on Monday."""
    desk = desk_of("0.32", "A", "B")
    trade_in_turn(desk)

    assert (32, 31, 30) == desk.money(desk.x)
    assert [] == desk.short(MONDAY)
    assert (2, 31, 0) == desk.money(desk.x)
    assert [] == desk.short(WEDNESDAY)
    assert (33, 0, 0) == desk.money(desk.x)
    assert 0 == sum(desk.ledger.values())
    assert {} == {name: n for name, n in judged(desk.log).failed.items() if n}


def test_fill_value_of_sales_is_received_whatever_is_bought_between_them():
    """The sales settle first: they bring their 0.31 and not what purchases rounded to."""
    desk = SettlingDesk(checked=False)
    for symbol in ("A", "B"):
        desk.instrument(symbol, opened=False, **FINE)
    desk.x, desk.m = desk.account("x", "0.32"), desk.account("m", 1_000)
    desk.hold(desk.x, 10, "B")
    desk.hold(desk.m, 100, "A")
    desk.day(MONDAY, WEDNESDAY, "A")
    desk.day(MONDAY, MONDAY, "B")
    trade_in_turn(desk)

    assert [] == desk.short(MONDAY)
    assert (63, 0, 30) == desk.money(desk.x)
    assert [] == desk.short(WEDNESDAY)
    assert (33, 0, 0) == desk.money(desk.x)
    assert {} == {name: n for name, n in judged(desk.log).failed.items() if n}


@pytest.mark.parametrize("maker", ["-0.004", "0.004"])
def test_fill_value_with_commissions_and_rebates_is_paid_whatever_settles_first(maker):
    """Commissions of fractions of a cent, or rebates, fall on the trades that they are of."""
    desk = desk_of("1.00", "A", "B")
    rate = int(Fraction(maker) * 10**9)
    desk.ok(SetCommissionSchedule(desk.x, int(Kind.PER_SHARE), ((0, rate, 4_000_000),), 0, 0))
    trade_in_turn(desk, 49)
    bought, sold = Fraction("0.294"), Fraction("0.30")
    cost = Fraction(maker) * Fraction("0.98")
    cash, receivable, payable = desk.money(desk.x)
    assert 100 == cash
    assert abs(payable - (bought + cost) * 100) <= 1
    assert abs(receivable - (sold - Fraction(maker) * Fraction("1.50")) * 100) <= 2

    assert [] == desk.short(MONDAY)
    cash, _, payable = desk.money(desk.x)
    assert (0, True) == (payable, abs(cash - 100 + (bought + cost) * 100) <= 1)
    assert [] == desk.short(WEDNESDAY)
    assert (0, 0) == desk.money(desk.x)[1:]
    assert {} == {name: n for name, n in judged(desk.log).failed.items() if n}


@pytest.mark.parametrize("parts", [1, 3])
def test_fill_value_of_a_sale_is_never_less_than_its_commission(parts):
    """A minimum of a dollar on a sale of ten cents, without cash: it brings nothing, and settles.

    The commission grows with what the order brings, up to the minimum.
    """
    desk = desk_of("0", "A", "B")
    desk.ok(SetCommissionSchedule(desk.x, int(Kind.PER_SHARE), ((0, 0, 0),), 100, 0))
    place(desk, desk.x, SELL, "0.50" if parts == 1 else 10, Fraction("0.20"), symbol="B")
    for _ in range(parts):
        place(desk, desk.m, BUY, "0.50", Fraction("0.20"), symbol="B")

    assert (0, 0, 0) == desk.money(desk.x)
    assert [] == desk.short(WEDNESDAY)
    assert (0, 0, 0) == desk.money(desk.x)
    if parts > 1:
        desk.day(WEDNESDAY, WEDNESDAY, "B")
        place(desk, desk.m, BUY, 8, Fraction("0.20"), symbol="B")
        assert (0, 90, 0) == desk.money(desk.x)
    assert {} == {name: n for name, n in judged(desk.log).failed.items() if n}


def test_fill_value_of_a_sale_that_is_busted_takes_back_what_it_brought():
    """Value and commission go together: nothing is left of either."""
    desk = desk_of("0", "A", "B")
    desk.ok(SetCommissionSchedule(desk.x, int(Kind.PER_SHARE), ((0, 0, 0),), 100, 0))
    place(desk, desk.x, SELL, 10, Fraction("0.20"), symbol="B")
    place(desk, desk.m, BUY, "0.50", Fraction("0.20"), symbol="B")
    first = desk.happened(OrderFilled)[0].trade_id
    place(desk, desk.m, BUY, "0.50", Fraction("0.20"), symbol="B")

    desk.bust(first)

    assert (0, 0, 0) == desk.money(desk.x)
    assert {} == {name: n for name, n in judged(desk.log).failed.items() if n}


def test_fill_value_is_settled_the_same_by_a_desk_that_was_loaded():
    """What is due exactly is derived from the obligations of a snapshot, and goes on from there."""
    desk = desk_of("0.32", "A", "B")
    trade_in_turn(desk, 7)
    before = desk.desk.accounts.by_id[desk.x.int]
    loaded = load(dump(desk.desk)).accounts.by_id[desk.x.int]

    assert before.paying and before.coming
    for name in Account.DERIVED:
        assert getattr(before, name) == getattr(loaded, name), name
