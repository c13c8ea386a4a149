"""The closing auction, and orders that are for one auction alone: at the open, or at the close."""

import pytest

from application.commands import ChangeInstrument, CloseDay, PlaceGroup
from domain.events import (
    AccountDayClosed,
    InstrumentClosed,
    InstrumentClosing,
    InstrumentOpened,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    PositionMarked,
)
from domain.terms import (
    AccountKind,
    CancelReason,
    Liquidity,
    OrderClass,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
    TriggerRule,
)
from tests.model.desk_harness import cents, code, shares, wire
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL
DAY, GTC, IOC, GTD = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.GTD
OPG, CLS = TimeInForce.OPG, TimeInForce.CLS
TERMS = {"collar_bps": 1_000, "protection_bps": 100}


@pytest.fixture
def venue() -> GroupDesk:
    """An open instrument about 100, and two accounts with cash and shares."""
    return group_desk(**TERMS)


def ended(venue: GroupDesk, reply) -> tuple[OrderStatus, int, int]:
    """An order's status, what it traded, and why it ended."""
    order = venue.order(reply.order.order_id)
    return OrderStatus(order.status), order.filled, order.end_reason


def test_closing_auction_trades_orders_for_the_close_at_one_price(venue):
    """Market and limit, with each other and with who stands in the book."""
    venue.place(venue.b, SELL, 4, 101, client="offer")
    market = venue.place(venue.a, BUY, 10, tif=CLS, client="market")
    limit = venue.place(venue.b, SELL, 6, 99, tif=CLS, client="limit")
    venue.close()

    [closing] = venue.happened(InstrumentClosing)
    assert (101_0000, shares(10)) == (closing.uncross_price, closing.uncross_qty)
    assert [
        ("market", "limit", shares(6), 101_0000),
        ("market", "offer", shares(4), 101_0000),
    ] == venue.trades()
    assert {int(Liquidity.AUCTION)} == {fill.liquidity for fill in venue.happened(OrderFilled)}
    for reply in (market, limit):
        assert OrderStatus.FILLED == ended(venue, reply)[0]
    assert [101_0000] == [event.mark for event in venue.happened(InstrumentClosed)]


def test_order_for_the_close_stands_in_no_book_until_then(venue):
    """It is taken, holds what it may cost, and nobody can meet it."""
    venue.place(venue.b, SELL, 5, 100, client="offer")
    order = venue.place(venue.a, BUY, 5, 105, tif=CLS).order
    [accepted] = venue.happened(OrderAccepted)
    assert not accepted.armed
    assert [] == venue.trades() == venue.book(BUY)
    assert cents(525) <= venue.order(order.order_id).hold <= cents("525.01")
    assert OrderStatus.NEW == venue.order(order.order_id).status


def test_what_the_closing_auction_leaves_of_orders_for_it_is_canceled(venue):
    """Under a reason of its own; what stood in the book besides stays there."""
    stands = venue.place(venue.b, SELL, 4, 101, tif=GTC, client="offer")
    rest = venue.place(venue.a, BUY, 10, 102, tif=CLS)
    nothing = venue.place(venue.a, BUY, 3, 95, tif=CLS)
    other = venue.place(venue.a, BUY, 3, 94, tif=GTC, client="bid")
    venue.close()

    reason = int(CancelReason.CLOSING_AUCTION)
    assert (OrderStatus.CANCELED, shares(4), reason) == ended(venue, rest)
    assert (OrderStatus.CANCELED, 0, reason) == ended(venue, nothing)
    assert OrderStatus.FILLED == ended(venue, stands)[0]
    assert [("bid", 94_0000, shares(3))] == venue.book(BUY)
    assert cents(282) <= venue.desk.accounts.by_id[venue.a.int].held <= cents("282.01")
    assert OrderStatus.NEW == ended(venue, other)[0]


