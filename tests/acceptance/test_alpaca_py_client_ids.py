"""alpaca-py finds orders by the names that clients gave them, cancels and replaces them."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import (
    APIError,
    ClosePositionRequest,
    GetOrderByIdRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    Order,
    OrderClass,
    OrderSide,
    OrderStatus,
    QueryOrderStatus,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    TakeProfitRequest,
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
    """The trader's client, pointed at the venue and otherwise untouched."""
    return client_of(venue, trader)


def named(symbol: str, name: str, price: float = 99, **terms: Any) -> LimitOrderRequest:
    """A limit order of ten under a name, which rests until canceled."""
    return LimitOrderRequest(
        symbol=symbol,
        qty=terms.pop("qty", 10),
        side=OrderSide.BUY,
        time_in_force=TimeInForce.GTC,
        limit_price=price,
        client_order_id=name,
        **terms,
    )


def status_of(client: TradingClient, name: str) -> int:
    """The HTTP status of a look-up that finds nothing."""
    with pytest.raises(APIError) as refusal:
        client.get_order_by_client_id(name)
    return int(refusal.value.status_code)


@shows("get_order_by_client_id", "working, canceled, filled and refused orders; 404 otherwise")
def test_alpaca_finds_an_order_by_its_name_whatever_became_of_it(
    venue: Venue, client: TradingClient, symbol: str
) -> None:
    """It is the same order as by its id, and nobody else's."""
    placed = client.submit_order(named(symbol, "mine"))
    assert placed == client.get_order_by_client_id("mine")

    client.cancel_order_by_id(placed.id)
    canceled = client.get_order_by_client_id("mine")
    assert (OrderStatus.CANCELED, client.get_order_by_id(placed.id)) == (canceled.status, canceled)

    seller = venue.trader()
    venue.hold(seller, symbol, "10", "1000")
    with venue.client(seller) as http:
        body = {"symbol": symbol, "qty": "10", "side": "sell", "limit_price": "99"}
        http.post("/v2/orders", json=body | {"type": "limit", "time_in_force": "gtc"})
    filled = client.submit_order(named(symbol, "filled"))
    assert OrderStatus.FILLED is filled.status
    assert filled == client.get_order_by_client_id("filled")

    with pytest.raises(APIError):
        client.submit_order(named(symbol, "too much", qty=10**7))
    assert OrderStatus.REJECTED is client.get_order_by_client_id("too much").status

    other = venue.trader()
    stranger = client_of(venue, other)
    assert [404] * 3 == [
        status_of(client, "never"),
        status_of(stranger, "mine"),
        status_of(client, str(uuid4())),
    ]


@shows("get_order_by_client_id", "of a replaced order the newest revision under the name")
def test_alpaca_finds_the_newest_revision_by_its_name(client: TradingClient, symbol: str) -> None:
    """A new name leads to the new revision; the old one to what it was."""
    first = client.submit_order(named(symbol, "first"))
    second = client.replace_order_by_id(first.id, ReplaceOrderRequest(limit_price=98))
    assert second == client.get_order_by_client_id("first")

    third = client.replace_order_by_id(second.id, ReplaceOrderRequest(qty=8, client_order_id="new"))

    assert third == client.get_order_by_client_id("new")
    old = client.get_order_by_client_id("first")
    assert (second.id, OrderStatus.REPLACED, third.id) == (old.id, old.status, old.replaced_by)


@shows("get_order_by_client_id", "a group's parent by its name, its legs by their own ids")
def test_alpaca_finds_the_parent_of_a_bracket_and_its_legs_by_name(
    client: TradingClient, symbol: str
) -> None:
    """The legs were given no name, and have that of their id."""
    bracket = client.submit_order(
        named(
            symbol,
            "group",
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=110),
            stop_loss=StopLossRequest(stop_price=90),
        )
    )

    parent = client.get_order_by_client_id("group")
    assert (bracket.id, bracket.status) == (parent.id, parent.status)
    nested = client.get_order_by_id(bracket.id, GetOrderByIdRequest(nested=True))
    assert 2 == len(nested.legs)
    for leg in nested.legs:
        found = client.get_order_by_client_id(leg.client_order_id)
        assert (leg.id, leg.type) == (found.id, found.type)


@shows("get_order_by_client_id", "the order that closes a position, by the close's key")
def test_alpaca_finds_the_order_of_a_close_by_the_key(
    venue: Venue, trader: Trader, client: TradingClient, symbol: str
) -> None:
    """A key that named no order leads to none: a cancel's, a refused close's."""
    venue.hold(trader, symbol, "10", "1000")
    with venue.client(trader) as http:
        closed = http.delete(f"/v2/positions/{symbol}", headers={"Idempotency-Key": "close"})
        again = http.delete(f"/v2/positions/{symbol}", headers={"Idempotency-Key": "in vain"})
        order = http.post("/v2/orders", json=json_of(named(symbol, "mine", 90))).json()
        gone = http.delete(f"/v2/orders/{order['id']}", headers={"Idempotency-Key": "cancel"})
    assert (200, 403, 204) == (closed.status_code, again.status_code, gone.status_code)

    found = client.get_order_by_client_id("close")

    assert (UUID(closed.json()["id"]), "close") == (found.id, found.client_order_id)
    assert [404, 404] == [status_of(client, "in vain"), status_of(client, "cancel")]
    with pytest.raises(APIError):
        client.close_position(symbol, ClosePositionRequest(qty="1"))


