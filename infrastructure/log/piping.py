"""Rows of one store into another without looking at them: COPY out of the one, into the other."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

Pace = Callable[[int], object]
"""Told how many rows have passed since it was told last; it may wait, and may raise."""

PIECE_BYTES = 16_384
"""So few that a server is at a piece for a moment only, as others wait for it meanwhile."""
LOOK_SECONDS = 1.0
"""How long nothing may come before the pace is asked whether to go on."""


def pipe(
    source: psycopg.Connection[Any],
    query: sql.Composable,
    target: psycopg.Connection[Any],
    into: sql.Composable,
    pace: Pace = lambda rows: None,
) -> int:
    """Copy what the query answers into a table (`into` names it and its columns); so many rows.

    The driver would make an object of each row and wait after each; here pieces of many rows go
    on as they come. After an error the source's connection is of no more use.
    """
    rows = 0
    writing = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(into)
    with target.cursor() as cursor:
        with cursor.copy(writing) as copy:
            for piece in _pieces(source, query, pace):
                copy.write(piece.data)
                pace(piece.rows)
                rows += piece.rows
        # The last message is the end mark, and the first row comes with the header.
        rows = max(0, rows - 1)
        assert cursor.rowcount == rows, f"{rows} rows were sent and {cursor.rowcount} arrived"
    return rows


class _Piece(NamedTuple):
    data: bytes
    rows: int


def _pieces(conn: psycopg.Connection[Any], query: sql.Composable, pace: Pace) -> Iterator[_Piece]:
    """The messages of a COPY, many at a time."""
    pgconn = conn.pgconn
    text = sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query).as_string(conn)
    begun = pgconn.exec_(text.encode())
    if begun.status != ExecStatus.COPY_OUT:
        raise error_from_result(begun)
    next_message, socket = pgconn.get_copy_data, pgconn.socket
    gathered: list[bytes] = []
    size = 0
    while True:
        length, data = next_message(1)
        if length > 0:
            gathered.append(bytes(data))
            size += length
            if size >= PIECE_BYTES:
                yield _Piece(b"".join(gathered), len(gathered))
                gathered, size = [], 0
        elif length == 0:
            while not select.select([socket], [], [], LOOK_SECONDS)[0]:
                pace(0)
            pgconn.consume_input()
        else:
            break
    if gathered:
        yield _Piece(b"".join(gathered), len(gathered))
    ended = pgconn.get_result()
    while (more := pgconn.get_result()) is not None:
        ended = more
    if ended is None or ended.status != ExecStatus.COMMAND_OK:
        raise error_from_result(ended) if ended is not None else psycopg.OperationalError("lost")
