"""Amounts: exact both ways, refused when they are not, rounded once where they must be."""

from decimal import Decimal, FloatOperation, getcontext, setcontext
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidAmount
from domain.money import (
    MAX_AMOUNT,
    average_price_text,
    divide_half_even,
    notional,
    notional_up,
    parse_decimal,
    to_decimal,
    to_text,
    to_units,
    use_exact_decimals,
)

SCALES = st.integers(0, 9)
UNITS = st.integers(-MAX_AMOUNT + 1, MAX_AMOUNT - 1)


@given(UNITS, SCALES)
def test_units_come_back_from_their_text_and_decimal(units, scale):
    """What is rendered reads as the same integer, for every sign and size."""
    assert units == to_units(to_text(units, scale), scale, "qty")
    assert units == to_units(to_decimal(units, scale), scale, "qty")
    assert to_decimal(units, scale) == Decimal(to_text(units, scale))


@given(st.decimals(allow_nan=False, allow_infinity=False), SCALES)
def test_a_decimal_is_taken_exactly_or_not_at_all(number, scale):
    """No value is ever rounded to fit, however many digits or however large its exponent."""
    try:
        units = to_units(number, scale, "price")
    except InvalidAmount as refusal:
        assert "price" == refusal.details["field"]
        exact = Fraction(number) * 10**scale
        assert exact.denominator != 1 or abs(exact) >= MAX_AMOUNT
    else:
        assert Fraction(number) * 10**scale == units


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        0.0,
        float("nan"),
        float("inf"),
        True,
        False,
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
        Decimal("1E400"),
        Decimal("1E-400"),
        Decimal("1" * 60),
        Decimal("0." + "1" * 60),
        "NaN",
        "Infinity",
        "1E400",
        "1e5",
        "1_000",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "",
        ".5",
        "5.",
        "--1",
        "0x10",
        "１",
        "1" * 21,
        "0." + "1" * 19,
        "1.123456789",
        10**10,
        "1000000000",
        "-1000000000",
        10**400,
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_not_an_exact_number_in_bounds_is_refused(value):
    """Floats, booleans, infinities, exponents in text, too many places, too many digits."""
    with pytest.raises(InvalidAmount):
        to_units(value, 8, "qty")


@pytest.mark.parametrize(
    ("value", "units"),
    [
        ("1", 10**8),
        ("-0.00000001", -1),
        ("000.50000000", 5 * 10**7),
        ("1.500000000000000000", 15 * 10**7),
        (Decimal("1e-8"), 1),
        (Decimal("1E+3"), 10**11),
        (Decimal("0E-400"), 0),
        (Decimal("-0"), 0),
        (7, 7 * 10**8),
        ("999999999.99999999", MAX_AMOUNT - 1),
    ],
)
def test_plain_numbers_are_taken(value, units):
    """Zeros at either end say nothing, and an exponent after decoding is only a way to write."""
    assert units == to_units(value, 8, "qty")


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**15))
def test_division_rounds_half_to_even_as_fractions_do(numerator, denominator):
    """The one rounding of the venue is that of the textbook."""
    assert round(Fraction(numerator, denominator)) == divide_half_even(numerator, denominator)


@given(st.integers(0, 10**17), st.integers(0, 10**17), SCALES)
def test_a_hold_covers_the_notional_and_no_more_than_a_cent_beyond(price, qty, decimals):
    """What is held is the cost rounded up, what is paid the cost rounded to the nearest cent."""
    exact = Fraction(price, 10**decimals) * Fraction(qty, 10**8) * 100
    assert round(exact) == notional(price, qty, decimals)
    assert ceil(exact) == notional_up(price, qty, decimals)
    assert 0 <= notional_up(price, qty, decimals) - notional(price, qty, decimals) <= 1


@pytest.mark.parametrize(
    ("units", "scale", "text"),
    [(0, 0, "0"), (0, 4, "0.0000"), (-1, 2, "-0.01"), (1011000, 4, "101.1000"), (-7, 0, "-7")],
)
def test_text_has_all_places_of_its_scale(units, scale, text):
    """101.1 dollars at four places is 101.1000."""
    assert text == to_text(units, scale)


def test_an_average_price_has_two_places_more():
    """Three shares for 100 and 101 and 101 are 100.666667 each."""
    assert "100.666667" == average_price_text(3_020_000 * 10**8, 3 * 10**8, 4)


def test_the_venues_context_refuses_floats_that_slip_in():
    """Comparing or building a decimal with a float raises instead of being nearly right."""
    before, slipped_in = getcontext(), 1.1
    try:
        use_exact_decimals()
        with pytest.raises(FloatOperation):
            Decimal(slipped_in)
        with pytest.raises(FloatOperation):
            assert Decimal("1.1") > slipped_in
    finally:
        setcontext(before)


def test_a_refusal_shows_no_more_than_forty_characters_of_what_was_sent():
    """An error never repeats a megabyte of digits."""
    with pytest.raises(InvalidAmount) as refusal:
        parse_decimal("9" * 10**6, "qty")
    assert 40 == len(refusal.value.details["value"])
    assert len(refusal.value.message) < 120
