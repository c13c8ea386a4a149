"""How fast each view is built from a log that stands: events of the log passed per second."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from infrastructure.log.source import PostgresEventSource
from projections.projection import Projection
from projections.rebuild import Rebuild, Rebuilt
from projections.runner import collect_seldom
from projections.views import all_views


def rebuild_rates(dsn: str, schema: str) -> dict[str, float]:
    """Events per second of each view's rebuild, with its indexes; what is in use stays as it is."""
    return {
        done.name: done.passed / done.seconds if done.seconds else 0.0
        for done in rebuild_views(dsn, schema)
    }


def rebuild_views(dsn: str, schema: str) -> list[Rebuilt]:
    """Build every view beside those in use, compare, and drop what was built."""
    collect_seldom()
    return [asyncio.run(_rebuild(dsn, schema, view)) for view in all_views()]


async def _rebuild(dsn: str, schema: str, view: Projection) -> Rebuilt:
    async def connect() -> AsyncConnection[Any]:
        conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        await conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        return conn

    async with PostgresEventSource(dsn, schema) as source:
        return await Rebuild(connect, source, view).run(switch=False)
