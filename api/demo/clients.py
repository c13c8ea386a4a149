"""The demo's clients: an operator and traders, over HTTP and WebSocket as anybody's would be."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect


class DemoFailed(Exception):
    """The venue did not do what the demo asked of it; the message says what."""


PATIENCE_SECONDS = 60.0
"""How long a reader asks again: views of an older program are built anew at the start."""


async def read(
    http: httpx.AsyncClient, path: str, patience: float = PATIENCE_SECONDS
) -> dict[str, Any]:
    """Read, asking again when the venue says so (503); raises DemoFailed."""
    deadline = perf_counter() + patience
    while True:
        answer = await http.get(path)
        if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE or perf_counter() > deadline:
            return _document(answer)
        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))


@dataclass
class Tally:
    """What the participants saw."""

    acknowledged: list[float] = field(default_factory=list)
    orders: int = 0
    cancels: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    updates: int = 0


class Operator:
    """Who runs the venue: lists instruments, opens and funds accounts."""

    def __init__(self, base_url: str, secret: str) -> None:
        headers = {"APCA-API-KEY-ID": "admin", "APCA-API-SECRET-KEY": secret}
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=30)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask, and fail loudly."""
        return _document(await self._http.post(path, json=body))

    async def put(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Set, and fail loudly."""
        return _document(await self._http.put(path, json=body))

    async def get(self, path: str) -> dict[str, Any]:
        """Read, and fail loudly."""
        return await read(self._http, path)

    async def close(self) -> None:
        """Leave."""
        await self._http.aclose()


class Trader:
    """One account's client: orders over HTTP, or over the stream it listens on."""

    def __init__(self, name: str, base_url: str, key: dict[str, Any], tally: Tally) -> None:
        self.name = name
        self.account_id: str = key["account_id"]
        self.key_id: str = key["key_id"]
        self.secret: str = key["secret_key"]
        self.tally = tally
        headers = {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret}
        self._http = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=30)
        self._stream_url = base_url.replace("http", "ws", 1) + "/stream"
        self._socket: ClientConnection | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def order(self, **terms: Any) -> dict[str, Any]:
        """Place an order; a refusal comes back as the problem it is."""
        body = {"time_in_force": "gtc", "type": "limit", **terms}
        begun = perf_counter()
        if self._socket is not None:
            document = await self._over_stream("order", body)
        else:
            document = (await self._http.post("/v2/orders", json=body)).json()
        self.tally.acknowledged.append(perf_counter() - begun)
        self.tally.orders += 1
        return self._counted(document)

    async def read(self, path: str) -> dict[str, Any]:
        """Read what this account may see."""
        return await read(self._http, path)

    async def replace(self, order_id: str, **terms: Any) -> dict[str, Any]:
        """Replace an order."""
        answer = await self._http.patch(f"/v2/orders/{order_id}", json=terms)
        return self._counted(answer.json())

    async def cancel(self, order_id: str) -> None:
        """Cancel an order; one that is done already stays as it is."""
        self.tally.cancels += 1
        answer = await self._http.delete(f"/v2/orders/{order_id}")
        if answer.status_code != 204:
            self._counted(answer.json())

    def _counted(self, document: dict[str, Any]) -> dict[str, Any]:
        if "reason" in document:
            reason = str(document["reason"])
            self.tally.refused[reason] = self.tally.refused.get(reason, 0) + 1
        return document

    async def listen(self) -> None:
        """Open the stream: trade updates come in, and orders go out on it from now on."""
        socket = await connect(self._stream_url, max_size=2**20)
        await socket.send(json.dumps({"action": "auth", "key": self.key_id, "secret": self.secret}))
        await socket.recv()
        await socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        self._socket = socket
        self._reading = asyncio.create_task(self._read(socket))

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            document = json.loads(message)
            if document["stream"] == "orders":
                future = self._waiting.pop(str(document["data"].get("id")), None)
                if future is not None:
                    future.set_result(document["data"]["body"])
            elif document["stream"] == "trade_updates":
                self.tally.updates += 1

    async def _over_stream(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        assert self._socket is not None
        number = f"{self.name}-{self.tally.orders}"
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        await self._socket.send(json.dumps({"action": action, "id": number, "data": body}))
        return await asyncio.wait_for(future, 30)

    async def close(self) -> None:
        """Leave."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        await self._http.aclose()


def _document(answer: httpx.Response) -> dict[str, Any]:
    document: dict[str, Any] = answer.json()
    if answer.is_error:
        raise DemoFailed(f"{answer.request.url.path}: {document.get('detail', answer.text)}")
    return document
