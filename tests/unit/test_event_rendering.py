"""Events as documents: no amount stays an integer, no code stays a number."""

from __future__ import annotations

from typing import get_type_hints

import pytest

from application import event_rendering as rendering
from domain import events as e
from domain.events import DomainEvent
from domain.identifiers import HOUSE

COUNTS = {
    "number",
    "owner_number",
    "sequence",
    "last_sequence",
    "price_decimals",
    "collar_bps",
    "status",
    "reason",
}
KNOWN = (
    rendering.QUANTITIES
    | rendering.PRICES
    | rendering.WIRE_PRICES
    | rendering.CENTS
    | rendering.INSTANTS
    | rendering.DATES
    | rendering.TERMS.keys()
)


@pytest.mark.parametrize("name", list(DomainEvent.by_topic))
def test_every_number_of_an_event_is_an_amount_a_name_or_a_count(name: str) -> None:
    """A new field with a scale or a code cannot be shown raw by being forgotten."""
    hints = get_type_hints(DomainEvent.by_topic[name])
    own = [field for field in DomainEvent.by_topic[name].__struct_fields__ if field in hints]

    raw = {
        field
        for field in own
        if hints[field] is int and field not in rendering.HEADER and field not in KNOWN
    }

    assert raw <= COUNTS


def test_price_of_an_event_without_scale_takes_its_instruments() -> None:
    """A mark of 1234567 on an instrument of four decimals is 123.4567."""
    marked = e.InstrumentMarked(HOUSE, 3, 0, 0, "feed", "timer", HOUSE, 0, 1_234_567)

    assert {"price": "123.4567"} == rendering.event_fields(marked, lambda _: 4)


def test_postings_name_the_house_the_ledger_and_exact_dollars() -> None:
    """Who reads postings needs no table of codes."""
    charged = e.FeeCharged(
        HOUSE, 2, 0, 0, "a", "http", HOUSE, 0, "k", b"\x01", -5, 95, "", ((HOUSE, 5, 5),)
    )

    shown = rendering.event_fields(charged, lambda _: 0)

    assert "-0.05" == shown["amount"]
    assert [{"party": "house", "ledger": "fees", "amount": "0.05"}] == shown["postings"]
