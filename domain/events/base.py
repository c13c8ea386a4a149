"""What every event of the venue shares: versions, explicit topics, integers at fixed scales.

Events are frozen arrays on the wire. A new field goes to the end with a default; any other
change takes a new topic and an upcaster (`domain.upcasts`). Applying an event only copies
its values; all arithmetic happened when it was decided.

What a field means its annotation says (`domain.units`), and what an event is, its class: the
aggregate it belongs to, the account and instrument it concerns, the request key it spends, the
trade it counts for.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec
from eventsourcing.utils import register_topic, resolve_topic

from domain.identifiers import AggregateId, CommandId, Instant, PartyId, datetime_of
from domain.units import Cents, Columns, LedgerCode, LogPosition, Number, Unit

Posting = Annotated[tuple[PartyId, LedgerCode, Cents], Columns(("party", "ledger", "amount"))]
"""The postings of one event sum to zero."""


class SpentKey(NamedTuple):
    """A request key that is used up, and what tells the request's body from another's.

    An operator's key is not the account's own but its operators' (`operators_of`).
    """

    account_id: UUID
    key: str
    fingerprint: bytes


class Traded(NamedTuple):
    """What an event adds to the volume of its instrument: 1e-8 units and cents."""

    qty: int
    notional: int


class DomainEvent(
    msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True
):
    """What every event carries: whose, which version, when, by whom and because of what.

    Fields that this program does not know are refused: what a newer one wrote is not half read.
    """

    originator_id: AggregateId
    originator_version: Number
    at: Instant
    partition: Number
    actor: str
    gateway: str
    correlation_id: CommandId
    causation_id: LogPosition
    """Log position of the event that caused this one; 0 when the command itself did."""

    TOPIC: ClassVar[str] = ""
    AGGREGATE: ClassVar[str] = ""
    SETS: ClassVar[Mapping[str, Unit]] = {}
    """The state that applying sets and that no field says by its name."""
    NOTHING: ClassVar[None] = None
    """What is read where an event has no such field."""
    by_topic: ClassVar[dict[str, type[DomainEvent]]] = {}

    @property
    def timestamp(self) -> datetime:
        """The instant as the library's aware datetime."""
        return datetime_of(self.at)

    def spends(self) -> SpentKey | None:
        """The request key that is used up by this event; None when none is."""
        return None

    def traded(self) -> Traded | None:
        """What it adds to the volume; a trade is counted once, by one of its events."""
        return None

    def apply(self, aggregate: Any) -> None:
        """Copy what this event says onto its aggregate."""
        raise NotImplementedError(self.TOPIC)

    def mutate(self, aggregate: Any) -> Any:
        """Evolve the aggregate by one version (the library's projector protocol)."""
        if aggregate is None:
            aggregate = resolve_topic(self.AGGREGATE).blank(self.originator_id, self.at)
        assert self.originator_id == aggregate.id
        aggregate.evolve(self)
        return aggregate


# A third of what the named constructor takes.
_new = tuple.__new__


def spent(account_id: UUID, key: str, fingerprint: bytes) -> SpentKey | None:
    """The key as spent; a request that gave none spends none."""
    return _new(SpentKey, (account_id, key, fingerprint)) if key else None


def topic(event_class: type[DomainEvent]) -> type[DomainEvent]:
    """Register an event class under its explicit topic."""
    register_topic(event_class.TOPIC, event_class)
    DomainEvent.by_topic[event_class.TOPIC] = event_class
    return event_class
