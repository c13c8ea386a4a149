"""Replace: new terms for a working order, or none at all."""

import pytest

from application.commands import PlaceOrder
from application.desk.state import state_hash
from application.orders import OrderView
from domain.events import MarginReleased, MarginReserved, OrderReplaced, RequestRefused
from domain.identifiers import NO_ID
from domain.terms import Side, TimeInForce
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """One open instrument and two accounts with cash and shares."""
    return trading_desk()


def test_qty_is_the_new_total(venue):
    """Leaves are the new total less what is filled, and the holds follow."""
    order = venue.place(venue.a, BUY, 10, 100).order
    venue.place(venue.b, SELL, 4, 100)

    reply = venue.replace(venue.a, order.order_id, qty=7)

    assert (shares(7), shares(4)) == (reply.order.qty, reply.order.filled)
    now = venue.order(order.order_id)
    assert (shares(3), cents("300.01")) == (now.leaves, now.hold)
    [released] = venue.happened(MarginReleased)
    assert cents(300) == released.amount


@pytest.mark.parametrize("qty", [1, 4])
def test_a_total_at_or_below_what_is_filled_is_refused(venue, qty):
    """Filled shares cannot be replaced away."""
    order = venue.place(venue.a, BUY, 10, 100).order
    venue.place(venue.b, SELL, 4, 100)
    assert "REPLACE_QTY_TOO_SMALL" == code(venue.replace(venue.a, order.order_id, qty=qty))
    assert "" == code(venue.replace(venue.a, order.order_id, qty=5))


def test_a_refused_replace_changes_nothing(venue):
    """The refusal is all that is recorded; order, holds and book stay to the bit."""
    order = venue.place(venue.a, BUY, 10, 100, client="mine").order
    venue.place(venue.a, BUY, 10, 99)
    before = venue.desk.orders.working[order.order_id.int].state(), venue.book(BUY)
    held = venue.desk.accounts.by_id[venue.a.int].held

    refusals = [
        venue.replace(venue.a, order.order_id, qty=10),
        venue.replace(venue.a, order.order_id, qty=0),
        venue.replace(venue.a, order.order_id, qty=10**7),
        venue.replace(venue.a, order.order_id, limit=200),
        venue.replace(venue.a, order.order_id, limit="99.005"),
        venue.replace(venue.a, order.order_id, stop=120),
        venue.replace(venue.a, order.order_id, tif=TimeInForce.IOC),
        venue.replace(venue.a, order.order_id, tif=TimeInForce.GTD),
        venue.replace(venue.b, order.order_id, qty=9),
    ]

    assert [
        "NOTHING_TO_REPLACE",
        "LOT_VIOLATION",
        "INSUFFICIENT_BUYING_POWER",
        "PRICE_OUTSIDE_COLLAR",
        "TICK_VIOLATION",
        "NOTHING_TO_REPLACE",
        "INVALID_FIELD",
        "INVALID_FIELD",
        "UNKNOWN_ORDER",
    ] == [code(reply) for reply in refusals]
    assert before == (venue.desk.orders.working[order.order_id.int].state(), venue.book(BUY))
    assert held == venue.desk.accounts.by_id[venue.a.int].held
    assert [RequestRefused] == [type(event) for event in venue.events]


@pytest.mark.parametrize(
    ("terms", "keeps"),
    [
        ({"qty": 5}, True),
        ({"qty": 5, "client": "renamed"}, True),
        ({"qty": 15}, False),
        ({"qty": 5, "tif": TimeInForce.DAY}, False),
        ({"tif": TimeInForce.DAY}, False),
        ({"limit": 101}, False),
        ({"qty": 5, "limit": 101}, False),
        ({"client": "renamed"}, False),
    ],
)
def test_priority_is_kept_only_when_the_quantity_alone_falls(venue, terms, keeps):
    """Everything else goes behind those who wait at the price already."""
    order = venue.place(venue.a, BUY, 10, 100, client="first").order
    venue.place(venue.b, BUY, 10, 101 if terms.get("limit") else 100, client="second")

    assert "" == code(venue.replace(venue.a, order.order_id, **terms))

    [event] = venue.happened(OrderReplaced)
    assert keeps == event.kept_priority
    queue = ["first", "second"] if keeps else ["second", "first"]
    assert queue == [label for label, _, _ in venue.book(BUY)]


