"""A connection as its protocol has it: given in parts, paused for reasons, cut when it lingers."""

from __future__ import annotations

import asyncio
import select
from typing import Any, NamedTuple, Protocol

from api.door.connections import Visitor

READER = "reader"
"""Who reads has enough for now."""
WRITING = "writing"
"""The client leaves too much unread."""
_HELD = "held"
PROGRESS_BYTES = 65_536


class Taken(NamedTuple):
    """What was taken of bytes that came: up to where, and seconds until more is taken."""

    end: int
    pause: float


class Taker(Visitor, Protocol):
    """Who reads what comes."""

    def take(self, data: bytes, at: int) -> Taken:
        """Take a part of what came, from a place on."""
        ...

    def has_room(self) -> bool:
        """Whether more may be taken now; who says no calls `go_on` when there is."""
        ...


class Wire(asyncio.Transport):
    """A transport whose reader takes no more in a turn of the loop than a part.

    What is left is held, and nothing more is read meanwhile. Reading pauses for several reasons
    and goes on when none is left. A connection that was closed and is not gone after some seconds
    is cut.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        taker: Taker,
        loop: asyncio.AbstractEventLoop,
        abort_seconds: float,
    ) -> None:
        super().__init__()
        self.taker = taker
        self._blocked_since: float | None = None
        self._unread = 0
        self.written = 0
        self._transport = transport
        self._loop = loop
        self._abort_seconds = abort_seconds
        self._pauses: set[str] = set()
        self._data = b""
        self._at = 0
        self._turn: asyncio.Handle | None = None
        self._cutting: asyncio.TimerHandle | None = None

    # Reading

    def came(self, data: bytes) -> None:
        """Take in what came: a part of it at once, the rest in turns."""
        if self._at < len(self._data):
            self._data = self._data[self._at :] + data
            self._at = 0
            return
        self._data, self._at = data, 0
        if self._pauses or not self.taker.has_room():
            self._pause(_HELD)
        else:
            self._take()

    @property
    def waits_for_us(self) -> bool:
        """Whether the client may have sent what was not read yet."""
        return bool(self._pauses)

    def drop(self) -> None:
        """Forget what came: nobody reads it any more."""
        self._data, self._at = b"", 0
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def held(self, most: int) -> bytes:
        """What came and was not taken, from its beginning on."""
        return self._data[self._at : self._at + most]

    def is_left(self) -> bool:
        """Whether the other side has ended the connection, be it behind what was not read."""
        socket = self.get_extra_info("socket")
        if socket is None or self.is_closing():
            return False
        asked = select.poll()
        asked.register(socket.fileno(), select.POLLRDHUP)
        return bool(asked.poll(0))

    def go_on(self) -> None:
        """Take more of what is held, if it may be taken now."""
        if self._turn is None and self._at < len(self._data) and not self._pauses - {_HELD}:
            self._turn = self._loop.call_soon(self._next_turn)

    def _take(self) -> None:
        taken = self.taker.take(self._data, self._at)
        self._at = max(self._at, taken.end)
        if self.is_closing():
            self.drop()
        elif self._at < len(self._data) or taken.pause:
            self._pause(_HELD)
            if taken.pause:
                self._turn = self._loop.call_later(taken.pause, self._next_turn)
            else:
                self.go_on()
        else:
            self._data, self._at = b"", 0
            self._resume(_HELD)

    def _next_turn(self) -> None:
        self._turn = None
        if self.is_closing():
            self.drop()
        elif self._at >= len(self._data):
            self._resume(_HELD)
        elif not self._pauses - {_HELD} and self.taker.has_room():
            self._take()

    def _pause(self, why: str) -> None:
        if not self._pauses and not self._transport.is_closing():
            self._transport.pause_reading()
        self._pauses.add(why)

    def _resume(self, why: str) -> None:
        if why not in self._pauses:
            return
        self._pauses.remove(why)
        if not self._pauses:
            if not self._transport.is_closing():
                self._transport.resume_reading()
        else:
            self.go_on()

    def pause_reading(self) -> None:
        """Take no more for now: the reader has enough."""
        self._pause(READER)

    def resume_reading(self) -> None:
        """Take on what comes."""
        self._resume(READER)

    # Writing

    def block(self) -> None:
        """Note that the client leaves more unread than its high-water mark."""
        self._blocked_since = self._loop.time()
        self._unread = self._transport.get_write_buffer_size()
        self._pause(WRITING)

    def unblock(self) -> None:
        """Note that it has read."""
        self._blocked_since = None
        self._resume(WRITING)

    def is_stuck(self, now: float, seconds: float) -> bool:
        """Whether the client has taken next to nothing for so long of what it leaves unread."""
        if self._blocked_since is None or now - self._blocked_since <= seconds:
            return False
        left = self._transport.get_write_buffer_size()
        if left > self._unread - PROGRESS_BYTES:
            return True
        self._blocked_since, self._unread = now, left
        return False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; to one that is closed nothing more is said."""
        if not self._transport.is_closing():
            self.written += len(data)
            self._transport.write(data)

    def get_write_buffer_size(self) -> int:
        """How many bytes wait to be sent."""
        return self._transport.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say of how many waiting bytes the protocol is told."""
        self._transport.set_write_buffer_limits(high, low)

    # Its end

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close when all is sent, or when that takes too long."""
        self.drop()
        if not self._transport.is_closing():
            self._transport.close()
            self._cutting = self._loop.call_later(self._abort_seconds, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        self.drop()
        self._transport.abort()

    def lost(self) -> None:
        """Forget what was to be done, and who read: the connection is gone."""
        self.drop()
        del self.taker
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    # What else is asked of a transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._transport.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Have another protocol told of what happens."""
        self._transport.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Who is told of what happens."""
        return self._transport.get_protocol()
