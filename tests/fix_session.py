"""A FIX session for tests: messages in short, a client over a socket, and what stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from api.fix.codec import Clock52, Decoder, Garbled, Head, Message, encode
from api.fix.ports import (
    Body,
    KeyShown,
    Link,
    NotAdmitted,
    Peer,
    Received,
    Report,
    SessionId,
    SessionRules,
    Source,
)

NOON = 1_796_040_000_000_000
"""2026-11-30 12:00:00 UTC, in microseconds."""
VENUE, CLIENT = "VENUE", "CLIENT"
SESSION = SessionId(VENUE, CLIENT)

Fields = Sequence[tuple[int, bytes]]


class SetTimes:
    """A wall clock and a steady one that stand still until they are moved."""

    def __init__(self, now: int = NOON) -> None:
        self.micros = now
        self.seconds = 1_000.0

    def now(self) -> int:
        """Microseconds since 1970."""
        return self.micros

    def steady(self) -> float:
        """Seconds that only go forward."""
        return self.seconds

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.micros += round(seconds * 1_000_000)
        self.seconds += seconds


def fields_of(text: str) -> list[tuple[int, bytes]]:
    """Fields as they are written down: `112=HELLO|7=1`."""
    fields = []
    for part in text.split("|"):
        if part:
            tag, _, value = part.partition("=")
            fields.append((int(tag), value.encode()))
    return fields


def written(
    text: str, seq_num: int, times: SetTimes, *, sender: str = CLIENT, target: str = VENUE
) -> bytes:
    """A client's message on the wire: its type first, then its fields; 43 and 122 in the header."""
    kind, *fields = fields_of(text)
    header = [field for field in fields if field[0] in (43, 97, 122, 115, 128, 116, 129)]
    body = [field for field in fields if field not in header and field[0] != 52]
    said = dict(fields).get(52) or Clock52().text(times.now())
    head = Head(sender.encode(), target.encode(), seq_num, said, header)
    return encode(head, kind[1], body)


def read(data: bytes) -> Message:
    """One message of the wire."""
    (message,) = Decoder().feed(data)
    assert isinstance(message, Message), message
    return message


def shown(message: Message) -> str:
    """A message in short: its number, and what it says but for comp ids and times."""
    return "|".join(
        f"{tag}={value.decode()}"
        for tag, value in zip(message.tags, message.values, strict=True)
        if tag not in (49, 56, 52, 122)
    )


class EchoApplication:
    """Answers every order by a report; reports can be owed while the client is away."""

    def __init__(self) -> None:
        self.links: dict[SessionId, Link] = {}
        self.received_bodies: list[bytes] = []
        self.events: list[tuple[SessionId, Body]] = []
        self.uncertain: list[Source] = []
        self.ended: list[SessionId] = []
        self.first_undecided = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def logged_on(self, link: Link, told: int, uncertain: Sequence[Source]) -> None:
        """Tell what is owed."""
        self.links[link.session_id] = link
        self.uncertain = list(uncertain)
        if uncertain:
            bodies = await self.render(link.session_id, uncertain)
            again = [Report(*said) for said in zip(uncertain, bodies, strict=True)]
            await link.deliver(again, told, resent=True)
        owed = [
            Report(Source(place), body)
            for place, (session_id, body) in enumerate(self.events, 1)
            if place > told and session_id == link.session_id
        ]
        if owed:
            await link.deliver(owed, len(self.events))

    def received(self, link: Link, message: Received) -> None:
        """Make an event of an order."""
        if message.msg_type != b"D":
            link.refuse(message, 3, "Unsupported Message Type")
            return
        self.received_bodies.append(message.get(11) or b"")
        self.happen([(11, message.get(11) or b""), (150, b"0")], link.session_id)

    def happen(self, fields: Fields, session_id: SessionId = SESSION) -> None:
        """Have something happen that is owed to a session, and tell it if it is there."""
        body = Body(b"8", tuple(fields))
        self.events.append((session_id, body))
        link = self.links.get(session_id)
        if link is not None:
            report = Report(Source(len(self.events)), body)
            task = asyncio.ensure_future(link.deliver([report], len(self.events)))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        task.exception()

    def over_rate(self, link: Link, message: Received) -> None:
        """Refuse an order by a report."""
        link.answer(Body(b"8", ((11, message.get(11) or b""), (150, b"8"))))

    def undecided(self, link: Link) -> int:
        """Nothing, unless a test wishes so."""
        return self.first_undecided

    async def logged_off(self, link: Link) -> None:
        """Tell it nothing more."""
        self.links.pop(link.session_id, None)
        self.ended.append(link.session_id)

    async def render(self, session_id: SessionId, sources: Sequence[Source]) -> Sequence[Body]:
        """The events again."""
        return [self.events[source.position - 1][1] for source in sources]


class OpenDoor:
    """Lets in whom it has rules for."""

    def __init__(self, rules: Mapping[SessionId, SessionRules] | None = None) -> None:
        self.rules = dict(rules or {SESSION: SessionRules(SESSION)})
        self.key_ends = asyncio.Event()

    async def admit(self, logon: Received, peer: Peer, now: int) -> SessionRules | NotAdmitted:
        """Look at the comp ids and, where one is said, the password."""
        session_id = SessionId(*((logon.get(tag) or b"").decode() for tag in (56, 49)))
        if session_id not in self.rules:
            return NotAdmitted("no such session")
        if logon.get(554) == b"closed":
            return NotAdmitted("out of hours", "the session is closed")
        if logon.get(554) == b"wrong":
            return NotAdmitted("wrong password")
        return self.rules[session_id]

    async def until_ended(self, key: KeyShown) -> None:
        """Return when a test says that the key is no good any more."""
        await self.key_ends.wait()


class Client:
    """A client that keeps no numbers of its own: each message is said with its number."""

    def __init__(self, times: SetTimes, session_id: SessionId = SESSION) -> None:
        self._times, self._id = times, session_id
        self._decoder = Decoder()
        self._messages: list[Message] = []

    async def connect(self, port: int) -> None:
        """Open a connection."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)

    def send(self, seq_num: int, text: str) -> None:
        """Send a message: `35=1|112=HELLO`."""
        sender, target = self._id.target, self._id.sender
        self._writer.write(written(text, seq_num, self._times, sender=sender, target=target))

    def raw(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    async def next(self) -> Message:
        """The next message; EOFError when the connection ends before."""
        while not self._messages:
            data = await asyncio.wait_for(self._reader.read(65_536), 10)
            if not data:
                raise EOFError
            for message in self._decoder.feed(data):
                assert not isinstance(message, Garbled), message
                self._messages.append(message)
        return self._messages.pop(0)

    async def shown(self) -> str:
        """The next message in short."""
        return shown(await self.next())

    async def logon(self, seq_num: int = 1, more: str = "") -> str:
        """Log on; returns the answer in short."""
        self.send(seq_num, "35=A|98=0|108=30" + more)
        return await self.shown()

    async def ended(self) -> list[str]:
        """All that comes until the connection ends."""
        said = []
        try:
            while True:
                said.append(await self.shown())
        except (EOFError, ConnectionError):
            await self.close()
            return said

    async def close(self) -> None:
        """Close the connection."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return
