"""Two stores of one move on one server, for tests: a plain one with a flow in it, its follower."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.log.checksums import Range
from infrastructure.log.layouts import Layout
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.statements import STORED_COLUMNS
from infrastructure.log.stores import StoreAddress
from infrastructure.log.tables import BESIDE
from infrastructure.log.undone_checks import remake_undone
from migrations.runner import migrate
from projections.runner import Runner
from projections.views import VIEWS, all_views
from tests.conftest import Schema
from tests.model.command_flow import InMemoryVenue
from tests.model.projecting import connector
from tests.model.stored_flow import store

_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, STORED_COLUMNS))


@dataclass(frozen=True, slots=True)
class Pair:
    """A truth and its follower in one database."""

    dsn: str
    truth: StoreAddress
    follower: StoreAddress

    def rows(self, where: StoreAddress, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a store."""
        with psycopg.connect(where.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(where.schema)))
            conn.execute("SET nexus.feeding TO 'on'")
            cursor = conn.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def mode(self, where: StoreAddress) -> str:
        """Where a store says that the log is written."""
        return str(self.rows(where, "SELECT writes FROM writer_epoch")[0][0])

    def join(self) -> None:
        """Let the truth be written and the other follow it."""
        for whose, other, writes in (
            (self.truth, self.follower, "here"),
            (self.follower, self.truth, "fed"),
        ):
            self.rows(
                whose,
                "INSERT INTO writer_epoch (partition, epoch, holder, backend_pid, taken_at, writes,"
                " peer_schema) VALUES (0, 0, '', 0, now(), %s, %s) ON CONFLICT (partition)"
                " DO UPDATE SET writes = excluded.writes, peer_schema = excluded.peer_schema,"
                " generation = writer_epoch.generation + 1",
                writes,
                other.schema,
            )


def copy_log(pair: Pair) -> None:
    """Bring a follower in parts the whole log of a plain truth, and what it derives from it."""
    names = {
        "truth": sql.Identifier(pair.truth.schema),
        "follower": sql.Identifier(pair.follower.schema),
        "columns": _COLUMNS,
    }
    with psycopg.connect(pair.dsn) as conn:
        for text in (
            "INSERT INTO {follower}.stored_events ({columns})"
            " SELECT {columns} FROM {truth}.stored_events ORDER BY notification_id",
            "INSERT INTO {follower}.request_keys SELECT * FROM {truth}.request_keys",
            "INSERT INTO {follower}.stream_heads SELECT originator_id, max(originator_version),"
            " min(recorded_at), max(recorded_at) FROM {truth}.stored_events GROUP BY 1",
            "INSERT INTO {follower}.log_marks SELECT notification_id, recorded_at"
            " FROM {truth}.stored_events WHERE notification_id % 256 = 0",
            "UPDATE {follower}.log_head SET position ="
            " (SELECT max(notification_id) FROM {truth}.stored_events)",
        ):
            conn.execute(sql.SQL(text).format(**names))  # type: ignore[arg-type]
        (last,) = conn.execute(
            sql.SQL("SELECT position FROM {}.log_head").format(names["follower"])
        ).fetchone() or (0,)
        remake_undone(conn, pair.follower.schema, Range(1, last))


class PlainFeeding:
    """Brings what stands beside the log by copying it all; the log is brought already."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.synced = 0

    def feed_up_to(self, truth: StoreAddress, follower: StoreAddress, position: int) -> None:
        """Nothing: the tests that use this feed by themselves."""

    def sync_beside(
        self, truth: StoreAddress, follower: StoreAddress, *, final: bool = False
    ) -> None:
        """Every table whole."""
        self.synced += 1
        with psycopg.connect(self.pair.dsn) as conn:
            conn.execute("SET LOCAL nexus.feeding TO 'on'")
            for table in (each.name for each in BESIDE):
                theirs = sql.Identifier(follower.schema, table)
                conn.execute(sql.SQL("DELETE FROM {}").format(theirs))
                conn.execute(
                    sql.SQL("INSERT INTO {} OVERRIDING SYSTEM VALUE SELECT * FROM {}").format(
                        theirs, sql.Identifier(truth.schema, table)
                    )
                )


@contextmanager
def projecting(stores: Sequence[StoreAddress]) -> Iterator[None]:
    """Keep the views of some stores, as their projectors do, until the block ends."""
    stop = threading.Event()

    async def keep(where: StoreAddress) -> None:
        schema = Schema(*where)
        ended = asyncio.Event()

        async def wait() -> None:
            while not stop.is_set():
                await asyncio.sleep(0.02)
            ended.set()

        async with PostgresEventSource(*where, pinned=True) as source:
            waiting = asyncio.create_task(wait())
            runner = Runner(connector(schema), source, all_views(), poll_seconds=0.05)
            await runner.run(ended)
            await waiting

    async def all_of_them() -> None:
        await asyncio.gather(*(keep(where) for where in stores))

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()), name="projecting")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def until_projected(stores: Sequence[StoreAddress], seconds: float = 30) -> None:
    """Wait until every view of these stores stands where its log ends."""
    deadline = time.monotonic() + seconds
    for where in stores:
        with psycopg.connect(where.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(where.schema)))
            query = (
                "SELECT count(*) FROM projection_tracking WHERE state = 'active'"
                " AND position = (SELECT max(notification_id) FROM stored_events)"
            )
            while conn.execute(query).fetchone() != (len(VIEWS),):
                assert time.monotonic() < deadline, f"the views of {where.schema} do not come"
                time.sleep(0.02)


@contextmanager
def pair_of(dsn: str, flow: InMemoryVenue, layout: Layout = Layout.NATIVE) -> Iterator[Pair]:
    """A plain store with a flow in it and its follower with the same, both dropped at the end."""
    tag = uuid.uuid4().hex[:12]
    pair = Pair(dsn, StoreAddress(dsn, f"truth_{tag}"), StoreAddress(dsn, f"follower_{tag}"))
    migrate(dsn, pair.truth.schema)
    migrate(dsn, pair.follower.schema, layout=layout)
    asyncio.run(store(flow, *pair.truth))
    copy_log(pair)
    pair.join()
    try:
        yield pair
    finally:
        with psycopg.connect(dsn, autocommit=True) as conn:
            for where in (pair.truth, pair.follower):
                conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(where.schema)))