def test_who_stood_in_the_book_comes_first_at_an_equal_price(venue):
    """Then orders for the close, each in its turn."""
    third = venue.account("third")
    venue.hold(third, 10)
    venue.place(third, SELL, 4, 101, tif=CLS, client="first for the close")
    venue.place(third, SELL, 4, 101, tif=CLS, client="second for the close")
    venue.place(venue.b, SELL, 2, 101, client="stood")
    venue.place(venue.a, BUY, 7, 101, tif=CLS, client="buy")
    venue.close()
    assert [
        ("stood", shares(2)),
        ("first for the close", shares(4)),
        ("second for the close", shares(1)),
    ] == [(seller, qty) for _, seller, qty, _ in venue.trades()]


def test_market_order_for_the_close_follows_the_day_within_what_a_purchase_holds(venue):
    """Taken about 100 with a collar of ten percent, the day ends about 80, or about 130."""
    venue.ok(ChangeInstrument("X", collar_bps=9_000))
    third = venue.account("third", 1_000_000)
    venue.hold(third, 100)
    venue.ok(ChangeInstrument("X", collar_bps=1_000))
    sale = venue.place(venue.b, SELL, 5, tif=CLS, client="sale")
    purchase = venue.place(venue.a, BUY, 5, tif=CLS, client="purchase")
    assert [90_0000, 110_0000] == [
        venue.order(one.order.order_id).working_price for one in (sale, purchase)
    ]
    venue.ok(ChangeInstrument("X", collar_bps=5_000))
    venue.place(third, SELL, 1, 80)
    venue.place(venue.a, BUY, 1, 80)
    venue.ok(ChangeInstrument("X", collar_bps=1_000))
    venue.place(venue.a, BUY, 20, 78, client="bid")
    venue.close()
    assert [("purchase", "sale", shares(5))] == [row[:3] for row in venue.trades()]
    assert 72_0000 <= venue.trades()[0][3] <= 88_0000


def test_market_purchase_for_the_close_is_not_made_beyond_what_it_holds(venue):
    """The day ends about 130: 110 was held, and nothing trades."""
    third, fourth = venue.account("third"), venue.account("fourth")
    venue.hold(third, 100)
    purchase = venue.place(venue.a, BUY, 5, tif=CLS)
    venue.ok(ChangeInstrument("X", collar_bps=5_000))
    venue.place(third, SELL, 1, 130)
    venue.place(fourth, BUY, 1, 130)
    venue.place(third, SELL, 20, 131)
    venue.close()
    [closing] = venue.happened(InstrumentClosing)
    assert (0, 0) == (closing.uncross_price, closing.uncross_qty)
    assert (OrderStatus.CANCELED, 0, CancelReason.CLOSING_AUCTION) == ended(venue, purchase)
    assert [130_0000] == [event.mark for event in venue.happened(InstrumentClosed)]


def test_session_without_orders_for_the_close_just_ends(venue):
    """Its price is that of the last trade."""
    venue.place(venue.b, SELL, 1, 103)
    venue.place(venue.a, BUY, 1, 103)
    venue.close()
    assert [] == venue.happened(InstrumentClosing)
    assert [103_0000] == [event.mark for event in venue.happened(InstrumentClosed)]


def test_halted_instrument_closes_without_an_auction(venue):
    """What was for it is canceled, though it would have crossed."""
    buy = venue.place(venue.a, BUY, 5, 105, tif=CLS)
    venue.place(venue.b, SELL, 5, 100, tif=CLS)
    venue.halt()
    late = venue.place(venue.a, BUY, 5, 105, tif=CLS)
    venue.close()
    assert [] == venue.trades() == venue.happened(InstrumentClosing)
    for reply in (buy, late):
        assert (OrderStatus.CANCELED, 0, CancelReason.CLOSING_AUCTION) == ended(venue, reply)
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held


def test_order_for_the_close_that_comes_after_it_is_for_the_next(venue):
    """It waits through the opening, a halt, and its session."""
    venue.close()
    order = venue.place(venue.a, BUY, 5, tif=CLS, client="buy")
    venue.place(venue.b, SELL, 5, 101, client="sell")
    venue.expire()
    venue.open()
    venue.halt()
    venue.resume()
    assert [] == venue.trades()
    venue.close()
    assert [("buy", "sell", shares(5), 101_0000)] == venue.trades()
    assert OrderStatus.FILLED == ended(venue, order)[0]


