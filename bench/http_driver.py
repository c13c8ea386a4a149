"""Sends orders over kept-alive HTTP connections and times each answer.

At a rate the load is open: a request is due by the clock and its latency counts from then.
Without one each connection sends its next request when the last was answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, deque
from time import perf_counter, process_time_ns
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import uvloop

from application.commands import PlaceOrder
from bench.driving import settle, until_told
from bench.flow import Floor, commands
from bench.report import latencies_of
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE, to_text

_TICK_S = 0.001
"""Not less: uvloop rounds to milliseconds, and half of one would spin."""
_MOST_PER_S = 20_000
_SIDES = {1: "buy", 2: "sell"}
_TIMES = {1: "gtc", 3: "ioc"}


def request_of(order: PlaceOrder, host: str, key: dict[str, str]) -> bytes:
    """The whole request that places an order, as bytes."""
    body: dict[str, Any] = {
        "symbol": order.symbol,
        "qty": to_text(order.qty, QTY_SCALE),
        "side": _SIDES[order.side],
        "type": "limit" if order.limit_price else "market",
        "time_in_force": _TIMES[order.time_in_force],
        "client_order_id": order.client_order_id,
    }
    if order.limit_price:
        body["limit_price"] = to_text(order.limit_price, WIRE_PRICE_SCALE)
    content = msgspec.json.encode(body)
    head = (
        f"POST /v2/orders HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"APCA-API-KEY-ID: {key['id']}\r\nAPCA-API-SECRET-KEY: {key['secret']}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


class Connection(asyncio.Protocol):
    """One kept-alive connection; requests may follow each other before they are answered."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._due: deque[float] = deque()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        """Send one request that was due at a time."""
        self._due.append(due)
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            length = buffer.find(b"content-length: ", 0, end)
            start = length + 16
            size = int(buffer[start : buffer.find(b"\r", start)])
            if len(buffer) < end + 4 + size:
                break
            self._load.answered(self, buffer[9:12], self._due.popleft())
            buffer = buffer[end + 4 + size :]
        self._buffer = buffer

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost()


class Load:
    """All requests, dealt out to the connections."""

    def __init__(self, requests: list[bytes], rate: float, seconds: float) -> None:
        self._requests = requests
        self._rate = rate
        self._seconds = seconds
        self._sent = 0
        self._began = 0.0
        self.took = 0.0
        self.connections: list[Connection] = []
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Start the clock."""
        self._began = perf_counter()
        if self._rate:
            self._tick()
        else:
            for connection in self.connections:
                self._send_next(connection)

    def _tick(self) -> None:
        past = perf_counter() - self._began
        due = min(len(self._requests), int(past * self._rate) + 1)
        for number in range(self._sent, due):
            connection = self.connections[number % len(self.connections)]
            connection.send(self._requests[number], self._began + number / self._rate)
        self._sent = due
        if due < len(self._requests):
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _send_next(self, connection: Connection) -> None:
        now = perf_counter()
        if now - self._began < self._seconds and self._sent < len(self._requests):
            connection.send(self._requests[self._sent], now)
            self._sent += 1

    def answered(self, connection: Connection, status: bytes, due: float) -> None:
        """Note one answer."""
        now = perf_counter()
        self.latencies.append(now - due)
        self.statuses[status.decode()] += 1
        if not self._rate:
            self._send_next(connection)
        elif len(self.latencies) < len(self._requests):
            return
        if len(self.latencies) == self._sent and not self.done.done():
            self.took = now - self._began
            self.done.set_result(None)

    def lost(self) -> None:
        """A connection went away; before the end that is a failure."""
        if not self.done.done():
            self.done.set_exception(ConnectionError("the gateway went away"))


async def drive(given: dict[str, Any]) -> dict[str, Any]:
    """Send what is wanted; rates and latencies as they came out."""
    address = urlsplit(given["address"])
    floor = Floor([UUID(account) for account in given["accounts"]], given["symbols"])
    key_of = dict(zip(floor.accounts, given["keys"], strict=True))
    rate, seconds, seed = given["rate"], given["seconds"], given["seed"]
    wanted = int((rate or _MOST_PER_S) * seconds)
    made = commands(floor, int(wanted * 1.5) + 100, seed, f"h{rate}s{seed}")
    orders = [command for command in made if isinstance(command, PlaceOrder)][:wanted]
    requests = [request_of(order, address.netloc, key_of[order.account_id]) for order in orders]
    load = Load(requests, rate, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(given["connections"]):
        _, connection = await loop.create_connection(
            lambda: Connection(load), address.hostname, address.port
        )
        load.connections.append(connection)
    settle()
    until_told()
    processor = process_time_ns()
    load.begin()
    await asyncio.wait_for(load.done, seconds * 5 + 30)
    return {
        "count": len(load.latencies),
        "answered_per_s": round(len(load.latencies) / load.took),
        **latencies_of(load.latencies),
        "statuses": dict(load.statuses),
        "driver_ns": process_time_ns() - processor,
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(drive(json.loads(sys.stdin.readline())))), flush=True)
