"""alpaca-py's trailing stops: placed, followed, given another trail, elected and told of."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.acceptance.test_alpaca_py_stream import SECONDS, limit, updates_of
from tests.alpaca_py import (
    APIError,
    Order,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    ReplaceOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
    TimeInForce,
    TrailingStopOrderRequest,
)
from tests.venue import Venue

SELL, BUY = OrderSide.SELL, OrderSide.BUY


class Market:
    """An instrument of the test's own, an owner of its shares, and others who trade it."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.symbol = venue, venue.instrument()
        self.owner = venue.trader()
        others = venue.trader(), venue.trader()
        for trader in (self.owner, *others):
            venue.hold(trader, self.symbol, "50", "5000")
        self.client = client_of(venue, self.owner)
        self.buyer, self.seller = (client_of(venue, one) for one in others)

    def trade(self, *prices: float) -> None:
        """Let others trade a share at each price."""
        for price in prices:
            self.seller.submit_order(limit(self.symbol, SELL, price, 1))
            self.buyer.submit_order(limit(self.symbol, BUY, price, 1))

    def see(self, order: Order, wanted: Callable[[Order], object]) -> Order:
        """The order once it is as wanted: what others trade is in the views a little later."""
        until = time.monotonic() + SECONDS
        while not wanted(found := self.client.get_order_by_id(order.id)):
            assert time.monotonic() < until, found
        return found

    def trailing(self, side: OrderSide = SELL, **terms: Any) -> Order:
        """A trailing stop of the owner for five shares."""
        asked = {"symbol": self.symbol, "qty": 5, "side": side, "time_in_force": TimeInForce.GTC}
        return self.client.submit_order(TrailingStopOrderRequest(**asked, **terms))


@pytest.fixture
def market(venue: Venue) -> Market:
    """An instrument that last traded at 100."""
    made = Market(venue)
    made.trade(100)
    return made


def shown(order: Order) -> tuple[Any, ...]:
    """Its trail, the best price it followed, and where its stop stands."""
    return order.trail_price, order.trail_percent, order.hwm, order.stop_price


@shows("submit_order", "trailing stops by `trail_price`: `hwm` and `stop_price` follow the price")
def test_a_trailing_stop_follows_the_price_and_sells_where_it_turns(market: Market) -> None:
    """It rises with the price, stays when that falls, and is a market order once it is reached."""
    order = market.trailing(trail_price=2)
    assert (OrderType.TRAILING_STOP, OrderStatus.NEW, None) == (
        order.type,
        order.status,
        order.limit_price,
    )
    assert ("2.0000", None, "100.0000", "98.0000") == shown(order)

    market.trade(103, 102)
    moved = market.see(order, lambda one: one.hwm == "103.0000")
    assert ("2.0000", None, "103.0000", "101.0000") == shown(moved)
    assert [moved] == market.client.get_orders()

    market.buyer.submit_order(limit(market.symbol, BUY, 101, 9))
    market.seller.submit_order(limit(market.symbol, SELL, 101, 1))
    sold = market.see(order, lambda one: one.status == OrderStatus.FILLED)
    assert ("101.0000", "103.0000") == (sold.stop_price, sold.hwm)
    assert 101 == float(sold.filled_avg_price)


@shows("submit_order", "trailing stops by `trail_percent`, rounded to the tick away from the price")
def test_a_trailing_stop_by_percent_buys_where_the_price_turns(market: Market) -> None:
    """A purchase follows the lowest price."""
    order = market.trailing(BUY, trail_percent=1.5)
    assert (None, "1.500", "100.0000", "101.5000") == shown(order)

    market.trade(98.01)
    moved = market.see(order, lambda one: one.hwm == "98.0100")
    assert (None, "1.500", "98.0100", "99.4900") == shown(moved)
    market.client.cancel_order_by_id(order.id)
    market.trade(97)
    canceled = market.client.get_order_by_id(order.id)
    assert (OrderStatus.CANCELED, "99.4900") == (canceled.status, canceled.stop_price)


