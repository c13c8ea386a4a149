"""Takes away what views of earlier programs left behind: their tables, names and positions.

A view can be built again from the log, so one that this program does not have is only a burden:
its tables take room, and its position stands still for ever.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

import psycopg
from psycopg import sql

from projections import tracking
from projections.connections import Connection
from projections.projection import Projection

log = logging.getLogger(__name__)

_RELATION = re.compile(r"view_(?P<table>.+)_v\d+(_next)?")
_LOCK_TIMEOUT = "2s"


async def retire_unknown(conn: Connection, views: Iterable[Projection]) -> None:
    """Drop the tables and tracking rows of every view but these; what somebody uses is left."""
    try:
        async with conn.transaction():
            await tracking.lock_definitions(conn)
            await _retire(conn, tuple(views))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DependentObjectsStillExist) as used:
        log.warning("views that this program does not have are left until the next start: %s", used)


async def _retire(conn: Connection, views: tuple[Projection, ...]) -> None:
    tables = await _unknown_tables(conn, {table.name for view in views for table in view.tables})
    names = await _unknown_names(conn, views)
    if not tables and not names:
        return
    await conn.execute(sql.SQL("SET LOCAL lock_timeout TO {}").format(_LOCK_TIMEOUT))
    for relation, stable in tables.items():
        await conn.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(stable)))
        await conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(relation)))
    for name in names:
        await tracking.untrack(conn, name)
        await tracking.clear_error(conn, name)
    retired = sorted(names | set(tables.values()))
    log.warning("views that this program does not have are dropped: %s", ", ".join(retired))


async def _unknown_tables(conn: Connection, known: set[str]) -> dict[str, str]:
    """Tables of views, in use or half built, that no known view has, with their stable names."""
    cursor = await conn.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        " AND tablename LIKE 'view\\_%'"
    )
    found = {}
    for (name,) in await cursor.fetchall():
        parts = _RELATION.fullmatch(name)
        if parts is not None and parts["table"] not in known:
            found[name] = parts["table"]
    return found


async def _unknown_names(conn: Connection, views: tuple[Projection, ...]) -> set[str]:
    """Tracked names that are neither a known view's nor that of its next tables."""
    known = {name for view in views for name in (view.name, tracking.building_name(view))}
    return {row.name for row in await tracking.tracked(conn)} - known
