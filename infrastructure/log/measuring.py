"""What benchmarks ask of the event table itself: its shape, and what was committed together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from domain.events import DomainEvent
from infrastructure.log.codec import encode_event, typed_columns
from infrastructure.log.statements import EventTable


def make_empty_copy(conn: psycopg.Connection[Any], schema: str, table: str) -> None:
    """Make a table of the event table's columns, constraints and indexes, without a row."""
    conn.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL)").format(
            sql.Identifier(table), EventTable(schema).name
        )
    )


def plain_row(position: int, event: DomainEvent) -> tuple[Any, ...]:
    """The values of an event's row, in the order of `statements.STORED_COLUMNS`."""
    columns = typed_columns(event)
    return (
        event.originator_id,
        event.originator_version,
        event.TOPIC,
        encode_event(event),
        position,
        event.timestamp,
        *columns[1:],
    )


def count_committed_together(
    conn: psycopg.Connection[Any], schema: str, ones: Sequence[int], others: Sequence[int]
) -> int:
    """How many pairs of positions were stored by one transaction and one command."""
    row = conn.execute(
        sql.SQL(
            "SELECT count(*) FROM unnest(%s::bigint[], %s::bigint[]) AS pair (one, other)"
            " JOIN {events} a ON a.notification_id = one"
            " JOIN {events} b ON b.notification_id = other"
            " WHERE a.xmin = b.xmin AND a.correlation_id = b.correlation_id"
        ).format(events=EventTable(schema).name),
        (list(ones), list(others)),
    ).fetchone()
    assert row is not None
    return int(row[0])
