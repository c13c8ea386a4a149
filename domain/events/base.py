"""What every event of the venue shares: versions, explicit topics, integers at fixed scales.

Events are frozen arrays on the wire. A new field goes to the end with a default; any other
change takes a new topic and an upcaster (`domain.upcasts`). Applying an event only copies
its values; all arithmetic happened when it was decided.

Units: `qty` 1e-8, `price` 10^-price_decimals of the instrument, amounts (`notional`, `fee`,
`hold`, `cash`...) USD cents, `at` and other instants microseconds since 1970 UTC, dates
integers as 20261120. Vocabularies are those of `domain.terms`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from eventsourcing.utils import register_topic, resolve_topic

from domain.identifiers import datetime_of

Posting = tuple[UUID, int, int]
"""(party, ledger, amount in cents); the postings of one event sum to zero."""


class DomainEvent(
    msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True
):
    """What every event carries: whose, which version, when, by whom and because of what.

    Fields that this program does not know are refused: what a newer one wrote is not half read.
    """

    originator_id: UUID
    originator_version: int
    at: int
    partition: int
    actor: str
    gateway: str
    correlation_id: UUID
    causation_id: int
    """Log position of the event that caused this one; 0 when the command itself did."""

    NO_VALUE: ClassVar[None] = None
    """What a column reads that this event has nothing to say to."""
    TOPIC: ClassVar[str] = ""
    AGGREGATE: ClassVar[str] = ""
    by_topic: ClassVar[dict[str, type[DomainEvent]]] = {}

    @property
    def timestamp(self) -> datetime:
        """The instant as the library's aware datetime."""
        return datetime_of(self.at)

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


def topic(event_class: type[DomainEvent]) -> type[DomainEvent]:
    """Register an event class under its explicit topic."""
    register_topic(event_class.TOPIC, event_class)
    DomainEvent.by_topic[event_class.TOPIC] = event_class
    return event_class
