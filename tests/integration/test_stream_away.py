"""The stream while the store is away for a moment: nothing is lost, and nobody is sent away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql
from websockets.asyncio.client import ClientConnection, connect

from api import auth, patience, wiring
from api.ws import stream as stream_module
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Trader, Venue, served

SECONDS = 40
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}


@pytest.fixture
def venue(postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Venue]:
    """A venue whose gateway does not wait long for the store."""
    monkeypatch.setattr(wiring, "POOL_WAIT_SECONDS", 0.2)
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.3)
    with served(postgres.dsn()) as venue:
        yield venue


@pytest.fixture
def dsn(postgres: EmbeddedServer) -> str:
    """Where the store is."""
    return postgres.dsn()


async def ask(ws: ClientConnection, message: dict[str, Any]) -> Any:
    """Send one message and read one."""
    await ws.send(json.dumps(message))
    return json.loads(await ws.recv())


def credentials(trader: Trader) -> dict[str, Any]:
    """The message that says who one is."""
    return {"action": "auth", "key": trader.key_id, "secret": trader.secret}


def order(symbol: str, key: str) -> dict[str, Any]:
    """A buy order that rests."""
    return {
        "symbol": symbol,
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "99.5",
        "client_order_id": key,
    }


def end_backends(dsn: str) -> None:
    """End every connection to the store, as a failover would."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )


@contextmanager
def not_to_be_read(venue: Venue, dsn: str, name: str = "api_keys") -> Iterator[None]:
    """Whoever reads a table waits, until no connection is left for others."""
    with psycopg.connect(dsn) as conn:
        table = sql.Identifier(venue.schema, name)
        conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
        yield


def test_keys_that_cannot_be_looked_up_are_refused_for_now_and_the_sockets_stay(
    venue: Venue, dsn: str
) -> None:
    """A burst of keys waits for the pool, then hears 503 and may say it again."""
    traders = [venue.trader(cash="0") for _ in range(3 * wiring.POOL_MOST)]
    venue.app.state["gateway"].keys.forget()

    async def speak() -> list[list[Any]]:
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(connect(venue.ws_url)) for _ in traders]
            with not_to_be_read(venue, dsn):
                waiting = [
                    asyncio.create_task(ask(ws, credentials(trader)))
                    for ws, trader in zip(sockets, traders, strict=True)
                ]
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                while len(done) < len(traders) - wiring.POOL_MOST:
                    done, _ = await asyncio.wait(waiting, timeout=0.05)
            first = [await one for one in waiting]
            again = [
                await ask(ws, credentials(trader))
                for ws, trader, told in zip(sockets, traders, first, strict=True)
                if told["stream"] == "error"
            ]
            return [first, again]

    first, again = asyncio.run(asyncio.wait_for(speak(), SECONDS))

    refused = [told["data"] for told in first if told["stream"] == "error"]
    said_of = {(one["status"], one["reason"], one["retry_after"]) for one in refused}
    assert {(503, "VENUE_UNAVAILABLE", 1)} == said_of
    assert len(traders) - wiring.POOL_MOST <= len(refused)
    said = [told["data"] for told in [*first, *again] if told["stream"] == "authorization"]
    assert [{"status": "authorized", "action": "authenticate"}] * len(traders) == said


