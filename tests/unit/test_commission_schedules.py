"""Commission schedules as functions: exact in 1e-24 dollars, checked against fractions."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.commission import (
    BPS_SCALE,
    FREE,
    MAX_BPS_RATE,
    MAX_PER_SHARE_RATE,
    RATE_SCALE,
    Kind,
    Schedule,
    bounded,
    ceiling,
    exact,
    schedule_of,
)
from domain.money import EXACT_SCALE, MAX_AMOUNT, cents, notional
from domain.terms import Liquidity

ADDED, REMOVED, AUCTION = (int(one) for one in Liquidity)
SHARE = 10**8
DOLLAR = 10**EXACT_SCALE
CENT = DOLLAR // 100

LIQUIDITY = st.sampled_from((ADDED, REMOVED, AUCTION))
QTY = st.integers(1, MAX_AMOUNT - 1)
RATE = st.integers(-(10**7), 10**7)


def per_share(rate: str, taker: str | None = None, **bounds: int) -> Schedule:
    """One tier of dollars a share, maker and taker alike unless told."""
    tiers = ((0, share_rate(rate), share_rate(taker or rate)),)
    return Schedule(int(Kind.PER_SHARE), tiers, **bounds)


def bps(rate: str, taker: str | None = None, **bounds: int) -> Schedule:
    """One tier of basis points."""
    return Schedule(int(Kind.BPS), ((0, bps_rate(rate), bps_rate(taker or rate)),), **bounds)


def share_rate(text: str) -> int:
    """Dollars a share in a schedule's units."""
    return int(Fraction(text) * 10**RATE_SCALE)


def bps_rate(text: str) -> int:
    """Basis points in a schedule's units."""
    return int(Fraction(text) * 10**BPS_SCALE)


def dollars(amount: int) -> Fraction:
    """An exact commission in dollars."""
    return Fraction(amount, DOLLAR)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Any schedule that charges."""
    thresholds = draw(st.sets(st.integers(1, 10**15), max_size=4))
    tiers = tuple((begins, draw(RATE), draw(RATE)) for begins in (0, *sorted(thresholds)))
    kind = draw(st.sampled_from((Kind.PER_SHARE, Kind.BPS)))
    return Schedule(int(kind), tiers, draw(st.integers(0, 10**4)), draw(st.integers(0, 10_000)))


@given(QTY, st.integers(1, 10**13), st.integers(0, 9), RATE)
def test_per_share_commission_is_rate_times_quantity_exactly(qty, price, decimals, rate):
    """Neither price nor its scale matters, and no digit is dropped."""
    schedule = Schedule(int(Kind.PER_SHARE), ((0, rate, rate),))

    charged = exact(schedule, REMOVED, qty, price, decimals, 0)

    assert Fraction(rate, 10**RATE_SCALE) * Fraction(qty, SHARE) == dollars(charged)


@given(QTY, st.integers(1, 10**13), st.integers(0, 9), RATE)
def test_proportional_commission_is_rate_times_value_exactly(qty, price, decimals, rate):
    """Thousandths of a basis point of the exact value, at every scale of price."""
    schedule = Schedule(int(Kind.BPS), ((0, rate, rate),))

    charged = exact(schedule, REMOVED, qty, price, decimals, 0)

    value = Fraction(price, 10**decimals) * Fraction(qty, SHARE)
    assert Fraction(rate, 10**BPS_SCALE) / 10_000 * value == dollars(charged)


def test_commission_of_three_tenths_of_a_cent_is_not_lost():
    """One share at $0.0030 costs three tenths of a cent; a hundred of them 30 cents."""
    charged = exact(per_share("0.003"), REMOVED, SHARE, 1, 4, 0)

    assert Fraction("0.003") == dollars(charged)
    assert 0 == cents(charged)
    assert 30 == cents(100 * charged)


def test_commission_of_the_smallest_quantity_is_exact():
    """A hundred-millionth of a share at the finest rate is 1e-17 dollars."""
    assert Fraction(1, 10**17) == dollars(exact(per_share("0.000000001"), REMOVED, 1, 1, 4, 0))


def test_commission_of_the_smallest_proportion_is_exact():
    """The finest proportional rate of the smallest trade at nine decimals is the scale's unit."""
    assert 1 == exact(bps("0.001"), REMOVED, 1, 1, 9, 0)


