"""Verify a log: read every stored row once and hold it against rules of the audit's own.

The bookkeeping (`application.audit.second_books`) knows the events' fields and nothing of the desk,
the handlers or the aggregates; only the snapshots are held against a replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from application.audit.second_books.books import Books
from application.audit.second_books.credentials import CredentialRow
from application.audit.second_books.findings import CHECKS, Findings, Violation
from application.audit.second_books.request_keys import CARRIES_KEY, KeyBooks, KeyOf
from application.audit.snapshots import (
    AggregateSnapshot,
    DeskSnapshotAudit,
    audit_aggregate_snapshots,
)
from application.log.ports import DeskSnapshot, Recorded
from domain import events as e
from domain.events import DomainEvent
from domain.identifiers import command_number

_ENDS = (
    *(e.OrderCanceled, e.OrderExpired, e.OrderRejected),
    # What comes late, of an order that ended long ago.
    *(e.OrderFillBusted, e.OrderFillCorrected),
    *(e.MultiLegRejected, e.MultiLegCanceled, e.MultiLegExpired, e.MultiLegUnwound),
    *(e.GroupEnded, e.SettlementSettled, e.WatchlistDeleted),
)
"""After one of them nothing follows in its stream, or only what is rare."""
LIFE_PAGE = 2_000
"""How many events of one aggregate are read at a time."""


class StoredRow(NamedTuple):
    """One row of the log with all its columns; `recorded_at` in microseconds."""

    position: int
    originator_id: UUID
    originator_version: int
    topic: str
    state: bytes
    recorded_at: int
    instrument_id: UUID | None
    account_id: UUID | None
    traded_qty: int | None
    traded_notional: int | None
    correlation_id: UUID
    actor: str


class Codec(Protocol):
    """How rows become events and back."""

    def decode(self, topic: str, state: bytes) -> DomainEvent:
        """The event in a row; raises ValueError."""
        ...

    def encode_again(self, topic: str, state: bytes, event: DomainEvent) -> bytes:
        """The bytes that the row's own shape has."""
        ...

    def columns(self, event: DomainEvent) -> tuple[Any, ...]:
        """The typed columns, as in StoredRow from `recorded_at` on."""
        ...


