"""Snapshots held against the log: each must be what a full replay gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from application.audit.second_books.findings import Findings
from application.desk.desk import Desk
from application.desk.following import DeskDiverged, follow
from application.desk.state import (
    SnapshotFormat,
    dump,
    is_of_earlier_format,
    load,
    state_hash_of,
)
from application.log.ports import DeskSnapshot, Recorded
from domain.events import DomainEvent

_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_UNREADABLE = (msgspec.MsgspecError, LookupError, TypeError, ValueError, AttributeError)


class AggregateSnapshot(NamedTuple):
    """One row of the aggregate snapshots."""

    originator_id: UUID
    version: int
    topic: str
    state: bytes


class DeskSnapshotAudit:
    """Replays the log as far as the last desk snapshot and compares at each."""

    def __init__(self, findings: Findings, snapshots: Iterable[DeskSnapshot]) -> None:
        """The snapshots come by position; one of them is in memory at a time."""
        self._findings = findings
        self._coming = iter(snapshots)
        # What ended is memory and no state: a replay is asked for no order.
        self._desk = Desk(remembers=0)
        self._next = next(self._coming, None)

    @property
    def waits(self) -> bool:
        """Whether a snapshot lies ahead."""
        return self._next is not None

    def page(self, recorded: Sequence[Recorded]) -> None:
        """Go on by a page of events."""
        try:
            while self._next and recorded and self._next.position <= recorded[-1].position:
                snapshot = self._next
                ahead = snapshot.position - self._desk.position
                follow(self._desk, recorded[:ahead])
                recorded = recorded[ahead:]
                self._compare(snapshot)
                self._next = None
                del snapshot
                self._next = next(self._coming, None)
            if self._next:
                follow(self._desk, recorded)
        except DeskDiverged as error:
            position = self._desk.position + 1
            self._findings.fail("desk_snapshots", position, f"the replay stops: {error}")
            self._next = None
        if self._next is None:
            # Nobody asks it any more.
            self._desk = Desk()

    def _compare(self, snapshot: DeskSnapshot) -> None:
        whole = state_hash_of(snapshot.state) == snapshot.state_hash
        if whole and is_of_earlier_format(snapshot.state):
            # It stays until it is thinned out, and nobody begins from it.
            return
        self._findings.looked["desk_snapshots"] += 1
        state = dump(self._desk)
        found = state_hash_of(state)
        if found != snapshot.state_hash:
            self._fail(snapshot, f"hash {snapshot.state_hash.hex()}, the replay has {found.hex()}")
            return
        try:
            same = dump(load(snapshot.state)) == state
        except (SnapshotFormat, *_UNREADABLE) as error:
            self._fail(snapshot, f"cannot be loaded: {error!r}")
            return
        if not same:
            self._fail(snapshot, "does not load to the desk whose hash it carries")

    def end(self) -> None:
        """Judge the snapshots that no event reached."""
        while self._next is not None:
            self._findings.looked["desk_snapshots"] += 1
            self._fail(self._next, "is ahead of the log")
            self._next = next(self._coming, None)

    def _fail(self, snapshot: DeskSnapshot, message: str) -> None:
        self._findings.fail("desk_snapshots", snapshot.position, message)


def audit_aggregate_snapshots(
    findings: Findings,
    snapshots: Iterable[AggregateSnapshot],
    history: Callable[[UUID], Iterator[DomainEvent]],
) -> None:
    """Compare aggregate snapshots, ordered by id and version, with the replay of each stream,
    which is read once and never whole.
    """
    for originator_id, group in groupby(snapshots, key=lambda row: row.originator_id):
        events = history(originator_id)
        aggregate: Any = None
        done = 0
        for snapshot in group:
            findings.looked["aggregate_snapshots"] += 1
            try:
                for event in islice(events, snapshot.version - done):
                    aggregate = event.mutate(aggregate)
                    done += 1
            except AssertionError:
                _fail(findings, snapshot, "cannot be replayed: the events do not follow on")
                break
            if done < snapshot.version:
                _fail(findings, snapshot, "is ahead of the events")
                continue
            _compare(findings, snapshot, aggregate)


def _compare(findings: Findings, snapshot: AggregateSnapshot, replayed: Any) -> None:
    """The snapshot is the replayed state, field by field, so later events lead to the same end; one
    of an earlier program lacks the fields that were added since, and they are blank.
    """
    whole = _ENCODER.encode(replayed.state())
    try:
        fields = msgspec.msgpack.decode(snapshot.state)
        carried_on = type(replayed).from_state(fields)
    except _UNREADABLE as error:
        _fail(findings, snapshot, f"cannot be loaded: {error!r}")
        return
    if snapshot.topic != replayed.KIND or fields != msgspec.msgpack.decode(whole)[: len(fields)]:
        _fail(findings, snapshot, f"is not the replayed {replayed.KIND}")
    elif _ENCODER.encode(carried_on.state()) != whole:
        _fail(findings, snapshot, "does not load to the state it was taken from")


def _fail(findings: Findings, snapshot: AggregateSnapshot, message: str) -> None:
    where = f"{snapshot.topic} {snapshot.originator_id} v{snapshot.version}"
    findings.fail("aggregate_snapshots", 0, f"{where} {message}")
