"""A connection to the TLS door: counted from its first moment on, though nothing is said yet."""

from __future__ import annotations

import asyncio
import logging
from ssl import SSLContext
from typing import Protocol, cast

log = logging.getLogger("nexus.fix")


class Arriving(Protocol):
    """A connection that is there before it can be spoken with."""

    def arrive(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        ...

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        ...

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        ...

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        ...


class TlsArrival(asyncio.Protocol):
    """Shakes hands for a connection, and hands over to it."""

    def __init__(self, connection: Arriving, context: SSLContext, seconds: float) -> None:
        self._connection = connection
        self._context = context
        self._seconds = seconds
        self._early: list[bytes] = []
        self._shaking: asyncio.Task[None] | None = None
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the connection counted; where there is room for it, shake hands."""
        raw = cast(asyncio.Transport, transport)
        self._connection.arrive(raw)
        if not raw.is_closing():
            self._shaking = asyncio.create_task(self._shake(raw))

    def data_received(self, data: bytes) -> None:
        """Keep what came before the handshake began, or with its end."""
        self._early.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Have the connection end, once."""
        if not self._over:
            self._over = True
            self._connection.connection_lost(error)

    async def _shake(self, raw: asyncio.Transport) -> None:
        loop = asyncio.get_running_loop()
        # Not sooner: reading begins after `connection_made`, whatever was asked for there.
        raw.pause_reading()
        hello, self._early = b"".join(self._early), []
        shaking = asyncio.ensure_future(
            loop.start_tls(
                raw,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=self._seconds,
            )
        )
        if hello:
            # In the turn in which the handshake begins, behind that and before more is read.
            loop.call_soon(loop.call_soon, _feed, raw, hello)
        try:
            transport = await shaking
        except Exception as error:
            raw.abort()
            self.connection_lost(error)
            return
        finally:
            # What failed refers to where it failed, and that to what failed.
            del shaking
        if transport is None or self._over:
            self.connection_lost(None)
            return
        transport.set_protocol(cast(asyncio.BaseProtocol, self._connection))
        self._connection.connection_made(transport)
        for data in self._early:
            self._connection.data_received(data)
        self._early = []


def _feed(raw: asyncio.Transport, data: bytes) -> None:
    """Give the handshake what was read before it began."""
    shaking = cast(asyncio.BufferedProtocol, raw.get_protocol())
    while data and not raw.is_closing():
        buffer = memoryview(shaking.get_buffer(len(data)))
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        shaking.buffer_updated(size)
        data = data[size:]
