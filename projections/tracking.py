"""How far each view has come, which table serves it, and what stopped it."""

from __future__ import annotations

import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from psycopg import sql
from psycopg.pq.abc import PGresult
from psycopg.rows import class_row

from application.log.ports import LogEnd
from projections.columns import INTEGER, TEXT
from projections.connections import Connection, Statement
from projections.projection import (
    Projection,
    Table,
    TableWriter,
    create_indexes,
    create_table,
)

log = logging.getLogger(__name__)

LOCK_CLASS = 0x6E787677
"""First key of the advisory locks of this package; the second is made from a name."""

_ERRORS = """
CREATE TABLE IF NOT EXISTS projection_errors (
    name      text        NOT NULL,
    version   int         NOT NULL,
    position  bigint      NOT NULL,   -- the view stands here; what follows stopped it
    at        timestamptz NOT NULL,
    error     text        NOT NULL,
    PRIMARY KEY (name, version)
)
"""

_ADVANCE = b"""
WITH moved AS (
    UPDATE projection_tracking t SET position = $5::bigint, updated_at = now()
      FROM unnest($1::text[], $2::int[]) AS u (name, version)
     WHERE t.name = u.name AND t.version = u.version AND t.state = $3::text
       AND t.position = $4::bigint
    RETURNING 1)
SELECT count(*), CASE WHEN $6::text <> '' THEN pg_notify($6::text, ($5::bigint)::text) END
  FROM moved
"""

_bigint = struct.Struct("!q").pack

_TRACKED = "SELECT name, version, position, state, updated_at FROM projection_tracking"


class Tracked(NamedTuple):
    """One row of the tracking table."""

    name: str
    version: int
    position: int
    state: str
    updated_at: datetime


class ViewStatus(NamedTuple):
    """A view beside the log: where it stands and what it suffers from."""

    name: str
    version: int
    active_version: int | None
    position: int
    lag: int
    building_position: int | None
    updated_at: datetime | None
    error: str | None
    error_position: int | None


class PositionMoved(Exception):
    """Somebody else has moved these views: look again before going on."""


class ViewAhead(Exception):
    """A view stands beyond the end of the log: it holds what the log has lost."""

    def __init__(self, name: str, position: int, last: int) -> None:
        super().__init__(
            f"the view stands at position {position} and the log ends at {last}, as after a backup"
            f" of the log was restored; run `nexus projections rebuild {name}`"
        )


def relation(table: Table, version: int) -> str:
    """The name of a table in use."""
    return f"view_{table.name}_v{version}"


def views_channel(schema: str) -> str:
    """Where the projector says how far the views are; a channel's name has at most 63 bytes."""
    return f"{schema[:57]}_views"


def writers(view: Projection, suffix: str = "") -> tuple[TableWriter, ...]:
    """The statements for a view's tables, those in use or those being built."""
    return tuple(TableWriter(t, relation(t, view.version) + suffix) for t in view.tables)


async def prepare(conn: Connection, views: Sequence[Projection]) -> None:
    """Make the tables of views that have none yet; what stands is left alone."""
    async with conn.transaction():
        await lock_definitions(conn)
        if not await _has_errors_table(conn):
            await conn.execute(_ERRORS)
        known = {row.name for row in await tracked(conn) if row.state == "active"}
        for view in views:
            if view.name in known:
                continue
            for table in view.tables:
                name = relation(table, view.version)
                await conn.execute(create_table(table, name))
                for index in create_indexes(table, name):
                    await conn.execute(index)
            await point_queries(conn, view)
            await track(conn, view.name, view.version, 0, "active")


async def lock_definitions(conn: Connection) -> None:
    """Keep others from making or switching tables until the end of the transaction."""
    await conn.execute(
        "SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", (LOCK_CLASS,)
    )


async def point_queries(conn: Connection, view: Projection) -> None:
    """Let the stable names that queries use mean this version's tables."""
    for table in view.tables:
        stable = sql.Identifier(table.name)
        await conn.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(stable))
        await conn.execute(
            sql.SQL("CREATE VIEW {} AS SELECT * FROM {}").format(
                stable, sql.Identifier(relation(table, view.version))
            )
        )


async def track(conn: Connection, name: str, version: int, position: int, state: str) -> None:
    """Set a tracking row, whatever it was."""
    await conn.execute(
        "INSERT INTO projection_tracking (name, version, position, state, updated_at)"
        " VALUES (%s, %s, %s, %s, now()) ON CONFLICT (name, version) DO UPDATE"
        " SET position = EXCLUDED.position, state = EXCLUDED.state, updated_at = now()",
        (name, version, position, state),
    )


async def untrack(conn: Connection, name: str) -> None:
    """Forget a name."""
    await conn.execute("DELETE FROM projection_tracking WHERE name = %s", (name,))


