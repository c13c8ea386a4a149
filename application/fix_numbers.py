"""What is kept of FIX sessions: their numbers, and which report each number was used for.

What is owed to a session is read from the log; what was sent under which number stands in the
store before it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class SessionId(NamedTuple):
    """Both comp ids, as the venue writes them: its own is the sender."""

    sender: str
    target: str

    def __str__(self) -> str:
        return f"{self.sender}->{self.target}"


class Source(NamedTuple):
    """Of what a report tells: an event by its log position, and which of its messages it is."""

    position: int
    part: int = 0


class SessionEnded(Exception):
    """The session is over, or another connection has it by now."""


class Numbered(NamedTuple):
    """A number of a session and the report that it was used for."""

    seq_num: int
    source: Source
    checksum: int
    """CRC-32 of the body as it was sent first."""
    poss_resend: bool = False
    """Whether it was sent with PossResend(97)."""


class Numbers(NamedTuple):
    """Where a session stands: what the next messages are numbered, and what it was told."""

    next_in: int = 1
    next_out: int = 1
    arrived: int = 0
    """All up to this own number are known to have arrived."""
    told: int = 0
    """Everything up to this log position was sent, or gap-filled by choice."""
    began: int = 0
    """When the numbers began at 1, in microseconds since 1970."""
    reserved: int = 1
    """Own numbers below this may have been used by now for what is no report: who opens the session
    goes on from here, and what was not used is gap-filled when the client asks for it."""


class SessionStore(Protocol):
    """Numbers of sessions, kept before they are used; one owner a session."""

    async def open(self, session_id: SessionId) -> Numbers:
        """Take a session over, or begin it: it is told of what is committed from now on."""
        ...

    async def save(
        self, session_id: SessionId, numbers: Numbers, sent: Sequence[Numbered] = ()
    ) -> None:
        """Keep where a session stands and what was numbered, in one transaction.

        Raises SessionEnded when another process has taken the session over.
        """
        ...

    async def sent(self, session_id: SessionId, first: int, last: int) -> Sequence[Numbered]:
        """What a range of own numbers was used for, in order; numbers of no report are left out."""
        ...

    async def reset(self, session_id: SessionId, numbers: Numbers) -> None:
        """Begin the numbers anew. What had not arrived, by the numbers as they were saved last,
        stays to be asked for (`uncertain`).

        Raises SessionEnded when another process has taken the session over.
        """
        ...

    async def uncertain(self, session_id: SessionId) -> Sequence[Source]:
        """Reports sent before the last reset that are not known to have arrived, each once, in
        the order of the log.
        """
        ...

    async def settled(self, session_id: SessionId) -> None:
        """What was uncertain was sent again under new numbers."""
        ...
