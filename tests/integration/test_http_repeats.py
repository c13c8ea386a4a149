"""Repeats, spent ids and the order rate, over HTTP and over the socket alike."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import connect

from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served


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
def trader(venue: Venue) -> Trader:
    """A trader of the test's own."""
    return venue.trader()


@pytest.fixture
def client(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The trader's connection."""
    with venue.client(trader) as client:
        yield client


def order(symbol: str, price: str = "99", side: str = "buy", **terms: Any) -> dict[str, Any]:
    """A limit order of ten, under a name of its own."""
    return {
        "symbol": symbol,
        "qty": "10",
        "side": side,
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": price,
        "client_order_id": uuid4().hex,
        **terms,
    }


def key() -> dict[str, str]:
    """A request key of its own."""
    return {"Idempotency-Key": uuid4().hex}


def over_the_socket(venue: Venue, trader: Trader, *messages: dict[str, Any]) -> list[Any]:
    """Send messages one after the other; what each is answered."""

    async def speak() -> list[Any]:
        async with asyncio.timeout(20), connect(venue.ws_url) as ws:
            who = {"key_id": trader.key_id, "secret_key": trader.secret}
            await ws.send(json.dumps({"action": "authenticate", "data": who}))
            await ws.recv()
            answers = []
            for message in messages:
                await ws.send(json.dumps(message))
                answers.append(json.loads(await ws.recv())["data"])
            return answers

    return asyncio.run(speak())


def limit_rate(venue: Venue, trader: Trader, a_second: int) -> None:
    """Let a trader send so many orders in a second."""
    path = f"/admin/accounts/{trader.account_id}"
    assert 200 == venue.admin.patch(path, json={"max_orders_per_second": a_second}).status_code


def test_a_repeated_order_is_shown_as_it_is_now(
    venue: Venue, trader: Trader, client: httpx.Client, symbol: str
) -> None:
    """Canceled since: the POST again and the message again say so, and mark themselves."""
    body = order(symbol)
    first = client.post("/v2/orders", json=body)
    assert 204 == client.delete(f"/v2/orders/{first.json()['id']}").status_code

    again = client.post("/v2/orders", json=body)
    (told,) = over_the_socket(venue, trader, {"action": "order", "id": 1, "data": body})

    assert ("new", "canceled") == (first.json()["status"], again.json()["status"])
    assert (None, "true") == tuple(a.headers.get("X-Nexus-Duplicate") for a in (first, again))
    assert int(again.headers["X-Nexus-Position"]) > int(first.headers["X-Nexus-Position"])
    assert client.get(f"/v2/orders/{first.json()['id']}").json() == again.json()
    assert (200, True, again.json()) == (told["status"], told["duplicate"], told["body"])


def test_a_repeat_shows_the_newest_revision_and_what_has_traded(
    venue: Venue, client: httpx.Client, symbol: str
) -> None:
    """Given new terms and filled in part since; the replace again shows the same."""
    seller = venue.trader()
    venue.hold(seller, symbol, "50")
    body, again_key = order(symbol), key()
    path = f"/v2/orders/{client.post('/v2/orders', json=body).json()['id']}"
    newer = client.patch(path, json={"limit_price": "98"}, headers=again_key).json()
    with venue.client(seller) as market:
        market.post("/v2/orders", json=order(symbol, "98", "sell", qty="4"))

    placed_again = client.post("/v2/orders", json=body)
    replaced_again = client.patch(path, json={"limit_price": "98"}, headers=again_key)

    shown = client.get(f"/v2/orders/{newer['id']}").json()
    assert ("partially_filled", "4.00000000") == (shown["status"], shown["filled_qty"])
    assert shown == placed_again.json() == replaced_again.json()
    assert "true" == replaced_again.headers["X-Nexus-Duplicate"]


def test_a_repeated_group_shows_its_legs_as_they_are_now(client: httpx.Client, symbol: str) -> None:
    """The entry and both exits, canceled with it."""
    body = order(
        symbol,
        order_class="bracket",
        take_profit={"limit_price": "110"},
        stop_loss={"stop_price": "90"},
    )
    first = client.post("/v2/orders", json=body).json()
    client.delete(f"/v2/orders/{first['id']}")

    again = client.post("/v2/orders", json=body)

    assert ["new", "held", "held"] == [o["status"] for o in (first, *first["legs"])]
    shown = again.json()
    assert ["canceled"] * 3 == [o["status"] for o in (shown, *shown["legs"])]
    assert [o["id"] for o in (first, *first["legs"])] == [o["id"] for o in (shown, *shown["legs"])]
    assert "true" == again.headers["X-Nexus-Duplicate"]


def test_an_id_that_a_refusal_has_spent_is_refused_through_every_door(
    venue: Venue, trader: Trader, client: httpx.Client, symbol: str
) -> None:
    """By the same body and by another, and the first refusal is told whole."""
    body = order(symbol, "300")
    first = client.post("/v2/orders", json=body)
    assert "PRICE_OUTSIDE_COLLAR" == first.json()["reason"]
    other = {**body, "limit_price": "99"}

    refused = [client.post("/v2/orders", json=again) for again in (body, other)]
    told = over_the_socket(
        venue, trader, *({"action": "order", "id": 1, "data": again} for again in (body, other))
    )

    assert ["true", None] == [answer.headers.get("X-Nexus-Duplicate") for answer in refused]
    assert [True, False] == [answer["duplicate"] for answer in told]
    said = [(a.status_code, a.json()) for a in refused] + [(a["status"], a["body"]) for a in told]
    for status, document in said:
        assert (422, "CLIENT_ORDER_ID_SPENT") == (status, document["reason"])
        assert "client_order_id" == document["field"]
        spent = document["first_refusal"]
        assert (first.json()["message"], "PRICE_OUTSIDE_COLLAR", first.json()["code"]) == (
            spent["message"],
            spent["reason"],
            spent["code"],
        )
        assert {"low": "90.0000", "high": "110.0000"}.items() <= spent["details"].items()
        assert "PRICE_OUTSIDE_COLLAR" in document["message"]
    assert 200 == client.post("/v2/orders", json={**other, "client_order_id": "n"}).status_code


def test_what_exceeds_the_rate_is_429_and_may_be_sent_again(
    venue: Venue, trader: Trader, client: httpx.Client, symbol: str
) -> None:
    """Orders, replaces and cancels of ended orders; a cancel of a working one is always taken."""
    kept = client.post("/v2/orders", json=order(symbol)).json()["id"]
    ended = client.post("/v2/orders", json=order(symbol)).json()["id"]
    client.delete(f"/v2/orders/{ended}")
    limit_rate(venue, trader, 1)
    bodies = [order(symbol) for _ in range(12)]

    answers = [client.post("/v2/orders", json=body) for body in bodies]
    taken = [answer for answer in answers if answer.status_code == 200]
    over = [body for body, a in zip(bodies, answers, strict=True) if a.status_code == 429]
    asked = [client.delete(f"/v2/orders/{ended}") for _ in range(12)]
    asked += [client.patch(f"/v2/orders/{kept}", json={"qty": "9"}) for _ in range(12)]
    canceled = client.delete(f"/v2/orders/{kept}")

    assert taken and over
    assert 429 in [answer.status_code for answer in asked[:12]]
    assert 429 in [answer.status_code for answer in asked[12:]]
    for answer in (*answers, *asked):
        if answer.status_code == 429:
            assert ("ORDER_RATE_EXCEEDED", 42910000) == (
                answer.json()["reason"],
                answer.json()["code"],
            )
            assert "1" == answer.headers["Retry-After"]
    assert 204 == canceled.status_code

    limit_rate(venue, trader, 0)
    again = client.post("/v2/orders", json=over[0])
    assert (200, None) == (again.status_code, again.headers.get("X-Nexus-Duplicate"))


def test_what_exceeds_the_rate_over_the_socket_says_when_to_ask_again(
    venue: Venue, trader: Trader, symbol: str
) -> None:
    """As the header does over HTTP; a refusal that does not pass by itself says nothing of it."""
    limit_rate(venue, trader, 1)
    bodies = [order(symbol) for _ in range(12)]
    messages = [{"action": "order", "id": n, "data": body} for n, body in enumerate(bodies)]

    answers = over_the_socket(venue, trader, *messages)

    refused = [answer for answer in answers if answer["status"] == 429]
    assert refused
    assert {("ORDER_RATE_EXCEEDED", 1)} == {
        (a["body"]["reason"], a["retry_after"]) for a in refused
    }
    limit_rate(venue, trader, 0)
    (wrong,) = over_the_socket(
        venue, trader, {"action": "order", "id": 1, "data": order(symbol, "300")}
    )
    assert 422 == wrong["status"]
    assert "retry_after" not in wrong


def test_a_repeated_close_of_a_position_sells_nothing_more(
    venue: Venue, trader: Trader, client: httpx.Client, symbol: str
) -> None:
    """Under one key it is one order, whatever part it closes; another part is another body."""
    buyer = venue.trader()
    venue.hold(trader, symbol, "100")
    with venue.client(buyer) as market:
        market.post("/v2/orders", json=order(symbol, "99", qty="500"))
    path = f"/v2/positions/{symbol}"
    for params, left in (
        ({"percentage": "50"}, "50.00000000"),
        ({"qty": "20"}, "30.00000000"),
        ({}, None),
    ):
        once = key()
        answers = [client.delete(path, params=params, headers=once) for _ in range(3)]
        other = client.delete(path, params={"qty": "1"}, headers=once)

        assert [200] * 3 == [answer.status_code for answer in answers], answers[0].text
        assert [None, "true", "true"] == [a.headers.get("X-Nexus-Duplicate") for a in answers]
        assert answers[0].json() == answers[1].json() == answers[2].json()
        assert "filled" == answers[0].json()["status"]
        assert once["Idempotency-Key"] == answers[0].json()["client_order_id"]
        assert (422, "REQUEST_KEY_REUSED") == (other.status_code, other.json()["reason"])
        held = client.get(path)
        assert left == (held.json()["qty"] if held.status_code == 200 else None)


def test_a_close_of_what_is_not_held_is_not_found(
    venue: Venue, client: httpx.Client, symbol: str
) -> None:
    """Neither of an instrument that nobody lists, nor of one that the account never touched;
    a repeat says that it is one.
    """
    for named in (symbol, "NOPE", str(uuid4())):
        answer = client.delete(f"/v2/positions/{named}")
        assert (404, "symbol_or_asset_id") == (answer.status_code, answer.json()["field"])
        once = key()
        first, again = (client.delete(f"/v2/positions/{named}", headers=once) for _ in range(2))
        assert (404, first.json()) == (again.status_code, again.json())
        assert [None, "true"] == [a.headers.get("X-Nexus-Duplicate") for a in (first, again)]
        assert first.headers["X-Nexus-Position"] == again.headers["X-Nexus-Position"]
    wrong = {"percentage": "0"}, {"percentage": "101"}, {"percentage": "50", "qty": "1"}
    for params in (*wrong, {"qty": "-1"}):
        answer = client.delete(f"/v2/positions/{symbol}", params=params)
        assert 422 == answer.status_code
        assert answer.json()["field"] in params
