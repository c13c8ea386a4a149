"""What the application asks of the outside; infrastructure fits these by shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

from application.commands import Reply
from application.requests import Command
from domain.events import DomainEvent
from domain.identifiers import Instant


class Recorded(NamedTuple):
    """A committed event and its log position."""

    position: int
    event: DomainEvent


class RequestKey(NamedTuple):
    """A client's request key, kept for ever: the same key and body give the first result."""

    account_id: UUID
    key: str
    fingerprint: bytes
    position: int
    """Log position of the first event of the request."""


class Batch(NamedTuple):
    """What one transaction stores: decisions in order, whole."""

    first_position: int
    events: Sequence[DomainEvent]
    keys: Sequence[RequestKey]


class Fenced(Exception):
    """Another writer has taken the partition over; this one may not go on."""


class OutcomeUnknown(Exception):
    """The connection broke around a commit: it may or may not have happened."""


class EventLog(Protocol):
    """The append-only store of one partition, as its writer sees it."""

    async def take_over(self) -> int:
        """End the previous writer, take the lock, raise the epoch; returns the epoch."""
        ...

    async def append(self, batch: Batch) -> None:
        """Commit one batch whole. Raises Fenced, OutcomeUnknown, or ValueError when the store
        refuses the values themselves and so has kept nothing.
        """
        ...

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events with positions above `after`, in order, at most `limit`."""
        ...

    async def last_position(self) -> int:
        """The position of the newest committed event; 0 in an empty log."""
        ...

    async def keys_up_to(
        self, position: int, after: tuple[UUID, str] | None = None, limit: int = 10_000
    ) -> Sequence[tuple[UUID, str]]:
        """Request keys first used at or below a position, by account and key, at most `limit`."""
        ...

    async def quarantine(
        self, correlation_id: UUID, actor: str, gateway: str, command: bytes, error: str
    ) -> None:
        """Set a command aside that broke the writer."""
        ...

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        """The stored request key, however old."""
        ...

    async def stream(self, originator_id: UUID) -> Sequence[Recorded]:
        """All events of one aggregate, in order."""
        ...


class Lease(Protocol):
    """What a leading writer renews, so that no standby takes it for silent."""

    async def renew(self) -> None:
        """Say that this writer is alive. Raises Fenced or OutcomeUnknown."""
        ...


class EventSource(Protocol):
    """The committed events of one partition, as readers follow them."""

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events with positions above `after`, in order, at most `limit`."""
        ...

    async def last_position(self) -> int:
        """The position of the newest committed event; 0 in an empty log."""
        ...

    async def wait(self, timeout: float) -> None:
        """Return when something may have been committed since, or after `timeout` seconds."""
        ...


class DeskSnapshot(NamedTuple):
    """The whole desk at a position, and the hash that says so."""

    position: int
    state_hash: bytes
    state: bytes


class DeskSnapshots(Protocol):
    """Where desk snapshots are kept."""

    async def latest(self, up_to: int | None = None) -> DeskSnapshot | None:
        """The newest snapshot, at or below a position when one is given."""
        ...

    async def save(self, snapshot: DeskSnapshot, at: Instant) -> None:
        """Keep a snapshot; one that exists stays as it is."""
        ...


class Clock(Protocol):
    """The one clock of a process."""

    def now(self) -> Instant:
        """Microseconds since 1970 UTC; it may jump, the sequencer never goes back."""
        ...


class Session(NamedTuple):
    """One trading session of a calendar; dates are integers as 20261120.

    `value_dates` are by settlement cycle, from T+0 on: days that settle. Only where the
    session's own date does not, T+0 and T+1 are the same day.
    """

    session_date: int
    value_dates: tuple[int, ...]
    opens_at: Instant
    closes_at: Instant

    @property
    def settles(self) -> bool:
        """Whether its own date is one on which trades settle."""
        return self.value_dates[0] == self.session_date


class UnknownCalendar(Exception):
    """No calendar has this name, or none that can say what was asked."""


class SessionCalendar(Protocol):
    """When instruments trade."""

    def session_at_or_after(self, calendar: str, at: Instant) -> Session:
        """The session that is under way at an instant, or else the next one.

        It may take a second when a calendar is read for the first time. Raises
        UnknownCalendar.
        """
        ...


class CommandBus(Protocol):
    """How gateways reach the writer."""

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Have a command decided; returns only after what it decided is committed.

        A refusal is a Reply with `refusal` set. Raises VenueUnavailable when the writer
        cannot be reached in time: the outcome is then unknown and a retry with the same
        request key is safe.
        """
        ...


class LiveEvents(Protocol):
    """Committed events pushed to a gateway's subscribers."""

    def follow(self, after: int) -> AsyncIterator[Sequence[Recorded]]:
        """Batches of committed events above a position, for ever."""
        ...
