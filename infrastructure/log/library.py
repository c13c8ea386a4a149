"""The log through the library's own repository: its recorders read our tables, and only read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, cast
from uuid import UUID

import msgspec
from eventsourcing.application import AggregateNotFoundError, Repository
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import (
    EventStore,
    InterfaceError,
    Notification,
    OperationalError,
    StoredEvent,
)
from eventsourcing.postgres import (
    PostgresAggregateRecorder,
    PostgresApplicationRecorder,
    PostgresDatastore,
)
from eventsourcing.utils import retry
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

from domain.aggregate import Aggregate, aggregate_of
from infrastructure.log.codec import EventMapper
from infrastructure.log.layouts import Layout
from infrastructure.log.statements import EventTable, Query, Wanted
from infrastructure.log.stores import Stores

_ROW = "notification_id, originator_id, originator_version, topic, state"


class Datastore(PostgresDatastore):
    """The library's pool of connections, reached by a DSN like all else here."""

    def __init__(self, dsn: str, schema: str) -> None:
        super().__init__(
            "", "", "", "", "", schema=schema, originator_id_type="uuid", max_overflow=2
        )
        self.pool.kwargs = {**conninfo_to_dict(dsn), "row_factory": dict_row}


class ReadOnlyLog(Exception):
    """The sequencer is the only one that writes the log."""


def _refuse(*_: Any, **__: Any) -> NoReturn:
    raise ReadOnlyLog


class LogRecorder(PostgresApplicationRecorder):
    """Reads `stored_events`, of whichever layout; its columns carry the library's own names."""

    def __init__(self, datastore: PostgresDatastore, layout: Layout) -> None:
        super().__init__(datastore)
        self._events = EventTable(datastore.schema, layout)
        # The writer tells of its appends on a channel of the schema's name.
        self.channel_name = datastore.schema

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The rows of an aggregate, by version."""
        wanted = Wanted(
            originator=cast("UUID", originator_id),
            after_version=gt,
            up_to_version=lte,
            limit=limit,
            newest_first=desc or None,
        )
        return [
            StoredEvent(row["originator_id"], row["originator_version"], row["topic"], row["state"])
            for row in self._rows(self._events.select(wanted, _ROW))
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The rows from a position on, or behind it, in the order of the log."""
        after = start if start is None or not inclusive_of_start else start - 1
        wanted = Wanted(after=after, up_to=stop, topics=list(topics) or (), limit=limit)
        return [
            Notification(
                row["originator_id"],
                row["originator_version"],
                row["topic"],
                row["state"],
                row["notification_id"],
            )
            for row in self._rows(self._events.select(wanted, _ROW))
        ]

    def max_notification_id(self) -> int | None:
        """The last position; None in an empty log."""
        (row,) = self._rows(self._events.last())
        return next(iter(row.values())) or None

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def _rows(self, query: Query) -> list[DictRow]:
        with self.datastore.get_connection() as conn, conn.cursor(binary=True) as cursor:
            return cursor.execute(query.text.encode(), query.values).fetchall()

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


class UnknownKind(Exception):
    """A stored snapshot is of no aggregate of this program; its kind is the message."""


class AggregateSnapshot(msgspec.Struct, frozen=True):
    """A stored snapshot as the library's projector takes it."""

    originator_id: UUID
    originator_version: int
    topic: str
    state: bytes

    def mutate(self, _: None) -> Aggregate:
        """The aggregate as it stood."""
        kind = aggregate_of(self.topic)
        if kind is None:
            raise UnknownKind(self.topic)
        return kind.from_state(msgspec.msgpack.decode(self.state))


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
        conn, state = Stores(dsn, schema, pinned=pinned).connect_now(reading=False)
        conn.close()
        self._datastore = Datastore(*state.address)
        self._repository: Repository[UUID] = Repository(
            EventStore(EventMapper(), LogRecorder(self._datastore, state.layout)),
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
