"""alpaca-py closes positions: one, a part of one, and all of them."""

from decimal import Decimal
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    ClosePositionRequest,
    FailedClosePositionDetails,
    GetOrdersRequest,
    LimitOrderRequest,
    Order,
    OrderSide,
    OrderStatus,
    QueryOrderStatus,
    TimeInForce,
    TradingClient,
)
from tests.venue import Trader, Venue


@pytest.fixture
def trader(venue: Venue) -> Trader:
    """A margin account of the test's own, with cash."""
    return venue.trader(kind="margin")


@pytest.fixture
def client(venue: Venue, trader: Trader) -> TradingClient:
    """The trader's client."""
    return client_of(venue, trader)


def limit(symbol: str, side: OrderSide, price: float, qty: float = 10) -> LimitOrderRequest:
    """A limit order that rests until canceled."""
    return LimitOrderRequest(
        symbol=symbol, qty=qty, side=side, time_in_force=TimeInForce.GTC, limit_price=price
    )


def market(venue: Venue, **terms: object) -> str:
    """An instrument in which somebody bids at 99 and offers at 101."""
    symbol = venue.instrument(shortable=True, **terms)
    maker = venue.trader()
    venue.hold(maker, symbol, "500", "50000")
    with venue.client(maker) as client:
        for side, price in (("buy", "99"), ("sell", "101")):
            body = {"symbol": symbol, "qty": "400", "side": side, "limit_price": price}
            placed = client.post(
                "/v2/orders", json=body | {"type": "limit", "time_in_force": "gtc"}
            )
            assert 200 == placed.status_code, placed.text
    return symbol


def held(client: TradingClient) -> dict[str, Decimal]:
    """What the account holds, by symbol."""
    return {one.symbol: Decimal(one.qty) for one in client.get_all_positions()}


