"""HTTP as it comes off the wire: what is none, or has no end, is refused like everything else."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from api.door.addresses import address_of
from api.door.door import Door
from api.door.pace import Pace
from api.door.refusals import HTTP, UNREAD
from api.door.wire import Taken, Wire
from api.http.beginning import Beginning
from api.http.bounds import Bounds
from api.http.errors import LONGEST_PATH_SHOWN
from api.refusals import (
    PROBLEM_JSON,
    SAYS,
    MalformedRequest,
    NotFound,
    RequestTimeout,
    TooManyConnections,
    problem_document,
    problem_headers,
    refusal_of,
)
from api.ws.handshake import WEBSOCKETS, opens_websocket
from domain.errors import Rejection

_NEVER = float("inf")


class BeyondBounds(Exception):
    """A request is larger than any client needs."""


class Protocol(HttpToolsProtocol):
    """One connection; the server's own refusals are problems too.

    What comes is parsed in parts, and none while a request waits for the answer to another: what
    one connection sends costs the others no more than a part.
    """

    wire: Wire
    address = ""
    _bounds: Bounds
    _beginning: Beginning
    _key_id = ""
    _known = False
    _refusal: Rejection | None = None
    _answering: RequestResponseCycle | None = None
    _unreadable = False

    @property
    def _door(self) -> Door:
        return cast(Any, self.config).door  # type: ignore[no-any-return]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen, where there is room for one more."""
        door = self._door
        limits = door.limits
        wire = Wire(cast(asyncio.Transport, transport), self, self.loop, limits.abort_seconds)
        super().connection_made(wire)
        self.wire = wire
        now = self.loop.time()
        self._bounds = Bounds(limits)
        self._beginning = Beginning(door.requests, door.acquaintances, limits.begun_seconds)
        self._due = now + limits.head_seconds
        self._idle = True
        self._pace = Pace(limits.strangers_requests, limits.strangers_requests_at_once, now)
        self.address = address_of(self.client[0]) if self.client else ""
        refusal = door.enter(self)
        if refusal:
            self._refuse(TooManyConnections(refusal))

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer nothing more. Of several requests the server looks at the last one alone, and
        would go on with the answer to another.
        """
        self._door.leave(self)
        self._door.waits_no_more(self)
        self._beginning.leave()
        self.wire.lost()
        self._end_answer()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        """Close: nobody is there to be answered."""
        self.wire.close()

    # What comes

    def data_received(self, data: bytes) -> None:
        """Take in what comes, in parts."""
        self._unset_keepalive_if_required()
        if self._idle:
            self._idle = False
            self._due = self.loop.time() + self._door.limits.head_seconds
        self.wire.came(data)

    def take(self, data: bytes, at: int) -> Taken:
        """Parse a part of what came."""
        if self._unreadable:
            return Taken(len(data), 0.0)
        bounds, size = self._bounds, self._door.limits.part_bytes
        part = data[at : at + size] if at or len(data) > size else data
        bounds.begin_part(len(part))
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                if self.wire.taker is not self:
                    # Parser and protocol know each other: nobody would let them go.
                    self.parser = None  # type: ignore[assignment]
            return Taken(len(data), 0.0)
        except httptools.HttpParserError:
            # A line of the log for each would be a way to fill it.
            self.send_400_response("")
            return Taken(len(data), 0.0)
        if bounds.too_much and not self.transport.is_closing():
            self._refusal = bounds.too_much
            self.send_400_response("")
        pause = 0.0
        if bounds.requests and not self._known:
            self._door.turns.charge(bounds.requests - 1)
            pause = self._pace.take(bounds.requests, self.loop.time())
        return Taken(at + len(part), pause)

    def has_room(self) -> bool:
        """Whether no request waits for the answer to another, and it is this one's turn."""
        if self.pipeline or self._known:
            return not self.pipeline
        door = self._door
        return door.may_go_on(self, self.wire.held(door.limits.part_bytes))

    def gives_its_turn_up(self) -> bool:
        """Whether the client has left; its connection is given back."""
        left = self.wire.is_left()
        if left:
            self.wire.abort()
        return left

    def turn_has_come(self) -> None:
        """Go on with what a stranger sent."""
        self.wire.go_on()

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._idle = False
        self._due = self.loop.time() + self._door.limits.head_seconds
        self._bounds.begin_request()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take in a part of the path."""
        self._judge(self._bounds.count_target(len(url)))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header; what stands behind the body is counted, and is none of the request."""
        bounds = self._bounds
        self._judge(bounds.count_header(len(name) + len(value)))
        if not bounds.in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Have the request answered, or become a WebSocket."""
        self._bounds.begin_body()
        self._due = self.loop.time() + self._door.limits.body_seconds
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the request is whole."""
        self._bounds.end_request()
        self._due = _NEVER
        super().on_message_complete()
        answered = self.cycle
        if answered is not None and answered.response_complete:
            self._rest()

    def _judge(self, refusal: Rejection | None) -> None:
        if refusal is not None:
            self._refusal = refusal
            raise BeyondBounds

    # What is answered

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        begin = partial(super()._start_asgi_task, cycle, app)
        self._beginning.when_it_is_its_turn(self._key_id, cast(Any, cycle.scope), begin)

    def on_response_complete(self) -> None:
        """Go on with the next request."""
        answered = self._answering
        who: Any = None if answered is None else answered.scope.get("auth")
        if who is not None:
            self._key_id = who.key_id
        if not self._known and answered is not None and who is not None:
            self._known = True
            self._door.met(who.key_id, answered.scope["headers"])
            self._door.connections.know(self)
            self._door.waits_no_more(self)
        if not self._known:
            large = self.wire.written // self._door.limits.answer_bytes_of_a_turn
            self._door.turns.charge(large)
        self.wire.written = 0
        super().on_response_complete()
        if not self.pipeline:
            if not self._bounds.in_request:
                self._rest()
            self.wire.go_on()

    def _rest(self) -> None:
        """Wait for the next request, of a stranger not for long."""
        self._idle = True
        self._due = _NEVER if self._known else self.loop.time() + self._door.limits.idle_seconds

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

    # What is due

    def look(self, now: float) -> None:
        """End a request that does not, a rest that is too long, and who does not read."""
        wire, limits = self.wire, self._door.limits
        if wire.is_closing():
            return
        if wire.is_stuck(now, self._door.unread_seconds(known=self._known)):
            self.cut()
        elif wire.waits_for_us:
            # What is not read is not known to have ended.
            if not self._known:
                self.gives_its_turn_up()
        elif now > self._due:
            if self._idle:
                wire.close()
            else:
                seconds = limits.body_seconds if self._bounds.in_body else limits.head_seconds
                part = "body" if self._bounds.in_body else "head"
                self._refusal = RequestTimeout(part, round(seconds * 1_000))
                self.send_400_response("")

    def cut(self) -> None:
        """Close at once: too much of what was written is unread."""
        self._door.refusals.count(HTTP, UNREAD)
        self.wire.abort()

    def turn_out(self) -> None:
        """Close: others need the place."""
        answering = self._answering
        if answering is None or answering.response_complete:
            self._refuse(TooManyConnections("others wait"))
        else:
            self.wire.abort()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and read no more."""
        answering = self._answering
        if answering is not None and answering.response_complete:
            if self._bounds.in_body:
                # It was answered before it was whole.
                self.wire.close()
                return
        elif answering is not None:
            if answering is not self.cycle or not answering.more_body:
                # What was whole before is answered; what cannot be read is not.
                self._answer_the_last(answering)
                return
            if answering.response_started:
                # These bytes would be taken for a part of that answer.
                self.wire.close()
                return
        self._refuse(
            self._refusal or MalformedRequest("request", "is no HTTP/1.1 that can be read")
        )

    def _answer_the_last(self, answering: RequestResponseCycle) -> None:
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        if self.pipeline:
            answering = self.pipeline[0][0]
        self._unreadable = True
        self.wire.drop()
        self.wire.pause_reading()
        if answering.response_started:
            self.wire.close()
        answering.keep_alive = False

    def handle_websocket_upgrade(self) -> None:
        """Open a stream or a channel; at any other path there is none."""
        path = bytes(self.url).partition(b"?")[0].decode("latin-1")
        if path.rstrip("/") not in WEBSOCKETS:
            self._refuse(NotFound(path[:LONGEST_PATH_SHOWN]))
        elif not opens_websocket(dict(self.headers)):
            self._refuse(MalformedRequest("Sec-WebSocket-Key", "of version 13 opens no WebSocket"))
        else:
            self._door.turns.charge(self._door.limits.opening_turns)
            self._door.waits_no_more(self)
            super().handle_websocket_upgrade()

    def _refuse(self, rejection: Rejection) -> None:
        self._door.refusals.count(HTTP, rejection.code)
        refusal = refusal_of(rejection)
        body = msgspec.json.encode(problem_document(refusal))
        said = [b"%s: %s\r\n" % field for field in self.server_state.default_headers]
        fields = {**problem_headers(refusal), **_framing(len(body))}
        said += [f"{name}: {value}\r\n".encode() for name, value in fields.items()]
        head = [STATUS_LINE[SAYS[rejection.code].status], *said, b"\r\n"]
        self.wire.write(b"".join([*head, body]))
        self.wire.close()
        self._end_answer()

    def _end_answer(self) -> None:
        answering = self._answering
        if answering is not None:
            answering.disconnected = True
            answering.message_event.set()


def _framing(length: int) -> dict[str, str]:
    return {
        "content-type": PROBLEM_JSON,
        "content-length": str(length),
        "connection": "close",
    }
