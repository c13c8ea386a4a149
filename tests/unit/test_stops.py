"""Stops: when they are elected, in which order, at what price, and what that leads to."""

import sys
from decimal import Decimal

import pytest

from application.commands import ChangeInstrument
from domain.events import OrderFilled, OrderTriggered
from domain.matching.stops import Stops
from domain.price_range import PriceRange
from domain.terms import OrderType, Side, TimeInForce, TriggerRule
from tests.model.desk_harness import DeskHarness, cents, code, shares, trading_desk

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def venue() -> DeskHarness:
    """One open instrument and two accounts with cash and shares."""
    return trading_desk()


def trade_at(venue: DeskHarness, price, qty=1) -> None:
    """Let the accounts trade with each other."""
    venue.place(venue.b, SELL, qty, price)
    venue.place(venue.a, BUY, qty, price)


def test_the_aggressor_finishes_before_any_stop_is_elected(venue):
    """A stop that its first trade reaches waits until its last one is done."""
    for price in (101, 102, 103):
        venue.place(venue.b, SELL, 1, price, client=f"s{price}")
    venue.place(venue.a, BUY, 1, stop=101, client="stop")
    venue.place(venue.a, BUY, 3, 103, client="sweep")
    assert ["s101", "s102", "s103"] == [sell for _, sell, _, _ in venue.trades()]
    assert [("stop", 1, 103_0000)] == venue.elections()
    kinds = [
        type(event) for event in venue.events if isinstance(event, OrderFilled | OrderTriggered)
    ]
    assert [OrderFilled] * 6 + [OrderTriggered] == kinds
    assert [("stop", 151_5000, shares(1))] == venue.book(BUY)


def test_stops_elect_in_order_of_acceptance_not_of_price(venue):
    """Of all that the traded range reached, the one that came first goes first."""
    for price, label in ((103, "one"), (101, "two"), (102, "three")):
        venue.place(venue.a, BUY, 1, stop=price, client=label)
    venue.place(venue.b, SELL, 9, 104, client="offer")
    venue.place(venue.a, BUY, 1, 104)
    assert ["one", "two", "three"] == [label for label, _, _ in venue.elections()]
    assert ["one", "two", "three"] == [buy for buy, _, _, _ in venue.trades()[1:]]


def test_what_an_elected_stop_trades_may_elect_more_which_take_their_own_turn(venue):
    """A stop accepted early goes before later ones that were reached sooner."""
    venue.place(venue.a, BUY, 1, stop=105, client="early, reached late")
    venue.place(venue.a, BUY, 1, stop=101, client="first reached")
    venue.place(venue.a, BUY, 1, stop=102, client="late, reached first")
    venue.place(venue.b, SELL, 1, 102)
    venue.place(venue.b, SELL, 1, 105)
    venue.place(venue.b, SELL, 9, 106)
    venue.place(venue.a, BUY, 1, 102)
    assert [
        ("first reached", 1, 102_0000),
        ("early, reached late", 1, 105_0000),
        ("late, reached first", 1, 102_0000),
    ] == venue.elections()


def test_both_sides_of_the_traded_range_elect(venue):
    """A sweep through the bids elects sells below and no buy above."""
    for price in (99, 98, 97):
        venue.place(venue.b, BUY, 1, price)
    venue.place(venue.a, SELL, 1, stop=98, client="sell 98")
    venue.place(venue.a, SELL, 1, stop=96, client="sell 96")
    venue.place(venue.a, BUY, 1, stop=101, client="buy 101")
    venue.place(venue.a, SELL, 3, 97)
    assert [("sell 98", 1, 97_0000)] == venue.elections()


@pytest.mark.parametrize(
    ("side", "through", "fine"), [(BUY, (99, 100), 101), (SELL, (101, 100), 99)]
)
def test_a_stop_already_through_its_price_is_refused(venue, side, through, fine):
    """At the last price or beyond it there is nothing to wait for."""
    trade_at(venue, 100)
    for price in through:
        assert "STOP_ALREADY_THROUGH" == code(venue.place(venue.a, side, 1, stop=price))
    assert "" == code(venue.place(venue.a, side, 1, stop=fine))


