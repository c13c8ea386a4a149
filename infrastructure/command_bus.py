"""The command bus: batches of msgpack over a unix socket, answers in any order.

A frame is four bytes of length (big endian), then a msgpack array. Gateway to writer: rows of
[number, actor, gateway, command]; writer to gateway: rows of [number, reply]. What is sent in
one turn of the event loop goes out as one frame.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from application.commands import Envelope, Refusal, Reply, encode_command
from application.requests import Command
from domain.errors import QueueFull, VenueUnavailable
from infrastructure.framing import Framed, SocketFile, SocketListener, socket_file

LOOK_SECONDS = 0.25
"""How often a gateway that waits for answers looks whether another writer leads, and for
answers that are overdue.
"""
KEPT_PART = 4
"""Which part of what may wait comes on top, for what takes risk away."""
_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_REQUESTS = msgspec.msgpack.Decoder(list[tuple[int, str, str, bytes]])
_REPLIES = msgspec.msgpack.Decoder(list[tuple[int, Reply]])

Submit = Callable[[Envelope, Callable[[Reply], object]], None]


class _Framed(Framed):
    """Gathers rows into one frame a turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: list[Any] = []

    def put(self, row: Any) -> None:
        """Send a row with the others of this turn."""
        if not self._rows:
            asyncio.get_running_loop().call_soon(self._flush)
        self._rows.append(row)

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        if self._transport is not None and not self._transport.is_closing():
            try:
                body = _ENCODER.encode(rows)
            except (TypeError, ValueError, OverflowError):
                body = _ENCODER.encode([_row_that_fits(row) for row in rows])
            self.write_frame(body)


def _row_that_fits(row: Any) -> Any:
    """The row, or for an answer that cannot be written down one that says so."""
    try:
        _ENCODER.encode(row)
    except (TypeError, ValueError, OverflowError) as error:
        refusal = VenueUnavailable(f"the answer cannot be given: {error}")
        return row[0], Reply(0, Refusal(refusal.code, refusal.message, {}))
    return row


class _Served(_Framed):
    """One gateway's connection to the writer."""

    def __init__(self, submit: Submit, connections: set[_Served]) -> None:
        super().__init__()
        self._submit = submit
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._connections.discard(self)

    def frame(self, frame: memoryview) -> None:
        for number, actor, gateway, body in _REQUESTS.decode(frame):
            self._submit(Envelope(actor, gateway, msgspec.Raw(body)), partial(self._answer, number))

    def _answer(self, number: int, reply: Reply) -> None:
        """Pass an answer on; one that leads no more has none, and its gateway asks the next."""
        if reply.refusal is not None and reply.refusal.code == VenueUnavailable.code:
            self.close()
        else:
            self.put((number, reply))

    def stop_reading(self) -> None:
        """Take no more in; what was not read is sent again to whoever leads next."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def close(self) -> None:
        """End the connection after what was answered is written."""
        if self._rows:
            self._flush()
        if self._transport is not None:
            self._transport.close()


class BusServer:
    """The writer's end of the bus. Opening takes the path over from a writer that is gone."""

    def __init__(self, path: Path, submit: Submit) -> None:
        self._connections: set[_Served] = set()
        self._listener = SocketListener(path, lambda: _Served(submit, self._connections))

    async def open(self) -> None:
        """Listen at the path, replacing whatever else stands there."""
        await self._listener.open()

    def stop_reading(self) -> None:
        """Take no new connection and no new command; answers still go out."""
        self._listener.close()
        for connection in self._connections:
            connection.stop_reading()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        self._listener.close()
        for connection in list(self._connections):
            connection.close()


