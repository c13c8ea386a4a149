"""A replace may name its order as the client does: by the name of the newest revision."""

from __future__ import annotations

from typing import Any

import pytest

from application.commands import CancelOrder, ReplaceOrder
from domain.events import RequestRefused
from domain.identifiers import NO_ID
from domain.terms import OrderType, Side
from tests.model.desk_harness import DeskHarness, code, shares, trading_desk, wire

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """One open instrument and two accounts with cash and shares."""
    return trading_desk()


def renamed(venue: DeskHarness, new: str, old: str, **terms: Any) -> ReplaceOrder:
    """A replace of a's order of one name that calls it by another from then on."""
    return ReplaceOrder(venue.a, NO_ID, new, new, name=old, **terms)


def test_each_replace_of_a_chain_names_the_one_before(venue: DeskHarness) -> None:
    """Two sent at once are done in turn; a name that was replaced finds nothing any more."""
    first = venue.place(venue.a, BUY, 3, 90, client="A").order
    assert first is not None

    for new, old, price in (("B", "A", 91), ("C", "B", 92)):
        reply = venue.ok(renamed(venue, new, old, limit_price=wire(price)))
        assert reply.order is not None
        assert (new, first.order_id) == (reply.order.client_order_id, reply.order.order_id)

    assert "UNKNOWN_ORDER" == code(venue.send(renamed(venue, "D", "A", qty=shares(2))))
    assert "" == code(venue.send(CancelOrder(venue.a, None, "C", "E")))


def test_a_replace_of_what_was_refused_finds_nothing(venue: DeskHarness) -> None:
    """A name is the order's only when the replace that gives it was taken."""
    venue.place(venue.a, BUY, 3, 90, client="A")
    assert code(venue.send(renamed(venue, "B", "A", qty=0)))
    assert "UNKNOWN_ORDER" == code(venue.send(renamed(venue, "C", "B", qty=shares(2))))
    assert "" == code(venue.send(renamed(venue, "D", "A", qty=shares(2))))


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"side": int(SELL)}, "side"),
        ({"order_type": int(OrderType.MARKET)}, "type"),
        ({"symbol": "Y"}, "symbol"),
    ],
)
def test_what_is_said_again_must_be_what_the_order_is(
    venue: DeskHarness, said: dict[str, Any], field: str
) -> None:
    """A client that takes its order for another one is told so, and nothing changes."""
    venue.place(venue.a, BUY, 3, 90, client="A")
    own = {"side": int(BUY), "order_type": int(OrderType.LIMIT), "symbol": "X"}

    refused = venue.send(renamed(venue, "B", "A", qty=shares(2), **{**own, **said})).refusal

    assert refused is not None and (refused.code, refused.details["field"]) == (
        "INVALID_FIELD",
        field,
    )
    assert "" == code(venue.send(renamed(venue, "C", "A", qty=shares(2), **own)))


def test_a_percentage_is_not_taken_for_an_amount(venue: DeskHarness) -> None:
    """By half a percent is another trail than by half a dollar, whichever the order has."""
    venue.place(venue.a, SELL, 1, trail="0.5", client="A")
    venue.place(venue.a, SELL, 1, percent="0.5", client="B")
    for number, (name, by_percent) in enumerate((("A", True), ("B", False))):
        key = f"r{number}"
        asked = renamed(venue, key, name, trail=wire("0.7"), trails_by_percent=by_percent)
        assert "INVALID_FIELD" == code(venue.send(asked))
        asked = renamed(venue, f"{key}-", name, trail=wire("0.7"), trails_by_percent=not by_percent)
        assert "" == code(venue.send(asked))


@pytest.mark.parametrize("ask", ["cancel", "replace"])
def test_a_refusal_tells_the_order_it_is_about(venue: DeskHarness, ask: str) -> None:
    """By id, where there is such an order: whoever asked knows it by a name alone."""
    order = venue.place(venue.a, BUY, 1, 90, client="A").order
    assert order is not None
    venue.cancel(venue.a, order.order_id)
    found = []
    for number, name in enumerate(("A", "never")):
        key = f"again-{number}"
        if ask == "cancel":
            venue.send(CancelOrder(venue.a, None, name, key))
        else:
            venue.send(renamed(venue, key, name, qty=shares(2)))
        (refused,) = venue.happened(RequestRefused)
        found.append((refused.order_id, refused.target_id, refused.code))

    assert [
        (order.order_id, "A", "ORDER_NOT_WORKING"),
        (NO_ID, "never", "UNKNOWN_ORDER"),
    ] == found
