"""Keys of before keys were events, and keys whose rows are gone: what a writer does as it leads."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from api.auth import KeyRing
from api.processes.writer import Writer
from api.refusals import NotAuthorized
from api.secrets_of_keys import digest_of
from application.audit.verify import verify
from application.commands import EnsureOperator, IssueKey, OpenAccount, RevokeKey, RotateKey
from domain.api_key import SCOPES
from domain.identifiers import NO_ID
from infrastructure.log.audit_source import PostgresAuditSource, StoredCodec
from infrastructure.settings import Settings
from tests.conftest import Schema
from tests.keys import pool_of

OLD = (
    "INSERT INTO api_keys (key_id, secret_sha256, account_id, role, created_at, revoked_at)"
    " VALUES (%s, %s, %s, %s, now(), %s)"
)


def leading(schema: Schema, home: Path, use: Callable[[Writer, KeyRing], Awaitable[Any]]) -> None:
    """Have a writer lead, see to its keys, and then do something."""
    settings = Settings(
        database_url=schema.dsn, partition_schema=schema.schema, bus_path=home / "bus.sock"
    )

    async def main() -> None:
        writer = Writer(settings, schema.dsn, say=lambda _: None)
        running = asyncio.create_task(writer.sequencer.run())
        try:
            await writer.sequencer.ready.wait()
            await writer._see_to_keys()
            async with pool_of(schema.dsn, schema.schema) as pool:
                await use(writer, KeyRing(pool))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await writer._log.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def change(schema: Schema, statement: str, *values: Any) -> None:
    """Change the store by hand."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema)))
        conn.execute(statement.encode(), values)


def wrong(schema: Schema) -> list[str]:
    """What an audit finds of keys."""
    with PostgresAuditSource(schema.dsn, schema.schema) as source:
        report = verify(source, StoredCodec())
    return [one.message for one in report.violations if one.check == "api_keys"]


def test_fault_keys_of_before_are_written_down_by_the_first_writer_that_leads_and_no_later_one(
    schema: Schema, tmp_path: Path
) -> None:
    """They go on with their secrets, as what they were; what is stored later by hand does not."""
    account = UUID(int=5)
    change(schema, OLD, "admin", digest_of("an operator's"), None, "admin", None)
    change(schema, OLD, "NX1", digest_of("a trader's"), account, "trader", None)
    change(schema, OLD, "NX2", digest_of("ended"), account, "trader", "2026-01-01T00:00:00Z")

    async def first(writer: Writer, keys: KeyRing) -> None:
        operator = await keys.principal("admin", "an operator's")
        trader = await keys.principal("NX1", "a trader's")
        assert (None, SCOPES) == (operator.account_id, operator.scopes)
        assert (account, ("read", "trade")) == (trader.account_id, trader.scopes)
        with pytest.raises(NotAuthorized):
            await keys.principal("NX2", "ended")
        reply = await writer.sequencer.send(
            EnsureOperator("admin", digest_of("an operator's"), True)
        )
        assert reply.duplicate

    leading(schema, tmp_path, first)
    change(schema, OLD, "NX3", digest_of("by hand"), account, "trader", None)

    async def second(_: Writer, keys: KeyRing) -> None:
        assert account == (await keys.principal("NX1", "a trader's")).account_id
        with pytest.raises(NotAuthorized):
            await keys.principal("NX3", "by hand")

    leading(schema, tmp_path, second)
    assert ["key NX3 is stored, and no event has issued it"] == [
        said for said in wrong(schema) if "never opened" not in said
    ]


def test_fault_keys_that_are_not_stored_any_more_end_and_an_operator_comes_in_again(
    schema: Schema, tmp_path: Path
) -> None:
    """As after a log came back from an archive, which holds no key: the books agree again."""
    secrets = {"admin": "an operator's", "NX1": "a trader's"}

    async def before(writer: Writer, keys: KeyRing) -> None:
        opened = await writer.sequencer.send(OpenAccount("one", "one", 1))
        assert opened.result is not None
        account = UUID(opened.result["account_id"])
        await writer.sequencer.send(EnsureOperator("admin", digest_of(secrets["admin"])))
        command = IssueKey(account, "NX1", digest_of(secrets["NX1"]), ("read",))
        await writer.sequencer.send(command)
        for key_id, secret in secrets.items():
            await keys.principal(key_id, secret)

    leading(schema, tmp_path, before)
    assert [] == wrong(schema)
    change(schema, "DELETE FROM api_keys")
    assert 2 == len(wrong(schema))

    async def after(writer: Writer, keys: KeyRing) -> None:
        for key_id, secret in secrets.items():
            with pytest.raises(NotAuthorized):
                await keys.principal(key_id, secret)
        drawn = EnsureOperator("admin", digest_of("another secret"))
        reply = await writer.sequencer.send(drawn)
        assert reply.result == {"key_id": "admin", "good": True}
        keys.changed()
        assert "admin" == (await keys.principal("admin", "another secret")).key_id

    leading(schema, tmp_path, after)
    assert [] == wrong(schema)


def test_fault_secret_that_was_revoked_lets_nobody_in_at_the_next_start(
    schema: Schema, tmp_path: Path
) -> None:
    """Whoever leaves it in the environment gives it back to nobody while an operator can come in;
    without one it is better than none.
    """
    leaked, other = digest_of("a secret that leaked"), digest_of("another operator's")

    async def use(writer: Writer, keys: KeyRing) -> None:
        send = writer.sequencer.send
        await send(EnsureOperator("admin", leaked, True))
        await send(IssueKey(NO_ID, "NX1", other, SCOPES, "another operator"))
        await send(RevokeKey("admin", "leaked"))
        reply = await send(EnsureOperator("admin", leaked, True))
        assert reply.result == {"key_id": "admin", "good": False}
        with pytest.raises(NotAuthorized):
            await keys.principal("admin", "a secret that leaked")

        await send(RevokeKey("NX1", "left"))
        await send(EnsureOperator("admin", leaked, True))
        keys.changed()
        assert "admin" == (await keys.principal("admin", "a secret that leaked")).key_id

    leading(schema, tmp_path, use)
    assert [] == wrong(schema)


def test_fault_secret_in_the_environment_is_that_of_the_operators_key(
    schema: Schema, tmp_path: Path
) -> None:
    """Also when the key was rotated since: that it was given back is told, so that it is said."""

    async def use(writer: Writer, keys: KeyRing) -> None:
        send = writer.sequencer.send
        given = EnsureOperator("admin", digest_of("of the environment"), True)
        assert [False, True] == [(await send(given)).duplicate for _ in range(2)]
        await send(RotateKey("admin", digest_of("rotated")))
        assert [False, True] == [(await send(given)).duplicate for _ in range(2)]
        assert "admin" == (await keys.principal("admin", "of the environment")).key_id
        with pytest.raises(NotAuthorized):
            await keys.principal("admin", "rotated")

    leading(schema, tmp_path, use)
    assert [] == wrong(schema)
