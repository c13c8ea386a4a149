"""Commissions through the desk: posted on the running total, given back exactly."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any
from uuid import UUID

import pytest

from application.commands import (
    CloseInstrument,
    OpenInstrument,
    Reply,
    SetAccountPolicy,
    SetCommissionSchedule,
)
from domain.commission import BPS_SCALE, RATE_SCALE, Kind
from domain.events import OrderFilled, TradeBooked, TradeReversed
from domain.identifiers import HOUSE
from domain.money import EXACT_SCALE
from domain.terms import Ledger, Side
from tests.model.desk_harness import DeskHarness, cents, code, shares, wire

BUY, SELL = Side.BUY, Side.SELL
DOLLAR = 10**EXACT_SCALE


def desk_with(*, checked: bool = True, cash: int = 10_000_000, **terms: Any) -> DeskHarness:
    """Instrument X; `a` buys from `b`, who holds plenty."""
    venue = DeskHarness(checked=checked)
    venue.instrument(
        **{"tick": wire("0.0001"), "lot": shares("0.01"), "collar_bps": 9_999, **terms}
    )
    venue.a, venue.b = venue.account("a", cash), venue.account("b", cash)
    for account in (venue.a, venue.b):
        venue.hold(account, 1_000_000)
    return venue


def charge(
    venue: DeskHarness,
    account: UUID,
    kind: Kind,
    *tiers: tuple[int, str, str],
    minimum: str = "0",
    cap_bps: int = 0,
) -> Reply:
    """Set a schedule: tiers of (shares a month, maker, taker) in dollars a share or bps."""
    unit = 10 ** (RATE_SCALE if kind == Kind.PER_SHARE else BPS_SCALE)
    return venue.send(
        SetCommissionSchedule(
            account,
            int(kind),
            tuple(
                (shares(begins), int(Fraction(maker) * unit), int(Fraction(taker) * unit))
                for begins, maker, taker in tiers
            ),
            cents(minimum),
            cap_bps,
        )
    )


def trade(venue: DeskHarness, qty: Any, price: Any = 100) -> list[int]:
    """`a` buys from a resting order of `b`; (a's fee, b's fee)."""
    assert "" == code(venue.place(venue.b, SELL, qty, price))
    assert "" == code(venue.place(venue.a, BUY, qty, price))
    return fees(venue)


def fees(venue: DeskHarness) -> list[int]:
    """The latest command's fees, the incoming side's first."""
    return [event.fee for event in venue.happened(OrderFilled)]


def posted(venue: DeskHarness, account: UUID) -> int:
    """Cents that an account has paid in commission by its own events."""
    booked = [e for e in venue.log if isinstance(e, TradeBooked) and e.originator_id == account]
    undone = [e for e in venue.log if isinstance(e, TradeReversed) and e.originator_id == account]
    return sum(e.fee for e in booked) - sum(e.fee for e in undone)


def exact(venue: DeskHarness, account: UUID) -> Fraction:
    """The exact commission of an account in dollars."""
    return Fraction(venue.desk.accounts.by_id[account.int].commission, DOLLAR)


def test_commission_is_posted_to_the_house_and_owed_by_the_account():
    """A buyer owes price and fee, a seller is owed the price less the fee; the house earns both."""
    venue = desk_with()
    for account in (venue.a, venue.b):
        charge(venue, account, Kind.PER_SHARE, (0, "0.01", "0.02"))

    assert [20, 10] == trade(venue, 10)

    ledger = venue.ledger
    assert -100_020 == ledger[venue.a, Ledger.PAYABLE]
    assert 99_990 == ledger[venue.b, Ledger.RECEIVABLE]
    assert 30 == ledger[HOUSE, Ledger.COMMISSION]
    assert 0 == sum(ledger.values())


def test_commission_of_tenths_of_a_cent_is_posted_when_it_has_become_a_cent():
    """A share at $0.003: running totals of 0.3, 0.6, 0.9, 1.2 and 1.5 round to 0, 1, 1, 1 and 2."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0", "0.003"))

    assert [0, 1, 0, 0, 1, 0, 0, 0, 1, 0] == [trade(venue, 1)[0] for _ in range(10)]
    assert Fraction("0.03") == exact(venue, venue.a)
    assert 3 == posted(venue, venue.a)


