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
from domain.events import (
    AccountEvent,
    AccountSettled,
    DomainEvent,
    GroupEvent,
    OrderEvent,
    OrderFilled,
    PositionEvent,
    SettlementEvent,
    TradeBooked,
    TradeReversed,
    VenueEvent,
)
from domain.terms import Side
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


class EventColumns(NamedTuple):
    """How the columns of one kind of event are read from it, each in a single call."""

    row: Callable[[Any], tuple[Any, ...]]
    """Aggregate, version, topic and typed columns."""
    typed: Callable[[Any], tuple[Any, ...]]


def row_values(event: DomainEvent) -> tuple[Any, ...]:
    """Aggregate, version, topic and typed columns of an event: all of its row but the bytes."""
    kind = type(event)
    if kind is OrderFilled and event.side == Side.BUY:  # type: ignore[attr-defined]
        return _COUNTED.row(event)
    return _COLUMNS[kind].row(event)


def typed_columns(event: DomainEvent) -> TypedColumns:
    """Derive the typed columns from an event; `audit verify` recomputes them.

    A trade is counted once, on its buyer's fill.
    """
    kind = type(event)
    counted = kind is OrderFilled and event.side == Side.BUY  # type: ignore[attr-defined]
    return TypedColumns._make((_COUNTED if counted else _COLUMNS[kind]).typed(event))


def _columns(instrument_id: str, account_id: str, qty: str, notional: str) -> EventColumns:
    """Columns by the names of the fields that they are read from."""
    typed = ("at", instrument_id, account_id, qty, notional, "correlation_id", "actor")
    return EventColumns(
        attrgetter("originator_id", "originator_version", "TOPIC", *typed), attrgetter(*typed)
    )


_NOTHING = "NO_VALUE"
_OF_ORDER = _columns("instrument_id", "account_id", _NOTHING, _NOTHING)
_OF_ACCOUNT = _columns(_NOTHING, "originator_id", _NOTHING, _NOTHING)
_OF_ACCOUNT_TRADE = _columns("instrument_id", "originator_id", _NOTHING, _NOTHING)
_OF_INSTRUMENT = _columns("originator_id", _NOTHING, _NOTHING, _NOTHING)
_OF_VENUE = _columns(_NOTHING, _NOTHING, _NOTHING, _NOTHING)
_COUNTED = _columns("instrument_id", "account_id", "qty", "notional")


def _columns_of(event_class: type[DomainEvent]) -> EventColumns:
    if issubclass(event_class, OrderEvent | PositionEvent | GroupEvent | SettlementEvent):
        return _OF_ORDER
    if issubclass(event_class, TradeBooked | TradeReversed | AccountSettled):
        return _OF_ACCOUNT_TRADE
    if issubclass(event_class, VenueEvent):
        return _OF_VENUE
    return _OF_ACCOUNT if issubclass(event_class, AccountEvent) else _OF_INSTRUMENT


_COLUMNS = {event_class: _columns_of(event_class) for event_class in DomainEvent.by_topic.values()}


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
