"""Orders over HTTP against a real writer, real views and a real store."""

from collections.abc import Iterator
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest

from domain.money import to_text
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def symbol(venue: Venue) -> str:
    """An instrument of the test's own, open."""
    return venue.instrument()


@pytest.fixture
def client(venue: Venue) -> Iterator[httpx.Client]:
    """A trader of the test's own."""
    with venue.client(venue.trader()) as client:
        yield client


def limit_order(symbol: str, **terms: object) -> dict[str, object]:
    """A buy order that rests."""
    return {
        "symbol": symbol,
        "qty": "10",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "99.50",
        **terms,
    }


def test_an_order_that_was_answered_is_read_back(client: httpx.Client, symbol: str) -> None:
    """A GET right after the POST shows the order: it waits for the views."""
    placed = client.post("/v2/orders", json=limit_order(symbol))
    assert placed.status_code == 200, placed.text
    order = placed.json()

    read = client.get(f"/v2/orders/{order['id']}")

    assert ("new", "10.00000000", "99.5000") == (
        order["status"],
        order["qty"],
        order["limit_price"],
    )
    assert order == read.json()
    assert int(placed.headers["X-Nexus-Position"]) > 0


def test_reads_never_miss_the_accounts_own_writes(client: httpx.Client, symbol: str) -> None:
    """After each write, every view of the account already holds it."""
    for number in range(1, 15):
        order = client.post("/v2/orders", json=limit_order(symbol, qty=1)).json()
        assert number == len(client.get("/v2/orders").json())
        held = Decimal(client.get("/v2/account").json()["held_for_orders"])
        assert held == Decimal("99.51") * number
        assert order["id"] == client.get("/v2/orders", params={"limit": 1}).json()[0]["id"]


def test_prices_keep_every_digit(venue: Venue, client: httpx.Client) -> None:
    """What is sent as a string or a bare JSON number comes back digit for digit."""
    symbol = venue.instrument(
        tick="0.0001", lot="0.00000001", reference_price="1.2345", collar_bps=9999
    )
    for units in (12345, 10001, 12340, 19999):
        price = to_text(units, 4)
        for written in (price, f'"{price}"'):
            body = (
                f'{{"symbol": "{symbol}", "qty": 1.00000001, "side": "buy", "type": "limit",'
                f' "time_in_force": "gtc", "limit_price": {written}}}'
            )
            placed = client.post("/v2/orders", content=body)
            assert placed.status_code == 200, placed.text
            order = client.get(f"/v2/orders/{placed.json()['id']}").json()
            assert (price, "1.00000001") == (order["limit_price"], order["qty"])


def test_a_price_finer_than_the_instruments_is_refused(client: httpx.Client, symbol: str) -> None:
    """Nothing is rounded: the field is named."""
    refused = client.post("/v2/orders", json=limit_order(symbol, limit_price="99.50001"))

    assert (422, "PRICE_PRECISION", "limit_price") == (
        refused.status_code,
        refused.json()["reason"],
        refused.json()["field"],
    )


def test_the_list_is_filtered_and_ordered(venue: Venue, client: httpx.Client) -> None:
    """Status, side, symbols, time, direction and limit each do what they say."""
    one, other = venue.instrument(), venue.instrument()
    placed = [
        client.post("/v2/orders", json=limit_order(name)).json()
        for name in (one, other, one, other)
    ]
    assert client.delete(f"/v2/orders/{placed[0]['id']}").status_code == 204
    ids = [order["id"] for order in placed]

    def listed(**params: object) -> list[str]:
        return [order["id"] for order in client.get("/v2/orders", params=params).json()]

    assert ids[:0:-1] == listed()
    assert ids[1:] == listed(direction="asc")
    assert ids[:1] == listed(status="closed")
    assert ids == listed(status="all", direction="asc")
    assert [ids[2]] == listed(symbols=one)
    assert [ids[3], ids[1]] == listed(symbols=f"{other},")
    assert [] == listed(side="sell")
    assert ids[2:] == listed(after=placed[1]["submitted_at"], direction="asc")
    assert ids[:2] == listed(until=placed[2]["submitted_at"], direction="asc", status="all")
    assert ids[:0:-1] == listed(after=placed[0]["submitted_at"][:10])
    assert ids[1:2] == listed(direction="asc", limit=1)


def test_an_orders_events_tell_its_life(client: httpx.Client, symbol: str) -> None:
    """Every event of the order, amounts as text, terms by name."""
    order = client.post("/v2/orders", json=limit_order(symbol)).json()
    client.delete(f"/v2/orders/{order['id']}")

    events = client.get(f"/v2/orders/{order['id']}/events").json()

    assert ["order.accepted.v1", "order.canceled.v2"] == [event["type"] for event in events]
    assert ("99.5000", "10.00000000", "buy", "995.01") == tuple(
        events[0]["data"][name] for name in ("limit_price", "qty", "side", "hold")
    )
    assert ("client", "10.00000000") == tuple(
        events[1]["data"][name] for name in ("reason", "canceled_qty")
    )


