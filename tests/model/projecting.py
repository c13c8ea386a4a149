"""How tests run projectors and rebuilds on a schema of their own, and compare what came out."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection, sql

from infrastructure.log.source import PostgresEventSource
from projections import tracking
from projections.projection import Projection
from projections.rebuild import Rebuild, Rebuilt
from projections.runner import Runner
from projections.tables import checksum
from projections.tracking import ViewStatus
from projections.views import all_views
from tests.conftest import Schema

Answer = TypeVar("Answer")
Connection = AsyncConnection[Any]
Checksums = dict[str, tuple[int, int]]


def connector(schema: Schema) -> Callable[[], Awaitable[Connection]]:
    """What opens a connection as the projector and the API do."""

    async def connect() -> Connection:
        conn = await AsyncConnection.connect(schema.dsn, autocommit=True)
        try:
            await conn.execute(
                sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema))
            )
        except BaseException:
            await conn.close()
            raise
        return conn

    return connect


def ask(schema: Schema, question: Callable[[Connection], Coroutine[Any, Any, Answer]]) -> Answer:
    """Put a question to the views as they are."""

    async def answer() -> Answer:
        async with await connector(schema)() as conn:
            return await question(conn)

    return asyncio.run(answer())


def view_status(schema: Schema, views: Sequence[Projection]) -> list[ViewStatus]:
    """Every view beside the log."""

    async def answer() -> list[ViewStatus]:
        async with (
            await connector(schema)() as conn,
            PostgresEventSource(schema.dsn, schema.schema) as log,
        ):
            return await tracking.status(conn, log, views)

    return asyncio.run(answer())


def project(
    schema: Schema, views: Sequence[Projection] | None = None, *, batch_events: int = 5000
) -> None:
    """Run a projector until nothing is left to do."""

    async def run() -> None:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            runner = Runner(
                connector(schema), source, views or all_views(), batch_events=batch_events
            )
            while await runner.step():
                pass
            await runner.close()

    asyncio.run(run())


def rebuild(schema: Schema, view: Projection, *, switch: bool = True, **options: Any) -> Rebuilt:
    """Rebuild one view."""

    async def run() -> Rebuilt:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            return await Rebuild(connector(schema), source, view, **options).run(switch=switch)

    return asyncio.run(run())


def checksums(schema: Schema, views: Sequence[Projection] | None = None) -> Checksums:
    """Rows and checksum of every table of some views, or of all."""

    async def question(conn: Connection) -> Checksums:
        found: Checksums = {}
        for view in views or all_views():
            found |= {table.name: await checksum(conn, table.name) for table in view.tables}
        return found

    return ask(schema, question)


def positions(schema: Schema) -> dict[str, int]:
    """Where every view in use stands."""
    with psycopg.connect(schema.dsn) as conn:
        rows = conn.execute(
            sql.SQL("SELECT name, position FROM {} WHERE state = 'active'").format(
                sql.Identifier(schema.schema, "projection_tracking")
            )
        ).fetchall()
    return dict(rows)


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Ask again and again; fails when it does not come true in time."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.01)


def nexus(schema: Schema, *arguments: str) -> subprocess.Popen[str]:
    """A `nexus` process of its own on a schema."""
    return subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", *arguments],
        env={**os.environ, "NEXUS_DATABASE_URL": schema.dsn, "NEXUS_SCHEMA": schema.schema},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
