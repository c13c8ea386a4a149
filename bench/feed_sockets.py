"""A thousand conflating WebSocket clients of one gateway's channel, and what they cost a core."""

from __future__ import annotations

import asyncio
import base64
import multiprocessing
import os
import resource
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from bench.feed_channel import QUOTES_A_SECOND, SYMBOL, THROTTLE_MS, Spent, serve
from bench.report import percentile

CLIENTS = 1_000
_SUBSCRIBE = msgspec.json.encode({"action": "subscribe", "symbols": [SYMBOL]})
_AT_ONCE = 50
_TEXT, _LONGER = 0x81, 126
_WITHIN = 60.0


class Quoted(msgspec.Struct):
    """What a client looks at of a message."""

    T: str
    t: datetime | None = None
    skipped: int = 0


class Heard:
    """What all clients have heard while it is counted."""

    def __init__(self) -> None:
        self.counting = False
        self.subscribed = 0
        self.messages = 0
        self.skipped = 0
        self.seconds: list[float] = []
        self._decode = msgspec.json.Decoder(list[Quoted]).decode

    def take(self, payload: bytes) -> None:
        """Take a frame in."""
        for message in self._decode(payload):
            if message.T == "subscription":
                self.subscribed += 1
            if message.T == "q" and self.counting and message.t is not None:
                self.messages += 1
                self.skipped += message.skipped
                self.seconds.append(time.time() - message.t.timestamp())


class Client(asyncio.Protocol):
    """A WebSocket client that only reads frames of text; cheap, as a thousand share a core."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard
        self._open = False
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the channel and its key."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            (
                "GET /v2/quotes HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                "APCA-API-KEY-ID: bench\r\nAPCA-API-SECRET-KEY: bench\r\n\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take in whole frames."""
        self._data += data
        if not self._open:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head:
                raise RuntimeError(head.decode())
            self._open, self._data = True, rest
            # Masked by nothing: the mask is zeros.
            self._transport.write(struct.pack("!BB4x", _TEXT, 0x80 | len(_SUBSCRIBE)) + _SUBSCRIBE)
        while (frame := self._frame()) is not None:
            self._heard.take(frame)

    def _frame(self) -> bytes | None:
        if len(self._data) < 4:
            return None
        kind, length = self._data[0], self._data[1]
        begins = 2
        if length == _LONGER:
            (length,), begins = struct.unpack_from("!H", self._data, 2), 4
        if len(self._data) < begins + length:
            return None
        frame, self._data = self._data[begins : begins + length], self._data[begins + length :]
        return frame if kind == _TEXT else b"[]"


async def _listen(port: int, clients: int, seconds: float, server: Connection) -> dict[str, Any]:
    loop, heard = asyncio.get_running_loop(), Heard()
    transports = []
    for begun in range(0, clients, _AT_ONCE):
        opened = await asyncio.gather(
            *(
                loop.create_connection(lambda: Client(heard), "127.0.0.1", port)
                for _ in range(min(_AT_ONCE, clients - begun))
            )
        )
        transports += [transport for transport, _ in opened]
    async with asyncio.timeout(_WITHIN):
        while heard.subscribed < clients:
            await asyncio.sleep(0.01)
    await asyncio.sleep(2 * THROTTLE_MS / 1e3)
    before = _spent(server)
    heard.counting = True
    await asyncio.sleep(seconds)
    heard.counting = False
    after = _spent(server)
    for transport in transports:
        transport.abort()
    await asyncio.sleep(0)
    return _figures(clients, heard, before, after)


def _spent(server: Connection) -> Spent:
    server.send("spent")
    spent: Spent = server.recv()
    return spent


def _figures(clients: int, heard: Heard, before: Spent, after: Spent) -> dict[str, Any]:
    took, cpu = after.at - before.at, after.cpu - before.cpu
    frames = after.frames - before.frames
    ordered = sorted(heard.seconds)
    due = clients * took / THROTTLE_MS * 1e3
    return {
        "quotes published a second": round((after.published - before.published) / took),
        "throttle_ms": THROTTLE_MS,
        "messages received a second": round(heard.messages / took),
        "told of those due": round(heard.messages / due, 3),
        "messages made a second": round((after.made - before.made) / took),
        "skipped for each that was told": round(heard.skipped / max(1, heard.messages), 1),
        "core of the server used": round(cpu / took, 2),
        "us of the server per message": round(cpu / max(1, frames) * 1e6, 1),
        "published to received": {
            "p50_ms": round(percentile(ordered, 0.5) * 1e3, 1),
            "p99_ms": round(percentile(ordered, 0.99) * 1e3, 1),
        },
    }


@contextmanager
def _serving() -> Iterator[tuple[int, Connection]]:
    """A channel in a process of its own, on a core of its own where there are two."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    cores = sorted(os.sched_getaffinity(0))
    process = spawn.Process(target=serve, args=(theirs, cores[0] if cores[1:] else None))
    process.start()
    theirs.close()
    try:
        if not ours.poll(_WITHIN):
            raise RuntimeError("the channel does not serve")
        yield ours.recv(), ours
    finally:
        ours.close()
        process.join(20)
        if process.is_alive():
            process.kill()
            process.join()


@contextmanager
def _apart() -> Iterator[None]:
    """Have this process leave the first core to the server."""
    cores = os.sched_getaffinity(0)
    if len(cores) > 1:
        os.sched_setaffinity(0, cores - {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measure_sockets(clients: int, seconds: float) -> dict[str, Any]:
    """What clients that share a core of a gateway are told, how late, and what that costs."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + 256
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    with _serving() as (port, server), _apart():
        figures = asyncio.run(_listen(port, clients, seconds, server))
    return {"clients": clients, "quotes_a_second": QUOTES_A_SECOND} | figures
