"""What an operator sees of FIX sessions in the store, and does to them there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from application.fix_numbers import Numbered, Numbers, SessionId, Source
from domain.identifiers import Instant

STANDINGS = """
SELECT s.sender, s.target, s.next_in, s.next_out, s.arrived, s.told, s.began, s.reserved,
       s.opened_at, s.saved_at,
       (SELECT count(*) FROM {messages} m
        WHERE m.session_id = s.id AND m.life = s.life AND m.seq_num > s.arrived),
       (SELECT count(DISTINCT (m.position, m.part)) FROM {messages} m
        WHERE m.session_id = s.id AND m.life < 0)
FROM {sessions} s ORDER BY s.sender, s.target
"""
# Whoever has the session open finds its epoch raised with what it saves next, and ends it. What
# is to be told again from a position on is not uncertain as well.
BEGIN_ANEW = """
WITH before AS (
    SELECT id, life, arrived FROM {sessions}
    WHERE sender = %(sender)s AND target = %(target)s FOR UPDATE
), uncertain AS (
    UPDATE {messages} m SET life = -m.life FROM before b
    WHERE m.session_id = b.id AND m.life = b.life AND m.seq_num > b.arrived
    AND m.position <= coalesce(%(told)s, m.position)
), told_again AS (
    DELETE FROM {messages} m USING before b
    WHERE m.session_id = b.id AND m.life < 0 AND m.position > %(told)s
)
UPDATE {sessions} s
SET epoch = s.epoch + 1, life = b.life + 1, next_in = 1, next_out = 1, reserved = 1, arrived = 0,
    began = %(now)s, told = coalesce(%(told)s, s.told), saved_at = clock_timestamp()
FROM before b WHERE s.id = b.id RETURNING s.id
"""
LAST_MESSAGES = """
SELECT m.seq_num, m.position, m.part, m.checksum, m.poss_resend
FROM {messages} m JOIN {sessions} s ON m.session_id = s.id AND m.life = s.life
WHERE s.sender = %s AND s.target = %s ORDER BY m.seq_num DESC LIMIT %s
"""


class Standing(NamedTuple):
    """Where a session stands, as it was saved last."""

    session_id: SessionId
    numbers: Numbers
    opened_at: datetime
    saved_at: datetime
    unconfirmed: int
    """Reports that were sent under present numbers and are not known to have arrived."""
    uncertain: int
    """Reports of former numbers that are to be sent again."""


class FixOverview:
    """The numbers of all sessions of a partition, on a connection of its caller."""

    def __init__(self, conn: psycopg.Connection[Any], schema: str) -> None:
        self._conn = conn
        self._tables = {
            "sessions": sql.Identifier(schema, "fix_sessions"),
            "messages": sql.Identifier(schema, "fix_messages"),
        }

    def standings(self) -> list[Standing]:
        """Every session that was ever opened, by its name."""
        rows = self._conn.execute(sql.SQL(STANDINGS).format(**self._tables)).fetchall()
        return [Standing(SessionId(row[0], row[1]), Numbers(*row[2:8]), *row[8:12]) for row in rows]

    def begin_anew(self, session_id: SessionId, now: Instant, told: int | None = None) -> bool:
        """Begin the numbers of a session at 1, and tell it what follows a log position when one
        is given; false when the session was never opened.
        """
        values = {**session_id._asdict(), "now": now, "told": told}
        rows = self._conn.execute(sql.SQL(BEGIN_ANEW).format(**self._tables), values).fetchall()
        return bool(rows)

    def last_messages(self, session_id: SessionId, count: int) -> Sequence[Numbered]:
        """The last reports that a session was sent, the newest last."""
        rows = self._conn.execute(
            sql.SQL(LAST_MESSAGES).format(**self._tables), (*session_id, count)
        ).fetchall()
        return [
            Numbered(seq_num, Source(position, part), checksum, poss_resend)
            for seq_num, position, part, checksum, poss_resend in reversed(rows)
        ]
