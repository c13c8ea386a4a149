"""alpaca-py's orders for the opening and the closing auction, on the served venue."""

import httpx
import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    LimitOrderRequest,
    MarketOrderRequest,
    Order,
    OrderSide,
    OrderStatus,
    ReplaceOrderRequest,
    TimeInForce,
    TradingClient,
)
from tests.venue import YEAR_2100, Venue

SESSION = {
    "session_date": 20261123,
    "value_date": 20261124,
    "opens_at": "2026-11-23T00:00:00Z",
    "closes_at": YEAR_2100,
}


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


def for_auction(
    symbol: str, side: OrderSide, qty: float, when: TimeInForce, price: float | None = None
) -> LimitOrderRequest | MarketOrderRequest:
    """An order for one auction, limited where a price is given."""
    if price is None:
        return MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=when)
    return LimitOrderRequest(
        symbol=symbol, qty=qty, side=side, time_in_force=when, limit_price=price
    )


def operate(venue: Venue, symbol: str, step: str) -> httpx.Response:
    """Move an instrument on in its session."""
    body = SESSION if step == "open" else None
    answer = venue.admin.post(f"/admin/instruments/{symbol}/{step}", json=body)
    assert 200 == answer.status_code, answer.text
    return answer


def after(answer: httpx.Response, client: TradingClient, order: Order) -> Order:
    """An order as it stands once what an operator did is seen."""
    client._session.headers["X-Nexus-Position"] = answer.headers["X-Nexus-Position"]
    found = client.get_order_by_id(order.id)
    assert isinstance(found, Order)
    return found


@shows("submit_order", "`cls`: trades in the closing auction alone, the rest is canceled")
@shows("replace_order_by_id", "`opg`, `cls`: quantity and price until the auction")
def test_cls_orders_trade_in_the_closing_auction_alone(
    venue: Venue, symbol: str, buyer: TradingClient, seller: TradingClient
) -> None:
    """Market and limit; what the auction leaves is canceled, and says so."""
    offered = for_auction(symbol, OrderSide.SELL, 4, TimeInForce.DAY, 101)
    seller.submit_order(offered)
    market = buyer.submit_order(for_auction(symbol, OrderSide.BUY, 3, TimeInForce.CLS))
    limit = buyer.submit_order(for_auction(symbol, OrderSide.BUY, 5, TimeInForce.CLS, 101))
    assert (OrderStatus.NEW, TimeInForce.CLS) == (market.status, market.time_in_force)
    assert "0.00000000" == market.filled_qty
    moved = buyer.replace_order_by_id(limit.id, ReplaceOrderRequest(qty=6))
    assert (TimeInForce.CLS, "6.00000000") == (moved.time_in_force, moved.qty)

    closed = operate(venue, symbol, "close")

    filled, rest = (after(closed, buyer, one) for one in (market, moved))
    assert (OrderStatus.FILLED, "101.000000") == (filled.status, filled.filled_avg_price)
    assert (OrderStatus.CANCELED, "1.00000000") == (rest.status, rest.filled_qty)
    raw = buyer.get("/orders/" + str(rest.id))
    assert "closing_auction" == raw["cancel_reason"]


@shows("submit_order", "`opg`: trades in the opening auction alone, the rest is canceled")
def test_opg_orders_trade_in_the_opening_auction_alone(
    venue: Venue, symbol: str, buyer: TradingClient, seller: TradingClient
) -> None:
    """They are taken while the instrument is closed, and over when it has opened."""
    operate(venue, symbol, "close")
    limit = buyer.submit_order(for_auction(symbol, OrderSide.BUY, 5, TimeInForce.OPG, 102))
    seller.submit_order(for_auction(symbol, OrderSide.SELL, 2, TimeInForce.OPG))
    gone = buyer.submit_order(for_auction(symbol, OrderSide.BUY, 5, TimeInForce.OPG, 90))
    buyer.cancel_order_by_id(gone.id)

    opened = operate(venue, symbol, "open")

    rest = after(opened, buyer, limit)
    assert (OrderStatus.CANCELED, "2.00000000") == (rest.status, rest.filled_qty)
    assert "opening_auction" == buyer.get("/orders/" + str(rest.id))["cancel_reason"]


@shows("submit_order", "`opg` inside a session: 403 `OPENING_AUCTION_OVER`, with `until`")
def test_opg_order_inside_a_session_is_refused_by_name(symbol: str, buyer: TradingClient) -> None:
    """Its auction is over; the refusal names the field."""
    with pytest.raises(APIError) as refused:
        buyer.submit_order(for_auction(symbol, OrderSide.BUY, 5, TimeInForce.OPG, 102))
    assert 403 == refused.value.status_code
    assert "time_in_force opg" in refused.value.message
