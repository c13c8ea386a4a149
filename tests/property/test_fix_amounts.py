"""Amounts of FIX messages are what the venue's own reading and writing make of them."""

from __future__ import annotations

import contextlib

from hypothesis import example, given
from hypothesis import strategies as st

from api.fix.application import tags as t
from api.fix.application.fields import WrongValue, amount_in
from api.fix.application.values import amount
from domain.errors import InvalidAmount
from domain.money import MAX_AMOUNT, to_text, to_units
from tests.model.fix_venue import message

SCALES = st.sampled_from([0, 2, 4, 8, 9])


@given(st.from_regex(r"[0-9]{1,19}(\.[0-9]{1,10})?", fullmatch=True), SCALES)
@example("99999999.999999999", 9)
@example("100000000", 9)
@example("00000000000000000001", 0)
@example("1.10000000000", 2)
def test_an_amount_is_read_as_exactly_as_any_decimal(said: str, scale: int) -> None:
    """The same units, and refused where the other reading refuses it, or where it is nothing."""
    expected = None
    with contextlib.suppress(InvalidAmount):
        expected = to_units(said, scale, "OrderQty(38)") or None
    found = None
    with contextlib.suppress(WrongValue):
        found = amount_in(message("D", (t.ORDER_QTY, said)), t.ORDER_QTY, scale)
    assert expected == found


@given(st.integers(-MAX_AMOUNT, MAX_AMOUNT), SCALES)
@example(10_000, 4)
@example(10_100, 4)
@example(1, 9)
def test_an_amount_is_written_with_the_places_that_it_needs(units: int, scale: int) -> None:
    """As the text that has all places, without the zeros at its end."""
    whole = to_text(units, scale)
    expected = whole.rstrip("0").rstrip(".") if scale else whole
    assert expected.encode() == amount(units, scale)
