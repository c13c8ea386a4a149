"""HTTP as it comes off the wire: what is none, or has no end, is refused like everything else."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.http.errors import LONGEST_PATH_SHOWN
from api.refusals import (
    PROBLEM_JSON,
    SAYS,
    MalformedRequest,
    NotFound,
    problem_document,
    refusal_of,
)
from api.ws.handshake import WEBSOCKETS
from domain.errors import Rejection

LARGEST_HEAD = 64 * 1024
"""Bytes of a request before its body: the path with its query, and all headers."""


_TOO_LARGE = MalformedRequest("head", f"is larger than {LARGEST_HEAD} bytes")


class HeadTooLarge(Exception):
    """A request's head is larger than any client needs."""


class Protocol(HttpToolsProtocol):
    """One connection; the server's own refusals are problems too."""

    _head = 0
    _head_ended = False
    _unread = 0
    _refusal: Rejection | None = None
    _answering: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        """Read on; a header without an end is not kept for ever."""
        super().data_received(data)
        self._unread = 0 if self._head_ended else self._unread + len(data)
        if self._unread > 2 * LARGEST_HEAD and not self.transport.is_closing():
            self._refuse_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer nothing more. Of several requests the server looks at the last one alone, and
        would go on with the answer to another.
        """
        answering = self._answering
        if answering is not None:
            answering.disconnected = True
            answering.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._head = 0
        self._head_ended = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take in a part of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered, or become a WebSocket."""
        self._head_ended = True
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > LARGEST_HEAD:
            self._refusal = _TOO_LARGE
            raise HeadTooLarge

    def _refuse_head(self) -> None:
        self._refusal = _TOO_LARGE
        self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and read no more."""
        cycle = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            # Another answer is under way: these bytes would be taken for a part of it.
            self.transport.close()
            return
        self._refuse(
            self._refusal or MalformedRequest("request", "is no HTTP/1.1 that can be read")
        )

    def handle_websocket_upgrade(self) -> None:
        """Open a stream or a channel; at any other path there is none."""
        path = bytes(self.url).partition(b"?")[0].decode("latin-1")
        if path.rstrip("/") not in WEBSOCKETS:
            self._refuse(NotFound(path[:LONGEST_PATH_SHOWN]))
        elif not _opens_websocket(dict(self.headers)):
            self._refuse(MalformedRequest("Sec-WebSocket-Key", "of version 13 opens no WebSocket"))
        else:
            super().handle_websocket_upgrade()

    def _refuse(self, rejection: Rejection) -> None:
        status = SAYS[rejection.code].status
        body = msgspec.json.encode(problem_document(refusal_of(rejection)))
        said = [b"%s: %s\r\n" % field for field in self.server_state.default_headers]
        head = [STATUS_LINE[status], *said, *_headers(len(body)), b"\r\n"]
        self.transport.write(b"".join([*head, body]))
        self.transport.close()


def _opens_websocket(headers: dict[bytes, bytes]) -> bool:
    """Whether a handshake has what RFC 6455 asks of it."""
    try:
        nonce = b64decode(headers.get(b"sec-websocket-key", b""), validate=True)
    except ValueError:
        return False
    return len(nonce) == 16 and headers.get(b"sec-websocket-version", b"").strip() == b"13"


def _headers(length: int) -> list[bytes]:
    fields = {
        "content-type": PROBLEM_JSON,
        "content-length": str(length),
        "connection": "close",
    }
    return [f"{name}: {value}\r\n".encode() for name, value in fields.items()]
