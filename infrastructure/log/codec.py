"""Events to rows and back: the one place that knows how an event is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, MapperDeserialisationError, StoredEvent

from application.log.ports import Recorded, UnreadableEvent
from domain.events import DomainEvent
from domain.events.facts import account_in, instrument_in
from domain.upcasts import UPCASTS

_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_DECODERS = {
    name: msgspec.msgpack.Decoder(event_class) for name, event_class in DomainEvent.by_topic.items()
}
_OLD_DECODERS = {
    name: (msgspec.msgpack.Decoder(shape), upcast) for name, (shape, upcast) in UPCASTS.items()
}

encode_event = _ENCODER.encode
"""The stored bytes of an event; equal events have equal bytes."""


class UnknownTopic(ValueError):
    """A stored topic that this version of the code does not know; its name is the message."""


def decode_event(topic: str, state: bytes | memoryview) -> DomainEvent:
    """The event in a stored row, brought to today's shape.

    Raises UnknownTopic, or msgspec.ValidationError when the bytes do not fit the topic.
    """
    decoder = _DECODERS.get(topic)
    if decoder is not None:
        return decoder.decode(state)
    old = _OLD_DECODERS.get(topic)
    if old is None:
        raise UnknownTopic(topic)
    shape, upcast = old
    return upcast(shape.decode(state))


def recorded(rows: Iterable[tuple[int, str, bytes]]) -> list[Recorded]:
    """The events of rows of (position, topic, state); raises UnreadableEvent."""
    found: list[Recorded] = []
    try:
        for position, topic, state in rows:
            found.append(Recorded(position, decode_event(topic, state)))
    except UnknownTopic as error:
        raise UnreadableEvent(position, f"this program knows no topic {error}") from error
    except msgspec.MsgspecError as error:
        raise UnreadableEvent(position, f"{topic} has another shape here ({error})") from error
    return found


class TypedColumns(NamedTuple):
    """The columns of an event row that queries and a later move of the store need."""

    recorded_at: int
    instrument_id: UUID | None
    account_id: UUID | None
    traded_qty: int | None
    traded_notional: int | None
    correlation_id: UUID
    actor: str


def rows_of(events: Iterable[DomainEvent]) -> list[tuple[Any, ...]]:
    """Aggregate, version, topic and typed columns of events: all of their rows but the bytes."""
    read = _READ
    return [read[type(event)](event) for event in events]


_new = tuple.__new__


def typed_columns(event: DomainEvent) -> TypedColumns:
    """Derive the typed columns from an event; `audit verify` recomputes them.

    Events say themselves whom they concern and what they add to the volume.
    """
    return _new(TypedColumns, _READ[type(event)](event)[3:])


class _Readers(dict[type[DomainEvent], Callable[[Any], tuple[Any, ...]]]):
    """How to read the columns of each kind of event, all at once; learned when first needed."""

    def __missing__(self, event_class: type[DomainEvent]) -> Callable[[Any], tuple[Any, ...]]:
        reader = self[event_class] = _reader(event_class)
        return reader


_READ = _Readers()


def _reader(event_class: type[DomainEvent]) -> Callable[[Any], tuple[Any, ...]]:
    """How to read a row of a kind of event but for its bytes, all at once."""
    read = attrgetter(
        "originator_id",
        "originator_version",
        "TOPIC",
        "at",
        instrument_in(event_class) or "NOTHING",
        account_in(event_class) or "NOTHING",
        "NOTHING",
        "NOTHING",
        "correlation_id",
        "actor",
    )
    if event_class.traded is DomainEvent.traded:
        return read

    def with_trade(event: Any) -> tuple[Any, ...]:
        columns, traded = read(event), event.traded()
        return columns if traded is None else (*columns[:6], *traded, *columns[8:])

    return with_trade


class EventMapper(Mapper[UUID]):
    """The library's mapper port over our codec, so its repositories load our aggregates."""

    def __init__(self) -> None:
        self.transcoder = None  # type: ignore[assignment]
        self.compressor = None
        self.cipher = None

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        """Encode one event; raises TypeError for a foreign one."""
        event: Any = domain_event
        if not isinstance(event, DomainEvent):
            raise TypeError(f"not an event of ours: {type(event).__qualname__}")
        return StoredEvent(
            event.originator_id, event.originator_version, event.TOPIC, encode_event(event)
        )

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """Decode one row; raises MapperDeserialisationError when it cannot be read."""
        try:
            return decode_event(stored_event.topic, stored_event.state)
        except (UnknownTopic, msgspec.MsgspecError) as error:
            raise MapperDeserialisationError(
                f"{stored_event.topic} {stored_event.originator_id} "
                f"v{stored_event.originator_version}: {error}"
            ) from error
