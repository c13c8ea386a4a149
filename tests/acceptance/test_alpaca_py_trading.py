"""alpaca-py, as it comes from its authors, drives the served venue."""

from decimal import Decimal
from uuid import uuid4

import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    ClosePositionRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OrderSide,
    OrderStatus,
    OrderType,
    QueryOrderStatus,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopOrderRequest,
    TimeInForce,
    TradingClient,
)
from tests.venue import Trader, Venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument of the test's own, open."""
    return venue.instrument()


@pytest.fixture
def trader(venue: Venue) -> Trader:
    """An account of the test's own, with cash."""
    return venue.trader()


@pytest.fixture
def client(venue: Venue, trader: Trader) -> TradingClient:
    """The trader's client."""
    return client_of(venue, trader)


def limit(symbol: str, side: OrderSide, price: float, qty: float = 10) -> LimitOrderRequest:
    """A limit order that rests until canceled."""
    return LimitOrderRequest(
        symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.GTC, limit_price=price
    )


@shows("submit_order", "a limit order")
@shows("get_order_by_id", "the order as it was answered")
@shows("get_order_by_client_id", "the same")
@shows("get_orders", "by symbol, side and status")
@shows("cancel_order_by_id", "a working order")
def test_a_limit_order_is_placed_found_listed_and_canceled(
    client: TradingClient, symbol: str
) -> None:
    """An order is the same by id, by client id and in the list, until it is canceled."""
    request = limit(symbol, OrderSide.BUY, 99.5)
    request.client_order_id = f"mine-{uuid4().hex}"
    placed = client.submit_order(request)

    assert (OrderStatus.NEW, "10.00000000", "99.5000") == (
        placed.status,
        placed.qty,
        placed.limit_price,
    )
    assert placed == client.get_order_by_id(placed.id)
    assert placed == client.get_order_by_client_id(request.client_order_id)
    assert [placed] == client.get_orders()
    assert [placed] == client.get_orders(
        GetOrdersRequest(symbols=[symbol], side=OrderSide.BUY, nested=True, limit=5)
    )

    client.cancel_order_by_id(placed.id)

    assert [] == client.get_orders()
    closed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [(placed.id, OrderStatus.CANCELED)] == [(o.id, o.status) for o in closed]


@shows("submit_order", "a market order")
@shows("get_open_position", "what was bought, and its cost")
@shows("get_all_positions", "the same")
@shows("get_account", "cash and equity after a trade")
def test_a_market_order_trades_and_leaves_a_position(
    venue: Venue, client: TradingClient, symbol: str
) -> None:
    """What a market order buys is in the positions and out of the cash."""
    seller = venue.trader()
    venue.hold(seller, symbol, "50", "5000")
    client_of(venue, seller).submit_order(limit(symbol, OrderSide.SELL, 100.25, 30))

    bought = client.submit_order(
        MarketOrderRequest(symbol=symbol, qty=8, side=OrderSide.BUY, time_in_force=TimeInForce.DAY)
    )

    assert (OrderStatus.FILLED, OrderType.MARKET) == (bought.status, bought.type)
    assert Decimal("100.25") == Decimal(bought.filled_avg_price)
    position = client.get_open_position(symbol)
    assert [position] == client.get_all_positions()
    assert (Decimal(8), Decimal("802.00")) == (Decimal(position.qty), Decimal(position.cost_basis))
    account = client.get_account()
    assert Decimal("999198.00") == Decimal(account.cash)
    assert Decimal("1000000.00") == Decimal(account.equity)


@shows("submit_order", "a stop and a stop-limit order")
def test_stops_wait_and_trade_when_elected(
    venue: Venue, client: TradingClient, trader: Trader, symbol: str
) -> None:
    """A stop and a stop-limit rest beside the book and show both their prices."""
    venue.hold(trader, symbol, "50", "5000")
    stop = client.submit_order(
        StopOrderRequest(
            symbol=symbol, qty=5, side=OrderSide.SELL, time_in_force=TimeInForce.GTC, stop_price=95
        )
    )
    stop_limit = client.submit_order(
        StopLimitOrderRequest(
            symbol=symbol,
            qty=5,
            side=OrderSide.SELL,
            time_in_force=TimeInForce.GTC,
            stop_price=94.5,
            limit_price=94,
        )
    )

    assert (OrderType.STOP, "95.0000", None) == (stop.type, stop.stop_price, stop.limit_price)
    assert (OrderType.STOP_LIMIT, "94.5000", "94.0000") == (
        stop_limit.type,
        stop_limit.stop_price,
        stop_limit.limit_price,
    )
    assert {OrderStatus.NEW} == {stop.status, stop_limit.status}


