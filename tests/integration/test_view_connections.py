"""Transactions of views: sent in one go, committed whole or not at all, however large they are."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import pytest

from projections.columns import BIGINT, TEXT
from projections.connections import Statement, StatementFailed, ViewConnection, open_connection
from tests.conftest import Schema
from tests.model.projecting import connector

Answer = TypeVar("Answer")

INSERT = b"INSERT INTO kept SELECT * FROM unnest($1::bigint[], $2::text[])"


def rows(first: int, count: int, width: int = 1) -> Statement:
    """Rows with numbers from the first on, and a text of some width each."""
    return Statement(
        INSERT,
        (
            BIGINT.array_of(BIGINT.encode(range(first, first + count))),
            TEXT.array_of(TEXT.encode(["x" * width] * count)),
        ),
    )


def in_session(schema: Schema, work: Callable[[ViewConnection], Awaitable[Answer]]) -> Answer:
    """Do something in a session with an empty table."""

    async def run() -> Answer:
        session = await open_connection(connector(schema))
        try:
            await session.conn.execute("CREATE TABLE kept (number bigint PRIMARY KEY, said text)")
            return await work(session)
        finally:
            await session.conn.close()

    return asyncio.run(run())


async def count(session: ViewConnection) -> int:
    """How many rows are committed and seen."""
    row = await (await session.conn.execute("SELECT count(*) FROM kept")).fetchone()
    assert row is not None
    return int(row[0])


def test_transaction_is_all_or_nothing_and_names_the_statement(schema):
    """A statement that fails takes the others with it, and the session goes on."""

    async def work(session: ViewConnection) -> int:
        await session.transact([rows(1, 5)])
        with pytest.raises(StatementFailed) as failed:
            await session.transact([rows(6, 5), rows(3, 1), rows(20, 1)])
        assert 1 == failed.value.number
        assert isinstance(failed.value.__cause__, psycopg.errors.UniqueViolation)
        await session.transact([rows(6, 1)])
        return await count(session)

    assert 6 == in_session(schema, work)


def test_transaction_is_undone_when_a_check_fails(schema):
    """What the result of a statement does not bear is not committed."""

    def refuse(result: object) -> None:
        raise ArithmeticError("not as many as should be")

    async def work(session: ViewConnection) -> int:
        with pytest.raises(StatementFailed) as failed:
            await session.transact([rows(1, 5), rows(6, 5)._replace(check=refuse), rows(11, 1)])
        assert (1, ArithmeticError) == (failed.value.number, type(failed.value.__cause__))
        return await count(session)

    assert 0 == in_session(schema, work)


def test_statement_that_cannot_be_prepared_fails_and_is_prepared_anew(schema):
    """A table that is missing fails the statement; once it is there the same statement works."""

    async def work(session: ViewConnection) -> int:
        await session.conn.execute("ALTER TABLE kept RENAME TO away")
        with pytest.raises(StatementFailed) as failed:
            await session.transact([rows(1, 1), rows(2, 1)])
        assert (0, psycopg.errors.UndefinedTable) == (
            failed.value.number, type(failed.value.__cause__),
        )  # fmt: skip
        await session.conn.execute("ALTER TABLE away RENAME TO kept")
        await session.transact([rows(1, 1), rows(2, 1)])
        return await count(session)

    assert 2 == in_session(schema, work)


def test_prepared_statement_follows_a_table_that_takes_the_name(schema):
    """A switch renames tables under the session; the next batch goes into the new one."""

    async def work(session: ViewConnection) -> int:
        for number in range(7):
            await session.transact([rows(number, 1)])
        async with session.conn.transaction():
            await session.conn.execute("CREATE TABLE next (LIKE kept INCLUDING ALL)")
            await session.conn.execute("DROP TABLE kept")
            await session.conn.execute("ALTER TABLE next RENAME TO kept")
        await session.transact([rows(100, 1)])
        return await count(session)

    assert 1 == in_session(schema, work)


@pytest.mark.parametrize(("count_of", "width"), [(1, 0), (800, 1_000), (4_000, 8_000)])
def test_transaction_of_large_statements_ends(schema, count_of, width):
    """No size hangs: nothing, 0.8 MB and 32 MB a statement, three of them, at once."""

    async def work(session: ViewConnection) -> int:
        async with asyncio.timeout(60):
            for first in (0, count_of * 3):
                await session.transact(
                    [rows(first + part * count_of, count_of, width) for part in range(3)]
                )
        return await count(session)

    assert 6 * count_of == in_session(schema, work)


def test_lost_connection_is_said_as_such(schema):
    """A backend that was ended is an operational error, which the projector waits for."""

    async def work(session: ViewConnection) -> None:
        with psycopg.connect(schema.dsn, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (session.conn.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            for number in range(100):
                await session.transact([rows(number, 1)])

    in_session(schema, work)