@shows("replace_order_by_id", "`trail`: another trail, reckoned from `hwm`")
def test_a_trailing_stop_is_replaced_by_trail_and_each_revision_shows_its_own(
    market: Market,
) -> None:
    """The old revision stays as it stood; the new one goes on from the best price."""
    first = market.trailing(trail_price=3)
    market.trade(104)
    second = market.client.replace_order_by_id(first.id, ReplaceOrderRequest(trail=1.5))
    market.trade(105)
    third = market.client.replace_order_by_id(second.id, ReplaceOrderRequest(qty=2))

    assert ("1.5000", None, "104.0000", "102.5000") == shown(second)
    assert ("1.5000", None, "105.0000", "103.5000") == shown(third)
    found = [market.client.get_order_by_id(one.id) for one in (first, second, third)]
    assert [OrderStatus.REPLACED, OrderStatus.REPLACED, OrderStatus.NEW] == [
        one.status for one in found
    ]
    assert [
        ("3.0000", None, "104.0000", "101.0000"),
        ("1.5000", None, "105.0000", "103.5000"),
        ("1.5000", None, "105.0000", "103.5000"),
    ] == [shown(one) for one in found]
    assert found[-1] == third


@shows("submit_order", "a trailing stop as a leg, or with a trail that is none, refused by name")
@pytest.mark.parametrize(
    ("field", "terms"),
    [
        ("trail_price", {"trail_price": 0.001}),
        ("trail_price", {"trail_price": 100}),
        ("trail_percent", {"trail_percent": 0.001}),
        ("trail_percent", {"trail_percent": 100}),
        (
            "type",
            {
                "trail_price": 2,
                "order_class": OrderClass.BRACKET,
                "take_profit": TakeProfitRequest(limit_price=110),
                "stop_loss": StopLossRequest(stop_price=90),
            },
        ),
    ],
)
def test_a_trailing_stop_that_cannot_be_is_refused_by_name(
    market: Market, field: str, terms: dict[str, Any]
) -> None:
    """Nothing is taken, and the message says which member was wrong."""
    with pytest.raises(APIError) as refusal:
        market.trailing(**terms)

    assert 422 == refusal.value.status_code
    assert field in refusal.value.message
    assert [] == market.client.get_orders()


@shows("replace_order_by_id", "a `trail` that the market is through, or of no trailing stop: 422")
def test_a_trail_through_the_market_or_of_a_fixed_stop_is_refused(market: Market) -> None:
    """The order stays as it was."""
    order = market.trailing(trail_price=5)
    market.trade(104, 102)
    fixed = market.client.submit_order(limit(market.symbol, SELL, 120, 1))
    for replaced, trail in ((order, 2), (fixed, 2)):
        with pytest.raises(APIError) as refusal:
            market.client.replace_order_by_id(replaced.id, ReplaceOrderRequest(trail=trail))
        assert 422 == refusal.value.status_code

    assert ("5.0000", None, "104.0000", "99.0000") == shown(market.client.get_order_by_id(order.id))


@shows("subscribe_trade_updates", "`restated` for each move of a trailing stop")
def test_the_stream_tells_how_a_trailing_stop_moves(market: Market) -> None:
    """Once for each move, with the order as it then stands, as it is read."""
    with updates_of(market.venue, market.owner) as heard:
        order = market.trailing(trail_price=4)
        market.trade(101, 100.5, 102)
        updates = [heard.get(timeout=SECONDS) for _ in range(3)]

    assert [("new", "96.0000"), ("restated", "97.0000"), ("restated", "98.0000")] == [
        (str(getattr(one.event, "value", one.event)), one.order.stop_price) for one in updates
    ]
    assert {order.id} == {one.order.id for one in updates}
    assert shown(updates[-1].order) == shown(market.client.get_order_by_id(order.id))