@shows("replace_order_by_id", "a new revision with an id of its own; both ids resolve")
def test_a_replaced_order_has_two_ids_and_both_resolve(client: TradingClient, symbol: str) -> None:
    """A replace gives a new revision; the old id shows what it was and what replaced it."""
    first = client.submit_order(limit(symbol, OrderSide.BUY, 99))
    second = client.replace_order_by_id(first.id, ReplaceOrderRequest(qty=20, limit_price=99.25))

    assert (first.id, "20.00000000", "99.2500") == (
        second.replaces,
        second.qty,
        second.limit_price,
    )
    old = client.get_order_by_id(first.id)
    assert (OrderStatus.REPLACED, second.id) == (old.status, old.replaced_by)
    assert OrderStatus.NEW is client.get_order_by_id(second.id).status


@shows("cancel_orders", "207 with a status for each order")
def test_cancel_all_answers_for_each_order(client: TradingClient, symbol: str) -> None:
    """A mass cancel names each order it canceled."""
    placed = {client.submit_order(limit(symbol, OrderSide.BUY, 90 + n)).id for n in range(5)}

    canceled = client.cancel_orders()

    assert placed == {response.id for response in canceled}
    assert {200} == {response.status for response in canceled}
    assert [] == client.get_orders()


@shows("close_position", "half, then the rest, by market orders")
def test_a_position_is_closed_by_a_market_order(
    venue: Venue, client: TradingClient, trader: Trader, symbol: str
) -> None:
    """Closing half of a holding sells half of it at the best bid."""
    venue.hold(trader, symbol, "10", "1000")
    buyer = client_of(venue, venue.trader())
    buyer.submit_order(limit(symbol, OrderSide.BUY, 99, 40))

    closing = client.close_position(symbol, ClosePositionRequest(percentage="50"))

    assert (OrderSide.SELL, OrderStatus.FILLED) == (closing.side, closing.status)
    assert Decimal(5) == Decimal(client.get_open_position(symbol).qty)
    client.close_position(symbol)
    assert [] == client.get_all_positions()


@shows("get_asset", "by symbol and by id")
@shows("get_all_assets", "every instrument")
@shows("get_clock", "open while an instrument is in a session")
def test_assets_and_clock_are_told(client: TradingClient, symbol: str) -> None:
    """An instrument is an asset by symbol and by id, and the venue is open."""
    asset = client.get_asset(symbol)

    assert asset == client.get_asset(asset.id)
    assert asset in client.get_all_assets()
    assert (True, 0.01) == (asset.tradable, asset.price_increment)
    assert client.get_clock().is_open


@shows("submit_order", "a `client_order_id` sent twice is one order; with another body 422")
def test_the_same_client_order_id_with_another_body_is_refused(
    client: TradingClient, symbol: str
) -> None:
    """The same order again gives the first result; another order under its id is refused."""
    request = limit(symbol, OrderSide.BUY, 99)
    request.client_order_id = f"mine-{uuid4().hex}"
    first = client.submit_order(request)

    assert first == client.submit_order(request)
    request.qty = 11
    with pytest.raises(APIError) as refusal:
        client.submit_order(request)

    assert (422, 40010001) == (refusal.value.status_code, refusal.value.code)
    assert request.client_order_id in refusal.value.message
    assert 1 == len(client.get_orders())


@shows("submit_order", "403 beyond the buying power; the order is kept as `rejected`")
def test_an_order_beyond_the_buying_power_is_refused(venue: Venue, symbol: str) -> None:
    """What an account cannot pay is refused with Alpaca's code, and is kept as rejected."""
    client = client_of(venue, venue.trader(cash="500"))

    with pytest.raises(APIError) as refusal:
        client.submit_order(limit(symbol, OrderSide.BUY, 99))

    assert (403, 40310000) == (refusal.value.status_code, refusal.value.code)
    assert "buying power" in refusal.value.message
    kept = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [OrderStatus.REJECTED] == [order.status for order in kept]


@shows("cancel_order_by_id", "422 for what does not work any more, 404 for what never was")
def test_an_order_one_cannot_cancel_is_named_so(client: TradingClient, symbol: str) -> None:
    """Canceling twice is refused, and an id that never was is not found."""
    order = client.submit_order(limit(symbol, OrderSide.BUY, 99))
    client.cancel_order_by_id(order.id)

    with pytest.raises(APIError) as twice:
        client.cancel_order_by_id(order.id)
    with pytest.raises(APIError) as never:
        client.cancel_order_by_id(uuid4())

    assert (422, 42210000) == (twice.value.status_code, twice.value.code)
    assert (404, 40410000) == (never.value.status_code, never.value.code)
