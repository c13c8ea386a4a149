"""Amounts at the edge: exact both ways, or refused under their own name."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.decimals import decode_json, price_units, quantity_units, units
from api.refusals import MalformedBody
from domain.errors import InvalidAmount, InvalidField, Rejection
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE, to_text

MANY_DIGITS = "9" * 5000


@given(st.integers(1, 10**17 - 1), st.integers(0, 9))
def test_a_price_survives_the_way_in_and_out(price: int, scale: int) -> None:
    """A decimal of any scale up to the wire's comes back as it was sent, as number or string."""
    text = to_text(price, scale)
    if price * 10 ** (WIRE_PRICE_SCALE - scale) >= 10**17:
        return
    for document in (f'{{"p": {text}}}', f'{{"p": "{text}"}}'):
        read = price_units(decode_json(document)["p"], "p")
        assert price * 10 ** (WIRE_PRICE_SCALE - scale) == read
        assert Decimal(text) == Decimal(to_text(read, WIRE_PRICE_SCALE))


@given(st.integers(1, 10**9 - 1), st.integers(-8, 0))
def test_a_number_with_an_exponent_is_judged_by_its_value(digits: int, exponent: int) -> None:
    """Python writes 0.00001 as 1e-05: the same value is read from either."""
    written = f"{digits}e{exponent}"

    assert Decimal(written) == Decimal(quantity_units(decode_json(written), "qty")).scaleb(-8)


@pytest.mark.parametrize(
    "written",
    [
        "1.1000000000000000001",
        "0.000000001",
        "1e-9",
        "1e-400",
        "1e400",
        "1e99999999999999999999",
        "123456789012345678901234567890",
        "9" * 4000,
        f"0.{MANY_DIGITS}",
        '"1_000"',
        '"1e5"',
        '" 1"',
        '"+1"',
        '"NaN"',
        '"Infinity"',
        '""',
        '"١"',
        "null",
        "true",
        "[]",
        "{}",
        '["1"]',
    ],
)
def test_what_is_no_exact_quantity_is_refused_by_name(written: str) -> None:
    """Nothing is rounded, guessed or taken for a number."""
    with pytest.raises(InvalidAmount) as refusal:
        quantity_units(decode_json(written), "qty")

    assert "qty" == refusal.value.details["field"]
    assert refusal.value.message.startswith("qty ")


@pytest.mark.parametrize("written", ["0", "-1", '"0.00"', '"-0.00000001"'])
def test_a_quantity_is_above_zero(written: str) -> None:
    """Zero and less are refused by name."""
    with pytest.raises(InvalidField) as refusal:
        quantity_units(decode_json(written), "qty")

    assert "qty" == refusal.value.details["field"]


@given(st.binary(max_size=64))
def test_bytes_are_json_or_malformed(body: bytes) -> None:
    """Whatever arrives is a document or one refusal."""
    try:
        decode_json(body)
    except MalformedBody as refusal:
        assert "body" == refusal.field


@pytest.mark.parametrize(
    "body",
    [b"\xff", b'"\xff"', b"[" * 60_000, b"NaN", b"{", b"", b'"\\ud800"', MANY_DIGITS.encode()],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    """Bad text, bad nesting and bad syntax are one refusal."""
    with pytest.raises(MalformedBody):
        decode_json(body)


@given(st.none() | st.booleans() | st.floats() | st.integers() | st.text())
def test_any_json_value_is_units_or_a_refusal(value: object) -> None:
    """No value of JSON makes the reader fail otherwise."""
    try:
        document = json.dumps(value)
        if "NaN" in document or "Infinity" in document:
            return
        units(decode_json(document), QTY_SCALE, "qty")
    except Rejection as refusal:
        assert refusal.message
