"""A sound log with everything in it, and ways to change what it says."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any
from uuid import UUID

import msgspec

from application.audit.snapshots import AggregateSnapshot
from application.audit.verify import Report, StoredRow, verify
from application.desk.desk import Desk
from application.desk.following import follow
from application.desk.state import dump, state_hash
from application.log.ports import DeskSnapshot, Recorded
from domain import events as e
from domain.identifiers import uuid7
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.codec import decode_event, encode_event, typed_columns
from tests.model.audited_flow import audited
from tests.model.memory_audit import MemoryAuditSource

Tamper = Callable[[MemoryAuditSource], int]
UNKNOWN: UUID = uuid7(1, 0, 1, 1)
"""An id that nothing has."""


@cache
def sound() -> MemoryAuditSource:
    """A log with everything in it: snapshots of both kinds and views too."""
    venue = audited(3, 300)
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
    source.api_keys, source.opened = list(source.api_keys), list(source.opened)
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


def begins_nearer(source: MemoryAuditSource) -> int:
    """The last stop that began to trail did so a unit away from where it belongs."""
    for row in reversed(source.rows):
        if row.topic == e.OrderAccepted.TOPIC:
            event = decode_event(row.topic, row.state)
            if event.water_mark:
                moved = msgspec.structs.replace(event, stop_price=event.stop_price + 1)
                return put(source, row, moved)
    raise AssertionError("no stop trails")


def left_behind(source: MemoryAuditSource) -> int:
    """What moved a stop was written as something that only concerns its holds."""
    row, event = find(source, e.OrderTrailed)
    _, order = find(source, e.OrderAccepted, originator_id=event.originator_id)
    same = e.OrderAdjusted(
        *[getattr(event, name) for name in e.DomainEvent.__struct_fields__],
        account_id=event.account_id,
        instrument_id=event.instrument_id,
        reason=4,
        side=event.side,
        qty=order.qty,
        filled=0,
        leaves_after=order.qty,
        sequence=order.sequence,
        hold_after=order.hold,
        hold_qty_after=order.hold_qty,
        status_after=0,
        armed=True,
    )
    return put(source, row, same)


def one_more(value: int) -> int:
    """The next number."""
    return value + 1


def digit_more(value: str) -> str:
    """The next number of one that is kept as digits."""
    return str(int(value) + 1)


def sibling_lives(source: MemoryAuditSource) -> int:
    """The cancel of an exit whose group is over was another order's."""
    ends = {}
    for row in source.rows:
        if row.topic == e.GroupEnded.TOPIC:
            over = decode_event(row.topic, row.state)
            ends[over.originator_id, over.correlation_id] = row.position
    for row in source.rows:
        if row.topic == e.OrderCanceled.TOPIC:
            event = decode_event(row.topic, row.state)
            assert isinstance(event, e.OrderCanceled)
            ended = ends.get((event.group_id, event.correlation_id))
            if event.reason == 9 and ended is not None:
                put(source, row, msgspec.structs.replace(event, originator_id=UNKNOWN))
                return ended
    raise AssertionError("no group ended with a fill")


def left_bare(source: MemoryAuditSource) -> int:
    """A resting exit is said to have ended because nobody bid."""
    elected = [
        decode_event(row.topic, row.state).originator_id
        for row in source.rows
        if row.topic == e.OrderTriggered.TOPIC
    ]
    for row in source.rows:
        if row.topic == e.OrderCanceled.TOPIC:
            event = decode_event(row.topic, row.state)
            assert isinstance(event, e.OrderCanceled)
            if event.leg == 3 and event.originator_id in elected:
                return put(source, row, msgspec.structs.replace(event, reason=7))
    raise AssertionError("no resting exit was canceled")


def stop_beside_its_take_profit(source: MemoryAuditSource) -> int:
    """The take-profit was not canceled before the stop ran."""
    _, group = find(source, e.GroupStopTriggered)
    _, placed = find(source, e.GroupPlaced, originator_id=group.originator_id)
    row, event = find(source, e.OrderCanceled, originator_id=placed.take_profit_id)
    put(source, row, msgspec.structs.replace(event, originator_id=UNKNOWN))
    return find(source, e.OrderTriggered, originator_id=placed.stop_loss_id)[0].position


OF_TRAILS: list[tuple[str, str, Tamper]] = [
    ("trails", "a stop that begins elsewhere", begins_nearer),
    ("trails", "a stop that moves too far", altered(e.OrderTrailed, "stop_price", one_more)),
    ("trails", "a price that nobody saw", altered(e.OrderTrailed, "water_mark", one_more)),
    ("trails", "a stop that is left behind", left_behind),
]
"""What is wrong with stops that trail, and the check that must say so."""
