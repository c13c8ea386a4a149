"""Clients of a market data channel that do not read, over sockets that hold little."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import uvicorn
from litestar import Litestar
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from api.cli.gateway import server_config
from api.decimals import ExactWebSocket
from api.ws import handshake
from api.ws.market_data import client as client_module
from api.ws.market_data.hub import BOOK
from api.ws.market_data.routes import HANDLERS
from infrastructure.settings import Settings
from tests.market_channels import QUICK, Scene, day, scene, until
from tests.model.naive_channel_client import ChannelBook

LITTLE = 4_096
HEADERS = {"APCA-API-KEY-ID": "trader", "APCA-API-SECRET-KEY": "s"}
SLOW = QUICK._replace(slow_ms=300)


@asynccontextmanager
async def serving(played: Scene) -> AsyncIterator[uvicorn.Server]:
    """The channels on a real port, in this loop."""
    app = Litestar(
        route_handlers=HANDLERS,
        websocket_class=ExactWebSocket,
        openapi_config=None,
        logging_config=None,
    )
    app.state["gateway"] = SimpleNamespace(keys=played.keys, channels=played.hub, fairness=None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LITTLE)
        server = uvicorn.Server(server_config(app, Settings()))
        serve = asyncio.create_task(server.serve([listening]))
        await until(lambda: server.started)
        try:
            yield server
        finally:
            server.should_exit = True
            await serve


async def narrow(server: uvicorn.Server) -> ClientConnection:
    """A client that has little room and reads nothing."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE)
    small.connect(server.servers[0].sockets[0].getsockname())
    client = await connect("ws://127.0.0.1/v2/book", sock=small, additional_headers=HEADERS)
    client.transport.pause_reading()
    return client


async def fill(played: Scene, client: ClientConnection, symbol: str) -> None:
    """Ask for snapshots until no more of them leave the venue."""
    subscribe = json.dumps({"action": "subscribe", "symbols": [symbol]})
    sent = -1
    while sent != played.hub.counts.frames:
        sent = played.hub.counts.frames
        await client.send(subscribe)
        for _ in range(100):
            await asyncio.sleep(0.002)
            if sent != played.hub.counts.frames:
                break


def test_market_data_channel_closes_on_a_client_that_does_not_read() -> None:
    """With code and reason, after an error that says so; another is told all the while."""
    day(0)

    async def main() -> None:
        async with scene(manners=SLOW) as played, serving(played) as server:
            symbol = played.symbol()
            played.step(100)
            slow, book = await narrow(server), ChannelBook(symbol)
            quick = await played.trader(BOOK, symbol)
            book.take(await quick.hear("o"))
            await fill(played, slow, symbol)
            for _ in range(5):
                played.step_until_moved()
                book.take(await quick.hear("o"))
            assert book.is_that_of(played.market())
            await until(lambda: played.hub.counts.slow == 1)
            slow.transport.resume_reading()
            told = []
            with pytest.raises(ConnectionClosed) as end:
                while True:
                    told += json.loads(await slow.recv())
            assert end.value.rcvd is not None
            assert (1013, "slow client") == (end.value.rcvd.code, end.value.rcvd.reason)
            assert ("error", 407) == (told[-1]["T"], told[-1]["code"])
            assert not quick.closed.done()

    asyncio.run(main())


def test_market_data_channel_forgets_a_client_that_takes_not_even_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its connection is cut, and nothing of it is kept."""
    monkeypatch.setattr(client_module, "CLOSE_WITHIN", 0.1)
    monkeypatch.setattr(handshake, "FORGOTTEN_AFTER", 0.1)
    day(0)

    async def main() -> None:
        async with scene(manners=SLOW) as played, serving(played) as server:
            symbol = played.symbol()
            played.step(100)
            slow = await narrow(server)
            await fill(played, slow, symbol)
            played.step_until_moved()
            await until(lambda: played.hub.counts.slow == 1)
            await until(lambda: not server.server_state.connections)
            slow.transport.resume_reading()
            with pytest.raises(ConnectionClosed) as end:
                while True:
                    await slow.recv()
            assert end.value.rcvd is None

    asyncio.run(main())