def json_of(request: LimitOrderRequest) -> dict[str, Any]:
    """The body that alpaca-py sends."""
    body: dict[str, Any] = json.loads(json.dumps(request.to_request_fields()))
    return body


ODD = [
    "with blanks in it",
    " ",
    "a/b/../c",
    "orders:by_client_order_id",
    "50%",
    "%2F%00",
    "a&b=c#d?e+f",
    "Grüße, 世界 🙂",
    "'; DROP TABLE orders --",
    '"quoted\\"',
    "x" * 128,
    "世" * 128,
    "8c7ea3f0-0000-7000-8000-000000000000",
]


@shows("get_order_by_client_id", "any text of 1 to 128 characters is a name")
@pytest.mark.parametrize("name", ODD)
def test_alpaca_finds_an_order_by_an_odd_name(
    client: TradingClient, symbol: str, name: str
) -> None:
    """Blanks, slashes, percent signs, any script: as it was given."""
    assert 404 == status_of(client, name)
    placed = client.submit_order(named(symbol, name))
    assert name == placed.client_order_id
    assert placed == client.get_order_by_client_id(name)


@shows("get_order_by_client_id", "what is no name is 422 and named")
@pytest.mark.parametrize("name", ["", "x" * 129, "a\x00b", "line\nbreak", "\x7f"])
def test_alpaca_name_that_is_none_is_refused(client: TradingClient, symbol: str, name: str) -> None:
    """Of a look-up and of an order alike."""
    with pytest.raises(APIError) as looked_up:
        client.get_order_by_client_id(name)
    with pytest.raises(APIError) as placed:
        client.submit_order(named(symbol, name) if name else named(symbol, "\n"))
    for refusal in (looked_up, placed):
        assert (422, 40010001) == (refusal.value.status_code, refusal.value.code)
        assert refusal.value.message.startswith("client_order_id")


@shows("cancel_orders", "207 with each order, legs of groups among them; nothing else ends")
def test_alpaca_cancels_all_its_orders_and_nobody_elses(
    venue: Venue, client: TradingClient, symbol: str
) -> None:
    """Each result names an order that is canceled then; a second call finds nothing."""
    other = venue.trader()
    stranger = client_of(venue, other)
    left = stranger.submit_order(named(symbol, "left", 90))
    alone = client.submit_order(named(symbol, "alone", 91))
    group = client.submit_order(
        named(
            symbol,
            "group",
            92,
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=110),
            stop_loss=StopLossRequest(stop_price=85),
        )
    )

    results = client.cancel_orders()

    assert {200} == {one.status for one in results}
    assert {alone.id, group.id} <= {one.id for one in results}
    assert {OrderStatus.CANCELED} == {client.get_order_by_id(one.id).status for one in results}
    assert ([], []) == (client.get_orders(), client.cancel_orders())
    assert OrderStatus.NEW is stranger.get_order_by_id(left.id).status


@shows("cancel_order_by_id", "by the id of any revision")
def test_alpaca_cancels_an_order_by_any_of_its_ids(client: TradingClient, symbol: str) -> None:
    """The id that it was placed under names it still."""
    first = client.submit_order(named(symbol, "first"))
    second = client.replace_order_by_id(first.id, ReplaceOrderRequest(qty=9))

    client.cancel_order_by_id(first.id)

    assert OrderStatus.CANCELED is client.get_order_by_id(second.id).status


@shows("replace_order_by_id", "`qty`, `time_in_force`, `limit_price`, `stop_price`, a new name")
def test_alpaca_replaces_every_term_of_an_order(client: TradingClient, symbol: str) -> None:
    """All at once, and each that is left out stays."""
    first = client.submit_order(
        StopLimitOrderRequest(
            symbol=symbol,
            qty=10,
            side=OrderSide.BUY,
            time_in_force=TimeInForce.DAY,
            stop_price=110,
            limit_price=111,
        )
    )
    second = client.replace_order_by_id(
        first.id,
        ReplaceOrderRequest(
            qty=7,
            time_in_force=TimeInForce.GTC,
            stop_price=112,
            limit_price=113.5,
            client_order_id="anew",
        ),
    )

    def terms(order: Order) -> tuple[Any, ...]:
        return order.qty, order.time_in_force, order.stop_price, order.limit_price

    assert ("7.00000000", TimeInForce.GTC, "112.0000", "113.5000") == terms(second)
    assert ("anew", first.id) == (second.client_order_id, second.replaces)
    third = client.replace_order_by_id(second.id, ReplaceOrderRequest(limit_price=114))
    assert ("7.00000000", TimeInForce.GTC, "112.0000", "114.0000") == terms(third)
    assert "anew" == third.client_order_id
    assert third == client.get_order_by_id(third.id)


