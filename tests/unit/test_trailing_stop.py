"""Trailing stops: where they begin, how they follow the price, and what elects them."""

from __future__ import annotations

from typing import Any

import pytest

from application.commands import ChangeInstrument
from domain.events import OrderFilled, OrderReplaced, OrderTrailed, OrderTriggered
from domain.terms import OrderStatus, Side, TimeInForce, TriggerRule
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """An open instrument that last traded at 100; `a` and `b` have cash and shares."""
    made = trading_desk()
    trade_at(made, 100)
    return made


def trade_at(venue: DeskHarness, *prices: Any) -> None:
    """Let the accounts trade a share at each of these prices."""
    for price in prices:
        assert not code(venue.place(venue.b, SELL, 1, price))
        assert not code(venue.place(venue.a, BUY, 1, price))


def trailing(venue: DeskHarness, side: Side = SELL, **terms: Any) -> Any:
    """A trailing stop for one share of `a`, as it was taken."""
    reply = venue.place(venue.a, side, 1, **terms)
    assert reply.order is not None, reply.refusal
    return reply.order


def stands(venue: DeskHarness, order: Any) -> tuple[int, int]:
    """Where its stop stands, and the best price it has followed."""
    found = venue.order(order.order_id)
    return found.stop_price, found.water_mark


def trailed(venue: DeskHarness) -> list[tuple[int, int]]:
    """How stops moved in the latest command: to which price, because of which."""
    return [(event.stop_price, event.water_mark) for event in venue.happened(OrderTrailed)]


@pytest.mark.parametrize(
    ("side", "terms", "stop"),
    [
        (SELL, {"trail": 5}, 95_0000),
        (BUY, {"trail": 5}, 105_0000),
        (SELL, {"percent": "7.5"}, 92_5000),
        (BUY, {"percent": "7.5"}, 107_5000),
        (SELL, {"percent": "0.333"}, 99_6600),
        (BUY, {"percent": "0.333"}, 100_3400),
        (SELL, {"trail": "99.99"}, 100),
        (SELL, {"percent": "99.99"}, 100),
        (BUY, {"percent": "99.999"}, 200_0000),
    ],
)
def test_trailing_stop_begins_behind_the_last_price_on_the_tick_away_from_it(
    venue, side, terms, stop
):
    """By an amount or a percentage; what is no tick is rounded so that it triggers later."""
    order = trailing(venue, side, **terms)

    assert (stop, 100_0000) == (order.stop_price, order.water_mark) == stands(venue, order)
    assert OrderStatus.NEW == order.status


def test_trailing_stop_of_a_sale_follows_new_highs_and_never_goes_back(venue):
    """One event for each move, none for a price that is no new high."""
    order = trailing(venue, trail=5)
    moves = []
    for price in (101, 101, "100.50", "101.01", 99, 103):
        trade_at(venue, price)
        moves += trailed(venue)

    assert [(96_0000, 101_0000), (96_0100, 101_0100), (98_0000, 103_0000)] == moves
    assert (98_0000, 103_0000) == stands(venue, order)


def test_trailing_stop_of_a_purchase_follows_new_lows_and_never_goes_back(venue):
    """The other way round, and it reckons from the lowest."""
    order = trailing(venue, BUY, trail=5)
    trade_at(venue, 98, 97, 101)

    assert (102_0000, 97_0000) == stands(venue, order)
    trade_at(venue, 102)
    assert [(order.client_order_id, 1, 102_0000)] == venue.elections()


def test_trailing_stop_by_percent_moves_when_it_moves_by_a_tick(venue):
    """At 80 % a price must rise by five cents before the stop rises by one."""
    order = trailing(venue, percent=80)
    trade_at(venue, "100.01", "100.02", "100.04")
    assert (20_0000, 100_0000) == stands(venue, order)

    trade_at(venue, "100.05")
    assert [(20_0100, 100_0500)] == trailed(venue)


def test_trailing_stop_is_elected_where_it_stands_as_a_market_order_with_protection(venue):
    """A turn by as much as its trail sells, down to its protection price, and rests there."""
    venue.ok(ChangeInstrument("X", protection_bps=100))
    order = trailing(venue, trail=5)
    trade_at(venue, 110)
    venue.place(venue.b, BUY, 3, 105)
    venue.place(venue.a, SELL, 3, 105)

    (event,) = venue.happened(OrderTriggered)
    assert (105_0000, 103_9500, True) == (
        event.seen_price,
        event.protection_price,
        event.rests,
    )
    found = venue.order(order.order_id)
    assert (OrderStatus.NEW, 105_0000) == (found.status, found.stop_price)
    assert [(order.client_order_id, 103_9500, shares(1))] == [
        row for row in venue.book(SELL) if row[0] == order.client_order_id
    ]


