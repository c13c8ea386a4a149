"""What event classes say of themselves, read once: whom they concern and what state they set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from domain.events.base import DomainEvent
from domain.units import Id, Unit, fields_of

HEADER = DomainEvent.__struct_fields__
"""The fields of every event."""

_AFTER = "_after"


def fields_beside_header(event_class: type[DomainEvent]) -> Mapping[str, Unit]:
    """The fields that an event has beside those of all events, each with its unit."""
    return {name: unit for name, unit in fields_of(event_class).items() if name not in HEADER}


@cache
def account_in(event_class: type[DomainEvent]) -> str | None:
    """The field that names the account an event concerns; None when it concerns none."""
    return _concerned(event_class, "account")


@cache
def instrument_in(event_class: type[DomainEvent]) -> str | None:
    """The field that names the instrument an event concerns; None when it concerns none."""
    return _concerned(event_class, "instrument")


def _concerned(event_class: type[DomainEvent], kind: str) -> str | None:
    """The event's own aggregate when it is of the kind, else the one field with such an id."""
    if event_class.AGGREGATE == kind:
        return "originator_id"
    named = [name for name, unit in fields_of(event_class).items() if unit == Id(kind)]
    if len(named) > 1:
        raise TypeError(f"{event_class.TOPIC} concerns more than one {kind}: {named}")
    return named[0] if named else None


@cache
def family_of(kind: str) -> tuple[type[DomainEvent], ...]:
    """All events of a kind of aggregate."""
    return tuple(event for event in DomainEvent.by_topic.values() if event.AGGREGATE == kind)


@cache
def state_units(kind: str) -> Mapping[str, Unit]:
    """The units of an aggregate's state: what its events say of what they set.

    A field of the state means what the events' fields of its name mean, or of its name with
    `_after`. What no field says, or two say differently, the family does (`DomainEvent.SETS`).
    """
    units: dict[str, Unit] = {}
    unclear: set[str] = set()
    for event in family_of(kind):
        for name, unit in fields_beside_header(event).items():
            state = name.removesuffix(_AFTER)
            if units.setdefault(state, unit) != unit:
                unclear.add(state)
    clear = {name: unit for name, unit in units.items() if name not in unclear}
    return {**clear, **family_of(kind)[0].SETS}
