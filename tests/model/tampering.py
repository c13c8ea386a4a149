"""A sound log with everything in it, and ways to change what it says."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any

import msgspec

from application.audit.snapshots import AggregateSnapshot
from application.audit.verify import Report, StoredRow, verify
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot, Recorded
from domain import events as e
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.codec import decode_event, encode_event, typed_columns
from tests.model.audited_flow import audited
from tests.model.memory_audit import MemoryAuditSource

Tamper = Callable[[MemoryAuditSource], int]


@cache
def sound() -> MemoryAuditSource:
    """A log with everything in it: snapshots of both kinds and views too."""
    venue = audited(3, 600)
    source = MemoryAuditSource(venue.log)
    desk = Desk()
    events = [Recorded(n, event) for n, event in enumerate(venue.log.events(), 1)]
    for cut in (len(events) // 3, len(events)):
        follow(desk, events[:cut])
        source.desks.append(DeskSnapshot(cut, state_hash(desk), dump(desk)))
    for account in desk.accounts.by_id.values():
        state = msgspec.msgpack.Encoder(uuid_format="bytes").encode(account.state())
        source.aggregates.append(AggregateSnapshot(account.id, account.version, "account", state))
    source.views.append(("orders", 1, len(events)))
    return source


def tampered(tamper: Tamper) -> tuple[Report, int]:
    """The report on a damaged copy, and the position of the damage."""
    source = copy(sound())
    source.rows = list(source.rows)
    source.stored_keys = dict(source.stored_keys)
    source.desks, source.aggregates = list(source.desks), list(source.aggregates)
    position = tamper(source)
    return verify(source, StoredCodec()), position


def put(source: MemoryAuditSource, row: StoredRow, event: e.DomainEvent) -> int:
    """Write an event over a row so that the row itself is in order."""
    source.rows[row.position - 1] = StoredRow._make(
        (
            row.position,
            event.originator_id,
            event.originator_version,
            event.TOPIC,
            encode_event(event),
            *typed_columns(event),
        )
    )
    return row.position


def find(source: MemoryAuditSource, kind: type[Any], **wanted: Any) -> tuple[StoredRow, Any]:
    """The last row of a kind with these values."""
    for row in reversed(source.rows):
        if row.topic == kind.TOPIC:
            event = decode_event(row.topic, row.state)
            if all(getattr(event, name) == value for name, value in wanted.items()):
                return row, event
    raise AssertionError(f"no {kind.TOPIC} with {wanted}")


def altered(kind: type[Any], field: str, change: Any, **wanted: Any) -> Tamper:
    """Another value in one field of the last event of a kind."""

    def tamper(source: MemoryAuditSource) -> int:
        row, event = find(source, kind, **wanted)
        value = change(getattr(event, field)) if callable(change) else change
        return put(source, row, msgspec.structs.replace(event, **{field: value}))

    return tamper


def one_more(value: int) -> int:
    """The next number."""
    return value + 1


def digit_more(value: str) -> str:
    """The next number of one that is kept as digits."""
    return str(int(value) + 1)