def test_trailing_stop_that_was_elected_follows_no_more(venue):
    """What rests at its protection price is an order as others are."""
    venue.ok(ChangeInstrument("X", protection_bps=100))
    order = trailing(venue, trail=5)
    trade_at(venue, 95)
    assert venue.order(order.order_id).triggered_at

    trade_at(venue, 94)
    assert [] == trailed(venue)
    assert "NOTHING_TO_REPLACE" == code(venue.replace(venue.a, order.order_id, trail=3))


def test_trailing_stop_goes_by_the_order_of_trades_within_one_command(venue):
    """A sweep that falls first and rises then does not elect what only the rise brought near."""
    order = trailing(venue, trail=5)
    for price in (98, 110):
        venue.place(venue.b, SELL, 1, price, client=f"offer {price}")
    venue.place(venue.a, BUY, 2, 110)

    assert [98_0000, 110_0000] == [price for *_, price in venue.trades()]
    assert [(105_0000, 110_0000)] == trailed(venue)
    assert [] == venue.elections()
    assert (105_0000, 110_0000) == stands(venue, order)


def test_trailing_stop_moves_once_by_a_sweep_of_many_prices(venue):
    """The stop goes to where the last price puts it, not through every price between."""
    trailing(venue, trail=5)
    for price in range(101, 121):
        venue.place(venue.b, SELL, 1, price)
    venue.place(venue.a, BUY, 20, 120)

    assert [(115_0000, 120_0000)] == trailed(venue)
    fills = [event for event in venue.events if isinstance(event, OrderFilled)]
    assert 40 == len(fills)
    (event,) = venue.happened(OrderTrailed)
    assert event.causation_id > 0


def test_trailing_stop_moves_once_by_a_cascade_of_stops_that_drive_the_price_up(venue):
    """Each elected stop trades higher; the trail follows when nothing more comes."""
    trailing(venue, trail=5)
    for price in (102, 104, 106):
        venue.place(venue.a, BUY, 1, stop=price, client=f"stop {price}")
        venue.place(venue.b, SELL, 1, price)
    venue.place(venue.b, SELL, 1, 108)
    venue.place(venue.a, BUY, 1, 102)

    assert ["stop 102", "stop 104", "stop 106"] == [label for label, _, _ in venue.elections()]
    assert [(103_0000, 108_0000)] == trailed(venue)


def test_trailing_stop_that_is_reached_stays_where_it_stands(venue):
    """What rises after it was reached, before its turn to be elected, does not move it."""
    venue.ok(ChangeInstrument("X", protection_bps=5_000))
    first = trailing(venue, BUY, trail=5)
    stop = trailing(venue, SELL, trail=4)
    venue.place(venue.b, SELL, 5, 112)
    venue.place(venue.b, BUY, 1, 96, client="bid")
    venue.place(venue.b, BUY, 9, 90)
    venue.place(venue.a, SELL, 1, 96)

    assert [(stop.client_order_id, 1, 96_0000)] == venue.elections()
    assert (96_0000, 100_0000) == stands(venue, stop)
    assert (95_0000, 90_0000) == stands(venue, first)


@pytest.mark.parametrize("rule", [TriggerRule.BID_ASK, TriggerRule.MARK])
def test_trailing_stop_follows_the_price_that_elects_stops(rule):
    """Quotes or the mark, as the instrument says; a trade moves nothing then."""
    venue = trading_desk(trigger_rule=int(rule))

    def show(bid, ask) -> None:
        if rule == TriggerRule.MARK:
            venue.mark(bid)
            return
        venue.cancel_all(venue.b)
        venue.place(venue.b, BUY, 5, bid)
        venue.place(venue.b, SELL, 5, ask)

    show(100, 101)
    sell = trailing(venue, SELL, trail=3)
    buy = trailing(venue, BUY, trail=3)
    best = 101 if rule == TriggerRule.BID_ASK else 100
    assert (97_0000, best * 10_000 + 3_0000) == (sell.stop_price, buy.stop_price)

    show(102, 104)
    assert (99_0000, 102_0000) == stands(venue, sell)
    assert not venue.order(buy.order_id).triggered_at or rule == TriggerRule.BID_ASK
    show(98, 99)
    assert venue.order(sell.order_id).triggered_at