def test_commission_of_the_largest_trade_is_exact():
    """At the bounds of quantity, price and rate nothing wraps and nothing is rounded."""
    qty = price = MAX_AMOUNT - 1
    charged = exact(bps("10000"), REMOVED, qty, price, 4, 0)

    assert Fraction(price, 10**4) * Fraction(qty, SHARE) == dollars(charged)


def test_commission_of_the_whole_value_at_the_highest_rate_is_the_notional():
    """The highest proportional rate takes all, so a fee fits where a notional fits."""
    schedule = Schedule(int(Kind.BPS), ((0, MAX_BPS_RATE, MAX_BPS_RATE),))
    qty, price = 12_345 * SHARE, 1_012_345

    assert notional(price, qty, 4) == cents(exact(schedule, REMOVED, qty, price, 4, 0))


def test_commission_of_the_largest_per_share_rate_fits_in_64_bits():
    """A thousand dollars a share on the largest quantity is an amount that events can hold."""
    schedule = Schedule(int(Kind.PER_SHARE), ((0, MAX_PER_SHARE_RATE, MAX_PER_SHARE_RATE),))

    assert cents(exact(schedule, REMOVED, MAX_AMOUNT - 1, 1, 4, 0)) < 2**63


@pytest.mark.parametrize(
    ("liquidity", "expected"), [(ADDED, "-0.002"), (REMOVED, "0.003"), (AUCTION, "0.003")]
)
def test_commission_of_who_adds_liquidity_is_the_makers(liquidity, expected):
    """A resting order pays, or is paid, the maker's rate; an auction trade pays the taker's."""
    schedule = per_share("-0.002", "0.003")

    assert Fraction(expected) * 100 == dollars(exact(schedule, liquidity, 100 * SHARE, 1, 4, 0))


def test_commission_rebate_is_negative_and_rounds_as_a_charge_does():
    """Fifteen tenths of a cent, given or taken, are two cents: half to even on either side."""
    charge = exact(per_share("0.015"), REMOVED, SHARE, 1, 4, 0)
    rebate = exact(per_share("-0.015"), REMOVED, SHARE, 1, 4, 0)

    assert charge == -rebate
    assert (2, -2) == (cents(charge), cents(rebate))


