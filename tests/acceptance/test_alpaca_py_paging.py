"""alpaca-py goes through pages of orders, and reaches every one of them once."""

from typing import Any

import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    GetOrdersRequest,
    LimitOrderRequest,
    OrderClass,
    OrderSide,
    QueryOrderStatus,
    ReplaceOrderRequest,
    Sort,
    StopLossRequest,
    TakeProfitRequest,
    TimeInForce,
    TradingClient,
)
from tests.venue import Venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument of the test's own, open."""
    return venue.instrument()


@pytest.fixture
def client(venue: Venue) -> TradingClient:
    """The client of a new account, pointed at the venue and otherwise untouched."""
    trader = venue.trader()
    return client_of(venue, trader)


def limit(symbol: str, side: OrderSide, price: float, **terms: Any) -> LimitOrderRequest:
    """A limit order that rests until canceled."""
    named = {"symbol": symbol, "qty": 10, "side": side, "limit_price": price, **terms}
    return LimitOrderRequest(time_in_force=TimeInForce.GTC, **named)


@shows("get_orders", "pages by `until` and `after` reach every order once")
def test_pages_of_orders_by_time_reach_every_order_once(client: TradingClient, symbol: str) -> None:
    """Revisions of one order and the legs of groups are orders of their own."""
    order = client.submit_order(limit(symbol, OrderSide.BUY, 90))
    for qty in (11, 12, 13, 14):
        order = client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=qty))
    for _ in range(2):
        client.submit_order(
            limit(
                symbol,
                OrderSide.BUY,
                91,
                order_class=OrderClass.BRACKET,
                take_profit=TakeProfitRequest(limit_price=110),
                stop_loss=StopLossRequest(stop_price=80),
            )
        )
    everything = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, limit=500))
    assert 11 == len({one.id for one in everything})

    for direction, bound in ((Sort.DESC, "until"), (Sort.ASC, "after")):
        found = []
        asked: dict[str, Any] = {}
        while page := client.get_orders(
            GetOrdersRequest(status=QueryOrderStatus.ALL, limit=2, direction=direction, **asked)
        ):
            found += page
            asked = {bound: page[-1].submitted_at}
        assert everything == (found if direction == Sort.DESC else found[::-1])
