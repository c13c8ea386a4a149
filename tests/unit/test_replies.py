"""Replies: rendered from a command's events, and the same from stored ones years later."""

import pytest
from msgspec.structs import replace

from application.commands import ChargeFee, Deposit, PlaceOrder, TransferPosition, Withdraw
from application.orders import OrderView
from application.writer.replies import render
from domain.terms import SelfTrade, Side, TimeInForce
from infrastructure.log.codec import decode_event, encode_event
from tests.model.desk_harness import cents, shares
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> GroupDesk:
    """An open market in which b offers at 100 and 101."""
    venue = group_desk()
    venue.place(venue.b, SELL, 5, 100)
    venue.place(venue.b, SELL, 5, 101)
    return venue


def partly_filled(venue, *, busted=False):
    """An order of a's that has traded, and lost what it traded when it is busted."""
    order = venue.place(venue.a, BUY, 7, 100).order
    if busted:
        venue.bust_last()
    return order.order_id


def elected(venue):
    """A stop limit of a's that was elected and rests."""
    order = venue.place(venue.a, BUY, 5, 99, stop=105).order
    venue.place(venue.b, SELL, 1, 105)
    venue.place(venue.b, BUY, 11, 105, self_trade=SelfTrade.CANCEL_OLDEST)
    venue.place(venue.a, SELL, 1, 105)
    assert venue.order(order.order_id).triggered_at
    return order.order_id


def oco(venue):
    """Exits of a's at 105 and 95."""
    return venue.legs(venue.oco(venue.a, SELL, 10, 105, 95))


SCENES = {
    "rests": lambda v: v.place(v.a, BUY, 1, 90),
    "trades in part": lambda v: v.place(v.a, BUY, 7, 100),
    "trades whole": lambda v: v.place(v.a, BUY, 7, 101),
    "market": lambda v: v.place(v.a, BUY, 70),
    "ioc": lambda v: v.place(v.a, BUY, 7, 100, tif=TimeInForce.IOC),
    "fok": lambda v: v.place(v.a, BUY, 70, 101, tif=TimeInForce.FOK),
    "waits": lambda v: v.place(v.a, BUY, 7, stop=110),
    "rejected": lambda v: v.place(v.a, BUY, 7, 100, post_only=True),
    "unknown symbol": lambda v: v.place(v.a, BUY, 7, 100, symbol="Z"),
    "first touch": lambda v: v.place(v.account("new"), BUY, 7, 100),
    "canceled": lambda v: v.cancel(v.b, v.desk.orders.by_sequence[1].id),
    "not canceled": lambda v: v.cancel(v.a, v.desk.orders.by_sequence[1].id),
    "replaced": lambda v: v.replace(v.b, v.desk.orders.by_sequence[1].id, qty=3),
    "replaced into a trade": lambda v: v.replace(
        v.a, v.place(v.a, BUY, 3, 90).order.order_id, limit=101
    ),
    "replaced after a fill": lambda v: v.replace(v.a, partly_filled(v), limit="99.5"),
    "replaced after a fill, shrunk": lambda v: v.replace(v.a, partly_filled(v), qty=6),
    "replaced after a bust": lambda v: v.replace(v.a, partly_filled(v, busted=True), limit=99),
    "replaced after its election": lambda v: v.replace(v.a, elected(v), limit="98.5"),
    "oco": lambda v: v.oco(v.a, SELL, 10, 105, 95),
    "bracket": lambda v: v.bracket(v.a, BUY, 10, 105, 95, limit=99),
    "bracket whose entry trades": lambda v: v.bracket(v.a, BUY, 7, 105, 95, limit=100),
    "oto whose entry trades": lambda v: v.oto(v.a, BUY, 5, stop=95, limit=100),
    "rejected group": lambda v: v.bracket(v.a, BUY, 10, 90, 95, limit=99),
    "take-profit replaced": lambda v: v.replace(v.a, oco(v).take_profit, qty=9, limit=106),
    "held stop-loss replaced": lambda v: v.replace(v.a, oco(v).stop_loss, stop=94),
    "entry replaced into a trade": lambda v: v.replace(
        v.a, v.legs(v.bracket(v.a, BUY, 7, 105, 95, limit=99)).entry, limit=100
    ),
    "group canceled": lambda v: v.cancel(v.a, oco(v).group),
    "fee": lambda v: v.send(ChargeFee(v.a, 5, "data", "k")),
    "not replaced": lambda v: v.replace(v.b, v.desk.orders.by_sequence[1].id, qty=5),
    "deposit": lambda v: v.send(Deposit(v.a, 5, "k", "thanks")),
    "deposit of nothing": lambda v: v.send(Deposit(v.a, 0, "k")),
    "withdrawal": lambda v: v.send(Withdraw(v.a, 5, "k")),
    "withdrawal of too much": lambda v: v.send(Withdraw(v.a, cents(10**9), "k")),
    "transfer": lambda v: v.send(TransferPosition(v.a, "X", shares(1), 0, "k")),
    "transfer out of nothing": lambda v: v.send(TransferPosition(v.a, "X", -shares(10**6), 0, "k")),
    "transfer of too much": lambda v: v.send(
        TransferPosition(v.account("new"), "X", shares(10**10), 0, "k")
    ),
}


