"""Keys at the door: what the events say counts, by the clock, and the end of a key is heard."""

import asyncio

import psycopg
import pytest
from psycopg import sql

from api.auth import KeyRing
from api.refusals import NotAuthorized
from tests.conftest import Schema
from tests.keys import Ring
from tests.unit.test_api_auth import ACCOUNT, Time, with_ring


def test_a_rotated_key_has_its_new_secret_alone(schema: Schema) -> None:
    """The id stays, and who has the secret of before is nobody."""

    async def use(ring: Ring, _: Time) -> None:
        key = await ring.issue(ACCOUNT)
        new = await ring.writer.rotate(key.key_id)

        assert ACCOUNT == (await ring.principal(*new[:2])).account_id
        with pytest.raises(NotAuthorized):
            await ring.principal(key.key_id, key.secret)

    with_ring(schema, use)


def test_a_key_expires_by_the_clock_at_each_use(schema: Schema) -> None:
    """However long it is remembered, it lets nobody in from its instant on."""

    async def use(ring: Ring, _: Time) -> None:
        now = [1_000_000]
        expiring = KeyRing(ring._pool, now=lambda: now[0])
        key = await ring.issue(ACCOUNT, expires_at=2_000_000)
        assert 2_000_000 == (await expiring.principal(key.key_id, key.secret)).expires_at
        now[0] = 2_000_000
        with pytest.raises(NotAuthorized):
            await expiring.principal(key.key_id, key.secret)
        assert not await expiring.has_key(ACCOUNT)

    with_ring(schema, use)


BY_HAND = {
    "a key that no event let in": (
        "INSERT INTO api_keys (key_id, secret_sha256, account_id, role, created_at, scopes,"
        " version) SELECT 'mine', sha256('s'), account_id, role, created_at, scopes, version"
        " FROM api_keys"
    ),
    "one of before keys were events": (
        "INSERT INTO api_keys (key_id, secret_sha256, account_id, role, created_at)"
        " SELECT 'mine', sha256('s'), account_id, role, created_at FROM api_keys"
    ),
    "another secret": "UPDATE api_keys SET secret_sha256 = sha256('s')",
    "more scopes": "UPDATE api_keys SET scopes = '{read,trade,admin,risk}'",
    "another account": "UPDATE api_keys SET account_id = gen_random_uuid()",
    "an operator's": "UPDATE api_keys SET account_id = NULL, role = 'admin'",
    "an operator's role alone": "UPDATE api_keys SET role = 'admin'",
    "another expiry": "UPDATE api_keys SET expires_at = 9000000000000000",
    "a revoked one revived": "UPDATE api_keys SET revoked_at = NULL",
    "a revoked one revived as it was before": (
        "UPDATE api_keys SET revoked_at = NULL, version = version - 1"
    ),
}


@pytest.mark.parametrize("what", BY_HAND)
def test_what_is_written_by_hand_into_the_table_of_keys_lets_nobody_in(
    schema: Schema, what: str
) -> None:
    """A row counts for what the events of its key say, and one that says otherwise for nothing."""

    async def use(ring: Ring, time: Time) -> None:
        key = await ring.issue(ACCOUNT)
        if "revoked" in what:
            await ring.revoke(key.key_id)
        else:
            await ring.principal(key.key_id, key.secret)
        with psycopg.connect(schema.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema)))
            conn.execute(BY_HAND[what].encode())
        ring.forget()
        for shown in ((key.key_id, "s"), ("mine", "s")):
            with pytest.raises(NotAuthorized):
                await ring.principal(*shown)
        if what not in ("a key that no event let in", "one of before keys were events"):
            with pytest.raises(NotAuthorized):
                await ring.principal(key.key_id, key.secret)

    with_ring(schema, use)


def test_who_waits_for_the_end_of_a_key_hears_of_it_at_once(schema: Schema) -> None:
    """Of a revoked key, of a rotated one and of one that expires; not while the key is good."""

    async def use(ring: Ring, _: Time) -> None:
        now = [1_000_000]
        waiting = Ring(ring._pool, ring.writer, Time(), lambda: now[0])
        keys = [await ring.issue(ACCOUNT) for _ in range(2)]
        keys.append(await ring.issue(ACCOUNT, expires_at=1_100_000))
        ends = [asyncio.create_task(waiting.until_ended(*key[:2])) for key in keys]
        waiting.changed()
        await asyncio.sleep(0.05)
        assert not any(end.done() for end in ends)

        async with asyncio.timeout(0.5):
            await waiting.revoke(keys[0].key_id)
            await ends[0]
        async with asyncio.timeout(0.5):
            await ring.writer.rotate(keys[1].key_id)
            waiting.changed(keys[1].key_id)
            await ends[1]
        now[0] = 1_100_000
        async with asyncio.timeout(0.5):
            await ends[2]

    with_ring(schema, use)
