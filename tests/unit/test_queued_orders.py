"""Orders that queue while their instrument is closed or halted, and what becomes of them then."""

import pytest

from application.commands import ChangeInstrument
from domain.events import OrderAccepted, OrderAdjusted, OrderCanceled, OrderFilled
from domain.terms import (
    AccountKind,
    Adjustment,
    CancelReason,
    Liquidity,
    OrderStatus,
    Remainder,
    SelfTrade,
    Side,
    TimeInForce,
)
from tests.model.desk_harness import cents, code, shares
from tests.model.group_desk import GroupDesk, group_desk

BUY, SELL = Side.BUY, Side.SELL
DAY, GTC, IOC, FOK = TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
TERMS = {"collar_bps": 1_000, "protection_bps": 100}
PAUSES = [("close", "open"), ("halt", "resume")]


@pytest.fixture(params=PAUSES, ids=["closed", "halted"])
def venue(request) -> GroupDesk:
    """An instrument about 100 that does not trade now: `venue.go_on` lets it."""
    desk = group_desk(**TERMS)
    pause, go_on = request.param
    getattr(desk, pause)()
    desk.go_on = getattr(desk, go_on)
    return desk


def test_queued_market_order_holds_for_the_collar_and_stands_there_as_a_limit(venue):
    """It has no protection price yet; the auction finds it at 110."""
    order = venue.place(venue.a, BUY, 5, tif=DAY, client="buy").order
    [accepted] = venue.happened(OrderAccepted)
    assert (110_0000, 0, True) == (
        accepted.working_price,
        accepted.protection_price,
        accepted.rests,
    )
    assert [("buy", 110_0000, shares(5))] == venue.book(BUY)
    assert cents(550) <= venue.order(order.order_id).hold <= cents("550.01")


def test_queued_market_order_trades_in_the_auction_at_the_auctions_price(venue):
    """It pays what everybody pays, and what it held beyond that is free."""
    order = venue.place(venue.a, BUY, 5, tif=DAY, client="buy").order
    venue.place(venue.b, SELL, 5, 102, client="sell")
    venue.go_on()
    [(buyer, seller, qty, price)] = venue.trades()
    assert ("buy", "sell", shares(5)) == (buyer, seller, qty)
    assert price <= 110_0000
    assert {int(Liquidity.AUCTION)} == {fill.liquidity for fill in venue.happened(OrderFilled)}
    assert OrderStatus.FILLED == venue.order(order.order_id).status
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held


def test_queued_remainder_rests_at_its_protection_price_after_the_auction(venue):
    """Two of five trade at 102; the rest bids one percent above the best offer left."""
    order = venue.place(venue.a, BUY, 5, tif=DAY, client="buy").order
    venue.place(venue.b, SELL, 2, 102)
    venue.go_on()
    [adjusted] = venue.happened(OrderAdjusted)
    last = venue.desk.markets.by_symbol["X"].last_price
    due = last * 101 // 100 // 100 * 100
    assert (Adjustment.PROTECTED, due, shares(3)) == (
        adjusted.reason,
        adjusted.protection_price,
        adjusted.leaves_after,
    )
    assert [("buy", min(due, 110_0000), shares(3))] == venue.book(BUY)
    stands = venue.order(order.order_id)
    assert not stands.is_queued
    assert stands.protection_price == due


def test_queued_remainder_never_bids_beyond_what_it_holds(venue):
    """The instrument runs away to 130 meanwhile; the order stays at the collar it was taken at."""
    venue.place(venue.a, BUY, 5, client="buy")
    venue.ok(ChangeInstrument("X", collar_bps=5_000))
    venue.place(venue.b, SELL, 50, 130)
    other = venue.account("other")
    venue.place(other, BUY, 20, 135)
    venue.go_on()
    assert ("buy", 110_0000, shares(5)) in venue.book(BUY)
    assert cents(550) <= venue.desk.accounts.by_id[venue.a.int].held <= cents("550.01")


def test_queued_remainder_of_a_sale_follows_the_market_down(venue):
    """A sale of what is held costs nothing: at 70 it offers at 69.30 and trades on."""
    venue.place(venue.a, SELL, 5, client="sell")
    venue.ok(ChangeInstrument("X", collar_bps=5_000))
    third, fourth = venue.account("third"), venue.account("fourth")
    venue.hold(third, 100)
    venue.place(fourth, BUY, 20, 70)
    venue.place(third, SELL, 10, 70)
    venue.go_on()
    assert ["fourth"] != venue.book(SELL)
    traded = [(seller, price) for _, seller, _, price in venue.trades()]
    assert ("sell", 70_0000) in traded
    assert [] == venue.book(SELL)


