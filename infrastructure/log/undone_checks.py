"""What busts and corrections undo, as the events say and as a store in parts keeps it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import psycopg
from psycopg import sql

from infrastructure.log.checksums import Range
from infrastructure.log.codec import decode_event
from infrastructure.log.derived import UNDOING_TOPICS, UndoneTrade, undone_trade
from infrastructure.log.derived_checks import Mismatch

Connection = psycopg.Connection[Any]

_COLUMNS = ", ".join(UndoneTrade._fields)


def undone_in(conn: Connection, schema: str, wanted: Range) -> list[Mismatch]:
    """What is undone by events of a range and not kept so, or kept and undone by none."""
    told = {undone.position: undone for undone in _told(conn, schema, wanted)}
    rows = conn.execute(
        sql.SQL(
            f"SELECT {_COLUMNS} FROM {{}}.undone_trades WHERE position BETWEEN %s AND %s"
        ).format(sql.Identifier(schema)),
        wanted,
    ).fetchall()
    kept = {row[0]: UndoneTrade._make(row) for row in rows}
    return [
        Mismatch(str(position), _said(told.get(position)), _said(kept.get(position)))
        for position in sorted(told.keys() | kept.keys())
        if told.get(position) != kept.get(position)
    ]


def remake_undone(conn: Connection, schema: str, wanted: Range) -> None:
    """Keep of a range what its events undo, in the transaction that is open."""
    name = sql.Identifier(schema)
    conn.execute(
        sql.SQL("DELETE FROM {}.undone_trades WHERE position BETWEEN %s AND %s").format(name),
        wanted,
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            sql.SQL(
                f"INSERT INTO {{}}.undone_trades ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s)"
            ).format(name),
            _told(conn, schema, wanted),
        )


def _told(conn: Connection, schema: str, wanted: Range) -> list[UndoneTrade]:
    rows = conn.execute(
        sql.SQL(
            "SELECT notification_id, topic, state FROM {schema}.stored_events"
            " WHERE notification_id BETWEEN %(first)s AND %(last)s AND topic = ANY(%(topics)s)"
            " AND recorded_at >= {schema}.recorded_from(%(first)s - 1)"
            " AND recorded_at <= {schema}.recorded_until(%(last)s)"
        ).format(schema=sql.Identifier(schema)),
        {"first": wanted.first, "last": wanted.last, "topics": list(UNDOING_TOPICS)},
        binary=True,
    ).fetchall()
    found = []
    for position, topic, state in rows:
        # An event whose bytes are damaged is found by its checksum, and undoes nothing meanwhile.
        with suppress(ValueError, msgspec.MsgspecError):
            found.append(undone_trade(position, decode_event(topic, state)))
    return [undone for undone in found if undone is not None]


def _said(undone: UndoneTrade | None) -> str | None:
    return None if undone is None else str(undone._asdict())
