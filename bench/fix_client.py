"""One FIX session of a benchmark: logs on, sends, and hands the ClOrdID of each answer on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from api.fix.codec import Clock52, Decoder, Garbled, Head, Message, encode
from bench.fix_flow import Asked

PASSWORD = b"the benchmark's own"
VENUE = b"NEXUS"
_HEARTBEAT = b"30"
_CL_ORD_ID, _TEST_REQ_ID = 11, 112

Answered = Callable[[bytes, bytes], None]
"""Takes the type of an answer and the ClOrdID that it names."""


class FixSession(asyncio.Protocol):
    """A connection with a session on it, whose numbers begin at 1."""

    def __init__(self, name: str, answered: Answered) -> None:
        self._name = name.encode()
        self._answered = answered
        self._decoder = Decoder()
        self._clock = Clock52()
        self._next_out = 1
        self._transport: Any = None
        loop = asyncio.get_running_loop()
        self.logged_on: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        fields = [(98, b"0"), (108, _HEARTBEAT), (141, b"Y"), (554, PASSWORD)]
        self._transport.write(self._encoded(b"A", fields))

    def send(self, asked: list[Asked]) -> None:
        """Send messages in one write."""
        self._transport.write(b"".join(self._encoded(one.msg_type, one.fields) for one in asked))

    def leave(self) -> None:
        """Log out; `ended` follows."""
        self._leaving = True
        self._transport.write(self._encoded(b"5", []))

    def _encoded(self, msg_type: bytes, fields: list[tuple[int, bytes]]) -> bytes:
        now = self._clock.text(time.time_ns() // 1_000)
        head = Head(self._name, VENUE, self._next_out, now)
        self._next_out += 1
        return encode(head, msg_type, fields)

    def data_received(self, data: bytes) -> None:
        for message in self._decoder.feed(data):
            if isinstance(message, Garbled):
                raise RuntimeError(f"the venue sent {message}")
            self._take(message)

    def _take(self, message: Message) -> None:
        kind = message.msg_type
        if kind == b"8" or kind == b"9":
            self._answered(kind, message.get(_CL_ORD_ID) or b"")
        elif kind == b"j" or kind == b"3":
            self._answered(kind, b"")
        elif kind == b"A":
            self.logged_on.set_result(None)
        elif kind == b"1":
            word = message.get(_TEST_REQ_ID) or b""
            self._transport.write(self._encoded(b"0", [(_TEST_REQ_ID, word)]))
        elif kind == b"5" and not self._leaving:
            raise RuntimeError(f"the venue logged {self._name!r} out: {message!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.logged_on.done():
            self.logged_on.set_exception(ConnectionError(f"{self._name!r} was not let in"))
        if not self.ended.done():
            self.ended.set_result(None)


async def connected(port: int, name: str, answered: Answered) -> FixSession:
    """A session that is logged on."""
    loop = asyncio.get_running_loop()
    _, session = await loop.create_connection(lambda: FixSession(name, answered), "127.0.0.1", port)
    await asyncio.wait_for(session.logged_on, 60)
    return session


async def left(sessions: list[FixSession]) -> None:
    """Log sessions out, so that what they were sent is known to have arrived."""
    for session in sessions:
        session.leave()
    await asyncio.wait({session.ended for session in sessions}, timeout=30)
