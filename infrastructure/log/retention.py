"""Parts of the log that are older than somebody wants to keep: who still needs them.

Nothing here drops one. A log is asked for ever: a request key is answered from its events, an
order that ended is brought back from them, an instrument is known by its first one, and a view is
built anew from the first position. What may go is told, and that an archive holds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from infrastructure.log import timescale
from infrastructure.log.layouts import Layout
from infrastructure.log.partitions import DAY, partitions
from infrastructure.log.statements import EVENT_TABLE
from infrastructure.log.timescale import Span

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class Archives(Protocol):
    """What holds events beside the store."""

    @property
    def first(self) -> int:
        """The first position that it holds."""
        ...

    @property
    def up_to(self) -> int:
        """Every position from the first to this one is in it."""
        ...


class OldPart(NamedTuple):
    """A part of the log, and what asks for it."""

    begin: datetime
    end: datetime
    first_position: int
    last_position: int
    keys: int
    """Request keys that are answered from its events."""
    living: int
    """Aggregates that began in it and have later events too."""

    def archived(self, archive: Archives | None) -> bool:
        """Whether an archive holds all of its positions."""
        return (
            archive is not None
            and archive.first <= self.first_position
            and self.last_position <= archive.up_to
        )


def old_parts(
    conn: psycopg.Connection[Any], schema: str, layout: Layout, before: datetime
) -> list[OldPart]:
    """The parts that end before an instant, oldest first; empty ones are left out."""
    return [
        part
        for span in _spans(conn, schema, layout)
        if span.end <= before and (part := _look(conn, schema, span)) is not None
    ]


def _spans(conn: psycopg.Connection[Any], schema: str, layout: Layout) -> Sequence[Span]:
    if layout is Layout.PLAIN:
        return ()
    if layout is Layout.NATIVE:
        return [Span(day, day + DAY) for day in sorted(partitions(conn, schema))]
    return timescale.chunks_between(conn, schema, Span(_FIRST, _LAST))


_LOOK = """
WITH ends AS (
    SELECT (SELECT notification_id FROM {log}
             WHERE recorded_at >= %(begin)s AND recorded_at < %(end)s
             ORDER BY recorded_at, notification_id LIMIT 1) AS first,
           (SELECT notification_id FROM {log}
             WHERE recorded_at >= %(begin)s AND recorded_at < %(end)s
             ORDER BY recorded_at DESC, notification_id DESC LIMIT 1) AS last
)
SELECT first, last,
       (SELECT count(*) FROM {keys} WHERE position BETWEEN first AND last),
       (SELECT count(*) FROM {heads}
         WHERE first_at >= %(begin)s AND first_at < %(end)s AND last_at >= %(end)s)
  FROM ends WHERE first IS NOT NULL
"""


def _look(conn: psycopg.Connection[Any], schema: str, span: Span) -> OldPart | None:
    query = sql.SQL(_LOOK).format(
        log=sql.Identifier(schema, EVENT_TABLE),
        keys=sql.Identifier(schema, "request_keys"),
        heads=sql.Identifier(schema, "stream_heads"),
    )
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query, span._asdict()).fetchone()
    return None if row is None else OldPart(span.begin, span.end, *row)
