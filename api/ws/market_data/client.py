"""One connection of a market data channel: what it asks for, and what it is sent.

Nothing waits here for a client that does not read but replies to what it said, of which there are
few. Data is made when the connection takes it, and so stands for all that came in between; who
takes none for too long is sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import msgspec
from litestar.exceptions import WebSocketDisconnect

from api.auth import Principal
from api.door import refusals
from api.door.fairness import Bounds, Fairness
from api.refusals import (
    SAYS,
    NotAuthorized,
    RoleRequired,
    ScopeRequired,
    TooManyRequests,
    problem_document,
    refusal_of,
)
from api.scopes import check_scope
from api.ws.market_data.hub import Channel, Hub
from api.ws.market_data.paces import step_at_least
from api.ws.market_data.requests import (
    MOST_SYMBOLS,
    Credentials,
    Subscribe,
    request_of,
    too_many_symbols,
)
from api.ws.market_data.subscribed import Subscribed
from domain.api_key import READ
from domain.errors import InvalidField, Rejection, UnknownInstrument, VenueUnavailable
from domain.identifiers import iso
from projections.market_data.feed import FeedAway, Followed, NotListed

AUTHENTICATE_WITHIN = 10.0
CLOSE_WITHIN = 5.0
PATIENCE_MS = 5_000
"""How long a client waits for a feed that is away."""
LOOK_AGAIN_SECONDS = 0.05
BETWEEN_REQUESTS = 0.01
"""Seconds after which the next subscription of a client is looked at."""
REPLIES_WAITING = 64
LARGEST_FRAME = 256 * 1024
"""After how many bytes the rest of what is new comes in another frame."""

POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

NOT_AUTHENTICATED = 401
AUTH_FAILED = 402
ALREADY_AUTHENTICATED = 403
AUTH_TIMEOUT = 404
TOO_MANY_SYMBOLS = 405
TOO_MANY_SOCKETS = 406
SLOW_CLIENT = 407
NOT_FOR_THIS_KEY = 409
INVALID = 400
AWAY = 503

_MICROS = 1_000
_encode = msgspec.json.Encoder().encode

log = logging.getLogger("nexus.market_data")


class Socket(Protocol):
    """A WebSocket that was accepted."""

    async def receive_exact(self) -> tuple[Any, bool]:
        """The next message and whether its frame was binary."""
        ...

    async def send_data(self, data: str | bytes, mode: Literal["text", "binary"]) -> None:
        """Send one frame; return when there is room for another."""
        ...

    async def close(self, code: int, reason: str | None = None) -> None:
        """Close it."""
        ...


class Keys(Protocol):
    """Who knows the keys."""

    async def principal(self, key_id: str | None, secret: str | None) -> Principal:
        """Who holds a key. Raises NotAuthorized or VenueUnavailable."""
        ...

    async def until_ended(self, key_id: str, secret: str) -> None:
        """Return when a key and its secret let nobody in any more."""
        ...


class Farewell(NamedTuple):
    """Why a connection is closed: the code and reason of the close, and what is said before."""

    code: int
    reason: str
    message: dict[str, Any] | None = None


class ChannelClient:
    """One client's connection."""

    def __init__(
        self,
        socket: Socket,
        keys: Keys,
        hub: Hub,
        channel: Channel,
        when_known: Callable[[str], object] = lambda key_id: None,
        fairness: Fairness | None = None,
        refused: Callable[[str], object] = lambda reason: None,
    ) -> None:
        self.hub = hub
        self.channel = channel
        self._some = some = asyncio.Event()
        self.subscribed = Subscribed(hub, channel, some.set)
        self.heartbeat_ms = hub.manners.heartbeat_ms
        self._socket = socket
        self._keys = keys
        self._when_known = when_known
        self._fairness = fairness or Fairness(Bounds())
        self._refused = refused
        self._who: Principal | None = None
        self._credentials = Credentials("", "")
        self._unheard = False
        self._known = asyncio.Event()
        self._binary = False
        self._replies: deque[bytes] = deque()
        self._farewell: asyncio.Future[Farewell] = asyncio.get_running_loop().create_future()
        self._sending_since: int | None = None
        self._beat_at = hub.clock.now() + self.heartbeat_ms * _MICROS

    async def run(self, given: Credentials | None = None) -> None:
        """Serve the client until either side has had enough; `given` came with the handshake."""
        self._say({"T": "success", "msg": "connected"})
        works = self._receive(given), self._send(), self._watch_key()
        tasks = [asyncio.create_task(work) for work in works]
        ends: list[asyncio.Future[Any]] = [*tasks, self._farewell]
        self.hub.enter(self)
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.hub.leave(self)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
                    log.error("a client of %s failed", self.channel.path, exc_info=outcome)
                    self._end(Farewell(INTERNAL_ERROR, "the venue failed"))
            self.subscribed.clear()
            if self._who is not None:
                self._fairness.close_socket(self._who.key_id)
        if self._farewell.done():
            await self._close(self._farewell.result())

    # What the hub asks

    def beat(self, now: int) -> None:
        """Say the heartbeat when it is due, and send away who takes nothing for too long."""
        since = self._sending_since
        if since is not None:
            if now - since > self.hub.manners.slow_ms * _MICROS:
                said = _error(SLOW_CLIENT, "slow client: what was sent was not read")
                self._end(Farewell(TRY_AGAIN_LATER, "slow client", said))
            return
        if now >= self._beat_at and self._who is not None:
            self._beat_at = now + self.heartbeat_ms * _MICROS
            self._say(
                {
                    "T": "heartbeat",
                    "t": iso(self.hub.wall.now()),
                    "stale": self.hub.stale,
                    **self.hub.age(),
                    "skipped": self.subscribed.skipped,
                    "dropped": self.subscribed.dropped,
                    "sequences": self.subscribed.sequences(),
                }
            )

    def feed_turned(self, stale: bool) -> None:
        """Say that the feed is stale; when it is back, tell all that stands again."""
        if self._who is not None:
            self._say_age()
            if not stale:
                self.subscribed.begin_anew()

    # What the client says

    async def _receive(self, given: Credentials | None) -> None:
        if given is not None:
            await self._answer(given)
        while True:
            try:
                message, self._binary = await self._socket.receive_exact()
            except Rejection as error:
                self._refuse(error)
            else:
                await self._answer(message)
            if self._who is not None:
                await self._fairness.read_on(self._who.key_id)

    async def _answer(self, message: Any) -> None:
        try:
            said = message if isinstance(message, Credentials) else request_of(message)
            if isinstance(said, Credentials):
                await self._authenticate(said)
                return
            if self._who is None:
                raise NotAuthorized
            if isinstance(said, Subscribe):
                await self._subscribe(said)
            else:
                for symbol in said.symbols:
                    self.subscribed.drop(symbol)
            self._say_subscription()
            # Whoever asks for one snapshot after the other is not all that this process serves.
            await asyncio.sleep(BETWEEN_REQUESTS)
        except Rejection as error:
            self._refuse(error)

    async def _authenticate(self, said: Credentials) -> None:
        if self._who is not None:
            self._say(_error(ALREADY_AUTHENTICATED, "already authenticated"))
            return
        self._unheard = True
        try:
            who = await self._keys.principal(said.key, said.secret)
        except NotAuthorized as error:
            self._unheard = False
            self._refused(error.code)
            self._say(_error(AUTH_FAILED, "auth failed", error))
            return
        self._unheard = False
        if who.account_id is None:
            raise RoleRequired("trader")
        check_scope(who, READ)
        self._fairness.open_socket(who.key_id)
        self._who, self._credentials = who, said
        self._when_known(said.key)
        self._known.set()
        self._say({"T": "success", "msg": "authenticated"})

    async def _subscribe(self, said: Subscribe) -> None:
        known = [symbol for symbol in said.symbols if self.subscribed.has(symbol)]
        if len(self.subscribed.symbols) + len(said.symbols) - len(known) > MOST_SYMBOLS:
            raise too_many_symbols()
        found = await self._follow(said.symbols)
        if said.throttle_ms is not None:
            self.subscribed.at(step_at_least(said.throttle_ms))
        if said.heartbeat_ms is not None:
            self.heartbeat_ms = said.heartbeat_ms
            self._beat_at = self.hub.clock.now() + self.heartbeat_ms * _MICROS
        for symbol, followed in zip(said.symbols, found, strict=True):
            self.subscribed.add(symbol, followed)

    async def _follow(self, symbols: tuple[str, ...]) -> list[Followed]:
        """All of some symbols, or none of them; a feed that is away is waited for a while."""
        found: list[Followed] = []
        ends = self.hub.clock.now() + PATIENCE_MS * _MICROS
        try:
            while len(found) < len(symbols):
                try:
                    found.append(await self.hub.feed.follow(symbols[len(found)]))
                except FeedAway:
                    if self.hub.clock.now() > ends:
                        raise
                    await asyncio.sleep(LOOK_AGAIN_SECONDS)
        except BaseException as error:
            for followed in found:
                self.hub.feed.leave(followed.row)
            if isinstance(error, NotListed):
                raise UnknownInstrument(error.symbol) from None
            if isinstance(error, FeedAway):
                raise VenueUnavailable("market data is away") from None
            raise
        return found

    async def _watch_key(self) -> None:
        """End a connection that never says who it is, or whose key is no longer good.

        While the store is away nobody can tell, and nobody is sent away for it.
        """
        while self._who is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AUTHENTICATE_WITHIN):
                    await self._known.wait()
            if self._who is None and not self._unheard:
                self._refused(refusals.AUTH_TIMEOUT)
                said = _error(AUTH_TIMEOUT, "auth timeout")
                self._end(Farewell(POLICY_VIOLATION, "auth timeout", said))
                return
            # It said who it is, and could not be looked up: it may say it again.
            self._unheard = False
        await self._keys.until_ended(*self._credentials)
        ended = NotAuthorized()
        said = _error(NOT_AUTHENTICATED, ended.message, ended)
        self._end(Farewell(POLICY_VIOLATION, "the key was revoked", said))

    # What it is sent

    def _say(self, message: dict[str, Any]) -> None:
        """Queue a reply; who leaves too many of them unread is sent away."""
        if len(self._replies) >= REPLIES_WAITING:
            self._end(Farewell(TRY_AGAIN_LATER, "slow client: replies were not read"))
            return
        self._replies.append(_encode(message))
        self._some.set()

    def _say_subscription(self) -> None:
        self._say(
            {
                "T": "subscription",
                "channel": self.channel.name,
                "symbols": self.subscribed.symbols,
                "throttle_ms": self.subscribed.throttle_ms,
                "heartbeat_ms": self.heartbeat_ms,
            }
        )
        self.hub.look_at_feed()
        if self.hub.stale:
            self._say_age()

    def _say_age(self) -> None:
        self._say({"T": "status", "msg": "stale" if self.hub.stale else "live", **self.hub.age()})

    def _refuse(self, rejection: Rejection) -> None:
        self._refused(rejection.code)
        self._say(_error(_code_of(rejection), rejection.message, rejection))

    async def _send(self) -> None:
        # A client that is gone is noticed by both sides of the work at once.
        with contextlib.suppress(OSError):
            while True:
                await self._some.wait()
                self._some.clear()
                texts = [*self._replies]
                self._replies.clear()
                texts += self.subscribed.parts(LARGEST_FRAME)
                if texts:
                    await self._put(texts)
                if self.subscribed.is_behind:
                    self._some.set()
                    # Who takes everything at once is still one of many.
                    await asyncio.sleep(0)

    async def _put(self, texts: list[bytes]) -> None:
        """Send a frame; while it waits for room the client is behind."""
        frame = b"[%b]" % b",".join(texts)
        self._sending_since = self.hub.clock.now()
        if self._binary:
            await self._socket.send_data(frame, mode="binary")
        else:
            await self._socket.send_data(frame.decode(), mode="text")
        self._sending_since = None
        self.hub.counts.frames += 1
        self.hub.counts.messages += len(texts)

    def _end(self, farewell: Farewell) -> None:
        if not self._farewell.done():
            if farewell.code == TRY_AGAIN_LATER:
                self.hub.counts.slow += 1
                self._refused(refusals.SLOW_CLIENT)
            self._farewell.set_result(farewell)

    async def _close(self, farewell: Farewell) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSE_WITHIN):
                if farewell.message is not None:
                    await self._put([_encode(farewell.message)])
                await self._socket.close(farewell.code, farewell.reason)


def _code_of(rejection: Rejection) -> int:
    """The code of an error, as Alpaca's data streams number them."""
    if isinstance(rejection, NotAuthorized):
        return NOT_AUTHENTICATED
    if isinstance(rejection, RoleRequired | ScopeRequired):
        return NOT_FOR_THIS_KEY
    if isinstance(rejection, VenueUnavailable):
        return AWAY
    if isinstance(rejection, TooManyRequests):
        return TOO_MANY_SOCKETS
    if isinstance(rejection, InvalidField) and rejection.details.get("limit") == MOST_SYMBOLS:
        return TOO_MANY_SYMBOLS
    return INVALID


def _error(code: int, msg: str, rejection: Rejection | None = None) -> dict[str, Any]:
    """What is said of what went wrong."""
    said: dict[str, Any] = {"T": "error", "code": code, "msg": msg}
    if rejection is None:
        return said
    problem = problem_document(refusal_of(rejection))
    said |= {"reason": problem["reason"], "field": problem["field"]}
    seconds = SAYS[rejection.code].retry_after
    return said | {"retry_after": seconds} if seconds else said