def test_a_replace_that_crosses_trades_at_once(venue):
    """New terms meet the market as a new order would."""
    venue.place(venue.b, SELL, 4, 101, client="offer")
    order = venue.place(venue.a, BUY, 10, 100, client="mine").order

    reply = venue.replace(venue.a, order.order_id, limit=101)

    assert [("mine", "offer", shares(4), 101_0000)] == venue.trades()
    assert shares(4) == reply.order.filled
    assert [("mine", 101_0000, shares(6))] == venue.book(BUY)


def test_a_post_only_order_stays_post_only(venue):
    """It cannot be replaced into a trade."""
    venue.place(venue.b, SELL, 4, 101)
    order = venue.place(venue.a, BUY, 10, 100, post_only=True).order
    assert "POST_ONLY_WOULD_TRADE" == code(venue.replace(venue.a, order.order_id, limit=101))
    assert "" == code(venue.replace(venue.a, order.order_id, limit="100.99"))


def test_every_revision_has_its_own_id_and_all_resolve(venue):
    """Whatever id a client kept, it finds the order, while it works and after it ended."""
    order = venue.place(venue.a, BUY, 10, 100).order
    ids = [order.revision_id]
    for qty in (9, 8, 7):
        reply = venue.replace(venue.a, ids[-1], qty=qty)
        assert (order.order_id, ids[-1]) == (reply.order.order_id, reply.order.replaces)
        ids.append(reply.order.revision_id)
    assert 4 == len(set(ids))
    assert {order.order_id} == {venue.desk.orders.find(venue.a, one, "").id for one in ids}

    assert "" == code(venue.cancel(venue.a, ids[1]))

    assert {order.order_id} == {venue.desk.orders.find(venue.a, one, "").id for one in ids}
    assert ["ORDER_NOT_WORKING"] * 4 == [code(venue.cancel(venue.a, one)) for one in ids]
    assert [True] * 4 == [venue.desk.orders.knows(venue.a, one, "") for one in ids]


def test_an_unreplaced_order_replaces_nothing(venue):
    """`replaces` is empty until there is an earlier revision."""
    reply = venue.place(venue.a, BUY, 1, 90)
    assert NO_ID == reply.order.replaces == venue.order(reply.order.order_id).replaces


def test_the_reply_to_a_replace_is_the_order_as_it_now_is(venue):
    """A partly filled order keeps the time of its fill, an elected stop that of its election."""
    order = venue.place(venue.a, BUY, 10, 100).order
    venue.place(venue.b, SELL, 4, 100)
    stop = venue.place(venue.a, BUY, 5, 101, stop=101).order
    venue.place(venue.b, SELL, 1, 102)
    venue.place(venue.a, BUY, 1, 102)
    assert venue.order(stop.order_id).triggered_at

    for one in (order, stop):
        reply = venue.replace(venue.a, one.order_id, limit=99)
        assert OrderView.of(venue.order(one.order_id)) == reply.order


def test_a_sell_may_grow_only_into_what_is_free(venue):
    """What other orders reserve is not there, and what a smaller total gives back is."""
    order = venue.place(venue.a, SELL, 600, 110).order
    other = venue.place(venue.a, SELL, 300, 111).order
    assert "INSUFFICIENT_QTY" == code(venue.replace(venue.a, order.order_id, qty=701))
    assert "" == code(venue.replace(venue.a, order.order_id, qty=700))
    assert "INSUFFICIENT_QTY" == code(venue.replace(venue.a, other.order_id, qty=301))
    assert "" == code(venue.replace(venue.a, order.order_id, qty=600))
    assert "" == code(venue.replace(venue.a, other.order_id, qty=400))