def test_closing_price_ends_the_day(venue):
    """Holdings are marked and accounts valued at what the auction traded."""
    venue.place(venue.b, SELL, 1, 100)
    venue.place(venue.a, BUY, 1, 100)
    venue.place(venue.a, BUY, 2, tif=CLS)
    venue.place(venue.b, SELL, 2, 104, tif=CLS)
    venue.close()
    venue.ok(CloseDay(venue.at + 10**13, (venue.a,)))
    [marked], [closed] = venue.happened(PositionMarked), venue.happened(AccountDayClosed)
    assert 104_0000 == marked.mark
    assert closed.long_value == cents(104 * 1_003)


def test_stop_that_the_closing_price_reached_is_elected_at_the_next_open(venue):
    """Though the opening trades elsewhere; at the close nothing trades after its auction."""
    third = venue.account("third")
    venue.hold(third, 10)
    venue.place(third, SELL, 2, stop=97, client="stop")
    venue.place(venue.a, BUY, 1, 96, tif=CLS)
    venue.place(venue.b, SELL, 1, 96, tif=CLS)
    venue.close()
    assert [] == venue.elections()
    venue.place(venue.a, BUY, 5, 99, client="bid")
    venue.place(venue.b, SELL, 1, 99, client="offer")
    venue.open()
    assert [("stop", int(TriggerRule.LAST_TRADE), 96_0000)] == venue.elections()
    assert ("bid", "stop", shares(2), 99_0000) == venue.trades()[-1]


def test_exits_that_the_closing_auction_brings_meet_nobody_and_end_with_their_session(venue):
    """A day bracket bought at the close expires with the day, as at any other time."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 5, 103, 95, limit=100, tif=DAY))
    venue.place(venue.b, SELL, 5, 100, tif=CLS)
    bid = venue.place(venue.account("late"), BUY, 5, 99.5)
    assert "" == code(bid)
    venue.close()
    assert ("filled", "new", "held") == tuple(venue.status(one) for one in legs[1:])
    venue.expire()
    assert ("expired", "expired") == tuple(venue.status(one) for one in legs[2:])


def test_order_for_the_close_is_replaced_and_canceled_until_then(venue):
    """Size and price; it stays what it is, and stays out of the book."""
    order = venue.place(venue.a, BUY, 5, 100, tif=CLS, client="buy").order
    assert "INVALID_FIELD" == code(venue.replace(venue.a, order.order_id, tif=DAY))
    assert "PRICE_OUTSIDE_COLLAR" == code(venue.replace(venue.a, order.order_id, limit=111))
    venue.place(venue.b, SELL, 5, 102, client="sell")
    assert "" == code(venue.replace(venue.a, order.order_id, limit=102, qty=4))
    assert [] == venue.trades() == venue.book(BUY)
    day = venue.place(venue.a, BUY, 1, 90, tif=DAY).order
    for tif in (CLS, OPG):
        assert "INVALID_FIELD" == code(venue.replace(venue.a, day.order_id, tif=tif))
    other = venue.place(venue.a, BUY, 5, tif=CLS).order
    assert "" == code(venue.cancel(venue.a, other.order_id))
    venue.close()
    assert [("buy", "sell", shares(4), 102_0000)] == venue.trades()
    assert "ORDER_NOT_WORKING" == code(venue.replace(venue.a, order.order_id, qty=9))


def test_order_for_the_opening_trades_in_it_alone(venue):
    """What the auction leaves is canceled before anybody trades on."""
    venue.close()
    market = venue.place(venue.a, BUY, 5, tif=OPG, client="market")
    limit = venue.place(venue.a, BUY, 5, 103, tif=OPG, client="limit")
    other = venue.place(venue.a, BUY, 5, 90, tif=OPG, client="other")
    venue.place(venue.b, SELL, 7, 102, client="sell")
    venue.open()
    [opened] = venue.happened(InstrumentOpened)
    assert shares(7) == opened.uncross_qty
    assert ["market", "limit"] == [buyer for buyer, *_ in venue.trades()]
    reason = int(CancelReason.OPENING_AUCTION)
    assert OrderStatus.FILLED == ended(venue, market)[0]
    assert (OrderStatus.CANCELED, shares(2), reason) == ended(venue, limit)
    assert (OrderStatus.CANCELED, 0, reason) == ended(venue, other)
    assert [] == venue.book(BUY)
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held
    assert 2 == len(venue.happened(OrderCanceled))


@pytest.mark.parametrize("pause", ["open", "halt"])
def test_order_for_the_opening_is_refused_inside_a_session_until_it_has_closed(venue, pause):
    """The auction is over; a halt's end is none that it is for."""
    if pause == "halt":
        venue.halt()
    reply = venue.place(venue.a, BUY, 5, 100, tif=OPG)
    assert "OPENING_AUCTION_OVER" == code(reply)
    assert reply.refusal.details["until"] is not None
    assert reply.refusal.details["until"] in reply.refusal.message
    venue.close()
    assert "" == code(venue.place(venue.a, BUY, 5, 100, tif=OPG))


