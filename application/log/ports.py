"""The log as the application sees it: what is stored, who appends, who reads and who follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

from domain.events import DomainEvent
from domain.identifiers import Instant


class Recorded(NamedTuple):
    """A committed event and its log position."""

    position: int
    event: DomainEvent


class RequestKey(NamedTuple):
    """A client's request key, kept for ever: the same key and body do nothing more.

    `account_id` is the account's own, or of an operator's key `domain.identifiers.operators_of` it.
    """

    account_id: UUID
    key: str
    fingerprint: bytes
    position: int
    """Log position of the first event of the request."""


class KeyRow(NamedTuple):
    """How a key stands after one of its events.

    `digest` is the SHA-256 of its secret, which no event says; None where it stays as it is stored.
    """

    key_id: str
    account_id: UUID
    version: int
    position: int
    at: Instant
    created_at: Instant
    scopes: tuple[str, ...]
    label: str
    expires_at: Instant
    digest: bytes | None
    revoked: bool


class ForgottenSubject(NamedTuple):
    """A person whose key is thrown away."""

    subject: UUID
    at: Instant


BesideRow: TypeAlias = KeyRow | ForgottenSubject
"""A row beside the log that changes with events, or not at all."""


class Batch(NamedTuple):
    """What one transaction stores: decisions in order, whole."""

    first_position: int
    events: Sequence[DomainEvent]
    keys: Sequence[RequestKey]
    beside: Sequence[BesideRow] = ()


class Fenced(Exception):
    """Another writer has taken the partition over; this one may not go on."""


class OutcomeUnknown(Exception):
    """The connection broke around a commit: it may or may not have happened."""


class UnreadableEvent(Exception):
    """The log holds an event that this program cannot read: it is another program's, or damaged.

    Whoever meets one stops: what follows it cannot be understood without it.
    """

    def __init__(self, position: int, why: str) -> None:
        super().__init__(
            f"the event at position {position} of the log cannot be read: {why}; run the version of"
            " nexus that wrote this log, or a newer one (`nexus audit verify` finds a damaged row)"
        )
        self.position = position


class ArchiveError(Exception):
    """An archive of a log cannot be read or written as it stands: where and why."""


class EventPages(Protocol):
    """The log read by position."""

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events with positions above `after`, in order, at most `limit`."""
        ...


class EventStreams(Protocol):
    """The log read by aggregate."""

    async def stream(
        self, originator_id: UUID, after_version: int = 0, up_to_version: int | None = None
    ) -> Sequence[Recorded]:
        """The events of one aggregate above a version, at most up to another, in order."""
        ...


class LogEnd(Protocol):
    """Who can say where the log ends."""

    async def last_position(self) -> int:
        """The position of the newest committed event; 0 in an empty log."""
        ...


class EventReads(EventPages, EventStreams, LogEnd, Protocol):
    """The committed events of one partition, by position and by aggregate."""


class AccountPages(EventReads, Protocol):
    """The committed events of one partition, also of one account alone."""

    async def read_of_account(
        self, account_id: UUID, after: int, up_to: int, limit: int, topics: Sequence[str]
    ) -> Sequence[Recorded]:
        """The committed events of an account above `after` and up to a position that are of these
        topics, in order, at most `limit`.
        """
        ...


class ReportsLog(AccountPages, Protocol):
    """The committed events of one partition, as those read them who report to clients."""

    async def read_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The committed events at these positions, in order."""
        ...

    async def first_events(self, originator_ids: Sequence[UUID]) -> Sequence[Recorded]:
        """The first event of each of these aggregates, in no order."""
        ...

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        """The stored request key, however old."""
        ...


class EventLog(EventReads, Protocol):
    """The append-only store of one partition, as its writer sees it."""

    @property
    def is_held(self) -> bool:
        """Whether a batch waits for a switch of the store, or the last one has done so."""
        ...

    async def take_over(self) -> int:
        """End the previous writer, take the lock, raise the epoch; returns the epoch."""
        ...

    async def append(self, batch: Batch) -> None:
        """Commit one batch whole. Raises Fenced, OutcomeUnknown, or ValueError when the store
        refuses the values themselves and so has kept nothing.
        """
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


class Lease(Protocol):
    """What a leading writer renews, so that no standby takes it for silent."""

    async def renew(self) -> None:
        """Say that this writer is alive. Raises Fenced or OutcomeUnknown."""
        ...


class EventSource(EventReads, Protocol):
    """The committed events of one partition, as readers follow them."""

    async def wait(self, timeout: float) -> None:
        """Return when something may have been committed since, or after `timeout` seconds."""
        ...


class EventRanges(LogEnd, Protocol):
    """The log read by ranges of positions, without the topics that are not wanted."""

    async def read_range(
        self, after: int, up_to: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events above `after` and up to a position, in order."""
        ...


class EventLookUps(EventStreams, LogEnd, Protocol):
    """Single lives in the log, as those look them up who answer requests: at once or not."""

    async def lives(
        self, originator_ids: Sequence[UUID], *, after: int, limit: int
    ) -> Sequence[Recorded]:
        """The events of several aggregates together that stand above a position, in log order,
        at most `limit`.
        """
        ...


class LogSubqueries(Protocol):
    """Questions to the log that a statement over views may hold: one round trip instead of two.

    They read the log of the schema whose names the connection uses.
    """

    order_of_request: str
    """(account id, order id) that a request made, by `account_id` and `client_order_id`."""


class DeskSnapshot(NamedTuple):
    """The whole desk at a position, and the hash that says so."""

    position: int
    state_hash: bytes
    state: bytes


class Taken(NamedTuple):
    """Which desk snapshot there is, and the instant of the log at which it was taken."""

    position: int
    at: Instant


class DeskSnapshots(Protocol):
    """Where desk snapshots are kept."""

    async def latest(self, up_to: int | None = None) -> DeskSnapshot | None:
        """The newest snapshot, at or below a position when one is given."""
        ...

    async def save(self, snapshot: DeskSnapshot, at: Instant) -> None:
        """Keep a snapshot; one that exists stays as it is."""
        ...
