"""Events as documents: decimal strings at their scales, names instead of codes.

What a field means its unit says (`domain.units`); here is how each kind of unit is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from domain.aggregate import Aggregate
from domain.commission import BPS_SCALE, RATE_SCALE, Kind
from domain.events import CommissionScheduleSet, DomainEvent
from domain.events.facts import fields_beside_header, instrument_in, state_units
from domain.identifiers import HOUSE, iso
from domain.money import USD_SCALE, to_text
from domain.units import (
    Binary,
    Columns,
    Count,
    Date,
    Details,
    Flag,
    Id,
    Many,
    Moment,
    OneOf,
    Party,
    Priced,
    Rate,
    Scaled,
    ScheduleTerms,
    Unit,
    Words,
    from_digits,
)

DecimalsOf = Callable[[UUID], int]
"""The price decimals of an instrument; they never change."""


class Scales(NamedTuple):
    """The decimal places that a field alone does not tell: of its prices and of its rates."""

    price: int
    rate: int = 0


def event_document(position: int, event: DomainEvent, decimals_of: DecimalsOf) -> dict[str, Any]:
    """Render one event of the log, whole."""
    return {
        "position": position,
        "topic": event.TOPIC,
        "originator_id": str(event.originator_id),
        "version": event.originator_version,
        "at": iso(event.at),
        "partition": event.partition,
        "actor": event.actor,
        "gateway": event.gateway,
        "correlation_id": str(event.correlation_id),
        "causation_id": event.causation_id,
        **event_fields(event, decimals_of),
    }


def event_fields(event: DomainEvent, decimals_of: DecimalsOf) -> dict[str, Any]:
    """Render what an event says beside its header."""
    units = fields_beside_header(type(event))
    scales = Scales(
        _decimals(event, decimals_of) if _is_priced(type(event)) else 0,
        rate_places(getattr(event, "kind", Kind.NONE)),
    )
    return {name: shown(unit, getattr(event, name), scales) for name, unit in units.items()}


def aggregate_document(aggregate: Aggregate, decimals: int) -> dict[str, Any]:
    """Render an aggregate's state; prices at its instrument's decimals."""
    values = aggregate.__dict__
    units = state_units(aggregate.KIND)
    scales = Scales(decimals)
    return {
        "kind": aggregate.KIND,
        "id": str(aggregate.id),
        "version": aggregate.version,
        "created_at": iso(aggregate.created_at),
        "modified_at": iso(aggregate.modified_at),
        **{name: shown(units[name], values[name], scales) for name in aggregate.FIELDS},
    }


@cache
def _is_priced(event_class: type[DomainEvent]) -> bool:
    return any(type(unit) is Priced for unit in fields_beside_header(event_class).values())


def _decimals(event: DomainEvent, decimals_of: DecimalsOf) -> int:
    """The decimals of an event's prices: as it says, or those of its instrument."""
    told: int | None = getattr(event, "price_decimals", None)
    if told is not None:
        return told
    field = instrument_in(type(event))
    assert field is not None, f"{event.TOPIC} has prices of no instrument"
    return decimals_of(getattr(event, field))


def shown(unit: Unit, value: Any, scales: Scales) -> Any:
    """Render a value by its unit: text with all its places, a name, or None."""
    return _SHOWN[type(unit)](unit, value, scales)


def _scaled(unit: Scaled, value: int | str, _: Scales) -> str:
    text = to_text(from_digits(value) if isinstance(value, str) else value, unit.places)
    if not unit.trimmed:
        return text
    whole, decimals = text.split(".")
    return f"{whole}.{decimals.rstrip('0').ljust(USD_SCALE, '0')}"


def _priced(unit: Priced, value: int | str, scales: Scales) -> str | None:
    units = from_digits(value) if isinstance(value, str) else value
    if unit.zero_is_none and not units:
        return None
    return to_text(units, scales.price + unit.more)


def _rate(_: Rate, value: int, scales: Scales) -> str:
    return to_text(value, scales.rate)


def _moment(_: Moment, value: int, __: Scales) -> str | None:
    return iso(value) if value else None


def _date(_: Date, value: int, __: Scales) -> str | None:
    return date_text(value)


def _code(unit: OneOf, value: int, _: Scales) -> str | int | None:
    """The name of a code; a refused order may carry one that has none."""
    if unit.zero_is_none and not value:
        return None
    try:
        return unit.terms(value).name.lower()
    except ValueError:
        return value


def _id(_: Id, value: UUID, __: Scales) -> str | None:
    return str(value) if value.int else None


def _party(_: Party, value: UUID, __: Scales) -> str:
    return party(value)


def _bytes(_: Binary, value: bytes, __: Scales) -> str:
    return value.hex()


def _as_it_is(_: Unit, value: Any, __: Scales) -> Any:
    return value


def _columns(unit: Columns, row: Sequence[Any], scales: Scales) -> dict[str, Any]:
    values = zip(unit.names, unit.units, row, strict=True)
    return {name: shown(each, value, scales) for name, each, value in values}


def _many(unit: Many, rows: Iterable[Any], scales: Scales) -> list[Any]:
    return [shown(unit.each, row, scales) for row in rows]


def _schedule(_: ScheduleTerms, schedule: Sequence[Any], scales: Scales) -> dict[str, Any] | None:
    """The fields of the event that set it, in their order; None when trades are free."""
    if not schedule:
        return None
    units = fields_beside_header(CommissionScheduleSet)
    values = dict(zip(units, schedule, strict=True))
    scales = scales._replace(rate=rate_places(values["kind"]))
    return {name: shown(units[name], value, scales) for name, value in values.items()}


_SHOWN: Mapping[type[Unit], Callable[[Any, Any, Scales], Any]] = {
    Scaled: _scaled,
    Priced: _priced,
    Rate: _rate,
    Count: _as_it_is,
    Moment: _moment,
    Date: _date,
    OneOf: _code,
    Id: _id,
    Party: _party,
    Words: _as_it_is,
    Flag: _as_it_is,
    Binary: _bytes,
    Details: _as_it_is,
    Columns: _columns,
    Many: _many,
    ScheduleTerms: _schedule,
}


def rate_places(kind: int) -> int:
    """The decimal places of a commission rate: USD a share, or basis points."""
    return RATE_SCALE if kind == Kind.PER_SHARE else BPS_SCALE


def party(identifier: UUID) -> str:
    """Name who stands behind a posting."""
    return "house" if identifier == HOUSE else str(identifier)


def date_text(day: int) -> str | None:
    """Write a date such as 20261120 as 2026-11-20; 0 is none."""
    digits = str(day)
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}" if day else None