def test_queued_remainder_is_canceled_where_the_instrument_says_so(venue):
    """What the auction did not give it ends."""
    venue.ok(ChangeInstrument("X", remainder=int(Remainder.CANCEL)))
    order = venue.place(venue.a, BUY, 5).order
    venue.place(venue.b, SELL, 2, 102)
    venue.go_on()
    stands = venue.order(order.order_id)
    assert (OrderStatus.CANCELED, shares(2)) == (stands.status, stands.filled)
    assert [CancelReason.NO_LIQUIDITY] == [e.reason for e in venue.happened(OrderCanceled)]
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held


def test_queued_stop_waits_and_is_elected_when_trading_goes_on(venue):
    """By what the auction trades, and not before."""
    venue.place(venue.a, SELL, 5, stop=95, client="stop")
    venue.place(venue.a, SELL, 5, 94, stop=95, client="stop limit")
    third = venue.account("third")
    venue.hold(third, 10)
    venue.place(venue.b, BUY, 4, 94)
    venue.place(third, SELL, 4, 94)
    assert [] == venue.elections()
    venue.go_on()
    assert [("stop", 1, 94_0000), ("stop limit", 1, 94_0000)] == venue.elections()
    assert [("stop", 93_0600, shares(5)), ("stop limit", 94_0000, shares(5))] == venue.book(SELL)


def test_queued_bracket_with_a_market_entry_gets_its_exits_with_the_auctions_fill(venue):
    """Its entry trades in the auction, its exits are there in the same decision."""
    legs = venue.legs(venue.bracket(venue.a, BUY, 5, 120, 90, tif=DAY))
    assert ("new", "held", "held") == tuple(venue.status(one) for one in legs[1:])
    venue.place(venue.b, SELL, 3, 100)
    venue.go_on()
    assert (2, 3, 3) == tuple(venue.leaves(one) for one in legs[1:])
    assert ("new", "held") == (venue.status(legs.take_profit), venue.status(legs.stop_loss))


def test_queued_limit_is_replaced_and_waits_on(venue):
    """Price, quantity and time in force; what crosses then trades in the auction."""
    order = venue.place(venue.a, BUY, 5, 90, client="buy").order
    venue.place(venue.b, SELL, 5, 95, client="sell")
    assert "" == code(venue.replace(venue.a, order.order_id, limit=96, qty=4, tif=DAY))
    assert [] == venue.trades()
    venue.go_on()
    assert [("buy", "sell", shares(4))] == [row[:3] for row in venue.trades()]


def test_queued_market_order_is_replaced_in_size_and_canceled(venue):
    """It holds for its new size, at the collar it was taken at."""
    order = venue.place(venue.a, BUY, 5, client="buy").order
    assert "" == code(venue.replace(venue.a, order.order_id, qty=7))
    assert [("buy", 110_0000, shares(7))] == venue.book(BUY)
    assert cents(770) <= venue.order(order.order_id).hold <= cents("770.01")
    assert "NOTHING_TO_REPLACE" == code(venue.replace(venue.a, order.order_id, limit=100))
    assert "" == code(venue.cancel(venue.a, order.order_id))
    assert 0 == venue.desk.accounts.by_id[venue.a.int].held


@pytest.mark.parametrize("tif", [IOC, FOK])
@pytest.mark.parametrize("limit", [None, 100])
def test_what_cannot_be_queued_is_refused_and_says_until_when(venue, tif, limit):
    """Ioc and fok are for a market that trades."""
    reply = venue.place(venue.a, BUY, 5, limit, tif=tif)
    assert code(reply) in ("MARKET_CLOSED", "INSTRUMENT_HALTED")
    assert " until " in reply.refusal.message


def test_queued_short_sale_holds_margin_and_trades_as_any_sale(venue):
    """What it would open is covered when it is taken."""
    venue.ok(ChangeInstrument("X", shortable=True))
    short = venue.account("short", 1_000, kind=AccountKind.MARGIN)
    order = venue.place(short, SELL, 5, client="sell").order
    assert cents(250) <= venue.order(order.order_id).hold
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(short, SELL, 50))
    venue.place(venue.b, BUY, 5, 100)
    venue.go_on()
    assert OrderStatus.FILLED == venue.order(order.order_id).status