def test_trailing_stop_waits_while_the_market_is_closed_and_follows_the_auction(venue):
    """It is taken while nothing trades; the auction's price moves it, or elects it."""
    venue.close()
    up, down = trailing(venue, trail=5), trailing(venue, BUY, trail=5)
    venue.place(venue.b, SELL, 1, 103, tif=TimeInForce.GTC)
    venue.place(venue.a, BUY, 1, 103)
    assert [] == trailed(venue)

    venue.open()
    assert [(98_0000, 103_0000)] == trailed(venue)
    assert ((98_0000, 103_0000), (105_0000, 100_0000)) == (
        stands(venue, up),
        stands(venue, down),
    )

    venue.halt()
    venue.place(venue.b, BUY, 1, 98)
    venue.place(venue.a, SELL, 1, 98)
    venue.resume()
    assert [up.client_order_id] == [label for label, _, _ in venue.elections()]


def test_trailing_stop_does_not_go_back_when_the_trade_that_moved_it_is_undone(venue):
    """A bust, or another price for a trade, is no price of the market."""
    order = trailing(venue, trail=5)
    trade_at(venue, 110)
    venue.bust_last()
    assert (105_0000, 110_0000) == stands(venue, order)

    trade_at(venue, 111)
    venue.correct_last(120)
    assert (106_0000, 111_0000) == stands(venue, order)
    assert [] == trailed(venue)


def test_trailing_stop_begins_at_the_reference_where_nothing_has_traded():
    """Without any price at all it is refused as a market order is."""
    venue = trading_desk()
    assert 95_0000 == trailing(venue, trail=5).stop_price

    venue = trading_desk(reference_price=0)
    assert "NO_REFERENCE_PRICE" == code(venue.place(venue.a, SELL, 1, trail=5))


@pytest.mark.parametrize(
    ("refused", "side", "field", "terms"),
    [
        ("TICK_VIOLATION", SELL, "trail_price", {"trail": "0.005"}),
        ("PRICE_PRECISION", SELL, "trail_price", {"trail": "0.000000001"}),
        ("TRAIL_OUT_OF_RANGE", SELL, "trail_price", {"trail": 100}),
        ("TRAIL_OUT_OF_RANGE", SELL, "trail_price", {"trail": 10**6}),
        ("TRAIL_OUT_OF_RANGE", SELL, "trail_percent", {"percent": "0.009"}),
        ("TRAIL_OUT_OF_RANGE", BUY, "trail_percent", {"percent": "0.001"}),
        ("TRAIL_OUT_OF_RANGE", SELL, "trail_percent", {"percent": "99.999"}),
        ("INVALID_FIELD", SELL, "trail_percent", {"percent": 100}),
        ("INVALID_FIELD", SELL, "trail_percent", {"percent": -1}),
        ("INVALID_FIELD", SELL, "trail_percent", {"percent": 5, "trail": 5}),
        ("INVALID_FIELD", SELL, "trail_price", {"trail": 0}),
        ("INVALID_FIELD", SELL, "time_in_force", {"trail": 5, "tif": TimeInForce.FOK}),
        ("INVALID_FIELD", SELL, "limit_price", {"trail": 5, "limit": 90}),
        ("INVALID_FIELD", SELL, "stop_price", {"trail": 5, "stop": 90}),
        ("INVALID_FIELD", SELL, "post_only", {"trail": 5, "post_only": True}),
    ],
)
def test_trailing_stop_that_cannot_trail_is_refused_by_name(venue, refused, side, field, terms):
    """Less than a tick, too fine, nowhere to stand, both or neither: the field says which."""
    reply = venue.place(venue.a, side, 1, **terms)

    assert refused == code(reply)
    assert reply.refusal is not None
    assert field == reply.refusal.details["field"]


