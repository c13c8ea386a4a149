"""Stores event streams as the writer stores its own: rows, request keys and one notice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

import psycopg
from psycopg import sql

from domain.events import DomainEvent
from domain.identifiers import datetime_of
from infrastructure.log.codec import encode_event, typed_columns

_COPY = """
COPY {} (originator_id, originator_version, topic, state, notification_id, recorded_at,
         instrument_id, account_id, traded_qty, traded_notional, correlation_id, actor)
FROM STDIN
"""


def append_events(
    dsn: str, schema: str, events: Iterable[DomainEvent], *, first_position: int | None = None
) -> int:
    """Store events as the writer does: one transaction, one notice; returns the last position."""
    with psycopg.connect(dsn) as conn:
        log = sql.Identifier(schema, "stored_events")
        if first_position is None:
            row = conn.execute(
                sql.SQL("SELECT COALESCE(max(notification_id), 0) + 1 FROM {}").format(log)
            ).fetchone()
            assert row is not None
            first_position = row[0]
        position = first_position - 1
        with conn.cursor() as cursor, cursor.copy(sql.SQL(_COPY).format(log)) as copy:
            for event in events:
                position += 1
                typed = typed_columns(event)
                copy.write_row(
                    (
                        event.originator_id,
                        event.originator_version,
                        event.TOPIC,
                        encode_event(event),
                        position,
                        datetime_of(typed.recorded_at),
                        *typed[1:],
                    )
                )
        conn.execute("SELECT pg_notify(%s, %s)", (schema, str(position)))
    return position


def append_keys(dsn: str, schema: str, keys: Sequence[tuple[UUID, str, int]]) -> None:
    """Store request keys as the writer does."""
    with psycopg.connect(dsn) as conn, conn.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                "INSERT INTO {} (account_id, request_key, fingerprint, position)"
                " VALUES (%s, %s, 'f', %s) ON CONFLICT DO NOTHING"
            ).format(sql.Identifier(schema, "request_keys")),
            keys,
        )