def test_queued_market_orders_of_both_sides_trade_with_each_other(venue):
    """Nobody else is needed for an auction."""
    venue.place(venue.a, BUY, 5, client="buy")
    venue.place(venue.b, SELL, 3, client="sell")
    venue.go_on()
    assert [("buy", "sell", shares(3), 100_0000)] == venue.trades()
    assert [("buy", 101_0000, shares(2))] == venue.book(BUY)


def test_queued_remainders_keep_their_turn(venue):
    """Who queued first stands first at the protection price."""
    for label in ("one", "two", "three"):
        venue.place(venue.a, BUY, 1, client=label, self_trade=SelfTrade.CANCEL_OLDEST)
    venue.go_on()
    assert ["one", "two", "three"] == [label for label, _, _ in venue.book(BUY)]


def test_queued_day_order_is_for_the_next_session_and_ends_with_it():
    """What came after the close is not over with the session before."""
    venue = group_desk(**TERMS)
    before = venue.place(venue.a, BUY, 1, 90, tif=DAY).order
    venue.close()
    order = venue.place(venue.a, BUY, 5, tif=DAY).order
    assert "ORDER_NOT_WORKING" == code(venue.replace(venue.a, before.order_id, limit=91))
    assert 1 == venue.expire()
    venue.open()
    assert OrderStatus.NEW == venue.order(order.order_id).status
    venue.close()
    assert 1 == venue.expire()
    assert OrderStatus.EXPIRED == venue.order(order.order_id).status


def test_queued_order_needs_a_price_to_be_measured_from():
    """Without trade and reference nobody can say what a market order may cost."""
    venue = group_desk(opened=False, reference_price=0, **TERMS)
    assert "NO_REFERENCE_PRICE" == code(venue.place(venue.a, BUY, 5))


def test_queued_order_on_a_desk_that_restarts_before_every_command():
    """What waits for the auction is state of the log like everything else."""
    venue = group_desk(restarts=True, **TERMS)
    venue.close()
    venue.place(venue.a, BUY, 5, client="buy")
    venue.place(venue.b, SELL, 2, 102)
    venue.open()
    [(label, price, left)] = venue.book(BUY)
    assert ("buy", shares(3)) == (label, left)
    assert price < 110_0000


@pytest.mark.parametrize(
    ("side", "offer", "profit", "stop", "bound"),
    [(BUY, 101, 108, 95, 102_0100), (SELL, 99, 92, 105, 98_0100)],
)
def test_queued_entry_of_a_thin_auction_works_on_beside_its_own_take_profit(
    venue, side, offer, profit, stop, bound
):
    """Four of ten trade: the rest is bound by the auction's price, not by the take-profit that
    the four have armed, nor does it meet that one at the collar, where it stood.
    """
    margin = venue.margin_account("margin")
    legs = venue.legs(venue.bracket(margin, side, 10, profit, stop, locate=True))
    venue.place(venue.b, SELL if side == BUY else BUY, 4, offer)
    venue.go_on()

    entry = venue.order(legs.entry)
    assert ("partially_filled", 6) == (venue.status(legs.entry), venue.leaves(legs.entry))
    assert bound == entry.protection_price == entry.working_price
    assert ("new", 4) == (venue.status(legs.take_profit), venue.leaves(legs.take_profit))
    assert ("held", 4) == (venue.status(legs.stop_loss), venue.leaves(legs.stop_loss))


def test_queued_order_is_not_met_at_its_collar_by_what_the_auction_arms(venue):
    """A bracket's take-profit at 104 does not sell to another's market order that stood at 110:
    that one is bound to 102.01 before anything follows from the auction at 101.
    """
    other = venue.account("other")
    legs = venue.legs(venue.bracket(venue.a, BUY, 2, 104, 95))
    order = venue.place(other, BUY, 10, tif=DAY).order
    venue.place(venue.b, SELL, 4, 101)
    venue.go_on()

    assert ("new", 2) == (venue.status(legs.take_profit), venue.leaves(legs.take_profit))
    assert (8, 102_0100) == (
        venue.leaves(order.order_id),
        venue.order(order.order_id).working_price,
    )
