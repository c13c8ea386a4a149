"""Snapshots taken by a follower of committed events: whole desks, and single aggregates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
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
)
from domain.events import (
    AGGREGATE_KINDS,
    DomainEvent,
)
from domain.identifiers import Instant

KEPT_DESKS = 3
"""How many desk snapshots stay; the older ones are thinned out."""

AggregateRow = tuple[UUID, int, str, bytes]
_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")


class AggregateSnapshots(Protocol):
    """Where aggregate snapshots are kept, as (id, version, topic, state)."""

    async def save_aggregates(self, rows: Sequence[AggregateRow]) -> None:
        """Keep snapshots; those that are there stay as they are."""
        ...


class SnapshotStore(DeskSnapshots, AggregateSnapshots, Protocol):
    """Where a follower keeps both kinds."""

    async def thin(self, keep: int) -> None:
        """Let only the newest desk snapshots stay."""
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
                await self._store.thin(KEPT_DESKS)
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