def test_a_stop_may_be_moved_while_it_waits_and_never_after(venue):
    """Its new price must not be through the market; its hold follows the new price."""
    venue.place(venue.b, SELL, 1, 100)
    venue.place(venue.a, BUY, 1, 100)
    stop = venue.place(venue.a, BUY, 10, stop=110).order
    assert cents(10 * 165) + 1 == venue.order(stop.order_id).hold
    assert "STOP_ALREADY_THROUGH" == code(venue.replace(venue.a, stop.order_id, stop=100))
    assert "" == code(venue.replace(venue.a, stop.order_id, stop=120))
    assert cents(10 * 180) + 1 == venue.order(stop.order_id).hold
    assert [MarginReserved] == [type(event) for event in venue.events[1:]]
    assert "NOTHING_TO_REPLACE" == code(venue.replace(venue.a, stop.order_id, limit=130))

    limited = venue.place(venue.a, BUY, 1, 102, stop=101).order
    venue.place(venue.b, SELL, 1, 101)
    venue.place(venue.a, BUY, 1, 101)
    assert ["NOTHING_TO_REPLACE"] == [code(venue.replace(venue.a, limited.order_id, stop=103))]


def test_a_stop_that_is_moved_waits_behind_those_accepted_before(venue):
    """Losing its turn, it is elected after a stop that came later than it."""
    first = venue.place(venue.a, BUY, 1, stop=105, client="first").order
    venue.place(venue.a, BUY, 1, stop=104, client="second")
    venue.replace(venue.a, first.order_id, stop=103)
    venue.place(venue.b, SELL, 9, 106)
    venue.place(venue.a, BUY, 1, 106)
    assert ["second", "first"] == [label for label, _, _ in venue.elections()]


def test_a_replace_after_a_bust_keeps_order_and_book_equal(venue):
    """What a bust gave back may be asked for again; then the order is larger, and goes last."""
    order = venue.place(venue.a, BUY, 10, 100, client="mine").order
    venue.place(venue.b, SELL, 4, 100)
    venue.bust_last()
    venue.place(venue.b, BUY, 1, 100, client="other")

    reply = venue.replace(venue.a, order.order_id, qty=9)

    assert OrderView.of(venue.order(order.order_id)) == reply.order
    now = venue.order(order.order_id)
    assert (0, shares(9), cents("900.01")) == (now.filled, now.leaves, now.hold)
    assert ["other", "mine"] == [label for label, _, _ in venue.book(BUY)]


def test_a_client_id_may_be_empty_and_named_later(venue):
    """Orders without an id of their client's do not stand in each other's way."""
    terms = ("X", 1, 2, 1, shares(1), 90 * 10**9, 0, "")
    one = venue.ok(PlaceOrder(venue.a, *terms)).order
    other = venue.ok(PlaceOrder(venue.a, *terms)).order
    venue.cancel(venue.a, one.order_id)

    assert "" == code(venue.replace(venue.a, other.order_id, qty=2, client="named"))

    assert other.order_id == venue.desk.orders.find_working(venue.a, None, "named").id
    assert state_hash(venue.desk) == state_hash(venue.follower)


def test_a_sale_grown_into_unpaid_shares_is_free_riding():
    """The shares are there, its own among them, but what proceeds bought must be paid first."""
    venue = trading_desk()
    rider = venue.account("rider", cash=0, use_unsettled=True)
    venue.hold(rider, 15)
    venue.place(venue.b, BUY, 10, 100)
    venue.place(rider, SELL, 10, 100)
    venue.place(venue.b, SELL, 10, 90)
    venue.place(rider, BUY, 10, 90)
    order = venue.place(rider, SELL, 5, 110).order
    assert "FREE_RIDING" == code(venue.replace(rider, order.order_id, qty=12))
    assert "INSUFFICIENT_QTY" == code(venue.replace(rider, order.order_id, qty=16))
    assert "" == code(venue.replace(rider, order.order_id, qty=4))
