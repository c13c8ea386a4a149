"""Snapshots taken by a follower of committed events: whole desks, and single aggregates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from application.desk.desk import Desk
from application.desk.state import dump, state_hash_of
from application.log.ports import (
    DeskSnapshot,
    DeskSnapshots,
    OutcomeUnknown,
    Recorded,
    Taken,
)
from domain.events import (
    AGGREGATE_KINDS,
    DomainEvent,
)
from domain.identifiers import Instant

NEWEST_KEPT = 3
HOURS_KEPT = 24
DAYS_KEPT = 30
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR

AggregateRow = tuple[UUID, int, str, bytes]
_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")


class AggregateSnapshots(Protocol):
    """Where aggregate snapshots are kept, as (id, version, topic, state)."""

    async def save_aggregates(self, rows: Sequence[AggregateRow]) -> None:
        """Keep snapshots; those that are there stay as they are."""
        ...


def kept_of(taken: Iterable[Taken]) -> set[int]:
    """The positions of the snapshots that stay: the three newest, the last one of each hour of a
    day and of each day of a month before the newest. By the instants of the log: no clock is
    asked, and a desk of an older day is near one that is kept.
    """
    kept: set[int] = set()
    spans: set[tuple[int, int]] = set()
    newest = None
    for place, (position, at) in enumerate(sorted(taken, reverse=True)):
        newest = at if newest is None else newest
        age = newest - at
        hour, day = (_HOUR, at // _HOUR), (_DAY, at // _DAY)
        first_of_hour = age < HOURS_KEPT * _HOUR and hour not in spans
        first_of_day = age < DAYS_KEPT * _DAY and day not in spans
        if place < NEWEST_KEPT or first_of_hour or first_of_day:
            kept.add(position)
        spans |= {hour, day}
    return kept


class SnapshotStore(DeskSnapshots, AggregateSnapshots, Protocol):
    """Where a follower keeps both kinds."""

    async def taken(self) -> Sequence[Taken]:
        """Every desk snapshot, in no order."""
        ...

    async def drop(self, positions: Sequence[int]) -> None:
        """Let the desk snapshots at these positions go."""
        ...


class SnapshotTaker:
    """Notes what is due while a desk is brought forward, and saves it beside the following.

    One save is under way at a time; what falls due meanwhile is taken with the next. A store
    that is away costs a snapshot, never an event: the next one is taken all the same.
    """

    def __init__(
        self,
        store: SnapshotStore,
        *,
        desk_every: int,
        aggregate_every: int,
        every_of_kind: Mapping[str, int] | None = None,
        say: Callable[[str], object] = print,
    ) -> None:
        self._store = store
        self._desk_every = desk_every
        self._every = dict.fromkeys(AGGREGATE_KINDS, aggregate_every) | dict(every_of_kind or {})
        self._say = say
        self._desk_at = 0
        self._due: dict[UUID, DomainEvent] = {}
        self._saving: asyncio.Task[None] | None = None

    def observe(self, page: Sequence[Recorded]) -> None:
        """Note which aggregates reached a version at which a snapshot is due."""
        every = self._every
        for _, event in page:
            if event.originator_version % every[event.AGGREGATE] == 0:
                self._due[event.originator_id] = event

    def take(self, desk: Desk) -> None:
        """Save what is due, as the desk has it now; the desk stands between two commands."""
        if self._saving is not None and not self._saving.done():
            return
        rows = [row for event in self._due.values() if (row := _row(desk, event)) is not None]
        self._due.clear()
        snapshot: DeskSnapshot | None = None
        if desk.position - self._desk_at >= self._desk_every:
            self._desk_at = desk.position
            state = dump(desk)
            snapshot = DeskSnapshot(desk.position, state_hash_of(state), state)
        if rows or snapshot is not None:
            self._saving = asyncio.create_task(self._save(rows, snapshot, desk.last_at))

    def begin(self, position: int) -> None:
        """Count from a desk snapshot that is there already."""
        self._desk_at = position

    async def _save(
        self, rows: Sequence[AggregateRow], snapshot: DeskSnapshot | None, at: Instant
    ) -> None:
        try:
            if rows:
                await self._store.save_aggregates(rows)
            if snapshot is not None:
                await self._store.save(snapshot, at)
                taken = await self._store.taken()
                kept = kept_of(taken)
                await self._store.drop([one.position for one in taken if one.position not in kept])
                self._say(f"desk snapshot at position {snapshot.position}")
        except OutcomeUnknown as error:
            self._say(f"a snapshot could not be kept: {error}")

    async def finish(self) -> None:
        """Wait for the save that is under way."""
        if self._saving is not None:
            await self._saving


def _row(desk: Desk, event: DomainEvent) -> AggregateRow | None:
    """The snapshot row of the aggregate an event belongs to; None when it left memory."""
    found = desk.aggregate_of(event)
    if found is None:
        return None
    return event.originator_id, found.version, found.KIND, _ENCODER.encode(found.state())
