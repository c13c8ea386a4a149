"""Whether a store holds the whole log, so that views can be made from it."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from infrastructure.log.statements import EVENT_TABLE
from infrastructure.log.stores import StoreAddress, StoreState, Writes


async def holds_events(conn: AsyncConnection[Any], store: StoreAddress) -> bool:
    """Whether a store has a log at all: of one that was left for good only a sign-post stays."""
    table = sql.Identifier(store.schema, EVENT_TABLE).as_string(None)
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (table,))
        row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def is_whole(conn: AsyncConnection[Any], state: StoreState) -> bool:
    """Whether no event before the newest one is still to come."""
    if not state.layout.chunked:
        return True
    head = sql.Identifier(state.address.schema, "log_head")
    async with conn.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute(sql.SQL("SELECT position, base FROM {}").format(head))
        row = await cursor.fetchone()
    assert row is not None
    position, base = row
    # One that is to be fed, and has not been yet, begins where the truth stands.
    return bool(base == 0 and (position > 0 or state.writes is not Writes.FED))
