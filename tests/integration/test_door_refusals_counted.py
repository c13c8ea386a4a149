"""What is refused is counted by door and reason, where operators look."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from api.door.limits import Limits
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file, with little patience for who does not read."""
    limits = Limits(strangers_unread_seconds=0.5, tick_seconds=0.05)
    with served(postgres.dsn(), limits=limits) as venue:
        venue.listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        yield venue


@pytest.fixture
def refused(venue: Venue) -> Callable[[str, str], int]:
    """How often more than before this test something was refused at a door for a reason."""
    before = told(venue)
    return lambda door, reason: told(venue).get((door, reason), 0) - before.get((door, reason), 0)


def told(venue: Venue) -> dict[tuple[str, str], int]:
    """The refusals as an operator reads them, by door and reason."""
    families = text_string_to_metric_families(httpx.get(f"{venue.url}/metrics").text)
    (family,) = [one for one in families if one.name == "nexus_refusals"]
    return {(one.labels["door"], one.labels["reason"]): int(one.value) for one in family.samples}


def sends(venue: Venue, sent: bytes) -> bytes:
    """What is answered until the end to some bytes."""
    with socket.create_connection(venue.address, 10) as conn:
        conn.sendall(sent)
        heard = b""
        while part := conn.recv(65_536):
            heard += part
    return heard


def test_door_counts_what_http_refuses(venue: Venue, refused: Callable[[str, str], int]) -> None:
    """Whoever it is that refuses: a guard, a route, the writer, or the reader of bytes."""
    trader = venue.trader()
    with venue.client(trader) as client:
        client.get("/v2/account", headers={"APCA-API-SECRET-KEY": "x"})
        client.get("/v2/orders", params={"limit": "0"})
        client.get("/v2/nothing")
        client.get("/admin/trades")
        client.put("/v2/account")
        symbol = venue.instrument()
        order = {"symbol": symbol, "qty": "9000000", "side": "buy", "type": "limit"}
        for _ in range(3):
            short = client.post(
                "/v2/orders", json=order | {"limit_price": "90", "time_in_force": "gtc"}
            )
            assert 403 == short.status_code
    assert b" 400 " in sends(venue, b"NOT HTTP AT ALL\r\n\r\n")
    assert b" 431 " in sends(venue, b"GET /" + b"a" * 20_000)

    assert 3 == refused("http", short.json()["reason"])
    for reason in ("NOT_AUTHORIZED", "INVALID_FIELD", "NOT_FOUND", "ROLE_REQUIRED"):
        assert 1 == refused("http", reason), reason
    for reason in ("METHOD_NOT_ALLOWED", "MALFORMED_REQUEST", "HEAD_TOO_LARGE"):
        assert 1 == refused("http", reason), reason


def test_door_counts_whom_it_sends_away(venue: Venue, refused: Callable[[str, str], int]) -> None:
    """For frames that bring nothing, for saying too much before who it is, for reading nothing."""

    async def say(message: str, times: int, *, pong: bool = False) -> None:
        async with connect(venue.ws_url) as ws:
            with pytest.raises(ConnectionClosed):
                for _ in range(times):
                    await (ws.pong() if pong else ws.send(message))
                while True:
                    await ws.recv()

    asyncio.run(say("", 1_000, pong=True))
    assert 1 == refused("sockets", "EMPTY_FRAMES") + refused("sockets", "TOO_MUCH_UNKNOWN")
    asyncio.run(say("{}", 100))
    assert 2 == refused("sockets", "EMPTY_FRAMES") + refused("sockets", "TOO_MUCH_UNKNOWN")

    with socket.socket() as conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        conn.connect(venue.address)
        conn.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 20)
        ends = time.monotonic() + 20
        while not refused("http", "UNREAD") and time.monotonic() < ends:
            time.sleep(0.05)
    assert 1 == refused("http", "UNREAD")


def test_door_counts_what_streams_refuse(venue: Venue, refused: Callable[[str, str], int]) -> None:
    """In the codes that their messages have."""
    trader = venue.trader()

    async def speak(path: str, messages: list[dict[str, object]]) -> None:
        async with connect(venue.url.replace("http", "ws") + path) as ws:
            if path != "/stream":
                await ws.recv()
            for message in messages:
                await ws.send(json.dumps(message))
                await ws.recv()

    wrong = {"action": "auth", "key": trader.key_id, "secret": "x"}
    right = wrong | {"secret": trader.secret}
    asyncio.run(speak("/stream", [wrong, right, {"action": "order", "data": {}}, {"action": "x"}]))
    asyncio.run(speak("/v2/quotes", [wrong, right, {"action": "x"}]))

    assert 1 == refused("stream", "NOT_AUTHORIZED") == refused("market_data", "NOT_AUTHORIZED")
    assert 2 == refused("stream", "INVALID_FIELD")
    assert 1 == refused("market_data", "INVALID_FIELD")


def test_door_says_of_nobody_who_was_refused(venue: Venue) -> None:
    """Neither keys nor addresses nor what was asked for stand in what anybody may read."""
    trader = venue.trader()
    with venue.client(trader) as client:
        client.get("/v2/orders/a-secret-name")
    text = httpx.get(f"{venue.url}/metrics").text
    for named in (trader.key_id, trader.account_id, "a-secret-name", "127.0.0.1"):
        assert named not in text
