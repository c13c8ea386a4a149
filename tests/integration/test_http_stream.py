"""/stream: authentication, orders over the socket, frames of both kinds, slow clients dropped."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.ws import outbox
from api.ws import stream as stream_module
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import ADMIN, Trader, Venue, served

SECONDS = 20
MANY = 2_000
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file."""
    with served(postgres.dsn()) as venue:
        yield venue


def talk(venue: Venue, speak: Callable[[ClientConnection], Awaitable[Any]]) -> Any:
    """Open a socket, have the conversation, close it."""

    async def main() -> Any:
        async with asyncio.timeout(SECONDS), connect(venue.ws_url) as ws:
            return await speak(ws)

    return asyncio.run(main())


async def ask(ws: ClientConnection, message: Any, *, binary: bool = False) -> Any:
    """Send one message and read one."""
    text = message if isinstance(message, str) else json.dumps(message)
    await ws.send(text.encode() if binary else text)
    return json.loads(await ws.recv())


def credentials(trader: Trader) -> dict[str, Any]:
    """The message that says who one is."""
    return {
        "action": "authenticate",
        "data": {"key_id": trader.key_id, "secret_key": trader.secret},
    }


def listen(**since: Any) -> dict[str, Any]:
    """The message that asks for trade updates."""
    return {"action": "listen", "data": {"streams": ["trade_updates"], **since}}


def order(symbol: str, **terms: Any) -> dict[str, Any]:
    """A buy order that rests."""
    return {
        "symbol": symbol,
        "qty": "10",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": 99.5,
        **terms,
    }


def test_a_stranger_is_told_nothing(venue: Venue) -> None:
    """A wrong secret, no key and the operator's key hear nothing and place nothing."""
    trader = venue.trader()

    async def speak(ws: ClientConnection) -> list[Any]:
        wrong = {"action": "auth", "key": trader.key_id, "secret": "x"}
        admin = {"action": "auth", "key": "admin", "secret": ADMIN["APCA-API-SECRET-KEY"]}
        return [
            await ask(ws, wrong),
            await ask(ws, LISTEN),
            await ask(ws, {"action": "order", "id": 1, "data": {}}),
            await ask(ws, admin),
        ]

    auth, listen, placed, admin = talk(venue, speak)

    assert {"status": "unauthorized", "action": "authenticate"} == auth["data"]
    assert {"status": "unauthorized", "action": "listen"} == listen["data"]
    assert (401, "NOT_AUTHORIZED") == (placed["data"]["status"], placed["data"]["body"]["reason"])
    assert ("error", "ROLE_REQUIRED") == (admin["stream"], admin["data"]["reason"])


@pytest.mark.parametrize("binary", [False, True])
def test_orders_over_the_socket_are_those_of_http(venue: Venue, binary: bool) -> None:
    """Place, replace and cancel answer with what HTTP shows, in frames of the client's kind."""
    symbol, trader = venue.instrument(), venue.trader()

    async def speak(ws: ClientConnection) -> list[Any]:
        await ask(ws, credentials(trader), binary=binary)
        placed = await ask(ws, {"action": "order", "id": "a", "data": order(symbol)}, binary=binary)
        order_id = placed["data"]["body"]["id"]
        replaced = await ask(
            ws,
            {"action": "replace", "id": 2, "data": {"order_id": order_id, "qty": 7}},
            binary=binary,
        )
        newer = replaced["data"]["body"]["id"]
        canceled = await ask(
            ws, {"action": "cancel", "id": None, "data": {"order_id": newer}}, binary=binary
        )
        return [placed["data"], replaced["data"], canceled["data"]]

    placed, replaced, canceled = talk(venue, speak)

    assert [("a", 200), (2, 200), (None, 200)] == [
        (answer["id"], answer["status"]) for answer in (placed, replaced, canceled)
    ]
    with venue.client(trader) as client:
        seen = client.get(f"/v2/orders/{replaced['body']['id']}").json()
        assert ("canceled", "7.00000000") == (seen["status"], seen["qty"])
        assert placed["body"]["id"] == seen["replaces"]
        assert {"ws"} == {
            event["gateway"] for event in client.get(f"/v2/orders/{seen['id']}/events").json()
        }


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("{", "body"),
        ("[]", "message"),
        ({"action": "dance"}, "action"),
        ({"action": []}, "action"),
        ({"action": "listen"}, "data.streams"),
        ({"action": "listen", "data": {"streams": [1]}}, "data.streams"),
        (listen(since_position=-1), "data.since_position"),
        (listen(since_position="7"), "data.since_position"),
        (listen(since_position=1.5), "data.since_position"),
        (listen(since_position=True), "data.since_position"),
        (listen(since_position=2**63), "data.since_position"),
        (listen(since_position=10**12), "data.since_position"),
        (listen(since_event="new"), "data.since_position"),
        (listen(since_position=1, since_event="born"), "data.since_event"),
        (listen(since_position=1, since_event=7), "data.since_event"),
        ({"action": "order", "data": None}, "body"),
        ({"action": "order", "data": {"symbol": "A"}}, "side"),
        ({"action": "cancel", "data": {"order_id": "x"}}, "order_id"),
        ({"action": "cancel", "data": []}, "data"),
        ({"action": "replace", "data": {"qty": 1}}, "order_id"),
        (
            {"action": "cancel", "data": {"order_id": str(uuid4()), "idempotency_key": 5}},
            "idempotency_key",
        ),
    ],
)
def test_a_wrong_message_is_named_and_the_socket_stays(
    venue: Venue, message: Any, field: str
) -> None:
    """Wrong input names its field as over HTTP, and the next message is heard."""
    trader = venue.trader(cash="0")

    async def speak(ws: ClientConnection) -> tuple[Any, Any]:
        await ask(ws, credentials(trader))
        wrong = await ask(ws, message)
        return wrong, await ask(ws, {"action": "listen", "data": {"streams": []}})

    wrong, after = talk(venue, speak)

    body = wrong["data"] if wrong["stream"] == "error" else wrong["data"]["body"]
    assert field == body["field"]
    assert "listening" == after["stream"]