class _Called(_Framed):
    """A gateway's end of one connection."""

    def __init__(self, bus: UnixSocketBus) -> None:
        super().__init__()
        self._bus = bus
        self.socket_file: SocketFile | None = None

    def frame(self, frame: memoryview) -> None:
        for number, reply in _REPLIES.decode(frame):
            self._bus.answered(number, reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._bus.lost(self)


class _Request:
    __slots__ = ("due", "future", "repeatable", "row")

    def __init__(
        self,
        row: tuple[int, str, str, bytes],
        future: asyncio.Future[Reply],
        repeatable: bool,
        due: float,
    ) -> None:
        self.row = row
        self.future = future
        self.repeatable = repeatable
        self.due = due


class UnixSocketBus:
    """A gateway's bus (`application.ports.CommandBus`).

    Beyond `most` requests without an answer, or when for `late` seconds the writer's answers have
    taken longer than that, a request is refused here at once, but for what only ends something.

    When the connection breaks, or a new writer has put its socket in the place of one that
    stands still, requests that a repeat cannot double are sent again to whoever leads then;
    the others are answered with VenueUnavailable.
    """

    def __init__(
        self, path: Path, *, timeout: float = 10.0, most: int = 20_000, late: float = inf
    ) -> None:
        self._path = path
        self._timeout = timeout
        self._most = most
        self._late = late
        self._connected_at = 0.0
        self._late_since = inf
        self._number = 0
        self._requests: dict[int, _Request] = {}
        self._connection: _Called | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Have a command decided; see the port."""
        request = self._ask(command, actor, gateway)
        try:
            return await request.future
        finally:
            self._requests.pop(request.row[0], None)

    def ask(self, command: Command, actor: str, gateway: str) -> asyncio.Future[Reply]:
        """Send a command at once; see the port."""
        return self._ask(command, actor, gateway).future

    def _ask(self, command: Command, actor: str, gateway: str) -> _Request:
        loop = asyncio.get_running_loop()
        if self._is_busy(command):
            return _refused_at_once(loop.create_future())
        self._number += 1
        number = self._number
        row = (number, actor, gateway, encode_command(command))
        due = loop.time() + self._timeout
        request = _Request(row, loop.create_future(), command.is_repeatable(), due)
        self._requests[number] = request
        if self._connection is not None:
            self._connection.put(row)
        else:
            self._connect()
        if self._looking is None:
            self._looking = loop.call_later(LOOK_SECONDS, self._look)
        return request

    def answered(self, number: int, reply: Reply) -> None:
        """Take a reply in."""
        request = self._requests.pop(number, None)
        if request is not None:
            asked = max(request.due - self._timeout, self._connected_at)
            self._note(asyncio.get_running_loop().time(), asked)
            _settle(request.future, reply)

    def _is_busy(self, command: Command) -> bool:
        """Whether the writer is so far behind that a command would only wait."""
        waiting = len(self._requests)
        if waiting < self._most and not self._is_late():
            return False
        only_ends = command.TAKES_RISK_AWAY or command.READS
        return not only_ends or waiting >= self._most + self._most // KEPT_PART

    def _note(self, now: float, asked: float) -> None:
        """Note how late an answer is."""
        if now - asked <= self._late:
            self._late_since = inf
        elif self._late_since == inf:
            self._late_since = now

    def _is_late(self) -> bool:
        """Whether answers have come too late for as long as one may take: after a moment in which
        nothing could be stored all that waited is late, and what comes then is answered at once.
        """
        if not self._requests:
            # Nobody waits: how late it was before says nothing of what comes now.
            self._late_since = inf
            return False
        return asyncio.get_running_loop().time() - self._late_since > self._late

    def lost(self, connection: _Called) -> None:
        """The connection is gone: repeat what may be repeated."""
        if connection is not self._connection:
            return
        self._connection = None
        for number, request in list(self._requests.items()):
            if not request.repeatable:
                self._fail(number, "the writer went away before it answered")
        if self._requests and not self._closed:
            self._connect()

    def _look(self) -> None:
        """While answers are out, make sure that whoever owes them still has the path, and give
        up what is overdue: one timer for all, which costs less than one each.
        """
        self._looking = None
        now = asyncio.get_running_loop().time()
        while self._requests:
            number, oldest = next(iter(self._requests.items()))
            if oldest.due > now:
                break
            self._fail(number, "the writer did not answer in time; the outcome is not known")
        if self._closed or not self._requests:
            return
        connection = self._connection
        if connection is not None:
            there = socket_file(self._path)
            if there is not None and there != connection.socket_file:
                connection.abort()
        self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _fail(self, number: int, why: str) -> None:
        request = self._requests.pop(number, None)
        if request is not None and not request.future.done():
            request.future.set_exception(VenueUnavailable(why))

    def _connect(self) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._keep_connecting())

    async def _keep_connecting(self) -> None:
        delay = 0.01
        while self._requests and not self._closed:
            there = socket_file(self._path)
            try:
                _, connection = await asyncio.get_running_loop().create_unix_connection(
                    lambda: _Called(self), str(self._path)
                )
                reached = connection.is_open
            except OSError:
                reached = False
            if not reached:
                # Nobody listens, or somebody who is not this venue's writer.
                await asyncio.sleep(delay)
                delay = min(delay * 2, 0.25)
                continue
            connection.socket_file = there
            self._connection = connection
            self._connected_at = asyncio.get_running_loop().time()
            self._late_since = inf
            for request in self._requests.values():
                connection.put(request.row)
            return

    async def close(self) -> None:
        """Leave the bus; what is unanswered fails with VenueUnavailable."""
        self._closed = True
        if self._looking is not None:
            self._looking.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        for number in list(self._requests):
            self._fail(number, "the gateway is closing")
        if self._connection is not None:
            self._connection.abort()


class InProcessBus:
    """The bus without a socket: the sequencer runs in this very process."""

    def __init__(self, submit: Submit) -> None:
        self._submit = submit

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Have a command decided; see the port."""
        return await self.ask(command, actor, gateway)

    def ask(self, command: Command, actor: str, gateway: str) -> asyncio.Future[Reply]:
        """Send a command at once; see the port."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._submit(
            Envelope(actor, gateway, msgspec.Raw(encode_command(command))),
            partial(_settle, future),
        )
        return future


def _refused_at_once(future: asyncio.Future[Reply]) -> _Request:
    """A request that is not sent: its answer says that the venue is busy."""
    busy = QueueFull()
    future.set_result(Reply(0, Refusal(busy.code, busy.message, {})))
    return _Request((0, "", "", b""), future, False, 0.0)


def _settle(future: asyncio.Future[Reply], reply: Reply) -> None:
    """Give a reply to whoever waits for it."""
    if future.done():
        return
    if reply.refusal is not None and reply.refusal.code == VenueUnavailable.code:
        future.set_exception(VenueUnavailable(reply.refusal.message))
    else:
        future.set_result(reply)
