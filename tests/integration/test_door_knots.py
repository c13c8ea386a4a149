"""Connections that are gone leave nothing behind that refers to itself: to find it is a pause."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from infrastructure.database import EmbeddedServer
from tests.knots import knots_left
from tests.venue import Trader, Venue, running_with_market_data, served

TIMES = 3

Visit = Callable[[Venue, Trader, str], Awaitable[object]]


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all of these, which tells of its market."""
    with served(postgres.dsn(), running_with_market_data) as venue:
        yield venue


ORDER = {"qty": "1", "side": "buy", "type": "limit", "limit_price": "90", "time_in_force": "gtc"}


@asynccontextmanager
async def socket(venue: Venue, trader: Trader, path: str) -> AsyncIterator[ClientConnection]:
    """A WebSocket that has said who it is."""
    async with connect(venue.url.replace("http", "ws") + path) as ws:
        said = {"action": "auth", "key": trader.key_id, "secret": trader.secret}
        await ws.send(json.dumps(said))
        await ws.recv()
        yield ws


async def requests(venue: Venue, trader: Trader, symbol: str) -> None:
    """Some that are answered, some that are refused, by whom is known and by nobody."""
    async with httpx.AsyncClient(base_url=venue.url, headers=trader.headers) as client:
        await client.post("/v2/orders", json=ORDER | {"symbol": symbol})
        await client.post("/v2/orders", json=ORDER | {"symbol": "NONE"})
        for path in ("/v2/account", "/v2/orders", "/v2/nothing", "/v2/orders?limit=x", "/healthz"):
            await client.get(path)
        await client.get("/v2/account", headers={"APCA-API-SECRET-KEY": "wrong"})


async def bytes_that_are_no_request(venue: Venue, *_: Any) -> None:
    """They are refused, and the connection is ended."""
    reader, writer = await asyncio.open_connection(*venue.address)
    writer.write(b"GET  / / HTTP/0.0\r\n\r\n")
    await reader.read()
    writer.close()


async def half_a_request(venue: Venue, trader: Trader, _: str) -> None:
    """Its sender is gone in the middle of the body."""
    _, writer = await asyncio.open_connection(*venue.address)
    said = "".join(f"{name}: {value}\r\n" for name, value in trader.headers.items())
    writer.write(f"POST /v2/orders HTTP/1.1\r\nHost: x\r\n{said}".encode())
    writer.write(b"Content-Length: 100\r\n\r\n{")
    await asyncio.sleep(0.1)
    writer.transport.abort()


async def stranger_on_a_socket(venue: Venue, *_: Any) -> None:
    """It says nothing and is gone."""
    ws = await connect(venue.ws_url)
    ws.transport.abort()


async def stream(venue: Venue, trader: Trader, symbol: str) -> None:
    """Orders over it, one of them wrong, and what it is told of them."""
    async with socket(venue, trader, "/stream") as ws:
        await ws.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        for named in (symbol, "NONE"):
            data = ORDER | {"symbol": named}
            await ws.send(json.dumps({"action": "order", "id": named, "data": data}))
        for _ in range(4):
            await ws.recv()


async def stream_that_is_cut(venue: Venue, trader: Trader, symbol: str) -> None:
    """With an order under way."""
    async with socket(venue, trader, "/stream") as ws:
        data = ORDER | {"symbol": symbol}
        await ws.send(json.dumps({"action": "order", "id": 1, "data": data}))
        ws.transport.abort()


async def book(venue: Venue, trader: Trader, symbol: str) -> None:
    """A channel with an instrument."""
    async with socket(venue, trader, "/v2/book") as ws:
        await ws.send(json.dumps({"action": "subscribe", "symbols": [symbol]}))
        await ws.recv()
        await ws.send("{")
        await ws.recv()


VISITS = [
    requests,
    bytes_that_are_no_request,
    half_a_request,
    stranger_on_a_socket,
    stream,
    stream_that_is_cut,
    book,
]


@pytest.mark.parametrize("visit", VISITS, ids=[visit.__name__ for visit in VISITS])
def test_connection_that_is_gone_leaves_no_knot(venue: Venue, visit: Visit) -> None:
    """Neither itself nor what it was told of."""
    trader, symbol = venue.trader(), venue.instrument()

    async def come_and_go(times: int) -> None:
        for _ in range(times):
            await visit(venue, trader, symbol)
        while len(venue.door.connections) > 1:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)

    assert {} == knots_left(come_and_go, TIMES)