async def without_reading(venue: Venue) -> ClientConnection:
    """A client that stops reading when it likes, with little room in the kernel on both sides."""
    venue.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(venue.address)
    return await connect(venue.ws_url, sock=narrow)


def test_a_client_that_does_not_read_is_told_all_later_and_blocks_nobody(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few of its updates wait in memory; when it reads on it hears every one, in order, once."""
    monkeypatch.setattr(outbox, "UPDATES_WAITING", 8)
    symbol, trader = venue.instrument(), venue.trader()
    count = 400

    async def main() -> tuple[list[int], list[int]]:
        loop = asyncio.get_running_loop()
        slow = await without_reading(venue)
        await ask(slow, credentials(trader))
        await ask(slow, LISTEN)
        slow.transport.pause_reading()
        async with connect(venue.ws_url, max_queue=None) as quick:
            await ask(quick, credentials(trader))
            await ask(quick, LISTEN)
            heard = []
            with httpx.Client(base_url=venue.url, headers=trader.headers) as client:
                for _ in range(40):
                    await loop.run_in_executor(None, _place, client, symbol, count // 40)
                    for _ in range(count // 40):
                        heard.append(json.loads(await quick.recv())["data"]["position"])
        slow.transport.resume_reading()
        later = [json.loads(await slow.recv())["data"]["position"] for _ in range(count)]
        await slow.close()
        return heard, later

    async def bounded() -> tuple[list[int], list[int]]:
        async with asyncio.timeout(60):
            return await main()

    heard, later = asyncio.run(bounded())

    assert heard == later == sorted(set(heard))
    assert count == len(heard)


def test_a_client_that_leaves_its_answers_unread_is_dropped(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers wait up to a bound, then the connection is closed with 1013."""
    monkeypatch.setattr(outbox, "MESSAGES_WAITING", 2)
    trader = venue.trader()
    # It reads on only at the end, however long the machine takes until then.
    monkeypatch.setattr(stream_module, "CLOSE_WITHIN", 60)

    async def main() -> int | None:
        flood = await without_reading(venue)
        await ask(flood, credentials(trader))
        flood.transport.pause_reading()
        for _ in range(MANY):
            await flood.send("{}")
        # Whoever serves both has looked at all of these when another has had as many answers.
        async with connect(venue.ws_url) as other:
            await ask(other, credentials(trader))
            for _ in range(MANY):
                assert "error" == (await ask(other, "{}"))["stream"]
        flood.transport.resume_reading()
        try:
            while True:
                await flood.recv()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None

    async def bounded() -> int | None:
        async with asyncio.timeout(60):
            return await main()

    assert 1013 == asyncio.run(bounded())


def _place(client: httpx.Client, symbol: str, count: int) -> None:
    for _ in range(count):
        placed = client.post(
            "/v2/orders", json=order(symbol, client_order_id="x" * 100 + uuid4().hex[:28])
        )
        assert placed.status_code == 200, placed.text


def test_a_revoked_key_ends_its_stream(venue: Venue) -> None:
    """A key that was revoked keeps no socket open."""
    trader = venue.trader()

    async def speak(ws: ClientConnection) -> int | None:
        await ask(ws, credentials(trader))
        revoked = await asyncio.to_thread(
            venue.admin.delete, f"/admin/accounts/{trader.account_id}/keys/{trader.key_id}"
        )
        assert revoked.status_code == 204
        try:
            await ws.recv()
        except ConnectionClosed as end:
            return end.rcvd.code if end.rcvd else None
        return None

    assert 1008 == talk(venue, speak)


def test_message_that_says_something_twice_is_refused_under_its_id(venue: Venue) -> None:
    """Who waits for the answer to an order gets it; a message whose own parts are doubled, or that
    waits for none, is refused beside the answers.
    """
    trader, symbol = venue.trader(), venue.instrument()
    body = json.dumps(order(symbol))[:-1]

    async def speak(ws: ClientConnection) -> list[Any]:
        await ask(ws, credentials(trader))
        return [
            await ask(ws, f'{{"action": "order", "id": 7, "data": {body}, "qty": "99"}}}}'),
            await ask(ws, f'{{"action": "order", "id": 7, "id": 8, "data": {body}}}}}'),
            await ask(ws, '{"action": "listen", "data": {"streams": [], "streams": []}}'),
        ]

    ordered, doubled, listened = talk(venue, speak)

    assert ("orders", 7, 422, "qty") == (
        ordered["stream"],
        ordered["data"]["id"],
        ordered["data"]["status"],
        ordered["data"]["body"]["field"],
    )
    assert "qty is given more than once" == ordered["data"]["body"]["message"]
    assert [("error", "id"), ("error", "data.streams")] == [
        (told["stream"], told["data"]["field"]) for told in (doubled, listened)
    ]
    with venue.client(trader) as client:
        assert [] == client.get("/v2/orders").json()