def test_orders_whose_key_cannot_be_looked_up_are_refused_for_now(
    venue: Venue, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 and never 500, on a socket that stays; the same order again is taken."""
    symbol, trader = venue.instrument(), venue.trader()
    count = 2 * wiring.POOL_MOST

    async def speak() -> tuple[list[Any], list[Any]]:
        async with connect(venue.ws_url) as ws:
            await ask(ws, credentials(trader))
            monkeypatch.setattr(auth, "REMEMBERED_SECONDS", -1.0)
            venue.app.state["gateway"].keys.forget()
            places = [
                {"action": "order", "id": n, "data": order(symbol, f"o{n}")} for n in range(count)
            ]
            with not_to_be_read(venue, dsn):
                for place in places:
                    await ws.send(json.dumps(place))
                told = [json.loads(await ws.recv()) for _ in range(count - wiring.POOL_MOST)]
            told += [json.loads(await ws.recv()) for _ in range(wiring.POOL_MOST)]
            return told, [await ask(ws, place) for place in places]

    told, again = asyncio.run(asyncio.wait_for(speak(), SECONDS))

    first = [(one["data"]["status"], one["data"]["body"].get("reason")) for one in told]
    assert {(503, "VENUE_UNAVAILABLE")} <= set(first) <= {(200, None), (503, "VENUE_UNAVAILABLE")}
    assert [200] * count == [one["data"]["status"] for one in again]
    with venue.client(trader) as client:
        assert count == len(client.get("/v2/orders").json())


def test_who_wants_to_listen_while_the_store_does_not_answer_may_ask_again(
    venue: Venue, dsn: str
) -> None:
    """503 on the socket, which stays; the same message again is taken."""
    trader = venue.trader(cash="0")

    async def speak() -> list[Any]:
        async with connect(venue.ws_url) as ws:
            await ask(ws, credentials(trader))
            with not_to_be_read(venue, dsn, "stored_events"):
                refused = await ask(ws, LISTEN)
            return [refused, await ask(ws, LISTEN)]

    refused, taken = asyncio.run(asyncio.wait_for(speak(), SECONDS))

    assert ("error", 503) == (refused["stream"], refused["data"]["status"])
    assert ("listening", ["trade_updates"]) == (taken["stream"], taken["data"]["streams"])


def test_socket_whose_key_cannot_be_looked_up_for_a_while_stays(
    venue: Venue, dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether a key was revoked is looked at again; until then nobody is sent away."""
    monkeypatch.setattr(stream_module, "AUTHENTICATE_WITHIN", 1.0)
    trader = venue.trader(cash="0")

    def not_looked_up() -> int:
        return caplog.text.count("a key cannot be looked up")

    async def speak() -> list[Any]:
        async with AsyncExitStack() as stack:
            sockets = [
                await stack.enter_async_context(connect(venue.ws_url))
                for _ in range(2 * wiring.POOL_MOST)
            ]
            for ws in sockets:
                await ask(ws, credentials(trader))
            monkeypatch.setattr(auth, "REMEMBERED_SECONDS", -1.0)
            venue.app.state["gateway"].keys.forget()
            with not_to_be_read(venue, dsn):
                while not_looked_up() < len(sockets):
                    await asyncio.sleep(0.01)
            return [await ask(ws, LISTEN) for ws in sockets]

    told = asyncio.run(asyncio.wait_for(speak(), SECONDS))

    assert {"listening"} == {one["stream"] for one in told}


def test_updates_go_on_when_the_store_ends_every_connection(venue: Venue, dsn: str) -> None:
    """The socket stays, and each update comes once, in order, also to who resumes later."""
    symbol, trader, other = venue.instrument(), venue.trader(), venue.trader()

    async def speak() -> list[list[Any]]:
        async with connect(venue.ws_url) as ws, connect(venue.ws_url) as resumed:
            for socket in (ws, resumed):
                await ask(socket, credentials(trader))
            begin = (await ask(ws, LISTEN))["data"]["position"]
            for number in range(30):
                if number % 10 == 5:
                    await asyncio.to_thread(end_backends, dsn)
                who = other if number % 3 == 1 else trader
                await asyncio.to_thread(_placed, venue, who, order(symbol, f"o{number}"))
            heard = [await _update(ws) for _ in range(20)]
            listen = {**LISTEN, "data": {**LISTEN["data"], "since_position": begin}}
            assert begin == (await ask(resumed, listen))["data"]["position"]
            return [heard, [await _update(resumed) for _ in range(20)]]

    heard, resumed = asyncio.run(asyncio.wait_for(speak(), SECONDS))

    assert heard == resumed
    assert [f"o{n}" for n in range(30) if n % 3 != 1] == [client_id for _, client_id in heard]


async def _update(ws: ClientConnection) -> tuple[int, str]:
    message = json.loads(await ws.recv())
    assert "trade_updates" == message["stream"], message
    return message["data"]["position"], message["data"]["order"]["client_order_id"]


def _placed(venue: Venue, trader: Trader, body: dict[str, Any]) -> None:
    """Place an order, again while the store is away."""
    with venue.client(trader) as client:
        answer = client.post("/v2/orders", json=body)
        while answer.status_code == 503:
            answer = client.post("/v2/orders", json=body)
        assert answer.status_code == 200, answer.text
