"""What waits to be sent to one client, in order and within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

MESSAGES_WAITING = 1_024
UPDATES_WAITING = 256
BYTES_WAITING = 4 * 1024 * 1024
"""How much of it all may wait for one client."""

_encode = msgspec.json.Encoder().encode


class Outbox:
    """Messages for one client: written by anybody, read by its sender.

    Trade updates are taken while there is room, and can be had again; answers to what the
    client itself sent cannot, so one that leaves too many of them unread loses the connection.
    """

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self.full = asyncio.Event()
        self.ended = asyncio.Event()

    def say(self, stream: str, data: Any) -> None:
        """Queue one message."""
        if self.full.is_set():
            return
        message = _encode({"stream": stream, "data": data})
        waiting = self._bytes + len(message)
        if len(self._messages) >= MESSAGES_WAITING or waiting > BYTES_WAITING:
            self.full.set()
            return
        self._messages.append(message)
        self._bytes = waiting
        self._some.set()
        if len(self._messages) >= UPDATES_WAITING or 4 * waiting > BYTES_WAITING:
            self._room.clear()

    def tell(self, updates: Sequence[dict[str, Any]]) -> bool:
        """Queue trade updates that belong together; false when there is no room for them now."""
        if not self._room.is_set():
            return False
        for update in updates:
            self.say("trade_updates", update)
        return True

    async def room(self) -> None:
        """Return when most of what waited was sent."""
        await self._room.wait()

    def end(self) -> None:
        """Have the connection closed: what it listens to has ended."""
        self.ended.set()

    async def next(self) -> bytes:
        """The next message."""
        while not self._messages:
            self._some.clear()
            await self._some.wait()
        message = self._messages.popleft()
        self._bytes -= len(message)
        if len(self._messages) <= UPDATES_WAITING // 2 and 8 * self._bytes <= BYTES_WAITING:
            self._room.set()
        return message