class Advance:
    """Moves some versions of views together from one position to the next.

    With a channel, who listens there hears the position once the transaction is committed.
    """

    def __init__(self, views: Sequence[tuple[str, int]], state: str, *, channel: str = "") -> None:
        self._count = len(views)
        self._whose = (
            TEXT.array_of(TEXT.encode([name for name, _ in views])),
            INTEGER.array_of(INTEGER.encode([version for _, version in views])),
            state.encode(),
        )
        self._channel = channel.encode()

    def statement(self, before: int, after: int) -> Statement:
        """What moves them; its check raises PositionMoved when they do not all stand there."""
        values = (*self._whose, _bigint(before), _bigint(after), self._channel)
        return Statement(_ADVANCE, values, self._all_moved)

    def _all_moved(self, result: PGresult) -> None:
        if int(result.get_value(0, 0) or b"0") != self._count:
            raise PositionMoved


async def tracked(conn: Connection) -> list[Tracked]:
    """All tracking rows."""
    async with conn.cursor(row_factory=class_row(Tracked)) as cursor:
        return await (await cursor.execute(_TRACKED)).fetchall()


async def record_error(
    conn: Connection, view: Projection, position: int, error: BaseException
) -> None:
    """Say what stopped a view, for `status` to show."""
    text = f"{type(error).__name__}: {error}".replace("\x00", "").strip()
    await conn.execute(
        "INSERT INTO projection_errors (name, version, position, at, error)"
        " VALUES (%s, %s, %s, now(), %s) ON CONFLICT (name, version) DO UPDATE"
        " SET position = EXCLUDED.position, at = EXCLUDED.at, error = EXCLUDED.error",
        (view.name, view.version, position, text),
    )


async def clear_error(conn: Connection, name: str) -> None:
    """The view goes on."""
    await conn.execute("DELETE FROM projection_errors WHERE name = %s", (name,))


async def stopped(conn: Connection) -> dict[str, tuple[int, str]]:
    """Views that an error stopped: the position where they stand, and the error."""
    if not await _has_errors_table(conn):
        return {}
    cursor = await conn.execute("SELECT name, position, error FROM projection_errors")
    return {name: (position, error) for name, position, error in await cursor.fetchall()}


async def name_those_ahead(
    conn: Connection, views: Sequence[Projection], last_position: Callable[[], Awaitable[int]]
) -> None:
    """Record, and log, which views stand beyond the end of the log.

    The record outlives the moment when the log has grown past them: they would go on with what
    the log has lost still among their rows.
    """
    active = {row.name: row for row in await tracked(conn) if row.state == "active"}
    # Asked after the positions, as both may grow.
    last = await last_position()
    errors = await stopped(conn)
    for view in views:
        row = active[view.name]
        if is_ahead(row, errors):
            log.error("view %s is not kept: %s", view.name, errors[view.name][1])
            continue
        if row.position > last:
            ahead = ViewAhead(view.name, row.position, last)
            log.error("view %s is not kept: %s", view.name, ahead)
            await record_error(conn, view, last, ahead)


def is_ahead(row: Tracked, errors: Mapping[str, tuple[int, str]]) -> bool:
    """Whether a view was once found beyond the end of the log, and has not been rebuilt since.

    Any other error stops a view at its own position; this one was recorded where the log ended.
    """
    return row.name in errors and errors[row.name][0] < row.position


async def views_position(conn: Connection) -> int:
    """The position that every view in use has reached, those left out that an error stopped."""
    names = list(await stopped(conn))
    cursor = await conn.execute(
        "SELECT COALESCE(min(position), 0) FROM projection_tracking"
        " WHERE state = 'active' AND NOT name = ANY(%s)",
        (names,),
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def status(conn: Connection, log: LogEnd, views: Sequence[Projection]) -> list[ViewStatus]:
    """Every view beside the log."""
    rows = await tracked(conn)
    active = {row.name: row for row in rows if row.state == "active"}
    building = {row.name: row for row in rows if row.state == "building"}
    errors = await stopped(conn)
    last = await log.last_position()
    found = []
    for view in views:
        row = active.get(view.name)
        being_built = building.get(building_name(view))
        position = row.position if row else 0
        where, error = errors.get(view.name, (None, None))
        if error is None and position > last:
            where, error = last, str(ViewAhead(view.name, position, last))
        found.append(
            ViewStatus(
                name=view.name,
                version=view.version,
                active_version=row.version if row else None,
                position=position,
                lag=last - position,
                building_position=being_built.position if being_built else None,
                updated_at=row.updated_at if row else None,
                error=error,
                error_position=where,
            )
        )
    return found


def building_name(view: Projection) -> str:
    """The name under which the next tables of a view are tracked."""
    return f"{view.name}.next"


async def _has_errors_table(conn: Connection) -> bool:
    row = await (await conn.execute("SELECT to_regclass('projection_errors')")).fetchone()
    return row is not None and row[0] is not None