def test_order_for_the_opening_of_what_operators_open_says_no_until():
    """Nobody can know it."""
    venue = group_desk(calendar="manual", **TERMS)
    reply = venue.place(venue.a, BUY, 5, 100, tif=OPG)
    assert ("OPENING_AUCTION_OVER", None) == (code(reply), reply.refusal.details["until"])


@pytest.mark.parametrize("tif", [OPG, CLS])
def test_orders_for_an_auction_are_market_or_limit_alone(venue, tif):
    """No stop, nothing post-only, no date, no group."""
    venue.close()
    place = (venue.a, BUY, 5)
    assert "INVALID_FIELD" == code(venue.place(*place, stop=105, tif=tif))
    assert "INVALID_FIELD" == code(venue.place(*place, 105, stop=105, tif=tif))
    assert "INVALID_FIELD" == code(venue.place(*place, 95, tif=tif, post_only=True))
    assert "INVALID_FIELD" == code(venue.place(*place, 95, tif=tif, expires_at=venue.at + 99))
    group = PlaceGroup(
        venue.a,
        "X",
        int(OrderClass.BRACKET),
        int(BUY),
        int(OrderType.LIMIT),
        int(tif),
        shares(5),
        wire(100),
        0,
        "group",
        wire(110),
        wire(95),
    )
    assert "INVALID_FIELD" == code(venue.send(group))


def test_short_sale_at_the_close_holds_margin_for_it(venue):
    """As any order that may open a position."""
    venue.ok(ChangeInstrument("X", shortable=True))
    short = venue.account("short", 1_000, kind=AccountKind.MARGIN)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(short, SELL, 50, tif=CLS))
    order = venue.place(short, SELL, 5, tif=CLS)
    assert cents(250) <= venue.order(order.order.order_id).hold
    venue.place(venue.a, BUY, 5, 100)
    venue.close()
    assert OrderStatus.FILLED == ended(venue, order)[0]


def test_orders_for_auctions_on_a_desk_that_restarts_before_every_command():
    """What waits for an auction is state of the log like everything else."""
    venue = group_desk(restarts=True, **TERMS)
    venue.place(venue.a, BUY, 5, tif=CLS, client="buy")
    venue.place(venue.b, SELL, 2, 102, tif=CLS, client="sell")
    venue.close()
    assert [("buy", "sell", shares(2), 102_0000)] == venue.trades()
    venue.place(venue.a, BUY, 5, tif=OPG, client="early")
    venue.place(venue.b, SELL, 2, 102, client="offer")
    venue.open()
    assert [("early", "offer", shares(2), 102_0000)] == venue.trades()
