"""Margin of option strategies against the slow twin, and what must hold of any holdings."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

from hypothesis import given, settings
from hypothesis import strategies as st

from application.audit.second_books.option_margin import Contract as Second
from application.audit.second_books.option_margin import Lot, Options
from domain.strategy_margin import (
    LISTED,
    MOST_TOGETHER,
    UNLEVERED,
    Bound,
    OptionHolding,
    StockHolding,
    required,
    worst_loss,
)
from domain.terms import Right
from tests.model.naive_option_margin import (
    GRID,
    Contract,
    Rules,
    Shares,
    least_by_hand,
    worst_by_hand,
)

CONTRACT = 10**8
DOLLAR = 10**9
NONE = Shares()
EXPIRIES = (20270319, 20270618)


@st.composite
def contracts(draw: st.DrawFn, price: int = 100) -> Contract:
    """A contract, marked at no less than it pays now."""
    right, strike = draw(st.sampled_from(("call", "put"))), draw(st.integers(80, 120))
    one = Contract(right, strike, draw(st.sampled_from(EXPIRIES)), 1, Fraction(0))
    over = Fraction(draw(st.integers(0, 500)), 100)
    sign = draw(st.sampled_from((1, -1)))
    return Contract(right, strike, one.expiry, sign, one.pays(price) + over)


def holding(one: Contract, qty: int = 1) -> OptionHolding:
    """A contract as margin sees it."""
    right = int(Right[one.right.upper()])
    mark = int(one.mark * 10_000)
    return OptionHolding(
        right, one.strike * DOLLAR, one.expiry, one.sign * qty * CONTRACT, mark, 4, 1
    )


def bound(held: list[OptionHolding], shares: Shares = NONE) -> int:
    """The cents that so much binds at an underlying of 100, in lots of one unit."""
    rate = int(shares.rate * 10_000) if shares.lots else 0
    lots = shares.lots * CONTRACT
    return required(Bound(100 * DOLLAR, tuple(held), LISTED, lots, rate, protects=shares.protects))


@st.composite
def shareholdings(draw: st.DrawFn) -> Shares:
    """A lot or two, long or short, or none."""
    rate = Fraction(draw(st.sampled_from((2_500, 5_000, 10_000, 15_000))), 10_000)
    return Shares(draw(st.integers(-2, 2)), rate, draw(st.booleans()))


@settings(max_examples=80, deadline=None)
@given(st.lists(contracts(), max_size=4), shareholdings())
def test_margin_of_a_spread_is_never_above_the_best_division(
    held: list[Contract], shares: Shares
) -> None:
    """However single contracts are divided into strategies, that asks for no less."""
    by_hand = max(Fraction(0), least_by_hand(Rules(100), held, shares) * 100)

    assert bound([holding(one) for one in held], shares) <= -(-by_hand // 1)


@settings(max_examples=70, deadline=None)
@given(
    st.lists(st.tuples(contracts(), st.integers(1, 3)), max_size=MOST_TOGETHER + 2),
    shareholdings(),
    st.sampled_from((100, 87)),
    st.booleans(),
    st.booleans(),
)
def test_margin_of_a_spread_is_what_the_second_bookkeeper_reckons(
    held: list[tuple[Contract, int]], shares: Shares, price: int, whole: bool, alike: bool
) -> None:
    """Two arithmetics, of which neither knows the other, agree to the cent; also of what ends
    together and has no shares, for which the first has a short way.
    """
    if alike:
        held = [(replace(one, expiry=EXPIRIES[0]), qty) for one, qty in held]
        shares = NONE
    rate = shares.rate if shares.lots else Fraction(0)
    again = Options(
        Fraction(price),
        [
            Second(
                one.right == "call",
                Fraction(one.strike),
                one.expiry,
                Fraction(one.sign * qty),
                Fraction(int(one.mark * 10_000), 10_000),
            )
            for one, qty in held
        ],
        Lot(Fraction(shares.lots), rate, shares.protects),
        whole=whole,
    )
    first = required(
        Bound(
            price * DOLLAR,
            tuple(holding(one, qty) for one, qty in held),
            UNLEVERED if whole else LISTED,
            shares.lots * CONTRACT,
            int(rate * 10_000),
            protects=shares.protects,
        )
    )

    assert ceil(again.bound() * 100) == first


@settings(max_examples=70, deadline=None)
@given(st.lists(contracts(), max_size=8))
def test_margin_of_a_spread_covers_what_it_loses_within_a_fifth(held: list[Contract]) -> None:
    """At any price within a fifth of the underlying's no more is lost than is bound; options that
    end before others are counted as ended by then.
    """
    least = 0
    for expiry in {one.expiry for one in held}:
        alive = [one for one in held if one.expiry >= expiry]
        worth = sum(one.sign * one.mark for one in alive)
        # Shorts that live longer are worth what they pay at least, longs as well.
        lost = max(worth - sum(one.sign * one.pays(p) for one in alive) for p in range(80, 121))
        gone = sum((one.mark for one in held if one.expiry < expiry and one.sign < 0), Fraction(0))
        least = max(least, int((lost - gone) * 100))

    assert least <= bound([holding(one) for one in held])


@settings(max_examples=70, deadline=None)
@given(st.lists(contracts(), max_size=8), st.sampled_from(GRID))
def test_margin_of_a_spread_is_no_less_than_any_price_asks(
    held: list[Contract], price: int
) -> None:
    """A lower bound that knows no division: at one price each short owes what it pays, but never
    more than half of what it binds alone beyond its value.
    """
    rules = Rules(100)
    asked = Fraction(0)
    for one in held:
        if one.sign > 0:
            asked += one.mark - one.pays(price)
        else:
            asked += min(Fraction(one.pays(price)), one.mark + rules.alone(one) / 2) - one.mark

    assert asked * 100 <= bound([holding(one) for one in held])


@settings(max_examples=60, deadline=None)
@given(st.lists(contracts(), min_size=1, max_size=8), shareholdings())
def test_margin_of_a_spread_is_at_most_that_of_its_legs(
    held: list[Contract], shares: Shares
) -> None:
    """What is held together never binds more than each by itself, nor less than nothing."""
    legs = sum(bound([holding(one)]) for one in held) + bound([], shares)

    assert 0 <= bound([holding(one) for one in held], shares) <= legs


@settings(max_examples=60, deadline=None)
@given(st.lists(contracts(), max_size=MOST_TOGETHER - 1), contracts())
def test_margin_of_a_spread_grows_by_no_more_than_the_price_of_a_long(
    held: list[Contract], one: Contract
) -> None:
    """Whoever buys another option and pays for it needs no more money besides."""
    long = Contract(one.right, one.strike, one.expiry, 1, one.mark)
    before = [holding(each) for each in held]

    assert bound([*before, holding(long)]) <= bound(before) + -(-long.mark * 100 // 1)


@settings(max_examples=60, deadline=None)
@given(st.lists(contracts(), max_size=8), st.randoms(use_true_random=False), shareholdings())
def test_margin_of_a_spread_knows_no_order(
    held: list[Contract], random: object, shares: Shares
) -> None:
    """In whichever order positions were opened, they bind the same."""
    mixed = [holding(one) for one in held]
    before = bound(mixed, shares)
    random.shuffle(mixed)  # type: ignore[attr-defined]

    assert before == bound(mixed, shares)


@settings(max_examples=60, deadline=None)
@given(st.lists(contracts(), max_size=6), st.integers(2, 10**9))
def test_margin_of_a_spread_grows_with_its_size(held: list[Contract], times: int) -> None:
    """So many times the same holdings bind so many times as much, to the last cent's rounding."""
    one = bound([holding(each) for each in held])
    many = bound([holding(each, times) for each in held])

    assert (one - 1) * times < many or not one
    assert many <= one * times


