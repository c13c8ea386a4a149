"""Keys: secrets hashed, revocation felt, the operator's key made once."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from api import patience
from api.auth import REMEMBERED_SECONDS, KeyRing, Principal
from api.refusals import NotAuthorized
from domain.errors import VenueUnavailable
from tests.conftest import Schema
from tests.keys import KeyWriter, Ring, pool_of

ACCOUNT = uuid4()


class Time:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def with_ring(schema: Schema, use: Callable[[Ring, Time], Awaitable[Any]]) -> Any:
    """Use a key ring on the schema's store."""

    async def main() -> Any:
        time = Time()
        async with (
            KeyWriter(schema.dsn, schema.schema) as writer,
            pool_of(schema.dsn, schema.schema) as pool,
        ):
            return await use(Ring(pool, writer, time), time)

    return asyncio.run(main())


def rows(schema: Schema) -> list[tuple[Any, ...]]:
    """The stored keys."""
    with psycopg.connect(schema.dsn) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema)))
        return conn.execute(
            "SELECT key_id, secret_sha256, role, revoked_at FROM api_keys"
        ).fetchall()


def test_a_store_that_takes_the_question_and_does_not_answer_is_away(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks is refused for now after as long as one waits, and is let in when it answers."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)

    async def use(ring: Ring, time: Time) -> None:
        key = await ring.issue(ACCOUNT)
        async with await psycopg.AsyncConnection.connect(schema.dsn) as other:
            table = sql.Identifier(schema.schema, "api_keys")
            await other.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(table))
            async with asyncio.timeout(10):
                with pytest.raises(VenueUnavailable):
                    await ring.principal(key.key_id, key.secret)
        monkeypatch.undo()
        assert ACCOUNT == (await ring.principal(key.key_id, key.secret)).account_id

    with_ring(schema, use)


def test_a_secret_is_stored_only_as_its_hash(schema: Schema) -> None:
    """What is stored cannot be used to sign in; the secret itself works."""

    async def use(ring: Ring, _: Time) -> tuple[str, str, Principal]:
        key = await ring.issue(ACCOUNT)
        return key.key_id, key.secret, await ring.principal(key.key_id, key.secret)

    key_id, secret, who = with_ring(schema, use)

    assert Principal(key_id, ACCOUNT, "trader", ("read", "trade")) == who
    assert len(secret) >= 43
    assert [(key_id, hashlib.sha256(secret.encode()).digest(), "trader", None)] == rows(schema)


@pytest.mark.parametrize("secret", ["", "wrong", "x" * 300, "\x00", "\udc80", None])
def test_a_wrong_secret_lets_nobody_in(schema: Schema, secret: str | None) -> None:
    """Whatever is not the secret is refused, known key or not."""

    async def use(ring: Ring, _: Time) -> None:
        key = await ring.issue(ACCOUNT)
        for key_id in (key.key_id, "nobody", "\x00", "", None):
            with pytest.raises(NotAuthorized):
                await ring.principal(key_id, secret)

    with_ring(schema, use)


def test_a_revoked_key_ends_at_once_where_that_is_told(schema: Schema) -> None:
    """The gateway that revokes hears of it at once; one that hears nothing remembers for five
    seconds at most.
    """

    async def use(ring: Ring, time: Time) -> None:
        key = await ring.issue(ACCOUNT)
        other = KeyRing(ring._pool, time)
        await other.principal(key.key_id, key.secret)
        await ring.principal(key.key_id, key.secret)

        await ring.revoke(key.key_id)

        with pytest.raises(NotAuthorized):
            await ring.principal(key.key_id, key.secret)
        await other.principal(key.key_id, key.secret)
        time.now += REMEMBERED_SECONDS
        with pytest.raises(NotAuthorized):
            await other.principal(key.key_id, key.secret)
        assert not await ring.has_key(ACCOUNT)

    with_ring(schema, use)