@shows("replace_order_by_id", "422 for what is done, for a term it has not, for nothing new")
def test_alpaca_is_told_why_an_order_cannot_be_replaced(client: TradingClient, symbol: str) -> None:
    """And the order stays as it was."""
    order = client.submit_order(named(symbol, "mine"))

    def refusal_of(order_id: UUID, **terms: Any) -> tuple[int, str]:
        with pytest.raises(APIError) as refusal:
            client.replace_order_by_id(order_id, ReplaceOrderRequest(**terms))
        return refusal.value.status_code, refusal.value.message

    assert (422, "the new terms are the old ones") == refusal_of(order.id, qty=10)
    assert (422, "this order has no stop_price of its own that still waits") == refusal_of(
        order.id, stop_price=95
    )
    assert 404 == refusal_of(uuid4(), qty=5)[0]
    assert order == client.get_order_by_id(order.id)
    client.cancel_order_by_id(order.id)
    assert 422 == refusal_of(order.id, qty=5)[0]


@shows("submit_order", "an `Idempotency-Key` is the client order id, and beside another one 422")
def test_alpaca_key_of_an_order_is_its_name(
    venue: Venue, trader: Trader, client: TradingClient, symbol: str
) -> None:
    """Given in the header alone or in both it names the order; two names are one too many."""
    body = json_of(named(symbol, "body"))
    nameless = {name: value for name, value in body.items() if name != "client_order_id"}
    with venue.client(trader) as http:

        def post(order: dict[str, Any], key: str) -> httpx.Response:
            return http.post("/v2/orders", json=order, headers={"Idempotency-Key": key})

        by_header, again = post(nameless, "header"), post(nameless, "header")
        both, other = post(body, "body"), post(body, "another")
        reused = post(nameless | {"qty": "11"}, "header")
        too_much = [post(nameless | {"qty": "10000000"}, "spent") for _ in range(2)]
        wrong = post(nameless, "x" * 129)

    assert ("header", 200) == (by_header.json()["client_order_id"], by_header.status_code)
    assert (by_header.json(), "true") == (again.json(), again.headers["X-Nexus-Duplicate"])
    assert (200, "body") == (both.status_code, both.json()["client_order_id"])
    assert UUID(by_header.json()["id"]) == client.get_order_by_client_id("header").id
    assert [
        (422, "INVALID_FIELD", "Idempotency-Key"),
        (422, "REQUEST_KEY_REUSED", "Idempotency-Key"),
        (422, "CLIENT_ORDER_ID_SPENT", "Idempotency-Key"),
        (422, "INVALID_FIELD", "Idempotency-Key"),
    ] == [refusal(answer) for answer in (other, reused, too_much[1], wrong)]
    assert too_much[1].json()["message"].startswith("Idempotency-Key 'spent' was spent")
    closed = GetOrdersRequest(status=QueryOrderStatus.ALL)
    assert 3 == len(client.get_orders(closed))


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, reason and field of a refused request."""
    body = answer.json()
    return answer.status_code, body["reason"], body["field"]


@shows("replace_order_by_id", "a key that was used is named as it came")
@shows("cancel_order_by_id", "a key that was used is named as it came")
def test_alpaca_key_that_was_used_is_named_as_it_came(
    venue: Venue, trader: Trader, client: TradingClient, symbol: str
) -> None:
    """By its header, or as the client order id of a replace that gives one."""
    order = client.submit_order(named(symbol, "used"))
    venue.hold(trader, symbol, "10", "1000")
    key = {"Idempotency-Key": "used"}
    path = f"/v2/orders/{order.id}"
    with venue.client(trader) as http:
        answers = [
            http.delete(path, headers=key),
            http.patch(path, json={"qty": "5"}, headers=key),
            http.delete(f"/v2/positions/{symbol}", headers=key),
            http.delete("/v2/positions", headers=key),
        ]
        in_body = http.patch(path, json={"qty": "5", "client_order_id": "used"})
        two = http.patch(path, json={"qty": "5", "client_order_id": "new"}, headers=key)
    assert [(422, "REQUEST_KEY_REUSED", "Idempotency-Key")] * 4 == [refusal(a) for a in answers]
    assert (422, "REQUEST_KEY_REUSED", "client_order_id") == refusal(in_body)
    assert (422, "INVALID_FIELD", "Idempotency-Key") == refusal(two)
    assert order == client.get_order_by_client_id("used")