@shows("close_all_positions", "207: one result for each position, with its order")
def test_alpaca_closes_all_positions_with_a_result_for_each(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """Longs are sold and shorts bought back, and each result holds the order that does it."""
    long, short = market(venue), market(venue)
    venue.hold(trader, long, "30", "3000")
    client.submit_order(limit(short, OrderSide.SELL, 99, 20))

    results = client.close_all_positions()

    assert {long: 200, short: 200} == {one.symbol: one.status for one in results}
    for one in results:
        assert isinstance(one.body, Order)
        assert (one.body.id, OrderStatus.FILLED) == (one.order_id, one.body.status)
        assert one.body == client.get_order_by_id(one.order_id)
        assert one.body == client.get_order_by_client_id(one.body.client_order_id)
    assert {} == held(client)
    assert [] == client.close_all_positions()


@shows("close_all_positions", "what working orders hold whole is 403 with what is held")
def test_alpaca_closes_what_is_free_and_is_told_why_the_rest_stays(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """A position that working orders hold whole is 403 with what is held, and stays."""
    free, reserved, partly = market(venue), market(venue), market(venue)
    for symbol in (free, reserved, partly):
        venue.hold(trader, symbol, "30", "3000")
    client.submit_order(limit(reserved, OrderSide.SELL, 105, 30))
    client.submit_order(limit(partly, OrderSide.SELL, 105, 20))

    results = {one.symbol: one for one in client.close_all_positions()}

    assert {free: 200, reserved: 403, partly: 200} == {k: v.status for k, v in results.items()}
    failed = results[reserved].body
    assert isinstance(failed, FailedClosePositionDetails)
    assert (40310000, reserved, 0.0, 30.0, 30.0) == (
        failed.code,
        failed.symbol,
        failed.available,
        failed.existing_qty,
        failed.held_for_orders,
    )
    assert "insufficient qty available" in failed.message
    assert {reserved: Decimal(30), partly: Decimal(20)} == held(client)


@shows("close_all_positions", "`cancel_orders` first ends all that works")
def test_alpaca_cancels_the_orders_first_where_it_asks_for_that(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """Also those of what is not held; nothing works and nothing is held afterwards."""
    reserved, other = market(venue), market(venue)
    venue.hold(trader, reserved, "30", "3000")
    orders = [
        client.submit_order(limit(reserved, OrderSide.SELL, 105, 30)),
        client.submit_order(limit(other, OrderSide.BUY, 95, 5)),
    ]

    (result,) = client.close_all_positions(cancel_orders=True)

    assert (reserved, 200, Decimal(30)) == (result.symbol, result.status, Decimal(result.body.qty))
    assert {OrderStatus.CANCELED} == {client.get_order_by_id(one.id).status for one in orders}
    assert ([], {}) == (client.get_orders(), held(client))


@shows("close_all_positions", "the same `Idempotency-Key` closes nothing more")
def test_alpaca_repeats_a_close_of_all_positions_under_its_key(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """The answer is the same and marked, what was bought since is not sold; another body is 422."""
    symbol = market(venue)
    venue.hold(trader, symbol, "30", "3000")
    key = {"Idempotency-Key": f"all-{uuid4().hex}"}
    with venue.client(trader) as http:
        first = http.delete("/v2/positions", headers=key)
        venue.hold(trader, symbol, "7", "700")
        again = http.delete("/v2/positions", headers=key)
        other = http.delete("/v2/positions", params={"cancel_orders": "true"}, headers=key)
        lookup = http.get(
            "/v2/orders:by_client_order_id", params={"client_order_id": key["Idempotency-Key"]}
        )

    assert (207, 207, first.json()) == (first.status_code, again.status_code, again.json())
    assert (None, "true") == tuple(a.headers.get("X-Nexus-Duplicate") for a in (first, again))
    assert {symbol: Decimal(7)} == held(client)
    assert (422, "REQUEST_KEY_REUSED", "Idempotency-Key") == refusal(other)
    assert 404 == lookup.status_code


@shows("close_all_positions", "of sixty positions each once, in one answer")
def test_alpaca_closes_more_positions_than_one_step_does(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """Sixty of them, each once, in one answer; a repeat gives all of it again."""
    symbols = [market(venue) for _ in range(60)]
    for symbol in symbols:
        venue.hold(trader, symbol, "3", "300")
    key = {"Idempotency-Key": uuid4().hex}
    with venue.client(trader) as http:
        first, again = (http.delete("/v2/positions", headers=key) for _ in range(2))

    assert symbols == [one["symbol"] for one in first.json()]
    assert {200} == {one["status"] for one in first.json()}
    assert (first.json(), "true") == (again.json(), again.headers["X-Nexus-Duplicate"])
    assert first.headers.get("X-Nexus-Duplicate") is None
    assert {} == held(client)
    closed = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED, limit=500))
    assert sorted(symbols) == sorted(order.symbol for order in closed)


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, reason and field of a refused request."""
    body = answer.json()
    return answer.status_code, body["reason"], body["field"]


@shows("close_position", "`qty`, or `percentage` of what is held in whole lots")
@pytest.mark.parametrize(
    ("part", "sold"),
    [
        ({"qty": "12"}, "12"),
        ({"percentage": "50"}, "15"),
        ({"percentage": "33.333333333"}, "9"),
        ({"percentage": "100"}, "30"),
        ({"percentage": "3.4"}, "1"),
    ],
)
def test_alpaca_closes_a_part_of_a_position(
    venue: Venue, trader: Trader, client: TradingClient, part: dict[str, str], sold: str
) -> None:
    """A quantity, or a percentage of what is held, in whole lots."""
    symbol = market(venue)
    venue.hold(trader, symbol, "30", "3000")

    order = client.close_position(symbol, ClosePositionRequest(**part))

    assert (OrderSide.SELL, OrderStatus.FILLED, Decimal(sold)) == (
        order.side,
        order.status,
        Decimal(order.qty),
    )
    assert Decimal(30) - Decimal(sold) == held(client).get(symbol, Decimal(0))


@shows("close_position", "nine decimals of a percentage, cut to the lot")
def test_alpaca_closes_fractions_where_lots_are_fractions(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """Nine decimals of a percentage, cut to the lot and never rounded up."""
    symbol = market(venue, lot="0.001")
    venue.hold(trader, symbol, "7.777", "777.70")

    order = client.close_position(symbol, ClosePositionRequest(percentage="12.345678901"))

    assert Decimal("0.960") == Decimal(order.qty)
    assert {symbol: Decimal("6.817")} == held(client)


@shows("close_position", "by symbol or asset id, a short one by buying")
def test_alpaca_closes_a_position_by_its_asset_and_a_short_one(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """The asset's id is as good as the symbol; what is short is bought."""
    symbol = market(venue)
    client.submit_order(limit(symbol, OrderSide.SELL, 99, 20))
    asset = client.get_asset(symbol)

    half = client.close_position(asset.id, ClosePositionRequest(percentage="50"))
    rest = client.close_position(str(asset.id))

    assert [(OrderSide.BUY, Decimal(10))] * 2 == [(o.side, Decimal(o.qty)) for o in (half, rest)]
    assert {} == held(client)


@shows("close_position", "of a percentage what working orders leave")
def test_alpaca_takes_of_a_percentage_what_is_free(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """Half of all that is held, as far as working orders leave it."""
    symbol = market(venue)
    venue.hold(trader, symbol, "40", "4000")
    client.submit_order(limit(symbol, OrderSide.SELL, 105, 15))

    assert Decimal(20) == Decimal(
        client.close_position(symbol, ClosePositionRequest(percentage="50")).qty
    )
    assert Decimal(5) == Decimal(
        client.close_position(symbol, ClosePositionRequest(percentage="75")).qty
    )


@shows("close_position", "all reserved, or less than a lot: 403; none: 404")
def test_alpaca_is_told_why_a_position_cannot_be_closed(
    venue: Venue, trader: Trader, client: TradingClient
) -> None:
    """All reserved is 403 with what is held; too little for a lot says so; none is 404."""
    symbol = market(venue)
    venue.hold(trader, symbol, "30", "3000")
    with pytest.raises(APIError) as tiny:
        client.close_position(symbol, ClosePositionRequest(percentage="3.333333333"))
    client.submit_order(limit(symbol, OrderSide.SELL, 105, 30))
    with pytest.raises(APIError) as reserved:
        client.close_position(symbol)
    with pytest.raises(APIError) as never:
        client.close_position(market(venue))
    with pytest.raises(APIError) as nowhere:
        client.close_position(uuid4())
    with venue.client(trader) as http:
        body = http.delete(f"/v2/positions/{symbol}").json()
        half = http.delete(f"/v2/positions/{symbol}", params={"percentage": "50"})

    assert (403, 40310000) == (tiny.value.status_code, tiny.value.code)
    assert "percentage 3.333333333 of 30.00000000 is less than the lot" in tiny.value.message
    assert (403, 40310000) == (reserved.value.status_code, reserved.value.code)
    assert ("30.00000000", "30.00000000", "0.00000000", symbol) == tuple(
        body[name] for name in ("existing_qty", "held_for_orders", "available", "symbol")
    )
    assert (403, "INSUFFICIENT_QTY", "percentage") == refusal(half)
    assert "15.00000000" == half.json()["details"]["needed"]
    assert [(404, 40410000)] * 2 == [(e.value.status_code, e.value.code) for e in (never, nowhere)]


@shows("close_position", "a part that is none is 422 with its field")
@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"percentage": "0"}, "percentage"),
        ({"percentage": "100.000000001"}, "percentage"),
        ({"percentage": "1.0000000001"}, "percentage"),
        ({"percentage": "-5"}, "percentage"),
        ({"percentage": "half"}, "percentage"),
        ({"qty": "1", "percentage": "5"}, "percentage"),
        ({"qty": "0"}, "qty"),
        ({"qty": "1.000000001"}, "qty"),
    ],
)
def test_alpaca_part_that_is_none_is_named(
    venue: Venue, trader: Trader, params: dict[str, str], field: str
) -> None:
    """What cannot be a part of a position is 422 with its field, and sells nothing."""
    symbol = market(venue)
    venue.hold(trader, symbol, "30", "3000")
    with venue.client(trader) as http:
        answer = http.delete(f"/v2/positions/{symbol}", params=params)
        assert (422, field) == (answer.status_code, answer.json()["field"])
        assert "30.00000000" == http.get(f"/v2/positions/{symbol}").json()["qty"]
