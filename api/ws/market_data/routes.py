"""/v2/book, /v2/trades and /v2/quotes: the doors of the market data channels."""

from __future__ import annotations

from functools import partial

from litestar import websocket

from api.decimals import ExactWebSocket
from api.door.refusals import MARKET_DATA, refusals_of
from api.processes.gateway import Gateway
from api.ws.handshake import known
from api.ws.market_data.client import TRY_AGAIN_LATER, ChannelClient
from api.ws.market_data.hub import BOOK, QUOTES, TRADES, Channel
from api.ws.market_data.requests import Credentials


async def _serve(socket: ExactWebSocket, channel: Channel) -> None:
    """Serve one client of a channel."""
    await socket.accept()
    gateway: Gateway = socket.app.state["gateway"]
    if gateway.channels is None:
        await socket.close(TRY_AGAIN_LATER, "this gateway has no market data")
        return
    key, secret = (socket.headers.get(f"APCA-API-{part}") for part in ("KEY-ID", "SECRET-KEY"))
    given = None if key is None and secret is None else Credentials(key or "", secret or "")
    client = ChannelClient(
        socket,
        gateway.keys,
        gateway.channels,
        channel,
        fairness=gateway.fairness,
        when_known=partial(known, socket),
        refused=partial(refusals_of(socket.app).count, MARKET_DATA),
    )
    await client.run(given)


@websocket(BOOK.path)
async def book(socket: ExactWebSocket) -> None:
    """Serve one client of books."""
    await _serve(socket, BOOK)


@websocket(TRADES.path)
async def trades(socket: ExactWebSocket) -> None:
    """Serve one client of trades."""
    await _serve(socket, TRADES)


@websocket(QUOTES.path)
async def quotes(socket: ExactWebSocket) -> None:
    """Serve one client of the best prices."""
    await _serve(socket, QUOTES)


HANDLERS = (book, trades, quotes)