def test_with_the_touch_as_rule_buys_watch_the_offer_and_sells_the_bid():
    """Quotes elect, trades do not; the price seen stands in the event."""
    venue = trading_desk(trigger_rule=int(TriggerRule.BID_ASK))
    bid = venue.place(venue.b, BUY, 5, 99, client="bid").order
    venue.place(venue.b, BUY, 5, 97, client="lower bid")
    offer = venue.place(venue.b, SELL, 5, 101, client="offer").order
    venue.place(venue.b, SELL, 5, 103, client="higher offer")
    assert "STOP_ALREADY_THROUGH" == code(venue.place(venue.a, BUY, 1, stop=101))
    assert "STOP_ALREADY_THROUGH" == code(venue.place(venue.a, SELL, 1, stop=99))
    venue.place(venue.a, BUY, 1, stop=102, client="buy")
    venue.place(venue.a, SELL, 1, stop=98, client="sell")
    venue.place(venue.a, BUY, 1, 101)
    assert [] == venue.elections()

    venue.cancel(venue.b, offer.order_id)
    assert [("buy", 2, 103_0000)] == venue.elections()
    venue.cancel(venue.b, bid.order_id)
    assert [("sell", 2, 97_0000)] == venue.elections()
    assert [("lower bid", "sell", shares(1), 97_0000)] == venue.trades()


def test_an_empty_side_elects_nothing_under_the_touch_rule():
    """No offer is not an infinitely high offer."""
    venue = trading_desk(trigger_rule=int(TriggerRule.BID_ASK))
    offer = venue.place(venue.b, SELL, 5, 101).order
    venue.place(venue.a, BUY, 1, stop=105)
    venue.cancel(venue.b, offer.order_id)
    assert [] == venue.elections()


def test_with_the_mark_as_rule_only_marks_elect():
    """Trades and quotes may do what they want."""
    venue = trading_desk(trigger_rule=int(TriggerRule.MARK))
    venue.mark(100)
    venue.place(venue.a, SELL, 1, stop=95, client="stop")
    venue.place(venue.b, BUY, 5, 90, client="bid")
    venue.place(venue.a, SELL, 1, 90)
    assert [] == venue.elections()
    venue.mark("95.01")
    assert [] == venue.elections()
    venue.mark(95)
    assert [("stop", 3, 95_0000)] == venue.elections()
    assert [("bid", "stop", shares(1), 90_0000)] == venue.trades()


def test_a_stop_limit_rests_at_its_limit_and_a_stop_at_its_protection_price(venue):
    """What an elected stop cannot trade works on, and holds what it may cost."""
    venue.ok(ChangeInstrument("X", protection_bps=100))
    venue.place(venue.a, BUY, 5, 102, stop=101, client="limited")
    stop = venue.place(venue.a, BUY, 5, stop=101, client="market").order
    trade_at(venue, 101)
    assert ["limited", "market"] == [label for label, _, _ in venue.elections()]
    assert [("market", 102_0100, shares(5)), ("limited", 102_0000, shares(5))] == venue.book(BUY)
    assert cents("510.05") <= venue.order(stop.order_id).hold


def test_an_elected_buy_never_trades_beyond_what_it_holds(venue):
    """Its collar is that round its own stop price, however far the market ran."""
    venue.ok(ChangeInstrument("X", collar_bps=1000))
    trade_at(venue, 100)
    stop = venue.place(venue.a, BUY, 2, stop=101, client="stop").order
    assert cents("222.21") == venue.order(stop.order_id).hold
    venue.ok(ChangeInstrument("X", collar_bps=5000))
    venue.place(venue.b, SELL, 1, 111)
    venue.place(venue.b, SELL, 9, "111.50")
    venue.place(venue.a, BUY, 1, 111)
    assert [("stop", 1, 111_0000)] == venue.elections()
    assert 1 == len(venue.trades())
    assert [("stop", 111_1000, shares(2))] == venue.book(BUY)
    assert cents("222.21") == venue.order(stop.order_id).hold


def test_stops_are_day_gtc_or_gtd_only(venue):
    """A stop that may not wait is no stop."""
    for tif in (TimeInForce.IOC, TimeInForce.FOK):
        assert "INVALID_FIELD" == code(venue.place(venue.a, BUY, 1, stop=110, tif=tif))


