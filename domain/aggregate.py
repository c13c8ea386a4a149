"""What our aggregates share: the library's aggregate with a trigger built for the hot path."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Self
from uuid import UUID

from eventsourcing.domain import BaseAggregate
from eventsourcing.utils import register_topic

from domain.events import DomainEvent
from domain.identifiers import Instant, datetime_of, instant_of, uuid_of

_KINDS: dict[str, type[Aggregate]] = {}
_OF_ALL = ("_id", "_version", "_pending_events", "created_at", "modified_at")


class Aggregate(BaseAggregate[UUID]):
    """An aggregate whose events are collected on the decision, in decision order.

    `KIND` is its explicit topic. What a class declares with a value is its state besides id,
    version and times, and the value that of a blank one: `FIELDS`, in that order, except what
    is `DERIVED` from others' events. `DIGITS` may exceed 64 bits and so are kept as text.
    """

    KIND: ClassVar[str] = ""
    FIELDS: ClassVar[dict[str, Any]] = {}
    DERIVED: ClassVar[frozenset[str]] = frozenset()
    DIGITS: ClassVar[frozenset[str]] = frozenset()
    _BLANK: ClassVar[dict[str, Any]] = {}

    _id: UUID
    _version: int
    created_at: Instant
    modified_at: Instant

    def __init_subclass__(cls, **options: Any) -> None:
        declared = vars(cls)
        own = {
            name: declared[name]
            for name in cls.__annotations__
            if name in declared and name not in cls.DERIVED
        }
        cls.FIELDS = {**cls.FIELDS, **own}
        cls._BLANK = {**cls.FIELDS, **dict.fromkeys(_OF_ALL)}
        super().__init_subclass__(**options)

    @classmethod
    def blank(cls, identifier: UUID, at: Instant, version: int = 0) -> Self:
        """An aggregate before its first event, or of a later version that is still to be told."""
        self = cls.__new__(cls)
        # Copied whole: to add names one by one takes three times as long.
        state = self.__dict__ = cls._BLANK.copy()
        state["_id"] = identifier
        state["_version"] = version
        state["_pending_events"] = []
        state["created_at"] = at
        state["modified_at"] = at
        return self

    @classmethod
    def begun_by(cls, event: DomainEvent) -> Self:
        """The aggregate that its first event makes."""
        self = cls.blank(event.originator_id, event.at)
        self.evolve(event)
        return self

    def evolve(self, event: DomainEvent) -> None:
        """Move on by this aggregate's next event."""
        version = self._version + 1
        assert event.originator_version == version, "an event is missing, or here twice"
        event.apply(self)
        self._version = version
        self.modified_at = event.at

    @property
    def created_on(self) -> Any:
        """When its first event happened, as the library shows it."""
        return datetime_of(self.created_at)

    @property
    def modified_on(self) -> Any:
        """When its newest event happened, as the library shows it."""
        return datetime_of(self.modified_at)

    @modified_on.setter
    def modified_on(self, modified_on: datetime) -> None:
        self.modified_at = instant_of(modified_on)

    def state(self) -> list[Any]:
        """All of its state as plain values, in a fixed order."""
        values = self.__dict__
        return [
            self._id,
            self._version,
            self.created_at,
            self.modified_at,
            *[str(values[name]) if name in self.DIGITS else values[name] for name in self.FIELDS],
        ]

    @classmethod
    def from_state(cls, state: Sequence[Any]) -> Self:
        """The aggregate whose `state` this is; fields added later keep their blank value."""
        identifier = state[0] if isinstance(state[0], UUID) else uuid_of(state[0])
        self = cls.blank(identifier, state[2])
        values = self.__dict__
        values["_version"] = state[1]
        values["modified_at"] = state[3]
        values.update(zip(cls.FIELDS, state[4:], strict=False))
        for name in cls.DIGITS:
            values[name] = int(values[name])
        for name in _array_fields(cls):
            # An array comes back as a list, also an empty one.
            if not values[name]:
                values[name] = ()
        for name in _id_fields(cls):
            value = values[name]
            if type(value) is bytes:
                values[name] = uuid_of(value)
        return self


# The library's own is a Python function and is asked for seven times a command; it lets no
# subclass declare another.
setattr(Aggregate, "id", property(attrgetter("_id")))  # noqa: B010


@cache
def _id_fields(cls: type[Aggregate]) -> tuple[str, ...]:
    """The fields that hold an id."""
    return tuple(name for name, blank in cls.FIELDS.items() if isinstance(blank, UUID))


@cache
def _array_fields(cls: type[Aggregate]) -> tuple[str, ...]:
    """The fields that hold an array."""
    return tuple(name for name, blank in cls.FIELDS.items() if blank == ())


def aggregate(cls: type[Aggregate]) -> None:
    """Register an aggregate class under its explicit topic."""
    register_topic(cls.KIND, cls)
    _KINDS[cls.KIND] = cls


def aggregate_of(kind: str) -> type[Aggregate] | None:
    """The class of a kind; None where there is none. A name from a row is never imported."""
    return _KINDS.get(kind)