def test_commission_rounding_of_ties_goes_to_the_even_running_total():
    """Half a cent a trade: totals of 0.5, 1.5, 2.5, 3.5 post 0, 2, 2, 4 in all."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0", "0.005"))

    totals = []
    for _ in range(8):
        trade(venue, 1)
        totals.append(posted(venue, venue.a))
    assert [0, 1, 2, 2, 2, 3, 4, 4] == totals


def test_commission_rebate_is_paid_to_the_maker():
    """A negative fee adds to what a seller is owed, and the house pays it."""
    venue = desk_with()
    charge(venue, venue.b, Kind.PER_SHARE, (0, "-0.002", "0.003"))

    assert [0, -20] == trade(venue, 100)

    assert 1_000_020 == venue.ledger[venue.b, Ledger.RECEIVABLE]
    assert -20 == venue.ledger[HOUSE, Ledger.COMMISSION]


def test_commission_minimum_is_taken_once_from_an_order_filled_in_parts():
    """A dollar with the first share; nothing more until the rates ask for more."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"), minimum="1")
    venue.place(venue.a, BUY, 150, 100)

    taken = []
    for qty in (1, 49, 50, 25, 25):
        venue.place(venue.b, SELL, qty, 100)
        taken.append(fees(venue)[1])
    assert [100, 0, 0, 25, 25] == taken
    venue.bust_last()
    assert (125, Fraction("1.25")) == (posted(venue, venue.a), exact(venue, venue.a))


def test_commission_minimum_is_taken_from_every_order():
    """Two orders, two minimums."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"), minimum="1")

    assert [100, 100] == [trade(venue, 1)[0], trade(venue, 1)[0]]


def test_commission_cap_grows_with_what_the_order_traded():
    """One per cent of ten cents, then of twenty: the minimum comes as the cap lets it."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"), minimum="1", cap_bps=100)
    venue.place(venue.a, BUY, 20_000, "0.10")

    taken = []
    for qty in (100, 100, 800, 9_000):
        venue.place(venue.b, SELL, qty, "0.10")
        taken.append(fees(venue)[1])
    assert [10, 10, 80, 900] == taken


def test_commission_tiers_count_all_that_an_account_trades_in_a_month():
    """Buys and sells, maker and taker, every instrument: the third trade reaches the next tier."""
    venue = desk_with()
    venue.instrument("Y")
    venue.hold(venue.a, 1_000, "Y")
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"), (200, "0.001", "0.001"))

    assert 100 == trade(venue, 100)[0]
    venue.place(venue.b, BUY, 50, 100, symbol="Y")
    venue.place(venue.a, SELL, 50, 100, symbol="Y")
    assert 50 == fees(venue)[0]
    # Of a hundred, fifty are in the old tier and fifty in the new one.
    assert 55 == trade(venue, 100)[0]
    assert 10 == trade(venue, 100)[0]


def test_commission_tiers_begin_anew_with_the_month_of_the_session():
    """What was traded until the last session of a month says nothing in the next."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"), (100, "0.001", "0.001"))

    taken = [trade(venue, 100)[0], trade(venue, 100)[0]]
    venue.ok(CloseInstrument("X"))
    venue.ok(OpenInstrument("X", 20261201, 20261203, venue.at, venue.at + 10**12))
    taken += [trade(venue, 100)[0], trade(venue, 100)[0]]
    assert [100, 10, 100, 10] == taken


@pytest.mark.parametrize("kind", [Kind.PER_SHARE, Kind.BPS])
def test_commission_of_a_busted_trade_is_given_back_exactly(kind):
    """To the last of 24 decimals, on both sides, and the cents with it."""
    venue = desk_with(lot=1)
    for account in (venue.a, venue.b):
        charge(venue, account, kind, (0, "-0.0021", "0.0033"))
    trade(venue, "7.00000001", "99.9999")
    before = [(exact(venue, one), posted(venue, one)) for one in (venue.a, venue.b)]

    trade(venue, "20.00000003", "101.0001")
    assert "" == code(venue.bust_last())

    assert before == [(exact(venue, one), posted(venue, one)) for one in (venue.a, venue.b)]


def test_commission_of_an_order_whose_only_fill_is_busted_is_nothing():
    """Its minimum goes back too."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"), minimum="1")
    trade(venue, 10)
    assert 100 == posted(venue, venue.a)

    assert "" == code(venue.bust_last())

    assert (0, 0) == (exact(venue, venue.a), posted(venue, venue.a))