@pytest.mark.parametrize(
    ("half_cents", "posted"),
    [(-5, -2), (-3, -2), (-1, 0), (1, 0), (3, 2), (5, 2), (7, 4), (2, 1), (-2, -1)],
)
def test_commission_rounding_takes_ties_to_the_even_cent(half_cents, posted):
    """Of 0.5, 1.5, 2.5 and 3.5 cents two go down and two go up."""
    assert posted == cents(half_cents * CENT // 2)


@pytest.mark.parametrize(("more", "posted"), [(-1, 2), (0, 2), (1, 3)])
def test_commission_rounding_sees_the_last_of_24_decimals(more, posted):
    """The tie is at two and a half cents exactly, not about there."""
    assert posted == cents(5 * CENT // 2 + more)


@pytest.mark.parametrize(
    ("month", "qty", "expected"),
    [
        (0, 1_000, "5.00"),
        (0, 1_001, "5.003"),
        (999, 1, "0.005"),
        (1_000, 1, "0.003"),
        (900, 200, "0.80"),
        (0, 10_000, "32.00"),
        (0, 10_500, "32.50"),
        (9_999, 2, "0.004"),
        (10_000, 5, "0.005"),
        (50_000, 100, "0.10"),
    ],
)
def test_commission_tier_holds_from_its_threshold_on(month, qty, expected):
    """Half a cent to 1,000 shares a month, 0.3 to 10,000, then 0.1: cut where they are crossed."""
    tiers = ((0, "0.005"), (1_000, "0.003"), (10_000, "0.001"))
    schedule = Schedule(
        int(Kind.PER_SHARE), tuple((n * SHARE, share_rate(r), share_rate(r)) for n, r in tiers)
    )

    charged = exact(schedule, REMOVED, qty * SHARE, 1, 4, month * SHARE)

    assert Fraction(expected) == dollars(charged)


@given(schedules(), LIQUIDITY, st.lists(QTY, min_size=1, max_size=8), st.integers(0, 10**16))
def test_commission_of_a_month_is_the_same_however_it_is_cut(schedule, liquidity, parts, month):
    """Tiers are crossed inside a fill as they are between fills."""
    whole = exact(schedule, liquidity, sum(parts), 1_000_000, 4, month)

    pieces = 0
    for qty in parts:
        pieces += exact(schedule, liquidity, qty, 1_000_000, 4, month)
        month += qty
    assert whole == pieces


@given(schedules(), LIQUIDITY, QTY, st.integers(0, 10**16))
def test_commission_in_tiers_is_the_sum_over_the_tiers_in_fractions(
    schedule, liquidity, qty, month
):
    """What falls into each tier pays its rate, found by clipping intervals."""
    price, decimals = 123_4567, 4
    expected = Fraction(0)
    ends = [*(tier[0] for tier in schedule.tiers[1:]), 10**40]
    for (begins, maker, taker), end in zip(schedule.tiers, ends, strict=True):
        inside = max(0, min(end, month + qty) - max(begins, month))
        rate = maker if liquidity == ADDED else taker
        if schedule.kind == Kind.PER_SHARE:
            expected += Fraction(inside, SHARE) * Fraction(rate, 10**RATE_SCALE)
        else:
            value = Fraction(inside, SHARE) * Fraction(price, 10**decimals)
            expected += value * Fraction(rate, 10**BPS_SCALE) / 10_000

    assert expected == dollars(exact(schedule, liquidity, qty, price, decimals, month))


def test_commission_minimum_is_charged_once_across_the_fills_of_an_order():
    """Ten fills of one share at half a cent cost the order's minimum of a dollar, not ten."""
    schedule = per_share("0.005", minimum=100)
    base = value = 0
    after = []
    for _ in range(10):
        base += exact(schedule, REMOVED, SHARE, 50_0000, 4, 0)
        value += 50_0000 * SHARE
        after.append(cents(bounded(schedule, base, value, 4, sale=False)))

    assert [100] * 10 == after


def test_commission_beyond_the_minimum_is_the_rates():
    """At half a cent a share the minimum of a dollar is used up by two hundred shares."""
    schedule = per_share("0.005", minimum=100)
    price = 50_0000

    def order(shares: int) -> int:
        base = exact(schedule, REMOVED, shares * SHARE, price, 4, 0)
        return cents(bounded(schedule, base, price * shares * SHARE, 4, sale=False))

    assert [100, 100, 100, 150] == [order(shares) for shares in (1, 199, 200, 300)]


def test_commission_cap_is_a_share_of_what_was_traded():
    """At one per cent of the trade, ten shares at a dime cost a cent for all the minimum."""
    schedule = per_share("0.005", minimum=100, cap_bps=100)
    base = exact(schedule, REMOVED, 10 * SHARE, 1_000, 4, 0)

    assert Fraction("0.01") == dollars(bounded(schedule, base, 1_000 * 10 * SHARE, 4, sale=False))


@given(schedules(), st.integers(-(10**40), 10**40), st.integers(1, 10**34), st.integers(0, 9))
def test_commission_bounds_are_the_minimum_and_then_the_cap(schedule, base, value, decimals):
    """Lifted to the minimum, then cut at the cap, in fractions."""
    expected = dollars(base)
    if schedule.minimum:
        expected = max(expected, Fraction(schedule.minimum, 100))
    if schedule.cap_bps:
        traded = Fraction(value, 10 ** (decimals + 8))
        expected = min(expected, traded * schedule.cap_bps / 10_000)

    assert expected == dollars(bounded(schedule, base, value, decimals, sale=False))


@given(schedules(), st.integers(-(10**40), 10**40))
def test_commission_of_an_order_that_traded_nothing_is_nothing(schedule, base):
    """No minimum is due for an order whose every fill was busted."""
    assert 0 == bounded(schedule, base, 0, 4, sale=False)


@given(LIQUIDITY, QTY, st.integers(1, 10**13), st.integers(0, 10**16))
def test_commission_under_no_schedule_is_nothing(liquidity, qty, price, month):
    """A new account trades free."""
    assert 0 == exact(FREE, liquidity, qty, price, 4, month)
    assert 0 == ceiling(FREE, qty, price, 4)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**34))
