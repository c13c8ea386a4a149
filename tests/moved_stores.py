"""A store with a day's flow in it and an empty one that it is to move to, and what both hold."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from psycopg import sql

from application.log.ports import Batch
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress
from infrastructure.log.tables import BESIDE, EVENTS, KEYS, LogTable
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate
from tests.model.command_flow import InMemoryVenue, lived

COMMANDS = 700
BEFORE = 2_000
"""How many events of the flow are in the source when a test begins."""


@cache
def flow() -> InMemoryVenue:
    """A flow with every kind of event, busts and corrections among them; made once."""
    return lived(11, COMMANDS)


@dataclass(frozen=True, slots=True)
class Moved:
    """Two stores of one database: the source, and the target that is fed."""

    source: StoreAddress
    target: StoreAddress
    venue: InMemoryVenue

    def rows(self, where: StoreAddress, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a store, as one who feeds it."""
        with psycopg.connect(where.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(where.schema)))
            conn.execute("SET nexus.feeding TO 'on'")
            cursor = conn.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def one(self, where: StoreAddress, query: str, *values: Any) -> Any:
        """The only value of an answer."""
        ((value,),) = self.rows(where, query, *values)
        return value

    def same(self, *tables: str, above: int = 0) -> bool:
        """Whether tables hold the same on both sides; of the log only what is above a position."""
        known = {table.name: table for table in (EVENTS, KEYS, *BESIDE)}
        for name in tables:
            table = known[name]
            names = ", ".join(table.columns)
            where = f"WHERE {table.position} > {above}" if isinstance(table, LogTable) else ""
            query = f"SELECT {names} FROM {name} {where} ORDER BY {names}"
            if self.rows(self.source, query) != self.rows(self.target, query):
                return False
        return True

    def same_log(self, above: int = 0) -> bool:
        """Whether both have the same events and keys above a position."""
        return self.same(EVENTS.name, KEYS.name, above=above)

    def heads_fit(self) -> bool:
        """Whether the target's heads and marks say what the source's rows do."""
        heads = self.rows(self.target, "SELECT * FROM stream_heads ORDER BY 1")
        marks = self.rows(self.target, "SELECT * FROM log_marks ORDER BY 1")
        return heads == self.rows(
            self.source,
            "SELECT originator_id, max(originator_version), min(recorded_at), max(recorded_at)"
            " FROM stored_events GROUP BY 1 ORDER BY 1",
        ) and marks == self.rows(
            self.source,
            "SELECT notification_id, recorded_at FROM stored_events"
            " WHERE notification_id % 256 = 0 ORDER BY 1",
        )

    def append(self, count: int) -> None:
        """Let the source's log go on by so many events of its flow."""
        asyncio.run(self._append(count))

    async def _append(self, count: int) -> None:
        log = PostgresEventLog(self.source.dsn, self.source.schema, 0)
        try:
            await log.take_over()
            first = await log.last_position() + 1
            events = self.venue.log.events()[first - 1 : first - 1 + count]
            keys = self.venue.log.keys.values()
            for start in range(0, len(events), 100):
                part = events[start : start + 100]
                ends = (first + start, first + start + len(part) - 1)
                kept = [key for key in keys if ends[0] <= key.position <= ends[1]]
                await log.append(Batch(ends[0], part, kept))
        finally:
            await log.close()

    def follow(self) -> None:
        """Have the target say that it is fed, as after `prepare`."""
        self.rows(
            self.target,
            "INSERT INTO writer_epoch (partition, epoch, holder, backend_pid, taken_at,"
            " renewed_at, writes, peer_schema) VALUES (0, 0, '', 0, now(), '-infinity', 'fed', %s)",
            self.source.schema,
        )


@contextmanager
def moved_stores(
    dsn: str, layout: Layout = Layout.NATIVE, *, events: int = BEFORE
) -> Iterator[Moved]:
    """A plain store with a flow in it, and an empty one that is fed; gone afterwards."""
    tag = uuid.uuid4().hex[:10]
    source, target = StoreAddress(dsn, f"from_{tag}"), StoreAddress(dsn, f"to_{tag}")
    migrate(dsn, source.schema)
    migrate(dsn, target.schema, layout=layout)
    made = Moved(source, target, flow())
    try:
        if events:
            made.append(events)
        made.rows(source, "CREATE INDEX ON request_keys USING brin (position)")
        made.follow()
        yield made
    finally:
        for name in (source.schema, target.schema):
            drop(dsn, name)


def drop(dsn: str, schema: str) -> None:
    """Drop a schema that is there; one that TimescaleDB is at in the background, a moment later."""
    for attempt in range(20):
        try:
            with psycopg.connect(dsn, autocommit=True) as conn:
                named = sql.Identifier(schema)
                conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(named))
            return
        except (psycopg.errors.InternalError_, psycopg.errors.DeadlockDetected):
            if attempt == 19:
                raise
            time.sleep(0.5)