@pytest.mark.parametrize("scene", SCENES)
def test_a_reply_rendered_again_from_stored_events_equals_the_first(venue, scene):
    """A repeated request gets its first result, marked as such, and nothing else changes."""
    first = SCENES[scene](venue)
    stored = [decode_event(event.TOPIC, encode_event(event)) for event in venue.events]
    again = render(stored, venue.desk.position)
    assert first == again
    assert venue.desk.position == first.position
    repeated = render(stored, venue.desk.position, duplicate=True)
    assert repeated.duplicate
    assert replace(again, duplicate=True) == repeated


@pytest.mark.parametrize("scene", SCENES)
def test_a_reply_with_an_order_shows_it_as_the_desk_has_it(venue, scene):
    """What is answered and what is read afterwards are one."""
    reply = SCENES[scene](venue)
    for shown in (reply.order, *reply.legs):
        if shown is not None:
            assert OrderView.of(venue.order(shown.order_id)) == shown


@pytest.mark.parametrize("scene", SCENES)
def test_a_reply_has_exactly_one_of_refusal_order_and_result(venue, scene):
    """A client knows at once which of the three it got."""
    reply = SCENES[scene](venue)
    assert 2 == [reply.refusal, reply.order, reply.result].count(None)


def test_a_refused_transfer_opens_no_position(venue):
    """A refusal is never half an effect."""
    account = venue.account("new")
    before = len(venue.desk.accounts.positions)
    venue.send(TransferPosition(account, "X", shares(10**10), 0, "k"))
    assert before == len(venue.desk.accounts.positions)
    assert ["account.request_refused.v1"] == [event.TOPIC for event in venue.events]


def test_a_reply_follows_its_own_order_through_a_command_that_moves_many(venue):
    """Stops elected by an order, and their fills, are not in its reply."""
    venue.place(venue.a, BUY, 1, stop=100, client="stop")
    reply = venue.place(venue.a, BUY, 2, 100, client="mine")
    assert 2 == len(venue.trades())
    assert ("mine", shares(2), str(shares(2) * 100_0000)) == (
        reply.order.client_order_id,
        reply.order.filled,
        reply.order.value,
    )


def test_a_command_without_events_has_no_reply_of_this_kind():
    """Its handler must say its reply itself."""
    with pytest.raises(AssertionError):
        render([], 0)


def test_a_rejected_order_keeps_what_was_asked_for(venue):
    """Also prices that no instrument could hold."""
    command = PlaceOrder(venue.a, "Z", 1, 2, 1, 7, 123_456_789, 0, "odd")
    reply = venue.send(command)
    assert ("UNKNOWN_INSTRUMENT", "symbol") == (reply.refusal.code, reply.refusal.details["field"])
    [event] = venue.events
    assert (123_456_789, 7, "Z") == (event.limit_price_wire, event.qty, event.symbol)