def test_a_repeated_cancel_with_its_key_is_answered_again(
    client: httpx.Client, symbol: str
) -> None:
    """The same Idempotency-Key gives the first result; without one the order is done already."""
    order = client.post("/v2/orders", json=limit_order(symbol)).json()
    key = {"Idempotency-Key": uuid4().hex}

    first = client.delete(f"/v2/orders/{order['id']}", headers=key)
    again = client.delete(f"/v2/orders/{order['id']}", headers=key)
    other = client.delete(f"/v2/orders/{order['id']}")

    assert [204, 204, 422] == [answer.status_code for answer in (first, again, other)]
    assert "true" == again.headers["X-Nexus-Duplicate"]
    assert first.headers["X-Nexus-Position"] == again.headers["X-Nexus-Position"]


def test_a_replace_names_its_key_too(client: httpx.Client, symbol: str) -> None:
    """A replace repeated under its key gives the same revision."""
    order = client.post("/v2/orders", json=limit_order(symbol)).json()
    key = {"Idempotency-Key": uuid4().hex}
    path = f"/v2/orders/{order['id']}"

    first = client.patch(path, json={"qty": "7"}, headers=key)
    again = client.patch(path, json={"qty": "7"}, headers=key)
    other = client.patch(path, json={"qty": "6"}, headers=key)

    assert (200, 200, 422) == (first.status_code, again.status_code, other.status_code)
    assert first.json()["id"] == again.json()["id"]
    assert ("REQUEST_KEY_REUSED", "7.00000000") == (
        other.json()["reason"],
        client.get(f"/v2/orders/{first.json()['id']}").json()["qty"],
    )


def test_a_refused_order_has_spent_its_id(client: httpx.Client, symbol: str) -> None:
    """The same id is refused with the first refusal in it, and the order is listed."""
    body = limit_order(symbol, qty="1000000", client_order_id="too much")

    first, again = client.post("/v2/orders", json=body), client.post("/v2/orders", json=body)

    assert (403, "INSUFFICIENT_BUYING_POWER") == (first.status_code, first.json()["reason"])
    assert (422, "CLIENT_ORDER_ID_SPENT") == (again.status_code, again.json()["reason"])
    told = again.json()["first_refusal"]
    assert {name: first.json()[name] for name in ("code", "message", "reason", "field", "leg")} == {
        name: value for name, value in told.items() if name != "details"
    }
    assert "999999.99" == told["details"]["available"]
    assert first.headers["X-Nexus-Position"] == again.headers["X-Nexus-Position"]
    assert (None, "true") == tuple(
        answer.headers.get("X-Nexus-Duplicate") for answer in (first, again)
    )
    kept = client.get(
        "/v2/orders:by_client_order_id", params={"client_order_id": "too much"}
    ).json()
    assert ("rejected", "1000000.00000000") == (kept["status"], kept["qty"])


def test_what_belongs_to_another_is_not_there(
    venue: Venue, client: httpx.Client, symbol: str
) -> None:
    """Another's order cannot be seen, changed, canceled or guessed at: 404, as if it never was."""
    order = client.post("/v2/orders", json=limit_order(symbol, client_order_id="mine")).json()
    path = f"/v2/orders/{order['id']}"

    with venue.client(venue.trader()) as other:
        answers = [
            other.get(path),
            other.get(f"{path}/events"),
            other.get("/v2/orders:by_client_order_id", params={"client_order_id": "mine"}),
            other.delete(path),
            other.patch(path, json={"qty": 5}),
            other.get(f"/v2/orders/{uuid4()}"),
        ]
        assert [] == other.get("/v2/orders", params={"status": "all"}).json()
        assert [] == other.delete("/v2/orders").json()

    assert [404] * 6 == [answer.status_code for answer in answers]
    assert "new" == client.get(path).json()["status"]


def test_two_accounts_may_use_the_same_client_order_id(
    venue: Venue, client: httpx.Client, symbol: str
) -> None:
    """Ids of clients are each account's own."""
    mine = client.post("/v2/orders", json=limit_order(symbol, client_order_id="shared"))
    with venue.client(venue.trader()) as other:
        theirs = other.post("/v2/orders", json=limit_order(symbol, client_order_id="shared"))

    assert (200, 200) == (mine.status_code, theirs.status_code)
    assert mine.json()["id"] != theirs.json()["id"]
