"""Long answers of the store, read and made a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from psycopg import AsyncCursor

from application.turns import Turn

ROWS_AT_ONCE = 64

Row = TypeVar("Row")
Given = TypeVar("Given")
Made = TypeVar("Made")


async def each(rows: Iterable[Given], make: Callable[[Given], Made]) -> list[Made]:
    """What is made of each of some rows, of many a few at a time."""
    turn, made = Turn(), list[Made]()
    for row in rows:
        made.append(make(row))
        await turn.is_over()
    return made


async def rows_of(cursor: AsyncCursor[Row]) -> list[Row]:
    """All rows of an answer that is there, read in pieces."""
    turn = Turn()
    rows = await cursor.fetchmany(ROWS_AT_ONCE)
    found = rows
    while len(rows) == ROWS_AT_ONCE:
        await turn.is_over()
        rows = await cursor.fetchmany(ROWS_AT_ONCE)
        found += rows
    return found
