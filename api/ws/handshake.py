"""The opening of a WebSocket: what opens none is refused as all else is."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, cast
from weakref import WeakMethod

import msgspec
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from api.door.door import Door
from api.door.frames import Cut, Frames
from api.door.pace import Pace
from api.door.refusals import EMPTY_FRAMES, SOCKETS, TOO_MUCH_UNKNOWN, UNREAD
from api.door.wire import Taken, Wire
from api.refusals import (
    PROBLEM_JSON,
    SAYS,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    RoleRequired,
    TooManyConnections,
    problem_document,
    refusal_of,
)
from domain.errors import Rejection

STREAM = "/stream"
"""Where orders, and what becomes of them, are told."""
WEBSOCKETS = frozenset({STREAM, "/v2/book", "/v2/trades", "/v2/quotes"})
"""Where a WebSocket can be opened."""
KNOWN = "known"
"""Under which name the state of a connection has what is called when it is known who it is."""
FORGOTTEN_AFTER = 15.0
"""Seconds after which a connection is cut that was closed and takes nothing any more."""

_FAREWELLS = {
    EMPTY_FRAMES: (CloseCode.POLICY_VIOLATION, "too many frames that bring no message"),
    TOO_MUCH_UNKNOWN: (CloseCode.POLICY_VIOLATION, "too much before it is known who this is"),
    TooManyConnections.code: (CloseCode.TRY_AGAIN_LATER, "others need the place"),
}
"""How it is closed, by why."""

Said = Callable[[], Sequence[tuple[bytes, bytes]]]
"""The headers of every answer."""


class Opening(ServerProtocol):
    """One handshake; what the library refuses is a problem with the headers of every answer."""

    def __init__(self, said: Said, count: Callable[[str], object], **settings: Any) -> None:
        super().__init__(**settings)
        self._said = said
        self._count = count

    def reject(self, status: StatusLike, text: str) -> Response:
        """Refuse to open, in the words of the rest."""
        rejection = _rejection(int(status))
        self._count(rejection.code)
        told = HTTPStatus(SAYS[rejection.code].status)
        body = msgspec.json.encode(problem_document(refusal_of(rejection)))
        headers = Headers([(name.decode(), value.decode()) for name, value in self._said()])
        headers["Connection"] = "close"
        headers["Content-Type"] = PROBLEM_JSON
        headers["Content-Length"] = str(len(body))
        return Response(told.value, told.phrase, headers, body)


class StreamProtocol(WebSocketsSansIOProtocol):
    """One connection that asks for a WebSocket.

    Frames are parsed a few in a turn of the loop, and so many in a second. Who sends too many
    that bring no message is sent away, and so is who sends more than a key and a subscription
    need before it has said who it is.
    """

    wire: Wire
    address = ""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # The application says when it knows who this is.
        # Weakly: what is gone is not to wait for the collector.
        self.app_state = {**self.app_state, KNOWN: WeakMethod(self._know)}
        headers = self.default_headers
        self.conn = Opening(
            lambda: headers,
            partial(self._door.refusals.count, SOCKETS),
            max_size=self.config.ws_max_size,
            logger=self.logger,
        )
        self._key_id: str | None = None
        self._sent_away = False
        self._frames_seen = Frames()
        self._frames = self._bytes = 0

    @property
    def _door(self) -> Door:
        return cast(Any, self.config).door  # type: ignore[no-any-return]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the place of the request that asks for it."""
        super().connection_made(transport)
        wire, limits, now = cast(Wire, transport), self._door.limits, self.loop.time()
        self.wire = wire
        self.address = wire.taker.address
        self._door.connections.become(wire.taker, self)
        wire.taker = self
        self._pace = Pace(limits.frames, limits.frames_at_once, now)
        self._bytes_pace = Pace(limits.frame_bytes, limits.frame_bytes_at_once, now)
        self._empty_pace = Pace(limits.empty_frames, limits.empty_frames_at_once, now)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give its place to another."""
        self._door.leave(self)
        self._door.turns.leave(self)
        self._door.frames.leave(self, self._key_id or "")
        self.wire.lost()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """Close: nobody is there to be answered."""
        self.wire.close()

    def data_received(self, data: bytes) -> None:
        """Read on; what is refused before it is a request at all is answered all the same."""
        if self.handshake_initiated:
            self.wire.came(data)
            return
        super().data_received(data)
        if not self.handshake_initiated:
            answer = b"".join(self.conn.data_to_send())
            if answer:
                self.transport.write(answer)
                self.transport.close()

    def take(self, data: bytes, at: int) -> Taken:
        """Take a few frames of what came."""
        limits, now = self._door.limits, self.loop.time()
        cut = self._frames_seen.cut(data, at, limits.frame_part_bytes, limits.frames_in_a_part)
        reason = self._too_much(cut, cut.end - at, now)
        if reason:
            self._send_away(reason)
            return Taken(len(data), 0.0)
        super().data_received(data[at : cut.end] if at or cut.end < len(data) else data)
        pause = self._pace.take(cut.frames, now)
        return Taken(cut.end, max(pause, self._bytes_pace.take(cut.end - at, now)))

    def has_room(self) -> bool:
        """Whether it is this one's turn; behind a message reading pauses anyhow."""
        if self._key_id is None:
            return self._door.turns.may_go_on(self)
        return self._door.frames.may_go_on(self, self._key_id)

    def gives_its_turn_up(self) -> bool:
        """Whether the client has left; its connection is given back."""
        left = self.wire.is_left()
        if left:
            self.wire.abort()
        return left

    def turn_has_come(self) -> None:
        """Go on with what a stranger sent."""
        self.wire.go_on()

    def _too_much(self, cut: Cut, size: int, now: float) -> str:
        """For what of what it sends a connection is sent away; nothing if it is not."""
        if cut.empty and self._empty_pace.take(cut.empty, now):
            return EMPTY_FRAMES
        if self._key_id is not None:
            return ""
        limits = self._door.limits
        self._frames += cut.frames
        self._bytes += size
        if self._frames > limits.strangers_frames or self._bytes > limits.strangers_bytes:
            return TOO_MUCH_UNKNOWN
        return ""

    async def send(self, message: Any) -> None:
        """Send what the application says; one that was sent away is told nothing more."""
        if self._sent_away and message["type"] in ("websocket.send", "websocket.close"):
            raise ClientDisconnected
        await super().send(message)

    def _send_away(self, reason: str) -> None:
        self._door.refusals.count(SOCKETS, reason)
        code, why = _FAREWELLS[reason]
        if self.handshake_complete and not self.close_sent and not self.wire.is_closing():
            self._sent_away = True
            self.conn.send_close(code, why)
            self.handle_parser_exception()
        self.wire.close()

    def pause_writing(self) -> None:
        """Read no more while the client does not."""
        super().pause_writing()
        self.wire.block()
        self._door.blocked(self, self.wire.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        self.wire.unblock()
        self._door.unblocked(self)

    def look(self, now: float) -> None:
        """End a connection of which nothing is taken for too long."""
        if self.wire.is_stuck(now, self._door.unread_seconds(known=self._key_id is not None)):
            self.cut()
        elif self._key_id is None and self.wire.waits_for_us:
            self.gives_its_turn_up()

    def cut(self) -> None:
        """Close at once: too much of what was written is unread."""
        self._door.refusals.count(SOCKETS, UNREAD)
        self.wire.abort()

    def turn_out(self) -> None:
        """Close: others need the place."""
        self._send_away(TooManyConnections.code)

    def _know(self, key_id: str) -> None:
        """Note that the client has said who it is."""
        self._key_id = key_id
        self._door.connections.know(self)
        self._door.turns.leave(self)
        self.wire.go_on()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Be done with a client; one that takes not even the end is cut off after a while."""
        super().on_task_complete(task)
        self.loop.call_later(FORGOTTEN_AFTER, self.transport.abort)

    def send_receive_event_to_app(self) -> None:
        """Pass a message on; text that is none ends the connection, and is no fault of ours."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.conn.send_close(CloseCode.INVALID_DATA)
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()


def opens_websocket(headers: dict[bytes, bytes]) -> bool:
    """Whether a handshake has what RFC 6455 asks of it."""
    try:
        nonce = b64decode(headers.get(b"sec-websocket-key", b""), validate=True)
    except ValueError:
        return False
    return len(nonce) == 16 and headers.get(b"sec-websocket-version", b"").strip() == b"13"


def known(socket: Any, key_id: str) -> None:
    """Say that the client of a WebSocket has said who it is, by which key."""
    to_be_told = socket.scope["state"].get(KNOWN)
    told = to_be_told and to_be_told()
    if told:
        told(key_id)


def _rejection(status: int) -> Rejection:
    """What the library, or the application, has found wrong with a handshake."""
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed("a WebSocket by another method", STREAM, ["GET"])
    if status == HTTPStatus.FORBIDDEN:
        return RoleRequired("trader")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != 505:
        return InternalError()
    return MalformedRequest("request", "opens no WebSocket")
