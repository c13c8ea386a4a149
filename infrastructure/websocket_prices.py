"""Reads reference prices out of another's WebSocket: JSON lines in messages of text.

The connection is made again whenever it ends, later each time until something comes. What waits to
be read is bounded: a source that is faster than its reader is held by its own connection. A message
that is wrong is named, a flood of them once a second, and passed over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException
from websockets.uri import parse_uri

from application.reference_prices import Received
from infrastructure.price_lines import Said, WrongLine, json_values, received, said_in

LARGEST_MESSAGE = 256 * 1024
WAITING_MOST = 16
"""How many messages wait to be read."""
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 10.0
CONNECT_SECONDS = 10.0
ALIVE_SECONDS = 10.0
"""How often it is asked whether the other side is there still."""
SAY_SECONDS = 1.0
"""How often at most it is said what is wrong."""


class WebSocketPrices:
    """The prices of a WebSocket, for as long as they are read."""

    def __init__(self, url: str, *, say: Callable[[str], object] = print) -> None:
        """Raises ValueError when this is no WebSocket."""
        try:
            where = parse_uri(url)
        except InvalidURI:
            raise ValueError("this is no address of a WebSocket, as wss://host/path") from None
        self.refused = 0
        """How many lines were wrong."""
        self.connections = 0
        """How often the connection was made."""
        self._url = url
        # Without what may be a secret: user, password, and what stands behind a question mark.
        self._name = f"{where.host}:{where.port}{where.path}"
        self._say = say
        self._connection: ClientConnection | None = None
        self._backoff = FIRST_BACKOFF
        self._number = 0
        self._said_at = -SAY_SECONDS
        self._unsaid = 0

    async def receive(self) -> Received:
        """The next prices or heartbeat; it waits, and connects, until there are some."""
        while True:
            connection = await self._connected()
            try:
                message = await connection.recv(decode=False)
            except ConnectionClosed as closed:
                self._connection = None
                self._complain(f"ended: {closed}")
                await self._wait()
                continue
            said = [one for line in message.split(b"\n") if (one := self._read(line)) is not None]
            if said:
                self._backoff = FIRST_BACKOFF
                return received(said, new=True)

    async def close(self) -> None:
        """Leave the other side."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _connected(self) -> ClientConnection:
        while self._connection is None:
            try:
                self._connection = await connect(
                    self._url,
                    max_size=LARGEST_MESSAGE,
                    max_queue=WAITING_MOST,
                    open_timeout=CONNECT_SECONDS,
                    ping_interval=ALIVE_SECONDS,
                    ping_timeout=ALIVE_SECONDS,
                )
            except (OSError, TimeoutError, WebSocketException) as error:
                self._complain(f"cannot be reached: {error}")
                await self._wait()
            else:
                self.connections += 1
                self._number = 0
        return self._connection

    async def _wait(self) -> None:
        await asyncio.sleep(self._backoff)
        self._backoff = min(2 * self._backoff, LAST_BACKOFF)

    def _read(self, line: bytes) -> Said | None:
        self._number += 1
        try:
            return said_in(line, json_values)
        except WrongLine as error:
            self.refused += 1
            self._complain(f"line {self._number} {error}; it is passed over")
        return None

    def _complain(self, what: str) -> None:
        now = time.monotonic()
        if now - self._said_at < SAY_SECONDS:
            self._unsaid += 1
            return
        more = f" (and {self._unsaid} before that)" if self._unsaid else ""
        self._said_at, self._unsaid = now, 0
        self._say(f"{self._name}: {what}{more}")