class AuditSource(Protocol):
    """A store at one moment, as an auditor reads it."""

    def last_position(self) -> int:
        """The position of the newest row; 0 in an empty log."""
        ...

    def pages(self) -> Iterator[Sequence[StoredRow]]:
        """Every row of the log by position."""
        ...

    def stream(
        self, originator_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> Sequence[StoredRow]:
        """The rows of one aggregate above a version, in order, at most `limit`."""
        ...

    def keys(self, wanted: Sequence[KeyOf]) -> Mapping[KeyOf, tuple[bytes, int]]:
        """The stored (fingerprint, position) of request keys."""
        ...

    def key_count(self) -> int:
        """How many request keys are stored."""
        ...

    def credentials(self) -> Sequence[CredentialRow] | None:
        """Every key as it is stored; None where none are, as in an archive."""
        ...

    def subjects(self) -> Sequence[UUID]:
        """Every person whose key is kept."""
        ...

    def tracked(self) -> Sequence[tuple[str, int, int]]:
        """Every view's (name, version, position)."""
        ...

    def desk_snapshots(self) -> Iterable[DeskSnapshot]:
        """Every desk snapshot by position, each read when it is asked for."""
        ...

    def aggregate_snapshots(self) -> Iterable[AggregateSnapshot]:
        """Every aggregate snapshot, ordered by id and version, a few at a time."""
        ...


class Check(NamedTuple):
    """One check: its promise, how often it was made and how often it failed."""

    name: str
    promise: str
    looked: int
    failed: int


class Report(NamedTuple):
    """What an audit found."""

    last_position: int
    events: int
    commands: int
    checks: tuple[Check, ...]
    violations: tuple[Violation, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not any(check.failed for check in self.checks)


def verify(
    source: AuditSource, codec: Codec, *, progress: Callable[[int], object] | None = None
) -> Report:
    """Audit a whole store; `progress` hears how many rows are done."""
    return Audit(source, codec).run(progress)


class Audit:
    """One pass over the log."""

    def __init__(self, source: AuditSource, codec: Codec) -> None:
        self._source = source
        self._codec = codec
        self._findings = findings = Findings()
        self._books = Books(findings, self._history)
        self._keys = KeyBooks(findings, source.keys)
        self._desks = DeskSnapshotAudit(findings, source.desk_snapshots())
        self._judges = self._books.judges
        self._versions: dict[int, int] = {}
        self._position = 0
        self._judged = 0
        self._at = 0
        self._correlation: int | None = None
        self._first_of_command = 1
        self._number = 0
        self._origin: tuple[int, str, str, int] = (0, "", "", 0)
        self._commands = self._events = 0

    def run(self, progress: Callable[[int], object] | None) -> Report:
        """Read all, judge all."""
        findings, source = self._findings, self._source
        for page in source.pages():
            self.page(page)
            if progress is not None:
                progress(self._events)
        self._end_command()
        self._keys.end(self._position, source.key_count())
        self._books.end(self._position)
        credentials = source.credentials()
        if credentials is not None:
            self._books.credentials.end(credentials, source.subjects())
        self._desks.end()
        for name, version, position in source.tracked():
            findings.looked["views"] += 1
            if position > self._position:
                findings.fail("views", position, f"{name} version {version} is ahead of the log")
        audit_aggregate_snapshots(findings, source.aggregate_snapshots(), self._whole_history)
        for name in ("positions", "versions", "time", "bytes", "columns", "causes"):
            findings.looked[name] = self._events
        findings.looked["commands"] = self._commands
        checks = tuple(
            Check(name, promise, findings.looked[name], findings.failed[name])
            for name, promise in CHECKS.items()
        )
        return Report(
            self._position, self._events, self._commands, checks, tuple(findings.violations())
        )

    def page(self, rows: Sequence[StoredRow]) -> None:
        """Judge the next rows of the log."""
        recorded: list[Recorded] = []
        judges = self._judges
        for row in rows:
            self._events += 1
            self._follows_on(row[0], row[1], row[2])
            event = self._read(row)
            if event is None:
                continue
            position = row[0]
            if event.correlation_id.int != self._correlation:
                self._end_command()
                self._begin_command(position, event)
            self._in_order(position, event)
            kind = type(event)
            judge = judges.get(kind)
            if judge is not None:
                judge(position, event)
            if kind in CARRIES_KEY:
                self._keys.note(position, event, self._first_of_command)
            if kind in _ENDS or (isinstance(event, e.OrderFilled) and not event.leaves_after):
                self._versions.pop(event.originator_id.int, None)
            recorded.append(Recorded(position, event))
            self._judged = position
        self._keys.end_page()
        if self._desks.waits:
            self._desks.page(recorded)

    def _follows_on(self, position: int, originator_id: UUID, version: int) -> None:
        """Positions and versions have no gap."""
        if position != self._position + 1:
            self._findings.fail("positions", position, f"follows {self._position}")
        self._position = position
        versions = self._versions
        identifier = originator_id.int
        before = versions.get(identifier)
        if before is None:
            before = 0
            if version != 1:
                # An order that ended was forgotten; what happens to it later is rare.
                before = sum(row[0] < position for row in self._life(originator_id))
        if version != before + 1:
            self._findings.fail(
                "versions", position, f"{originator_id} v{version} follows v{before}"
            )
        versions[identifier] = version

    def _read(self, row: StoredRow) -> DomainEvent | None:
        """The event of a row, when the row is what it should be."""
        position, originator_id, version, topic, state = row[:5]
        codec = self._codec
        try:
            event = codec.decode(topic, state)
            again = codec.encode_again(topic, state, event)
        except ValueError as error:
            self._findings.fail("bytes", position, f"{topic} cannot be read: {error}")
            return None
        if again != state:
            self._findings.fail("bytes", position, f"{topic} is written otherwise than stored")
        if row[5:] != codec.columns(event) or (
            event.originator_id != originator_id or event.originator_version != version
        ):
            self._findings.fail("columns", position, _difference(row, event, codec.columns(event)))
        return event

    def _in_order(self, position: int, event: DomainEvent) -> None:
        """Time, cause and command of an event."""
        if event.at < self._at:
            self._findings.fail("time", position, f"{event.at} follows {self._at}")
        self._at = event.at
        if not 0 <= event.causation_id < position:
            self._findings.fail("causes", position, f"caused by {event.causation_id}")
        if self._origin != (event.at, event.actor, event.gateway, event.partition):
            self._findings.fail("commands", position, "another origin than its command's")

    def _begin_command(self, position: int, event: DomainEvent) -> None:
        number = command_number(event.correlation_id)
        if number <= self._number:
            self._findings.fail("commands", position, f"number {number} follows {self._number}")
        self._number = number
        self._correlation = event.correlation_id.int
        self._first_of_command = position
        self._origin = (event.at, event.actor, event.gateway, event.partition)
        self._commands += 1

    def _end_command(self) -> None:
        if self._correlation is not None:
            self._books.end_command(self._judged)

    def _history(self, originator_id: UUID, below: int) -> list[DomainEvent]:
        """The events of one aggregate below a position, those that can be read."""
        rows = (row for row in self._life(originator_id) if row[0] < below)
        return list(self._readable(rows))

    def _whole_history(self, originator_id: UUID) -> Iterator[DomainEvent]:
        return self._readable(self._life(originator_id))

    def _readable(self, rows: Iterable[StoredRow]) -> Iterator[DomainEvent]:
        for row in rows:
            try:
                yield self._codec.decode(row[3], row[4])
            except ValueError:
                continue

    def _life(self, originator_id: UUID) -> Iterator[StoredRow]:
        """The rows of one aggregate by version: an account may have most of the log."""
        rows = self._source.stream(originator_id, 0, LIFE_PAGE)
        yield from rows
        while len(rows) == LIFE_PAGE:
            rows = self._source.stream(originator_id, rows[-1][2], LIFE_PAGE)
            yield from rows


_COLUMN_NAMES = StoredRow._fields[5:]


def _difference(row: StoredRow, event: DomainEvent, columns: tuple[Any, ...]) -> str:
    """The first column that differs, by name."""
    pairs = [
        ("originator_id", row[1], event.originator_id),
        ("originator_version", row[2], event.originator_version),
        *zip(_COLUMN_NAMES, row[5:], columns, strict=True),
    ]
    name, said, due = next(pair for pair in pairs if pair[1] != pair[2])
    return f"{name} is {said}, the event says {due}"
