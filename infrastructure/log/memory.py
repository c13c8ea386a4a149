"""A log and its snapshots in memory: for replays into nothing, and for tests.

Rows are kept as a store would keep them, encoded, so that what is read back has gone through
the codec and nothing decided later can change what was committed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import count, islice
from typing import Any, NamedTuple, cast
from uuid import UUID

from application.log.ports import Batch, BesideRow, DeskSnapshot, KeyRow, Recorded, RequestKey
from domain.events import DomainEvent
from domain.identifiers import Instant
from infrastructure.log.codec import TypedColumns, encode_event, recorded, typed_columns
from infrastructure.log.derived import DERIVED_ROWS, REQUEST_KEYS


class MemoryRow(NamedTuple):
    """One stored event, as the columns of the table."""

    position: int
    originator_id: UUID
    originator_version: int
    topic: str
    state: bytes
    columns: TypedColumns


class Quarantined(NamedTuple):
    """A command that was set aside."""

    correlation_id: UUID
    actor: str
    gateway: str
    command: bytes
    error: str


class MemoryLog:
    """One partition's log (`application.log.ports.EventLog` and `EventSource`) without fencing.

    A batch that does not continue the log, or doubles a version or a key, is a fault of the
    writer: AssertionError, and nothing is kept.
    """

    is_held = False
    """It has no other store to go to."""

    def __init__(self) -> None:
        self.rows: list[MemoryRow] = []
        self._derived: dict[str, dict[tuple[Any, ...], tuple[Any, ...]]] = {
            kind.table: {} for kind in DERIVED_ROWS
        }
        self.beside: list[BesideRow] = []
        """What was left beside the log, in order."""
        self.quarantined: list[Quarantined] = []
        self._streams: dict[UUID, list[int]] = {}
        self._epoch = 0

    @property
    def keys(self) -> dict[tuple[UUID, str], RequestKey]:
        """The request keys."""
        return cast("dict[tuple[UUID, str], RequestKey]", self._derived[REQUEST_KEYS.table])

    @property
    def api_keys(self) -> dict[str, KeyRow]:
        """Keys as a store would keep them, by their ids."""
        kept: dict[str, KeyRow] = {}
        for row in self.beside:
            if isinstance(row, KeyRow):
                before = kept.get(row.key_id, row)
                kept[row.key_id] = row._replace(digest=row.digest or before.digest)
        return kept

    def load(self, recorded: Iterable[Recorded], keys: Iterable[RequestKey]) -> None:
        """Begin with events of another log, from its first on, and their request keys."""
        events = [event for _, event in recorded]
        self._append(Batch(len(self.rows) + 1, events, list(keys)))

    async def take_over(self) -> int:
        """Count the takeovers."""
        self._epoch += 1
        return self._epoch

    async def append(self, batch: Batch) -> None:
        """Keep one batch whole."""
        self._append(batch)

    def _append(self, batch: Batch) -> None:
        self._check(batch)
        for position, event in zip(count(batch.first_position), batch.events, strict=False):
            self.rows.append(
                MemoryRow(
                    position,
                    event.originator_id,
                    event.originator_version,
                    event.TOPIC,
                    encode_event(event),
                    typed_columns(event),
                )
            )
            self._streams.setdefault(event.originator_id, []).append(position)
        for kind in DERIVED_ROWS:
            self._derived[kind.table] |= {row[: kind.key]: row for row in kind.of(batch)}
        self.beside += batch.beside

    def _check(self, batch: Batch) -> None:
        assert batch.first_position == len(self.rows) + 1, "a batch does not continue the log"
        versions: dict[UUID, int] = {}
        for event in batch.events:
            identifier = event.originator_id
            stored = versions.get(identifier, len(self._streams.get(identifier, ())))
            assert event.originator_version == stored + 1, "a version is doubled or left out"
            versions[identifier] = stored + 1
        for kind in DERIVED_ROWS:
            for row in kind.of(batch):
                doubled = row[: kind.key] in self._derived[kind.table]
                assert not doubled, f"a row of {kind.table} is stored twice"

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events with positions above `after`, in order, at most `limit`."""
        if not topics:
            return _recorded(self.rows[after : after + limit])
        chosen = (row for row in self.rows[after:] if row.topic in topics)
        return _recorded(islice(chosen, limit))

    async def read_range(
        self, after: int, up_to: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events above `after` and up to a position, in order."""
        return _recorded(r for r in self.rows[after:up_to] if not topics or r.topic in topics)

    async def read_of_account(
        self, account_id: UUID, after: int, up_to: int, limit: int, topics: Sequence[str]
    ) -> Sequence[Recorded]:
        """The committed events of an account in a range that are of these topics, in order."""
        rows = self.rows[after:up_to]
        chosen = (r for r in rows if r.columns.account_id == account_id and r.topic in topics)
        return _recorded(islice(chosen, limit))

    async def read_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The committed events at these positions, in order."""
        return _recorded([self.rows[one - 1] for one in sorted(set(positions))])

    async def wait(self, timeout: float) -> None:
        """Return at once: nothing is committed while somebody waits in the same thread."""

    async def last_position(self) -> int:
        """The position of the newest event; 0 in an empty log."""
        return len(self.rows)

    async def stream(
        self, originator_id: UUID, after_version: int = 0, up_to_version: int | None = None
    ) -> Sequence[Recorded]:
        """The events of one aggregate above a version, at most up to another, in order."""
        positions = self._streams.get(originator_id, [])[after_version:up_to_version]
        return _recorded([self.rows[position - 1] for position in positions])

    async def first_events(self, originator_ids: Sequence[UUID]) -> Sequence[Recorded]:
        """The first event of each of these aggregates, in no order."""
        firsts = [self._streams[one][0] for one in originator_ids if one in self._streams]
        return _recorded([self.rows[position - 1] for position in firsts])

    async def lives(
        self, originator_ids: Sequence[UUID], *, after: int, limit: int
    ) -> Sequence[Recorded]:
        """The events of several aggregates together that stand above a position, in log order,
        at most `limit`.
        """
        positions = [p for one in set(originator_ids) for p in self._streams.get(one, ())]
        return await self.read_at(sorted(p for p in positions if p > after)[:limit])

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        """The stored request key."""
        return self.keys.get((account_id, key))

    async def keys_up_to(
        self, position: int, after: tuple[UUID, str] | None = None, limit: int = 10_000
    ) -> Sequence[tuple[UUID, str]]:
        """Request keys first used at or below a position, by account and key, at most `limit`."""
        found = [w for w, key in self.keys.items() if key.position <= position]
        return sorted(w for w in found if after is None or w > after)[:limit]

    async def quarantine(
        self, correlation_id: UUID, actor: str, gateway: str, command: bytes, error: str
    ) -> None:
        """Set a command aside."""
        self.quarantined.append(Quarantined(correlation_id, actor, gateway, command, error))

    def events(self) -> list[DomainEvent]:
        """Every event, decoded, in log order."""
        return [found.event for found in _recorded(self.rows)]


def _recorded(rows: Iterable[MemoryRow]) -> list[Recorded]:
    return recorded((row.position, row.topic, row.state) for row in rows)


class MemorySnapshots:
    """Desk snapshots (`application.log.ports.DeskSnapshots`), newest found by position."""

    def __init__(self) -> None:
        self._kept: dict[int, DeskSnapshot] = {}

    async def latest(self, up_to: int | None = None) -> DeskSnapshot | None:
        """The newest snapshot, at or below a position when one is given."""
        positions = sorted(self._kept)
        end = len(positions) if up_to is None else bisect_right(positions, up_to)
        return self._kept[positions[end - 1]] if end else None

    async def save(self, snapshot: DeskSnapshot, at: Instant) -> None:
        """Keep a snapshot; one that exists stays as it is."""
        self._kept.setdefault(snapshot.position, snapshot)

    def positions(self) -> list[int]:
        """Where snapshots were taken."""
        return sorted(self._kept)
