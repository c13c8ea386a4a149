"""One connection: who it is must be known before anything of it is listened to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from api.door import refusals
from api.door.addresses import address_of
from api.fix.codec import Decoder, Garbled, Message
from api.fix.logon.certificates import certificate_of
from api.fix.ports import (
    Application,
    Doorkeeper,
    KeyShown,
    NotAdmitted,
    Peer,
    Received,
    SessionEnded,
    SessionId,
    SessionRules,
    SessionStore,
)
from api.fix.session.hands import Fault
from api.fix.session.outgoing import Times
from api.fix.session.registry import Registry
from api.fix.session.session import Session
from api.fix.session.words import LOGON, Tag
from api.refusals import TooManyConnections

FIRST_BYTES = 16_384
"""How long a Logon may be."""
PART_BYTES = 16_384
"""How much of what came is read in one turn."""
TURN_MESSAGES = 100
"""How many messages of one client are taken before others have their turn."""
UNREAD_MESSAGES = 1_000
"""How many answers wait for a client that reads slowly before it is not listened to."""
ENDING_SECONDS = 10.0
"""How long a client that logs on anew waits for the end of its former connection."""
ABORT_SECONDS = 5.0
"""How long a closed connection may take to send what was written."""

log = logging.getLogger("nexus.fix")


class Building(NamedTuple):
    """What every session of an acceptor shares."""

    doorkeeper: Doorkeeper
    store: SessionStore
    application: Application
    validate: Callable[[Received, Any], Fault | None]
    """Judges a message under the toggles of a template."""
    times: Times
    registry: Registry[Connection]
    refusals: refusals.Refusals


class Connection(asyncio.Protocol):
    """A connection from its first byte to its end."""

    def __init__(self, building: Building) -> None:
        self._building = building
        self._decoder = Decoder()
        self._early: list[Message | Garbled] = []
        self._inbox: list[Message | Garbled] = []
        self._data = b""
        self._began_with = 0
        self._turn: asyncio.Handle | None = None
        self._pauses: set[str] = set()
        self._admitting: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._with_key: asyncio.Task[None] | None = None
        self._blocked_since: float | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._reason = ""
        self._peer = Peer("")
        self._arrived = False
        self._claimed: SessionId | None = None
        self.began = building.times.steady()
        self.session: Session | None = None
        self.lost = False
        self.gone = asyncio.Event()
        """Set when the connection is closed and all that followed from it is done."""
        self._rules: SessionRules | None = None

    # asyncio

    def arrive(self, transport: asyncio.BaseTransport) -> None:
        """Come to the door, where there is room for one more who is not known yet."""
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        self._peer = Peer(str(address[0]) if address else "", None)
        registry, where = self._building.registry, address_of(self._peer.address)
        in_the_way = registry.in_the_way(where)
        if in_the_way is not None:
            in_the_way.refused(TooManyConnections.code, "it is silent, and another wants to log on")
        refusal = registry.enter(self, where)
        self._arrived = True
        if refusal:
            self.refused(TooManyConnections.code, refusal)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen."""
        if not self._arrived:
            self.arrive(transport)
        self._transport = cast(asyncio.Transport, transport)
        certificate = certificate_of(transport.get_extra_info("ssl_object"))
        self._peer = self._peer._replace(certificate=certificate)

    def data_received(self, data: bytes) -> None:
        """Take bytes as they come, a part of them in each turn."""
        self._data = self._data + data if self._data else data
        try:
            if self.session is None:
                self._begin()
            elif self._turn is None:
                self._take_turn()
        except Exception as error:
            log.exception("%s: what came failed", self._name())
            self.failed(f"what came failed: {error!r}")

    def _begin(self) -> None:
        """Look for a Logon in what came first; what is behind it waits."""
        while self._data and not self._early:
            part = self._part()
            self._began_with += len(part)
            self._early += self._decoder.feed(part)
            if not self._early and self._began_with > FIRST_BYTES:
                self.refused(refusals.NO_LOGON, f"no Logon in {self._began_with} bytes")
                return
        if self._early and self._admitting is None:
            self.pause()
            self._building.registry.said_something(self)
            self._admitting = asyncio.create_task(self._admit())

    def _part(self) -> bytes:
        data = self._data
        if len(data) <= PART_BYTES:
            self._data = b""
            return data
        self._data = data[PART_BYTES:]
        return data[:PART_BYTES]

    def _take_turn(self) -> None:
        """Take some of what came: other sessions have their turn before the rest."""
        self._turn = None
        if not self._inbox and self._data:
            self._inbox = self._decoder.feed(self._part())
        inbox, session = self._inbox, self.session
        assert session is not None
        if len(inbox) <= TURN_MESSAGES:
            self._inbox = []
            session.receive(inbox)
        else:
            self._inbox = inbox[TURN_MESSAGES:]
            session.receive(inbox[:TURN_MESSAGES])
        if self._inbox or self._data:
            self._turn = asyncio.get_running_loop().call_soon(self._next_turn)
            self._pause("turn")
        else:
            self._resume("turn")
        if self.blocked() and session.outgoing.waiting > UNREAD_MESSAGES:
            self._pause("unread")

    def _next_turn(self) -> None:
        if self.lost:
            return
        try:
            self._take_turn()
        except Exception as error:
            log.exception("%s: what came failed", self._name())
            self.failed(f"what came failed: {error!r}")

    def pause_writing(self) -> None:
        """Note that the client leaves more unread than its high-water mark."""
        self._blocked_since = self._building.times.steady()
        self._writable.clear()

    def resume_writing(self) -> None:
        """Go on sending: the client has read."""
        self._blocked_since = None
        self._writable.set()
        if self.session is not None:
            self.session.outgoing.unblocked()
        if self._blocked_since is None:
            self._resume("unread")

    def connection_lost(self, error: Exception | None) -> None:
        """Have the session end with its connection."""
        if (self._inbox or self._data) and self.session is not None:
            # It came while the connection stood.
            inbox, data = self._inbox, self._data
            self._inbox, self._data = [], b""
            self.session.receive([*inbox, *self._decoder.feed(data)])
        self.lost = True
        self._writable.set()
        if not self._reason:
            self._reason = f"connection lost: {error}" if error else "the client disconnected"
        log.info("%s: %s", self._name(), self._reason)
        self._ending = asyncio.create_task(self._end())

    # Wire

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if not self.lost:
            self._transport.write(data)

    def blocked(self) -> bool:
        """Whether the client reads too slowly for more to be written now."""
        return self._blocked_since is not None

    def unread(self) -> int:
        """How many bytes of what was written the client has not taken yet."""
        return 0 if self.lost else self._transport.get_write_buffer_size()

    async def writable(self) -> None:
        """Return when the client has read enough, or is gone."""
        await self._writable.wait()

    def finished(self, reason: str) -> None:
        """Close: all that was to be said is written."""
        self._reason = self._reason or reason
        if not self._transport.is_closing():
            self._transport.close()
            asyncio.get_running_loop().call_later(ABORT_SECONDS, self._transport.abort)

    def failed(self, reason: str) -> None:
        """Close at once."""
        self._reason = self._reason or reason
        self._transport.abort()

    def refused(self, kind: str, reason: str) -> None:
        """Close at once what is not served, and count it."""
        self._building.refusals.count(refusals.FIX, kind)
        self.failed(reason)

    def pause(self, why: str = "session") -> None:
        """Read no more for now."""
        self._pause(why)

    def resume(self, why: str = "session") -> None:
        """Read on, when nothing else is in the way."""
        self._resume(why)

    def _pause(self, why: str) -> None:
        if not self._pauses and not self._transport.is_closing():
            self._transport.pause_reading()
        self._pauses.add(why)

    def _resume(self, why: str) -> None:
        if why in self._pauses:
            self._pauses.remove(why)
            if not self._pauses and not self._transport.is_closing():
                self._transport.resume_reading()

    # Time

    def tick(self, logon_seconds: float) -> None:
        """Do what is due by now."""
        if self.lost:
            return
        steady = self._building.times.steady()
        if self.session is None:
            # A Logon that came has its turn, however many wait to have their password looked at.
            if self._admitting is None and steady - self.began >= logon_seconds:
                self.refused(refusals.LOGON_TIMEOUT, f"no Logon in {logon_seconds:g} seconds")
            return
        if self._blocked_since is not None and self._rules is not None:
            waited = steady - self._blocked_since
            if waited >= self._rules.slow_seconds:
                unread = self._transport.get_write_buffer_size()
                said = f"slow consumer: {unread} bytes unread for {waited:.0f} seconds"
                self.refused(refusals.SLOW_CLIENT, said)
                return
        if self._pauses:
            # It may have said something that was not read.
            self.session.heard()
        self.session.tick()

    @property
    def ending(self) -> bool:
        """Whether nothing more is taken of it."""
        return self.lost or self._transport.is_closing()

    def abandon(self) -> None:
        """Wait no more for what the end depends on."""
        self.failed("the gateway stops")
        for task in (self._admitting, self._ending):
            if task is not None:
                task.cancel()

    # Beginning and end

    async def _admit(self) -> None:
        try:
            first = self._early.pop(0)
            if isinstance(first, Garbled):
                self.refused(refusals.NO_LOGON, f"the first message is garbled: {first.why}")
            elif first.msg_type != LOGON or first.begin_string != b"FIX.4.4":
                self.refused(refusals.NO_LOGON, "the first message is no Logon of FIX.4.4")
            else:
                await self._let_in(first)
        except SessionEnded as ended:
            self.failed(f"another has the session: {ended}")
        except Exception as error:
            log.exception("%s: the logon failed", self._name())
            self.failed(f"the logon failed: {error!r}")

    async def _let_in(self, logon: Message) -> None:
        sender, target = logon.get(Tag.TARGET), logon.get(Tag.SENDER)
        if not sender or not target:
            self.refused(refusals.NO_LOGON, "the Logon does not say whose it is")
            return
        building = self._building
        session_id = SessionId(
            *(name.decode("ascii", "backslashreplace") for name in (sender, target))
        )
        rules = await building.doorkeeper.admit(logon, self._peer, building.times.now())
        if isinstance(rules, NotAdmitted):
            building.refusals.count(refusals.FIX, refusals.NOT_ADMITTED)
            if rules.reason:
                log.warning("%s: not admitted: %s", self._name(), rules.reason)
            if not rules.told or self.lost or not await self._claims(session_id):
                self.failed(rules.reason)
                return
            session = await self._session(SessionRules(session_id))
            session.turn_away(rules.told)
            return
        if self.lost:
            return
        if not await self._claims(session_id):
            self.failed(f"{session_id} is logged on already")
            return
        session = await self._session(rules)
        log.info("%s: %s logs on", self._peer.address, session_id)
        await session.begin(logon)
        if rules.key is not None:
            self._with_key = asyncio.create_task(self._end_with(rules.key, session))

    async def _end_with(self, key: KeyShown, session: Session) -> None:
        """Log the session out when its key lets nobody in any more."""
        await self._building.doorkeeper.until_ended(key)
        session.log_out("The key is not live any more")

    async def _claims(self, session_id: SessionId) -> bool:
        """Take a session; one that is at its end is waited for, one that goes on is asked whether
        it is there still.
        """
        registry = self._building.registry
        while not registry.claim(session_id, self):
            holder = registry.holder(session_id)
            if holder is None:
                continue
            if not holder.ending:
                if holder.session is not None:
                    holder.session.suspect()
                return False
            try:
                await asyncio.wait_for(holder.gone.wait(), ENDING_SECONDS)
            except TimeoutError:
                return False
            if self.lost:
                return False
        self._claimed = session_id
        return True

    async def _session(self, rules: SessionRules) -> Session:
        building = self._building
        numbers = await building.store.open(rules.session_id)
        self._rules = rules
        self._transport.set_write_buffer_limits(rules.high_water_bytes)
        self.session = Session(
            rules,
            numbers,
            building.store,
            self,
            building.times,
            building.application,
            lambda message: building.validate(message, rules.toggles),
        )
        self.session.receive(self._early)
        self._early = []
        if self._data:
            self._pause("turn")
            self._turn = asyncio.get_running_loop().call_soon(self._next_turn)
        return self.session

    async def _end(self) -> None:
        if self._with_key is not None:
            self._with_key.cancel()
        try:
            if self._admitting is not None:
                await asyncio.wait((self._admitting,))
            if self.session is not None:
                await self.session.over()
        except Exception:
            log.exception("%s: the end failed", self._name())
        finally:
            self._building.registry.leave(self, self._claimed)
            self.gone.set()

    def _name(self) -> str:
        return f"{self._claimed or 'unknown'} at {self._peer.address}"
