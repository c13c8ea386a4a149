"""Rows that follow from events are stored with them, whole or not at all."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from application.log.ports import Batch, RequestKey
from domain.account import Account, AccountTerms
from domain.decision import Decision
from domain.events import DomainEvent
from infrastructure.log.appending import AppendStatement
from infrastructure.log.binary_arrays import bigints, byteas
from infrastructure.log.codec import encode_event
from infrastructure.log.derived import DERIVED_ROWS, Column, DerivedRows
from infrastructure.log.memory import MemoryLog

DIGESTS = DerivedRows(
    table="digests",
    columns=(Column("position", "bigint", bigints), Column("digest", "bytea", byteas)),
    key=1,
    of=lambda batch: [
        (batch.first_position + number, digest(event)) for number, event in enumerate(batch.events)
    ],
)


def digest(event: DomainEvent) -> bytes:
    """What the made-up kind of rows keeps of an event."""
    return sha256(encode_event(event)).digest()


def some_batch(name: str, first_position: int) -> Batch:
    """An account is opened and gets limits; the request had a key."""
    decision = Decision(1_795_608_000_000_000, 0, first_position, "tester", "test", first_position)
    account = Account.open(decision, decision.new_id(), AccountTerms(name, name, 1, 1))
    account.set_limits(decision, 5)
    key = RequestKey(UUID(int=9), name, b"12345678", first_position)
    return Batch(first_position, decision.events, [key])


def test_event_store_keeps_every_kind_of_derived_rows_in_the_events_own_statement(
    schema: Any,
) -> None:
    """A kind that is declared is stored; when one of its rows is refused, so are the events."""
    statement = AppendStatement(schema.schema, 0, (*DERIVED_ROWS, DIGESTS))

    async def work() -> None:
        async with await AsyncConnection.connect(schema.dsn, autocommit=True) as conn:
            await conn.execute(
                sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema))
            )
            await conn.execute("CREATE TABLE digests (position bigint PRIMARY KEY, digest bytea)")
            await conn.execute("INSERT INTO writer_epoch VALUES (0, 3, 'me', 1, now(), now())")
            await statement.prepare(conn)

            async def counted(table: str) -> int:
                query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
                row = await (await conn.execute(query)).fetchone()
                assert row is not None
                return int(row[0])

            first = some_batch("one", 1)
            (values,) = statement.values(3, first)
            assert await statement.run(conn, values)
            kept = await (await conn.execute("SELECT * FROM digests ORDER BY 1")).fetchall()
            assert [(1, digest(first.events[0])), (2, digest(first.events[1]))] == kept

            await conn.execute("INSERT INTO digests VALUES (4, '')")
            (values,) = statement.values(3, some_batch("two", 3))
            with pytest.raises(psycopg.errors.UniqueViolation, match="digests_pkey"):
                await statement.run(conn, values)
            assert [2, 1, 3] == [
                await counted(name) for name in ("stored_events", "request_keys", "digests")
            ]

            (values,) = statement.values(2, some_batch("two", 3))
            assert not await statement.run(conn, values), "of an older epoch"
            assert 3 == await counted("digests")

    asyncio.run(work())


def test_event_store_in_memory_refuses_a_derived_row_twice() -> None:
    """As the store would; what came before it stays as it was."""
    log = MemoryLog()
    first, second = some_batch("one", 1), some_batch("two", 3)
    asyncio.run(log.append(first))

    with pytest.raises(AssertionError, match="request_keys"):
        asyncio.run(log.append(second._replace(keys=first.keys)))

    assert (2, first.events) == (len(log.rows), log.events())
    assert {(UUID(int=9), "one"): first.keys[0]} == log.keys
