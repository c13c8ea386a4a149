"""Cancel: one order or all of an account's, in any phase, and nobody else's."""

import uuid

import pytest

from application.commands import CancelAll, CancelOrder
from domain.events import OrderCanceled, QuantityReleased, RequestRefused
from domain.terms import CancelReason, OrderStatus, Side
from tests.model.desk_harness import DeskHarness, code, shares, trading_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """One open instrument and two accounts with cash and shares."""
    return trading_desk()


def test_a_cancel_frees_what_is_left_and_keeps_what_is_filled(venue):
    """Holds go, fills stay, the reply says how much was canceled."""
    order = venue.place(venue.a, SELL, 10, 100).order
    venue.place(venue.b, BUY, 4, 100)

    reply = venue.cancel(venue.a, order.order_id)

    assert {"order_id": str(order.order_id), "canceled_qty": shares(6)} == reply.result
    assert [OrderCanceled, QuantityReleased] == [type(event) for event in venue.events]
    assert (CancelReason.CLIENT, shares(4)) == (venue.events[0].reason, venue.events[0].filled)
    now = venue.order(order.order_id)
    assert (OrderStatus.CANCELED, shares(4), 0) == (now.status, now.filled, now.leaves)
    assert [] == venue.book(SELL)


def test_an_order_is_found_by_its_clients_id_too(venue):
    """With an order id or with the id the client gave it."""
    venue.place(venue.a, BUY, 1, 90, client="mine")
    assert "" == code(venue.send(CancelOrder(venue.a, None, "mine", "k1")))
    assert "ORDER_NOT_WORKING" == code(venue.send(CancelOrder(venue.a, None, "mine", "k2")))
    assert "UNKNOWN_ORDER" == code(venue.send(CancelOrder(venue.a, None, "never", "k3")))


def test_nobody_cancels_anothers_order(venue):
    """For others the order does not exist, and the refusal is on record."""
    order = venue.place(venue.a, BUY, 1, 90).order
    assert "UNKNOWN_ORDER" == code(venue.cancel(venue.b, order.order_id))
    assert [RequestRefused] == [type(event) for event in venue.events]
    assert order.order_id.int in venue.desk.orders.working
    assert "UNKNOWN_ACCOUNT" == code(venue.cancel(uuid.UUID(int=5), order.order_id))
    assert [] == venue.events


def test_a_waiting_stop_is_canceled_like_any_order(venue):
    """It leaves the stops, and no price elects it any more."""
    stop = venue.place(venue.a, BUY, 1, stop=105).order
    assert "" == code(venue.cancel(venue.a, stop.order_id))
    venue.place(venue.b, SELL, 1, 106)
    venue.place(venue.a, BUY, 1, 106)
    assert [] == venue.elections()


def test_cancel_all_may_be_of_one_symbol_or_one_side(venue):
    """Other accounts, other symbols and the other side stay."""
    venue.instrument("Y")
    labels = {}
    for symbol in ("X", "Y"):
        for side, price in ((BUY, 90), (BUY, 91)):
            reply = venue.place(venue.a, side, 1, price, symbol=symbol)
            labels[reply.order.revision_id] = symbol
    sell = venue.place(venue.a, SELL, 1, 110).order
    venue.place(venue.b, BUY, 1, 90)
    result = venue.send(CancelAll(venue.a, "X", int(BUY))).result
    assert ["X", "X"] == [labels[uuid.UUID(one)] for one in result["canceled"]]
    assert [str(sell.order_id)] == venue.cancel_all(venue.a, "X").result["canceled"]
    assert 2 == len(venue.cancel_all(venue.a).result["canceled"])
    assert 1 == len(venue.desk.orders.working)
    assert "UNKNOWN_INSTRUMENT" == code(venue.cancel_all(venue.a, "Z"))


def test_a_mass_cancel_ends_at_most_200_orders_in_one_decision(venue):
    """The reply says how many remain, and the next one ends them."""
    for _ in range(205):
        venue.place(venue.a, Side.BUY, 1, 90)

    first, second = venue.ok(CancelAll(venue.a)), venue.ok(CancelAll(venue.a))

    assert (200, 5) == (len(first.result["canceled"]), first.result["remaining"])
    assert (5, 0) == (len(second.result["canceled"]), second.result["remaining"])