def test_trailing_stop_gets_another_trail_from_the_best_price_so_far(venue):
    """Nearer or further by its client's word; another quantity leaves the stop as it is."""
    order = trailing(venue, trail=5)
    trade_at(venue, 110, 108)

    replaced = venue.replace(venue.a, order.order_id, trail=8).order
    assert (102_0000, 110_0000, 8_0000) == (
        replaced.stop_price,
        replaced.water_mark,
        replaced.trail_price,
    )
    again = venue.replace(venue.a, order.order_id, qty=3, client="renamed").order
    assert (102_0000, 110_0000, "renamed") == (
        again.stop_price,
        again.water_mark,
        again.client_order_id,
    )
    trade_at(venue, 111)
    assert [(103_0000, 111_0000)] == trailed(venue)


def test_trailing_stop_that_is_told_the_trail_it_has_keeps_its_bound_with_its_place(venue):
    """A smaller quantity beside the same trail changes nothing else, though the stop has moved."""
    reply = venue.place(venue.a, SELL, 3, trail=5)
    bound = venue.order(reply.order.order_id).working_price
    trade_at(venue, 110, 108)

    venue.replace(venue.a, reply.order.order_id, qty=2, trail=5)

    order = venue.order(reply.order.order_id)
    assert (bound, 105_0000) == (order.working_price, order.stop_price)
    assert venue.happened(OrderReplaced)[0].kept_priority


@pytest.mark.parametrize(
    ("refused", "placed", "terms"),
    [
        ("STOP_ALREADY_THROUGH", {"trail": 5}, {"trail": 2}),
        ("TICK_VIOLATION", {"trail": 5}, {"trail": "0.005"}),
        ("TRAIL_OUT_OF_RANGE", {"trail": 5}, {"trail": 110}),
        ("TRAIL_OUT_OF_RANGE", {"percent": 5}, {"trail": "0.001"}),
        ("INVALID_FIELD", {"percent": 5}, {"trail": "0.0001"}),
        ("INVALID_FIELD", {"percent": 5}, {"trail": 100}),
        ("NOTHING_TO_REPLACE", {"trail": 5}, {"trail": 5}),
        ("NOTHING_TO_REPLACE", {"trail": 5}, {"stop": 90}),
        ("NOTHING_TO_REPLACE", {"trail": 5}, {"limit": 90}),
        ("NOTHING_TO_REPLACE", {"stop": 90}, {"trail": 5}),
    ],
)
def test_trailing_stop_is_not_given_what_it_cannot_have(venue, refused, placed, terms):
    """A trail through the market, none at all, a price of its own; a fixed stop gets no trail."""
    order = trailing(venue, **placed)
    trade_at(venue, 110, 107)
    before = stands(venue, order)

    assert refused == code(venue.replace(venue.a, order.order_id, **terms))
    assert before == stands(venue, order)


def test_trailing_stop_that_buys_holds_what_it_held_when_it_was_taken():
    """Its stop only comes down: however it is elected, it costs no more than its hold."""
    venue = trading_desk(collar_bps=1_000, protection_bps=500)
    poor = venue.account("poor", "232.01")
    trade_at(venue, 100)
    assert "INSUFFICIENT_BUYING_POWER" == code(venue.place(poor, BUY, 2, trail="5.50"))
    order = venue.place(poor, BUY, 2, trail=5).order
    held = venue.order(order.order_id).hold
    assert cents("231.01") == held

    trade_at(venue, 95, 92)
    assert (97_0000, held) == (
        venue.order(order.order_id).stop_price,
        venue.order(order.order_id).hold,
    )
    venue.place(venue.b, SELL, 9, "101.80")
    trade_at(venue, 97)
    assert OrderStatus.FILLED == venue.order(order.order_id).status
    account = venue.desk.accounts.by_id[poor.int]
    assert (0, cents("203.60")) == (account.held, account.payable)


def test_trailing_stop_expires_with_its_session(venue):
    """A day order as others; it follows nothing after that."""
    order = trailing(venue, trail=5, tif=TimeInForce.DAY)
    venue.close()
    venue.expire()

    assert OrderStatus.EXPIRED == venue.order(order.order_id).status
    venue.open()
    trade_at(venue, 110)
    assert [] == trailed(venue)


def test_trailing_stop_follows_another_rule_from_when_its_instrument_has_it(venue):
    """The mark instead of trades: what was followed stays, and the mark is looked at at once."""
    order = trailing(venue, trail=5)
    venue.mark(104)
    assert [] == trailed(venue)
    venue.ok(ChangeInstrument("X", trigger_rule=int(TriggerRule.MARK)))

    assert (99_0000, 104_0000) == stands(venue, order)
    trade_at(venue, 109)
    assert (99_0000, 104_0000) == stands(venue, order)
