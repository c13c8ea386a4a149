"""The log through the library's own repository: its recorders read our tables, and only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, cast
from uuid import UUID

import msgspec
from eventsourcing.application import AggregateNotFoundError, Repository
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import EventStore, StoredEvent
from eventsourcing.postgres import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
)
from eventsourcing.utils import resolve_topic
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from domain.aggregate import Aggregate
from infrastructure.log.codec import EventMapper
from infrastructure.log.stores import StoreAddress, find_truth


class Datastore(PostgresDatastore):
    """The library's pool of connections, reached by a DSN like all else here."""

    def __init__(self, dsn: str, schema: str) -> None:
        super().__init__("", "", "", "", "", schema=schema, originator_id_type="uuid")
        self.pool.kwargs = {**conninfo_to_dict(dsn), "row_factory": dict_row}


class ReadOnlyLog(Exception):
    """The sequencer is the only one that writes the log."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise ReadOnlyLog


class LogRecorder(PostgresApplicationRecorder):
    """Reads `stored_events`; its columns carry the library's own names."""

    def create_table(self) -> None:
        """The migrations make the tables."""
        _refuse()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> NoReturn:
        """Raises ReadOnlyLog: positions are given by the sequencer, under its fence."""
        _refuse()


class SnapshotRecorder(PostgresAggregateRecorder):
    """Reads `snapshots`."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        super().__init__(datastore, events_table_name="snapshots")

    def create_table(self) -> None:
        """The migrations make the tables."""
        _refuse()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> NoReturn:
        """Raises ReadOnlyLog: a follower of committed events takes the snapshots."""
        _refuse()


class AggregateSnapshot(msgspec.Struct, frozen=True):
    """A stored snapshot as the library's projector takes it."""

    originator_id: UUID
    originator_version: int
    topic: str
    state: bytes

    def mutate(self, _: None) -> Aggregate:
        """The aggregate as it stood."""
        found = resolve_topic(self.topic).from_state(msgspec.msgpack.decode(self.state))
        return cast("Aggregate", found)


class SnapshotMapper(EventMapper):
    """The library's mapper over rows of `snapshots`."""

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        """The snapshot in a row."""
        found: Any = AggregateSnapshot(
            cast("UUID", stored_event.originator_id),
            stored_event.originator_version,
            stored_event.topic,
            stored_event.state,
        )
        return cast("DomainEventProtocol[UUID]", found)


class LibraryRepository:
    """Loads single aggregates the library's way, from snapshots and the events after them.

    Where the log has moved it reads where it is now, but for a pinned one.
    """

    def __init__(self, dsn: str, schema: str, *, pinned: bool = False) -> None:
        address = StoreAddress(dsn, schema) if pinned else find_truth(dsn, schema).address
        self._datastore = Datastore(*address)
        self._repository: Repository[UUID] = Repository(
            EventStore(EventMapper(), LogRecorder(self._datastore)),
            snapshot_store=EventStore(SnapshotMapper(), SnapshotRecorder(self._datastore)),
        )

    def get(self, identifier: UUID, version: int | None = None) -> Aggregate | None:
        """An aggregate as it stands, or stood at a version; None when there is none."""
        try:
            found: Any = self._repository.get(identifier, version=version)
        except AggregateNotFoundError:
            return None
        return cast("Aggregate", found)

    def close(self) -> None:
        """Leave the server."""
        self._datastore.close()

    def __enter__(self) -> LibraryRepository:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
