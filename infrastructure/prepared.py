"""Statements that are prepared once and sent with binary values, below the driver's cursors.

Conversions of many values cost a cursor more processor than all else of a small commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import errors, generators
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult


async def prepare(conn: psycopg.AsyncConnection[Any], name: bytes, text: bytes) -> None:
    """Make a statement known to a connection, once for its life."""
    # Of its own accord psycopg would forget all that is prepared after a rollback.
    conn.prepare_threshold = None
    conn.pgconn.send_prepare(name, text)
    await _result(conn, ExecStatus.COMMAND_OK)


async def run_prepared(
    conn: psycopg.AsyncConnection[Any], name: bytes, values: Sequence[bytes]
) -> PGresult:
    """The rows, in binary, of a prepared statement with binary values; raises psycopg.Error."""
    conn.pgconn.send_query_prepared(name, values, [Format.BINARY] * len(values), Format.BINARY)
    return await _result(conn, ExecStatus.TUPLES_OK)


async def _result(conn: psycopg.AsyncConnection[Any], wanted: ExecStatus) -> PGresult:
    """The result of what was sent, waited for as psycopg's cursors do; raises its error."""
    found: list[PGresult] = await conn.wait(generators.execute(conn.pgconn))
    if found[-1].status != wanted:
        raise errors.error_from_result(found[-1], conn.info.encoding)
    return found[-1]