def test_commission_charged_before_a_schedule_became_free_stands(base, value):
    """A schedule without charges bounds nothing and gives nothing back."""
    assert base == bounded(FREE, base, value, 4, sale=False)


@given(
    schedules(), st.lists(st.tuples(LIQUIDITY, QTY), min_size=1, max_size=8), st.integers(0, 10**16)
)
def test_commission_ceiling_covers_an_order_however_it_is_filled(schedule, fills, month):
    """Held on acceptance: rates of the dearest tier, minimum, cap, and a cent of rounding."""
    price, decimals = 101_2500, 4
    most = ceiling(schedule, sum(qty for _, qty in fills), price, decimals)
    base = value = 0
    for liquidity, qty in fills:
        base += exact(schedule, liquidity, qty, price, decimals, month)
        month += qty
        value += price * qty
    commission = bounded(schedule, base, value, decimals, sale=False)

    assert most >= 0
    for carried in (0, CENT // 2, -CENT // 2, CENT // 3):
        assert cents(carried + commission) - cents(carried) <= most


@given(schedules())
def test_commission_schedule_survives_an_accounts_plain_state(schedule):
    """What a snapshot keeps as lists is the same schedule again."""
    kind, tiers, minimum, cap_bps = schedule

    assert schedule == schedule_of([kind, [list(tier) for tier in tiers], minimum, cap_bps])
    assert FREE == schedule_of(())


@pytest.mark.parametrize("seed", range(4))
def test_commission_of_12000_trades_carries_no_drift(seed):
    """What was posted is the exact total rounded once, after every trade and at the end.

    Rounding each trade by itself, as the same loop shows, is off by dollars.
    """
    chance = random.Random(seed)
    schedules = (
        per_share("0.0035", minimum=35, cap_bps=100),
        bps("-0.2", "0.3"),
        Schedule(
            int(Kind.PER_SHARE),
            ((0, share_rate("-0.002"), share_rate("0.0030")), (10**13, -1_234_567, 2_345_678)),
        ),
        bps("1.337"),
    )
    running = Fraction(0)
    accumulated = posted = each = month = 0
    for number in range(12_000):
        schedule = schedules[seed if number % 3_000 else number // 3_000]
        qty = chance.randint(1, 40_000_000_000)
        price = chance.randint(1, 9_999_999)
        liquidity = chance.choice((ADDED, REMOVED))
        charged = exact(schedule, liquidity, qty, price, 4, month)
        commission = bounded(schedule, charged, price * qty, 4, sale=False)
        month += qty
        accumulated += commission
        running += dollars(commission)
        fee = cents(accumulated) - posted
        posted += fee
        each += cents(commission)
        assert round(running * 100) == posted
    assert abs(Fraction(posted, 100) - running) <= Fraction(1, 200)
    assert each != posted