def test_a_sweep_through_five_thousand_orders_lets_stops_cascade():
    """Every trade and every election of it is one decision, and the books balance after it."""
    venue = trading_desk()
    venue.checked = False
    venue.hold(venue.b, 10_000)
    venue.ok(ChangeInstrument("X", max_order_qty=0))
    for number in range(5_000):
        venue.place(venue.b, SELL, 1, 100 + number // 100, client=f"s{number}")
    for number in range(40):
        venue.place(venue.a, BUY, 1, stop=101 + number, client=f"stop{number}")
    venue.place(venue.a, BUY, 4_900, 149, client="sweep")
    assert 4_940 == len(venue.trades())
    assert [f"stop{number}" for number in range(40)] == [one for one, _, _ in venue.elections()]
    venue.check()


def test_a_thousand_stops_elect_each_other_without_a_recursion_limit():
    """Each stop's trade is the price of the next one: a chain far deeper than the call stack."""
    venue = trading_desk(collar_bps=9_000)
    venue.checked = False
    chain = sys.getrecursionlimit() + 200
    venue.hold(venue.b, 2 * chain)
    for number in range(chain):
        price = Decimal(10_001 + number) / 100
        venue.place(venue.b, SELL, 1, price, client=f"s{number}")
        venue.place(venue.a, BUY, 1, stop=price, client=f"stop{number}")
    venue.place(venue.b, SELL, 1, 150)
    venue.place(venue.a, BUY, 1, "100.01", client="spark")
    assert chain == len(venue.elections()) == len(venue.trades()) - 1
    assert [f"stop{number}" for number in range(chain)] == [one for one, _, _ in venue.elections()]
    venue.check()


def test_thousands_of_orders_on_one_level_keep_their_turn():
    """First come, first served, also for the three thousandth."""
    venue = trading_desk()
    venue.checked = False
    venue.hold(venue.b, 10_000)
    for number in range(3_000):
        venue.place(venue.b, SELL, 2, 100, client=f"s{number}")
    venue.place(venue.a, BUY, 4_001, 100)
    assert [f"s{number}" for number in range(2_001)] == [sell for _, sell, _, _ in venue.trades()]
    assert ("s2000", 100_0000, shares(1)) == venue.book(SELL)[0]
    assert 1_000 == len(venue.book(SELL))
    venue.check()


def test_waiting_stops_are_found_at_their_price_and_beyond():
    """A buy at its price or above, a sell at its price or below; 0 is no price."""
    stops = Stops()
    for side, price, sequence in ((1, 10, 3), (1, 12, 1), (2, 10, 2), (2, 8, 4)):
        stops.add(side, price, sequence)
    assert [] == stops.reached(PriceRange()) == stops.reached(PriceRange(11, 9))
    assert [(3, 11)] == stops.reached(PriceRange(0, 11))
    assert [(2, 9)] == stops.reached(PriceRange(9, 0))
    stops.remove(1, 10, 3)
    stops.remove(2, 10, 2)
    assert [(1, 12, 1), (2, 8, 4)] == stops.rows()
    stops.remove(1, 12, 1)
    with pytest.raises((AssertionError, IndexError)):
        stops.remove(1, 12, 1)
    assert 1 == len(stops)


def test_every_stop_kind_shows_the_rule_and_the_price_that_elected_it(venue):
    """The audit can say why a stop went."""
    venue.place(venue.a, BUY, 1, 105, stop=101)
    trade_at(venue, "101.50")
    [event] = venue.happened(OrderTriggered)
    assert (int(TriggerRule.LAST_TRADE), 101_5000) == (event.rule, event.seen_price)
    order = venue.order(event.originator_id)
    assert (OrderType.STOP_LIMIT, venue.at) == (order.order_type, order.triggered_at)


def test_every_election_names_the_event_that_caused_it(venue):
    """Stops reached by one sweep share its last event as cause, those reached later do not."""
    for label, price in (("one", 101), ("two", 101), ("late", 103)):
        venue.place(venue.a, BUY, 1, stop=price, client=label)
    venue.place(venue.b, SELL, 1, 101)
    venue.place(venue.b, SELL, 1, 102)
    venue.place(venue.b, SELL, 5, 103)
    before = venue.desk.position
    venue.place(venue.a, BUY, 1, 101, client="sweep")

    one, two, late = venue.happened(OrderTriggered)
    first = before + venue.events.index(one) + 1
    assert first - 1 == one.causation_id == two.causation_id
    assert before + venue.events.index(late) == late.causation_id
    assert ["one", "two", "late"] == [venue.label(event) for event in (one, two, late)]
    assert {0} == {event.causation_id for event in venue.events[: first - before - 1]}
    caused = venue.events[first - before - 1 : venue.events.index(two)]
    assert {one.causation_id} == {event.causation_id for event in caused}