def test_commission_minimum_stays_when_one_of_two_fills_is_busted():
    """The order still traded, so it still costs its minimum."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"), minimum="1")
    venue.place(venue.a, BUY, 150, 100)
    venue.place(venue.b, SELL, 50, 100)
    venue.place(venue.b, SELL, 100, 100)
    assert 150 == posted(venue, venue.a)

    assert "" == code(venue.bust_last())

    assert 100 == posted(venue, venue.a)


def test_commission_in_proportion_follows_a_corrected_price():
    """Ten basis points of 100 become ten of 50, and a per-share rate does not move."""
    venue = desk_with()
    charge(venue, venue.a, Kind.BPS, (0, "10", "10"))
    charge(venue, venue.b, Kind.PER_SHARE, (0, "0.01", "0.01"))
    trade(venue, 100)
    assert (1_000, 100) == (posted(venue, venue.a), posted(venue, venue.b))

    assert "" == code(venue.correct_last(50))

    assert (500, 100) == (posted(venue, venue.a), posted(venue, venue.b))
    assert Fraction(5) == exact(venue, venue.a)


def test_commission_of_a_corrected_and_then_busted_trade_is_nothing():
    """A bust takes back what the correction left."""
    venue = desk_with(lot=1)
    charge(venue, venue.a, Kind.BPS, (0, "3.333", "3.333"), cap_bps=2)
    trade(venue, "3.33333333", "99.9999")
    assert "" == code(venue.correct_last("100.0001"))
    assert posted(venue, venue.a)

    assert "" == code(venue.bust_last())

    assert (0, 0) == (exact(venue, venue.a), posted(venue, venue.a))


def test_commission_schedule_changed_between_two_fills_charges_each_at_its_rates():
    """A fill pays what held at its moment; what was charged before stands."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"))
    venue.place(venue.a, BUY, 200, 100)
    venue.place(venue.b, SELL, 100, 100)
    charge(venue, venue.a, Kind.BPS, (0, "1", "1"))
    venue.place(venue.b, SELL, 100, 100)

    assert Fraction(2) == exact(venue, venue.a)
    assert 200 == posted(venue, venue.a)


