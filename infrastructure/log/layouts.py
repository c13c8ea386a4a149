"""How a store keeps its events: in one table, or in parts by time."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row


class Layout(StrEnum):
    """The ways to keep the events of a partition; a store says its own (`store_layout()`)."""

    PLAIN = "plain"
    """One table, found by position and by aggregate and version: both unique."""
    NATIVE = "native"
    """PostgreSQL's own partitions, one a day."""
    HYPERTABLE = "hypertable"
    """Chunks of TimescaleDB's Apache edition: no compression."""
    TIMESCALE = "timescale"
    """Chunks of TimescaleDB, old ones compressed."""

    @property
    def chunked(self) -> bool:
        """Whether events stand in parts by time, guarded by heads and found by marks."""
        return self is not Layout.PLAIN


def layout_of(conn: psycopg.Connection[Any], schema: str) -> Layout | None:
    """The layout of a schema; None when it says none: it is empty, or older than layouts are."""
    with conn.transaction(), conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "SELECT to_regprocedure(%s) IS NOT NULL", (f"{_quoted(schema)}.store_layout()",)
        ).fetchone()
        assert row is not None
        if not row[0]:
            return None
        said = cursor.execute(
            sql.SQL("SELECT {}.store_layout()").format(sql.Identifier(schema))
        ).fetchone()
    assert said is not None
    return Layout(said[0])


def _quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)
