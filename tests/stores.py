"""Stores of every layout for tests, alone or two of a move, and a switch between them by hand."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from application.log.ports import Batch
from application.writer.request_keys import key_of_event
from domain.events import DomainEvent
from infrastructure.log.appending import AppendStatement
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate

EVERY_COLUMN = (
    "SELECT notification_id, originator_id, originator_version, topic, state, recorded_at,"
    " instrument_id, account_id, traded_qty, traded_notional, correlation_id, actor"
    " FROM stored_events ORDER BY notification_id"
)

GUARDS = (
    "SELECT position FROM log_head",
    "SELECT * FROM stream_heads ORDER BY 1",
    "SELECT * FROM log_marks ORDER BY 1",
    "SELECT * FROM undone_trades ORDER BY 1",
)


@dataclass(frozen=True, slots=True)
class Store:
    """A migrated schema of a layout, and what its rows say."""

    dsn: str
    schema: str
    layout: Layout = Layout.PLAIN

    @property
    def address(self) -> StoreAddress:
        """Where it is."""
        return StoreAddress(self.dsn, self.schema)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a statement over its tables; none of one that gives none."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema)))
            cursor = conn.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def positions(self) -> list[int]:
        """Every position in the log."""
        found = self.rows("SELECT notification_id FROM stored_events ORDER BY 1")
        return [row[0] for row in found]

    def mode(self) -> str:
        """Where it says that the log is written."""
        ((said,),) = self.rows("SELECT writes FROM writer_epoch")
        return str(said)


@contextmanager
def store_of(dsn: str, layout: Layout) -> Iterator[Store]:
    """A fresh store, gone after the block."""
    made = Store(dsn, f"{layout}_{uuid.uuid4().hex[:12]}", layout)
    migrate(dsn, made.schema, layout=layout)
    try:
        yield made
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(made.schema)))


@contextmanager
def pair_of(dsn: str, truth: Layout, follower: Layout) -> Iterator[tuple[Store, Store]]:
    """Two empty stores of one database that name each other, as after `prepare`."""
    with store_of(dsn, truth) as one, store_of(dsn, follower) as other:
        say(one, "here", other)
        say(other, "fed", one)
        yield one, other


def say(store: Store, writes: str, peer: Store | None, *, held_seconds: float = 0) -> None:
    """Have a store say where the log is written; its epoch stays."""
    dsn = None if peer is None or peer.dsn == store.dsn else peer.dsn
    store.rows(
        "INSERT INTO writer_epoch (partition, epoch, holder, backend_pid, taken_at, renewed_at,"
        " writes, peer_dsn, peer_schema, held_until)"
        " VALUES (0, 0, '', 0, now(), '-infinity', %s, %s, %s, now() + %s * interval '1 second')"
        " ON CONFLICT (partition) DO UPDATE SET writes = excluded.writes,"
        " peer_dsn = excluded.peer_dsn, peer_schema = excluded.peer_schema,"
        " held_until = excluded.held_until, generation = writer_epoch.generation + 1",
        writes,
        dsn,
        None if peer is None else peer.schema,
        held_seconds,
    )


def switch(old: Store, new: Store) -> None:
    """The switch itself, where nothing is missing in the new store: commit, then open."""
    say(old, "there", new)
    open_for_writing(old, new)


def open_for_writing(old: Store, new: Store) -> None:
    """The last step of a switch: the new store is written, by whoever follows first."""
    ((epoch,),) = old.rows("SELECT epoch FROM writer_epoch")
    new.rows(
        "UPDATE writer_epoch SET writes = 'here', epoch = %s, backend_pid = 0,"
        " renewed_at = clock_timestamp(), generation = generation + 1",
        epoch + 1,
    )


async def fill(store: Store, events: Sequence[DomainEvent]) -> None:
    """Append events to an empty store, with the request keys that they spend."""
    log = PostgresEventLog(store.dsn, store.schema, 0)
    try:
        await log.take_over()
        for batch in batches_of(events):
            await log.append(batch)
    finally:
        await log.close()


def batches_of(events: Sequence[DomainEvent], size: int = 100) -> Iterator[Batch]:
    """A log from its first event on, as batches of a size."""
    for start in range(0, len(events), size):
        part = events[start : start + size]
        keys = [key_of_event(event, start + n) for n, event in enumerate(part, 1)]
        yield Batch(start + 1, part, [key for key in keys if key is not None])


@asynccontextmanager
async def leading_in(store: Store) -> AsyncIterator[PostgresEventLog]:
    """A log that leads, entered by a store."""
    log = PostgresEventLog(store.dsn, store.schema, 0)
    assert await log.try_take_over()
    try:
        yield log
    finally:
        await log.close()


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine, not for ever."""
    asyncio.run(asyncio.wait_for(work(), 60))


def same(one: Store, other: Store) -> bool:
    """Whether two stores hold the same log and keys."""
    keys = "SELECT * FROM request_keys ORDER BY 1, 2"
    return all(one.rows(query) == other.rows(query) for query in (EVERY_COLUMN, keys))


async def append_as_feed(store: Store, batch: Batch) -> None:
    """Bring a follower what the truth has, by the writer's own statement under another word."""
    statement = AppendStatement(store.schema, 0, chunked=store.layout.chunked)
    ((epoch,),) = store.rows("SELECT epoch FROM writer_epoch")
    async with await psycopg.AsyncConnection.connect(store.dsn, autocommit=True) as conn:
        said = store.rows("SELECT writes, peer_schema FROM writer_epoch")
        store.rows("UPDATE writer_epoch SET writes = 'here'")
        await statement.prepare(conn)
        assert await statement.store(conn, statement.values(epoch, batch))
        store.rows("UPDATE writer_epoch SET writes = %s, peer_schema = %s", *said[0])


def check_guards(store: Store, events: Sequence[DomainEvent]) -> None:
    """Heads, marks and what is undone say what the rows say."""
    assert [(len(events),)] == store.rows(GUARDS[0])
    assert store.rows(GUARDS[1]) == store.rows(
        "SELECT originator_id, max(originator_version), min(recorded_at), max(recorded_at)"
        " FROM stored_events GROUP BY 1 ORDER BY 1"
    )
    assert store.rows(GUARDS[2]) == store.rows(
        "SELECT notification_id, recorded_at FROM stored_events"
        " WHERE notification_id % 256 = 0 ORDER BY 1"
    )
    undone = [
        position
        for position, event in enumerate(events, 1)
        if event.TOPIC in ("order.fill_busted.v1", "order.fill_corrected.v1")
        and getattr(event, "side", 0) == 1
    ]
    assert undone == [row[0] for row in store.rows(GUARDS[3])]
