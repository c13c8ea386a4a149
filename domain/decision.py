"""One decision: a numbered command being decided, and the events it has produced so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from domain.events import DomainEvent
from domain.identifiers import MAX_IDS_PER_COMMAND, Instant, id_bits, uuid_of_bits

if TYPE_CHECKING:
    from domain.aggregate import Aggregate

Header: TypeAlias = tuple[UUID, int, Instant, int, str, str, UUID, int]
"""What every event begins with, in the order of `DomainEvent`."""


class Decision:
    """The instant, origin and collected events of the command that is being decided.

    `first_position` is the log position its first event will have; `causation` is 0 while
    the command itself causes events, else the position of the event that does.
    """

    __slots__ = (
        "_bits",
        "_index",
        "actor",
        "at",
        "causation",
        "correlation_id",
        "events",
        "first_position",
        "gateway",
        "partition",
    )

    def __init__(
        self,
        at: Instant,
        partition: int,
        command: int,
        actor: str,
        gateway: str,
        first_position: int,
    ) -> None:
        self.at = at
        self.partition = partition
        self._bits = bits = id_bits(at, partition, command)
        self._index = 0
        self.actor = actor
        self.gateway = gateway
        self.first_position = first_position
        self.causation = 0
        self.correlation_id = uuid_of_bits(bits)
        self.events: list[DomainEvent] = []

    def record(self, event: DomainEvent, aggregate: Any) -> Any:
        """Take an event in and move its aggregate by it, or make it when there is None; returns
        the aggregate. The desk's own step moves everything else that follows from the event.
        """
        self.events.append(event)
        return event.mutate(aggregate)

    def first_of(self, identifier: UUID) -> Header:
        """How the first event of an aggregate begins."""
        return (
            identifier,
            1,
            self.at,
            self.partition,
            self.actor,
            self.gateway,
            self.correlation_id,
            self.causation,
        )

    def next_of(self, aggregate: Aggregate) -> Header:
        """How the next event of an aggregate begins."""
        return (
            aggregate._id,
            aggregate._version + 1,
            self.at,
            self.partition,
            self.actor,
            self.gateway,
            self.correlation_id,
            self.causation,
        )

    def new_id(self) -> UUID:
        """The next deterministic id of this command."""
        self._index += 1
        assert self._index < MAX_IDS_PER_COMMAND, "a command drew more ids than it may"
        return uuid_of_bits(self._bits | self._index)

    def last_position(self) -> int:
        """The position of the newest event; what follows may name it as its cause."""
        return self.first_position + len(self.events) - 1
