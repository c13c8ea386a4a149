"""A client that behaves: some requests a second over kept connections, each timed from when due."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

import uvloop

from bench.driving import settle, until_told
from bench.fix_client import FixSession
from bench.fix_flow import Asked
from bench.report import latencies_of

CONNECTIONS = 4


class Asking(asyncio.Protocol):
    """One kept connection over which the account is asked for."""

    def __init__(self, request: bytes, told: Callable[[float], None]) -> None:
        self._request = request
        self._told = told
        self._due: list[float] = []
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, due: float) -> None:
        """Ask once, as was due at a time."""
        self._due.append(due)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            start = self._data.find(b"content-length: ", 0, end) + 16
            size = int(self._data[start : self._data.find(b"\r", start)])
            if len(self._data) < end + 4 + size:
                return
            if self._data[9:12] != b"200":
                raise RuntimeError(self._data[: end + 4 + size].decode())
            self._data = self._data[end + 4 + size :]
            self._told(self._due.pop(0))

    def connection_lost(self, exc: Exception | None) -> None:
        for _ in self._due:
            self._told(-1.0)


class Beating(FixSession):
    """A session that asks whether the venue is there, and hears that it is."""

    def __init__(self, name: str, told: Callable[[float], None]) -> None:
        super().__init__(name, lambda kind, said: None)
        self._told = told
        self._due: list[float] = []

    def ask(self, due: float) -> None:
        """Ask once, as was due at a time."""
        self._due.append(due)
        self.send([Asked(b"", b"1", [(112, b"%d" % len(self._due))])])

    def _take(self, message: Any) -> None:
        if message.msg_type == b"0" and message.get(112) and self._due:
            self._told(self._due.pop(0))
            return
        super()._take(message)


async def ask(given: dict[str, Any]) -> dict[str, Any]:
    """Ask at the rate for so many seconds; how long the answers took."""
    took: list[float] = []
    lost = 0

    def told(due: float) -> None:
        nonlocal lost
        if due < 0:
            lost += 1
        else:
            took.append(perf_counter() - due)

    askers = await _askers(given, told)
    settle()
    until_told()
    began, rate = perf_counter(), given["rate"]
    count = int(rate * given["seconds"])
    for number in range(count):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - perf_counter()))
        askers[number % len(askers)].ask(due)
    ends = perf_counter() + 30
    while len(took) + lost < count and perf_counter() < ends:
        await asyncio.sleep(0.01)
    return {"asked": count, "answered": len(took), **latencies_of(took)}


async def _askers(given: dict[str, Any], told: Callable[[float], None]) -> list[Any]:
    loop, port = asyncio.get_running_loop(), given["port"]
    if "session" in given:
        _, session = await loop.create_connection(
            lambda: Beating(given["session"], told), "127.0.0.1", port
        )
        await asyncio.wait_for(session.logged_on, 60)
        return [session]
    request = (
        f"GET /v2/account HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"APCA-API-KEY-ID: {given['key']['id']}\r\n"
        f"APCA-API-SECRET-KEY: {given['key']['secret']}\r\n\r\n"
    ).encode()
    made = [
        await loop.create_connection(lambda: Asking(request, told), "127.0.0.1", port)
        for _ in range(CONNECTIONS)
    ]
    return [protocol for _, protocol in made]


if __name__ == "__main__":
    print(json.dumps(uvloop.run(ask(json.loads(sys.stdin.readline())))), flush=True)