@settings(max_examples=60, deadline=None)
@given(st.lists(contracts(), max_size=6), st.integers(-2, 2))
def test_worst_loss_of_a_spread_is_that_of_a_fine_grid(held: list[Contract], lots: int) -> None:
    """The exact answer at the bends is what looking at every dollar finds."""
    same = [Contract(one.right, one.strike, EXPIRIES[0], one.sign, one.mark) for one in held]
    stock = StockHolding(lots * CONTRACT, 100 * 10_000, 4, 0, 0)
    found = worst_loss(stock, [holding(one) for one in same])
    by_hand = worst_by_hand(same, lots, 100) * 100

    if found is None:
        assert by_hand > 100 * 10_000
    else:
        assert found == by_hand


@settings(max_examples=60, deadline=None)
@given(st.lists(contracts(), max_size=5), st.lists(contracts(), min_size=1, max_size=4))
def test_margin_of_a_spread_that_fills_in_parts_never_binds_more_than_its_part(
    held: list[Contract], legs: list[Contract]
) -> None:
    """Half of a strategy asks for half of what the whole asks at the most, so a hold that shrinks
    with its fills is always enough.
    """
    before = [holding(one, 2) for one in held]
    half = [holding(one, 1) for one in legs]
    whole = [holding(one, 2) for one in legs]

    # Each rounds up to a cent.
    assert 2 * bound([*before, *half]) <= bound(before) + bound([*before, *whole]) + 2
