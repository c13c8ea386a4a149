"""What the parts of the FIX gateway are to each other: a session, its reports, its store.

A session numbers and delivers, and knows nothing of orders. The application knows orders and
nothing of numbers. What is owed to a session is read from the log; what was sent under which
number stands in the store before it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from application.fix_numbers import (
    Numbered,
    Numbers,
    SessionEnded,
    SessionId,
    SessionStore,
    Source,
)

__all__ = [
    "Application",
    "Body",
    "Doorkeeper",
    "Link",
    "NotAdmitted",
    "Numbered",
    "Numbers",
    "Peer",
    "PeerCertificate",
    "Rate",
    "Received",
    "Report",
    "SessionEnded",
    "SessionId",
    "SessionRules",
    "SessionStore",
    "Source",
    "Window",
]


class Body(NamedTuple):
    """A message without its session's header and trailer: fields in the order they are sent."""

    msg_type: bytes
    fields: Sequence[tuple[int, bytes]]


class Report(NamedTuple):
    """What is owed to a session because of an event."""

    source: Source
    body: Body


class Received(Protocol):
    """A message that came, as the codec reads it: values in the order of the message."""

    msg_type: bytes
    seq_num: int
    tags: Sequence[int]
    values: Sequence[bytes]

    def get(self, tag: int) -> bytes | None:
        """The first value of a tag; None when it is not there."""
        ...


class Window(NamedTuple):
    """A time in which a session is open by its schedule, in microseconds since 1970."""

    begins: int
    ends: int


class Rate(NamedTuple):
    """How many application messages a session may send in any so many seconds."""

    messages: int
    seconds: float


class KeyShown(NamedTuple):
    """A key by its id and its secret, as a client has shown them; never written down."""

    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyShown({self.key_id!r})"


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What a session's template asks of its client, as the session layer reads it."""

    session_id: SessionId
    key: KeyShown | None = None
    """The key that it logged on with; with this it ends."""
    heartbeat_least: int = 1
    heartbeat_most: int = 3_600
    """Which seconds the client may choose as HeartBtInt(108)."""
    latency_seconds: int = 120
    """How far SendingTime(52) may be from the clock; 0 looks at nothing."""
    toggles: Any = None
    """What is validated, as `api/fix/validation.py` takes it."""
    reset_on_logon: bool = False
    reset_on_logout: bool = False
    reset_on_disconnect: bool = False
    reset_by_client: bool = True
    """Whether the client may begin numbers anew by ResetSeqNumFlag(141)."""
    window: Window | None = None
    """The session's time that the logon falls into; numbers that began before it begin anew."""
    rate: Rate | None = None
    rate_by_report: bool = False
    """Over the rate `Application.over_rate` answers, not a BusinessMessageReject."""
    high_water_bytes: int = 4_194_304
    """What may wait to be read by the client before nothing more is numbered for it."""
    slow_seconds: int = 30
    """How long it may stay above that before it is disconnected; its orders stay."""
    resend_most: int = 0
    """How many missed messages are asked for at once; 0 asks for all there are."""
    logout_seconds: int = 5
    """How long an answer to our Logout is waited for."""


class PeerCertificate(NamedTuple):
    """A client's certificate that somebody signed whom the venue knows."""

    subject: str
    """Its distinguished name, as RFC 4514 writes it."""
    common_name: str
    fingerprint: str
    """The SHA-256 of the certificate."""


class Peer(NamedTuple):
    """Who is at the other end of a connection, before it says so."""

    address: str
    certificate: PeerCertificate | None = None
    """As `api.fix.logon.certificates.certificate_of` reads it of a connection."""


class NotAdmitted(NamedTuple):
    """A logon that is refused: what the log says, and what the client is told, if anything."""

    reason: str
    told: str = ""
    """Text of a Logout; when empty the connection is closed without a word."""


class Doorkeeper(Protocol):
    """Who knows the templates: password, certificate, address and schedule."""

    async def admit(self, logon: Received, peer: Peer, now: int) -> SessionRules | NotAdmitted:
        """Judge a Logon, whose 49 and 56 are the client's and the venue's; now is in microseconds.

        It never raises for what a client sends.
        """
        ...

    async def until_ended(self, key: KeyShown) -> None:
        """Return when a key lets nobody in any more."""
        ...


class Link(Protocol):
    """A session that is logged on, as the application sees it."""

    session_id: SessionId

    def answer(self, body: Body) -> None:
        """Send what is no event and is gap-filled when it is asked for again."""
        ...

    def clear(self) -> bool:
        """Whether all that was answered is written, and the client takes it: then is the time for
        what can wait, and may be replaced by something newer.
        """
        ...

    def hold(self, held: bool) -> None:
        """Read no more of the client while it has too much under way; then read on."""
        ...

    def refuse(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Send a BusinessMessageReject (380 is the reason, 371 the tag) of a message."""
        ...

    def reject(self, message: Received, reason: int, text: str, *, tag: int = 0) -> None:
        """Send a session-level Reject (373 is the reason, 371 the tag) of a message."""
        ...

    async def deliver(self, reports: Sequence[Report], up_to: int, *, resent: bool = False) -> None:
        """Number reports, store their numbers, send them; afterwards the session was told of
        everything up to a log position. Waits while the client reads too slowly.

        Reports that may have arrived before carry PossResend (`resent`).
        Raises SessionEnded when the session is over: what was not stored is owed still.
        """
        ...


class Application(Protocol):
    """What is behind the sessions."""

    async def logged_on(self, link: Link, told: int, uncertain: Sequence[Source]) -> None:
        """Begin to report: what follows a log position, and first, as PossResend, what was sent
        before numbers were reset and is not known to have arrived.
        """
        ...

    def received(self, link: Link, message: Received) -> None:
        """Take an application message that was validated and is in its turn; never waits."""
        ...

    def over_rate(self, link: Link, message: Received) -> None:
        """Answer a message over the session's rate by a report; never waits."""
        ...

    def undecided(self, link: Link) -> int:
        """The lowest number of a message taken whose outcome is not known yet; 0 when all are.

        From there on the client is asked again after a crash: what this process passed on may be
        lost with it.
        """
        ...

    async def logged_off(self, link: Link) -> None:
        """Report no further; cancel the session's orders where its template says so."""
        ...

    async def render(self, session_id: SessionId, sources: Sequence[Source]) -> Sequence[Body]:
        """The messages that these events made, byte for byte as they were sent first."""
        ...
