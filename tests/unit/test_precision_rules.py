"""The rule book of amounts: scales, bounds, one rounding, and a context no float gets past."""

from __future__ import annotations

import asyncio
import decimal
import threading
from collections.abc import Iterator
from decimal import Decimal, FloatOperation, getcontext, localcontext, setcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.app import create_app
from api.decimals import money_units, price_units, quantity_units
from domain.errors import InvalidAmount
from domain.money import (
    EXACT,
    MAX_AMOUNT,
    divide_half_even,
    rounded_text,
    to_price,
    to_qty,
    to_text,
    to_usd,
    use_exact_decimals,
)

READERS = {to_qty: 8, to_usd: 2, to_price: 4}
EDGES = {quantity_units: 8, money_units: 2, price_units: 9}


@pytest.fixture
def own_context() -> Iterator[None]:
    """Leave the process's decimal contexts as they were."""
    default = decimal.DefaultContext
    kept = default.prec, default.rounding, dict(default.traps)
    before = getcontext().copy()
    yield
    default.prec, default.rounding = kept[:2]
    default.traps = kept[2]
    setcontext(before)


def here() -> tuple[int, bool, str]:
    """What decimals do in the thread and task that ask."""
    context = getcontext()
    return context.prec, bool(context.traps[FloatOperation]), context.rounding


VENUES = (80, True, "ROUND_HALF_EVEN")


@pytest.mark.parametrize(("read", "places"), READERS.items())
def test_precision_of_each_kind_of_amount_is_its_own(read, places):
    """Eight places of quantity, two of dollars, four of a share's price: one more is refused."""
    finest = Decimal(1).scaleb(-places)

    assert 1 == read(finest, "field")
    assert 10**places == read("1", "field")
    with pytest.raises(InvalidAmount) as refusal:
        read(finest / 10, "field")
    assert f"more than {places} decimal places" in refusal.value.message


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
        Decimal("-Infinity"),
        Decimal("1e-30"),
        Decimal("1e30"),
        "NaN",
        "inf",
        "1e2",
        "1,000.00",
        "1_000",
        "",
        " 1",
        "1" * 21,
        10**18,
    ],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize("read", READERS)
def test_precision_rules_refuse_what_is_no_exact_amount_and_name_the_field(read, value):
    """Floats, booleans, what is not finite, not plain, too fine or too large."""
    with pytest.raises(InvalidAmount) as refusal:
        read(value, "stop_price")

    assert "stop_price" == refusal.value.details["field"]


@pytest.mark.parametrize("decimals", range(10))
def test_precision_of_a_price_is_its_instruments(decimals):
    """An instrument may quote in whole dollars or in billionths."""
    finest = Decimal(1).scaleb(-decimals)

    assert 1 == to_price(finest, "price", decimals)
    with pytest.raises(InvalidAmount):
        to_price(finest / 10, "price", decimals)


@pytest.mark.parametrize(("read", "places"), READERS.items())
def test_precision_bound_is_one_unit_below_the_largest_amount(read, places):
    """Seventeen digits in all; the eighteenth is refused on either side of zero."""
    largest = to_text(MAX_AMOUNT - 1, places)

    assert (MAX_AMOUNT - 1, 1 - MAX_AMOUNT) == (read(largest, "f"), read("-" + largest, "f"))
    for sign in ("", "-"):
        with pytest.raises(InvalidAmount):
            read(sign + to_text(MAX_AMOUNT, places), "f")


@pytest.mark.parametrize(("read", "places"), EDGES.items())
def test_precision_at_the_edge_is_that_of_the_rule_book(read, places):
    """What clients send is judged by the same rules, and must be above zero."""
    assert 1 == read(Decimal(1).scaleb(-places), "f")
    for wrong in (Decimal(1).scaleb(-places - 1), 1.5, None, True, [], {}, "NaN"):
        with pytest.raises(InvalidAmount):
            read(wrong, "f")


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40))
def test_rounding_of_a_decimal_is_half_to_even_at_any_size(value):
    """A calculated figure becomes text by the textbook's rule, with its two places."""
    with localcontext(EXACT):
        exact = Fraction(value)
    expected = Fraction(round(exact * 100), 100)

    text = rounded_text(value, 2)

    assert expected == Fraction(text)
    assert 2 == len(text.partition(".")[2])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.005", "0.00"),
        ("0.015", "0.02"),
        ("0.025", "0.02"),
        ("-0.015", "-0.02"),
        ("-0.025", "-0.02"),
        ("2.675", "2.68"),
        ("1.005", "1.00"),
        ("0.0050000000000000000000000000000000001", "0.01"),
        ("1e30", "1000000000000000000000000000000.00"),
        ("1e-30", "0.00"),
    ],
)
def test_rounding_of_ties_goes_to_the_even_cent(value, expected):
    """2.675 is a tie in decimal, though the nearest double lies below it."""
    assert expected == rounded_text(Decimal(value), 2)


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1), st.integers(1, 10**6))
def test_rounding_on_the_running_total_never_drifts(amounts, denominator):
    """What was posted differs from the exact sum by half a unit at most, after every step."""
    total = posted = 0
    for amount in amounts:
        total += amount
        posted += divide_half_even(total, denominator) - posted
        assert abs(Fraction(total, denominator) - posted) <= Fraction(1, 2)


@pytest.mark.parametrize("caller", [2, 28, 200])
def test_rounding_does_not_ask_the_callers_context(caller):
    """A thread with another precision gets the same cents."""
    with localcontext() as context:
        context.prec = caller
        context.rounding = decimal.ROUND_UP
        assert "123456789012345.68" == rounded_text(Decimal("123456789012345.675"), 2)
        assert 12_345 == to_usd("123.45", "f")


def test_precision_context_holds_here_and_in_threads_and_tasks_to_come(own_context):
    """Decimal contexts belong to threads and tasks; ours is the default of those that begin."""
    found = []

    async def task() -> None:
        found.append(here())

    async def loop() -> None:
        await asyncio.gather(*(asyncio.create_task(task()) for _ in range(2)))

    use_exact_decimals()
    thread = threading.Thread(target=lambda: found.append(here()))
    looping = threading.Thread(target=lambda: asyncio.run(loop()))
    for one in (thread, looping):
        one.start()
        one.join()

    assert [VENUES] * 4 == [here(), *found]


def test_precision_context_is_set_before_the_first_request_is_served(own_context):
    """A lifespan's own context would end with its task, so the application sets it when made."""
    create_app()
    found = []
    server = threading.Thread(target=lambda: found.append(here()))
    server.start()
    server.join()

    assert [VENUES] == found


def test_precision_context_refuses_a_float_that_slips_in(own_context):
    """Made from it, compared with it, or added to it: it raises."""
    use_exact_decimals()
    slipped_in = 0.1

    with pytest.raises(FloatOperation):
        Decimal(slipped_in)
    with pytest.raises(FloatOperation):
        assert Decimal("0.1") < slipped_in
    with pytest.raises(TypeError):
        Decimal("0.1") + slipped_in


def test_precision_context_is_each_threads_own_copy(own_context):
    """A flag or a setting changed in one place changes nothing elsewhere."""
    use_exact_decimals()
    getcontext().prec = 5

    assert 80 == EXACT.prec
    use_exact_decimals()
    assert VENUES == here()
