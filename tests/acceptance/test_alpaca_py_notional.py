"""alpaca-py's orders for an amount of money, on the served venue."""

from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    Order,
    OrderSide,
    OrderStatus,
    QueryOrderStatus,
    ReplaceOrderRequest,
    TimeInForce,
    TradingClient,
)
from tests.venue import Venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument about 100, open."""
    return venue.instrument()


@pytest.fixture
def buyer(venue: Venue) -> TradingClient:
    """A client with cash."""
    return client_of(venue, venue.trader())


@pytest.fixture
def seller(venue: Venue, symbol: str) -> TradingClient:
    """A client with fifty shares."""
    trader = venue.trader()
    venue.hold(trader, symbol, "50", "5000")
    return client_of(venue, trader)


def amount(symbol: str, side: OrderSide, notional: float, **terms: Any) -> MarketOrderRequest:
    """A market order for an amount of money."""
    asked = {"time_in_force": TimeInForce.DAY, **terms}
    return MarketOrderRequest(symbol=symbol, notional=notional, side=side, **asked)


def offered(client: TradingClient, symbol: str, qty: float, price: float) -> None:
    """Somebody who sells."""
    client.submit_order(
        LimitOrderRequest(
            symbol=symbol,
            qty=qty,
            side=OrderSide.SELL,
            time_in_force=TimeInForce.GTC,
            limit_price=price,
        )
    )


@shows("submit_order", "`notional`: whole lots for no more than the amount, the rest canceled")
def test_an_order_for_an_amount_buys_whole_lots_and_never_spends_more(
    symbol: str, buyer: TradingClient, seller: TradingClient
) -> None:
    """1,000 at 101.25 buys nine; `notional` is shown and `qty` is not, here and in every list."""
    offered(seller, symbol, 50, 101.25)
    placed = buyer.submit_order(amount(symbol, OrderSide.BUY, 1000))
    assert isinstance(placed, Order)
    assert ("1000.00", None, "9.00000000") == (placed.notional, placed.qty, placed.filled_qty)
    assert OrderStatus.CANCELED == placed.status
    assert placed == buyer.get_order_by_id(placed.id)
    assert [placed] == buyer.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert "notional" == buyer.get(f"/orders/{placed.id}")["cancel_reason"]
    position = buyer.get_open_position(symbol)
    assert "9.00000000" == position.qty
    assert Decimal(str(position.cost_basis)) == Decimal("911.25")


@shows("submit_order", "`notional` that is spent to the cent: filled")
def test_an_order_for_an_amount_that_is_spent_is_filled(
    symbol: str, buyer: TradingClient, seller: TradingClient
) -> None:
    """Ten shares at 100; and sold again for as much."""
    offered(seller, symbol, 10, 100)
    placed = buyer.submit_order(amount(symbol, OrderSide.BUY, 1000))
    assert (OrderStatus.FILLED, "10.00000000") == (placed.status, placed.filled_qty)
    seller.submit_order(
        LimitOrderRequest(
            symbol=symbol,
            qty=10,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.GTC,
            limit_price=99,
        )
    )
    sold = buyer.submit_order(amount(symbol, OrderSide.SELL, 990))
    assert (OrderStatus.FILLED, "10.00000000") == (sold.status, sold.filled_qty)


@shows("submit_order", "`notional` below a lot, or not for the day: 422 that names the member")
@pytest.mark.parametrize(
    ("terms", "status", "says"),
    [
        ({"notional": 99.5}, 422, "notional 99.50 does not reach a lot"),
        ({"time_in_force": TimeInForce.GTC}, 422, "time_in_force"),
    ],
)
def test_an_order_for_an_amount_is_refused_by_name(
    symbol: str,
    buyer: TradingClient,
    seller: TradingClient,
    terms: dict[str, Any],
    status: int,
    says: str,
) -> None:
    """Less than a lot, and what is no market order for the day."""
    offered(seller, symbol, 10, 100)
    with pytest.raises(APIError) as refused:
        buyer.submit_order(amount(symbol, OrderSide.BUY, **{"notional": 1000, **terms}))
    assert status == refused.value.status_code
    assert says in refused.value.message


@shows("replace_order_by_id", "an order for an amount: 422 `ORDER_NOT_WORKING`, it is over")
def test_an_order_for_an_amount_cannot_be_replaced(
    symbol: str, buyer: TradingClient, seller: TradingClient
) -> None:
    """It has ended before it is answered."""
    offered(seller, symbol, 50, 101.25)
    placed = buyer.submit_order(amount(symbol, OrderSide.BUY, 1000))
    with pytest.raises(APIError) as refused:
        buyer.replace_order_by_id(placed.id, ReplaceOrderRequest(qty=5))
    assert 422 == refused.value.status_code
    assert "ORDER_NOT_WORKING" in str(refused.value)
