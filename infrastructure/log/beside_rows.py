"""Stores what a batch leaves beside the log, within the transaction of its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import sql

from application.log.ports import BesideRow, ForgottenSubject, KeyRow
from domain.identifiers import NO_ID, datetime_of

TRADER, OPERATOR = "trader", "admin"
"""Whose a key is, as its row says it: an account's, or an operator's."""

_LET_IN = """
INSERT INTO {table}
       (key_id, secret_sha256, account_id, role, created_at, scopes, label, expires_at, version,
        position)
VALUES (%(key_id)s, %(digest)s, %(account_id)s, %(role)s, %(created_at)s, %(scopes)s, %(label)s,
        %(expires_at)s, %(version)s, %(position)s)
    ON CONFLICT (key_id) DO UPDATE SET (secret_sha256, account_id, role, created_at, revoked_at,
       scopes, label, expires_at, version, position)
     = (EXCLUDED.secret_sha256, EXCLUDED.account_id, EXCLUDED.role, EXCLUDED.created_at, NULL,
       EXCLUDED.scopes, EXCLUDED.label, EXCLUDED.expires_at, EXCLUDED.version, EXCLUDED.position)
"""
_REVOKE = """
UPDATE {table} SET version = %(version)s, position = %(position)s, revoked_at = %(at)s
 WHERE key_id = %(key_id)s
"""
_FORGET = """
UPDATE {table} SET key = NULL, name_sha256 = NULL, forgotten_at = %(at)s
 WHERE subject = %(subject)s
"""


def keys_channel(schema: str) -> str:
    """Where it is told that a key has changed, by its id."""
    return f"{schema}_keys"


async def store_beside(
    conn: psycopg.AsyncConnection[Any], schema: str, rows: Sequence[BesideRow]
) -> None:
    """Store rows in a transaction that is open, and tell of the keys when it commits."""
    for row in rows:
        if isinstance(row, ForgottenSubject):
            values = {"subject": row.subject, "at": datetime_of(row.at)}
            await conn.execute(_in(_FORGET, schema, "subjects"), values)
        else:
            statement = _REVOKE if row.revoked else _LET_IN
            await conn.execute(_in(statement, schema, "api_keys"), _values(row))
            told = (keys_channel(schema), row.key_id)
            await conn.execute("SELECT pg_notify(%s, %s)", told)


def _values(row: KeyRow) -> dict[str, Any]:
    of_operator = row.account_id == NO_ID
    return {
        **row._asdict(),
        "account_id": None if of_operator else row.account_id,
        "role": OPERATOR if of_operator else TRADER,
        "at": datetime_of(row.at),
        "created_at": datetime_of(row.created_at),
        "scopes": list(row.scopes),
    }


def _in(statement: Any, schema: str, table: str) -> sql.Composed:
    return sql.SQL(statement).format(table=sql.Identifier(schema, table))
