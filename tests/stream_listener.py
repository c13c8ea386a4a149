"""Clients of the stream that lose it again and again, and resume after their last update."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from tests.model.told_updates import Told

LOST = (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError)
PATIENCE = 30


class StreamListener:
    """One account's listener, and what it was told; `pause` slows its reading down.

    `restless` is how likely it leaves of its own accord after an update.
    """

    def __init__(
        self, url: str, key: dict[str, str], seed: int, *, pause: float = 0, restless: float = 0
    ) -> None:
        self._url = url
        self._key = key
        self._chance = random.Random(seed)
        self._pause = pause
        self._restless = restless
        self.told: list[Told] = []
        self.begin: int | None = None
        self.connections = 0
        self.closed: Counter[int] = Counter()

    async def listen(self) -> None:
        """Listen until canceled, through any number of connections."""
        while True:
            try:
                async with connect(self._url, max_queue=4, close_timeout=0.1) as ws:
                    await self._authenticate(ws)
                    await self._subscribe(ws)
                    self.connections += 1
                    await self._hear(ws)
            except ConnectionClosed as end:
                self.closed[end.rcvd.code if end.rcvd else 0] += 1
            except LOST:
                pass
            await asyncio.sleep(0.02)

    async def _authenticate(self, ws: ClientConnection) -> None:
        said = {
            "key_id": self._key["APCA-API-KEY-ID"],
            "secret_key": self._key["APCA-API-SECRET-KEY"],
        }
        await self._until_taken(ws, {"action": "authenticate", "data": said}, "authorization")

    async def _subscribe(self, ws: ClientConnection) -> None:
        data: dict[str, Any] = {"streams": ["trade_updates"]}
        if self.told:
            data |= {"since_position": self.told[-1].position, "since_event": self.told[-1].event}
        elif self.begin is not None:
            data["since_position"] = self.begin
        answer = await self._until_taken(ws, {"action": "listen", "data": data}, "listening")
        if self.begin is None:
            self.begin = answer["position"]

    async def _until_taken(
        self, ws: ClientConnection, message: dict[str, Any], stream: str
    ) -> dict[str, Any]:
        """Say something again on the same connection while the venue asks to."""
        while True:
            await ws.send(json.dumps(message))
            async with asyncio.timeout(PATIENCE):
                answer = json.loads(await ws.recv())
            data: dict[str, Any] = answer["data"]
            if answer["stream"] == stream:
                assert data.get("status") != "unauthorized", data
                return data
            assert (answer["stream"], data["status"]) == ("error", 503), answer
            await asyncio.sleep(0.05)

    async def _hear(self, ws: ClientConnection) -> None:
        while True:
            message = json.loads(await ws.recv())
            assert "trade_updates" == message["stream"], message
            self.told.append(Told.by(message["data"]))
            if self._pause:
                await asyncio.sleep(self._pause)
            if self._chance.random() < self._restless:
                return


class StreamTrader:
    """Places orders over the stream until each is taken; notes what else it was answered."""

    def __init__(self, url: str, key: dict[str, str], symbol: str) -> None:
        self._listener = StreamListener(url, key, 0)
        self._url = url
        self._symbol = symbol
        self.taken = 0
        self.answers: Counter[int] = Counter()

    async def trade(self, stop: asyncio.Event) -> None:
        """Place one order after the other until told to stop."""
        while not stop.is_set():
            try:
                async with connect(self._url) as ws:
                    await self._listener._authenticate(ws)
                    while not stop.is_set():
                        await self._place(ws)
            except ConnectionClosed as end:
                self._listener.closed[end.rcvd.code if end.rcvd else 0] += 1
            except LOST:
                pass
            await asyncio.sleep(0.02)

    async def _place(self, ws: ClientConnection) -> None:
        body = {
            "symbol": self._symbol,
            "qty": "1",
            "side": "buy",
            "type": "limit",
            "time_in_force": "gtc",
            "limit_price": "90.00",
            "client_order_id": f"s-{self.taken}",
        }
        await ws.send(json.dumps({"action": "order", "id": self.taken, "data": body}))
        async with asyncio.timeout(PATIENCE):
            answer = json.loads(await ws.recv())["data"]
        self.answers[answer["status"]] += 1
        if answer["status"] == 200:
            self.taken += 1
        await asyncio.sleep(0.02)

    @property
    def closed(self) -> Counter[int]:
        """With which codes its connections were closed."""
        return self._listener.closed
