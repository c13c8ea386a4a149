"""The opening of a WebSocket: what opens none is refused as all else is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from api.refusals import (
    PROBLEM_JSON,
    SAYS,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    RoleRequired,
    problem_document,
    refusal_of,
)
from domain.errors import Rejection

STREAM = "/stream"
"""Where orders, and what becomes of them, are told."""
WEBSOCKETS = frozenset({STREAM, "/v2/book", "/v2/trades", "/v2/quotes"})
"""Where a WebSocket can be opened."""
FORGOTTEN_AFTER = 15.0
"""Seconds after which a connection is cut that was closed and takes nothing any more."""

Said = Callable[[], Sequence[tuple[bytes, bytes]]]
"""The headers of every answer."""


class Opening(ServerProtocol):
    """One handshake; what the library refuses is a problem with the headers of every answer."""

    def __init__(self, said: Said, **settings: Any) -> None:
        super().__init__(**settings)
        self._said = said

    def reject(self, status: StatusLike, text: str) -> Response:
        """Refuse to open, in the words of the rest."""
        rejection = _rejection(int(status))
        told = HTTPStatus(SAYS[rejection.code].status)
        body = msgspec.json.encode(problem_document(refusal_of(rejection)))
        headers = Headers([(name.decode(), value.decode()) for name, value in self._said()])
        headers["Connection"] = "close"
        headers["Content-Type"] = PROBLEM_JSON
        headers["Content-Length"] = str(len(body))
        return Response(told.value, told.phrase, headers, body)


class StreamProtocol(WebSocketsSansIOProtocol):
    """One connection that asks for a WebSocket."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.conn = Opening(
            lambda: self.default_headers,
            max_size=self.config.ws_max_size,
            logger=self.logger,
        )

    def data_received(self, data: bytes) -> None:
        """Read on; what is refused before it is a request at all is answered all the same."""
        super().data_received(data)
        if not self.handshake_initiated:
            answer = b"".join(self.conn.data_to_send())
            if answer:
                self.transport.write(answer)
                self.transport.close()

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


def _rejection(status: int) -> Rejection:
    """What the library, or the application, has found wrong with a handshake."""
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed("a WebSocket by another method", STREAM, ["GET"])
    if status == HTTPStatus.FORBIDDEN:
        return RoleRequired("trader")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != 505:
        return InternalError()
    return MalformedRequest("request", "opens no WebSocket")