def test_commission_schedule_that_became_free_between_two_fills_takes_nothing_back():
    """The rest of the order is free, what it has cost already is not given back."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.01"))
    venue.place(venue.a, BUY, 200, 100)
    venue.place(venue.b, SELL, 100, 100)
    charge(venue, venue.a, Kind.NONE)
    venue.place(venue.b, SELL, 100, 100)

    assert (Fraction(1), 100) == (exact(venue, venue.a), posted(venue, venue.a))


def test_commission_is_charged_on_both_sides_by_each_ones_schedule():
    """Who takes pays the taker's rate of its own schedule, who rests the maker's of its own."""
    venue = desk_with()
    charge(venue, venue.a, Kind.PER_SHARE, (0, "-0.001", "0.003"))
    charge(venue, venue.b, Kind.PER_SHARE, (0, "0.002", "0.003"))

    assert [30, 20] == trade(venue, 100)
    assert 50 == venue.ledger[HOUSE, Ledger.COMMISSION]


def test_commission_is_held_with_the_order_and_freed_with_it():
    """Acceptance holds the dearest case, a fill takes what it costs, the end frees the rest."""
    venue = desk_with(cash=1_001)
    charge(venue, venue.a, Kind.PER_SHARE, (0, "0.01", "0.02"))

    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(venue.a, BUY, 10, "100.09"))
    assert "" == code(venue.place(venue.a, BUY, 10, 100))
    assert 100_000 + 1 + 20 + 1 == venue.desk.accounts.by_id[venue.a.int].held
    venue.place(venue.b, SELL, 10, 100)

    account = venue.desk.accounts.by_id[venue.a.int]
    assert (0, -100_010, 90) == (account.held, account.unsettled, account.funds)


def test_commission_of_a_buy_on_unsettled_proceeds_is_unpaid_with_it():
    """The fee belongs to the purchase that the proceeds stand for."""
    venue = desk_with()
    poor = venue.account("poor", 0)
    venue.hold(poor, 100)
    venue.ok(SetAccountPolicy(poor, True))
    charge(venue, poor, Kind.PER_SHARE, (0, "0.01", "0.01"))
    venue.place(venue.b, BUY, 100, 100)
    venue.place(poor, SELL, 100, 100)
    assert [100, 0] == fees(venue)

    venue.place(venue.b, SELL, 50, 100)
    venue.place(poor, BUY, 50, 100)

    assert 500_050 == venue.desk.accounts.by_id[poor.int].unpaid


@pytest.mark.parametrize(
    ("kind", "tiers", "bounds", "field"),
    [
        (9, ((0, 1, 1),), (0, 0), "kind"),
        (1, (), (0, 0), "tiers"),
        (0, ((0, 1, 1),), (0, 0), "tiers"),
        (1, ((5, 1, 1),), (0, 0), "tiers"),
        (1, ((0, 1, 1), (0, 2, 2)), (0, 0), "tiers"),
        (1, ((0, 1, 1), (9, 2, 2), (8, 2, 2)), (0, 0), "tiers"),
        (1, ((0, 10**15, 1),), (0, 0), "tiers"),
        (1, tuple((n, 1, 1) for n in range(21)), (0, 0), "tiers"),
        (1, ((0, 1, 1),), (-1, 0), "minimum"),
        (1, ((0, 1, 1),), (0, -1), "cap_bps"),
        (1, ((0, 1, 1),), (0, 10_001), "cap_bps"),
    ],
)
def test_commission_schedule_that_makes_no_sense_is_refused_by_field(kind, tiers, bounds, field):
    """Ascending tiers from zero, rates and bounds in range."""
    venue = desk_with(checked=False)

    reply = venue.send(SetCommissionSchedule(venue.a, kind, tiers, *bounds))

    assert reply.refusal is not None
    assert field == reply.refusal.details["field"]


def test_commission_schedule_set_again_is_no_event():
    """The same terms change nothing."""
    venue = desk_with()
    charge(venue, venue.a, Kind.BPS, (0, "1", "2"))

    assert charge(venue, venue.a, Kind.BPS, (0, "1", "2")).duplicate
    assert [] == venue.events


def test_commission_of_10000_trades_through_the_desk_is_the_exact_total_rounded_once():
    """Odd lots at odd prices by three changing schedules, with busts and corrections: no drift.

    The exact total is added up in fractions from what each event says of its own fill.
    """
    venue = desk_with(checked=False, cash=900_000_000, lot=1)
    chance = random.Random(20_261_121)
    charge(venue, venue.a, Kind.PER_SHARE, (0, "-0.0021", "0.0033"), (5_000, "-0.0025", "0.0029"))
    charge(venue, venue.b, Kind.BPS, (0, "-0.137", "0.311"))
    trades = undone = 0
    while trades < 10_000:
        seller, buyer = chance.sample((venue.a, venue.b), 2)
        price = Fraction(chance.randint(950_000, 1_050_000), 10_000)
        whole = chance.randint(2, 400_000_000)
        venue.place(seller, SELL, Fraction(whole, 10**8), price)
        part = chance.randint(1, whole - 1)
        for qty in (part, whole - part):
            venue.place(buyer, BUY, Fraction(qty, 10**8), price)
            assert 2 == len(fees(venue))
            trades += 1
            dice = chance.random()
            if dice < 0.01:
                assert "" == code(venue.bust_last())
                undone += 1
            elif dice < 0.02:
                assert "" == code(
                    venue.correct_last(price + Fraction(chance.randint(1, 99), 10_000))
                )
                undone += 1
        if trades == 5_000:
            charge(venue, venue.a, Kind.BPS, (0, "0.2", "0.4"))
    venue.check()
    assert undone > 100
    total = 0
    for account in (venue.a, venue.b):
        cost = exact(venue, account)
        assert round(cost * 100) == posted(venue, account)
        assert posted(venue, account) == venue.desk.accounts.by_id[account.int].commissions
        total += posted(venue, account)
    assert total == venue.ledger[HOUSE, Ledger.COMMISSION]
    assert 0 == sum(venue.ledger.values())
