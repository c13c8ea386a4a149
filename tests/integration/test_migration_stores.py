"""Where the log stands: found from either store of a move, whoever has written what there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from api import patience
from api.auth import when_not_held
from api.cli.exit_codes import Exit
from api.refusals import NotAuthorized
from api.subjects import Subjects
from application.fix_numbers import Numbered, Numbers, SessionEnded, SessionId, Source
from domain.errors import VenueUnavailable
from infrastructure.clock import SystemClock
from infrastructure.fix_numbers import PostgresSessionStore
from infrastructure.log.audit_source import PostgresAuditSource
from infrastructure.log.pool import StorePool
from infrastructure.log.reads import PooledLog
from infrastructure.log.stores import StoreAddress, Stores, StoreUnreachable, find_truth
from migrations.stores import kept_store, migrate_stores
from tests.conftest import Schema
from tests.keys import KeyWriter, Ring
from tests.moved_by_hand import MovedByHand


@pytest.fixture
def move(schema: Schema) -> Iterator[MovedByHand]:
    """A store that another one follows; nobody has led in it."""
    other = f"{schema.schema}_b"
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL(
                "INSERT INTO {} (partition, epoch, holder, backend_pid, taken_at)"
                " VALUES (0, 7, 'nobody', 0, now())"
            ).format(sql.Identifier(schema.schema, "writer_epoch"))
        )
        made = MovedByHand(schema.dsn, schema.schema, other)
        made.prepare()
        yield made
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(other)))


def set_to(move: MovedByHand, schema: str, writes: str) -> None:
    """Let a store say this of itself."""
    with psycopg.connect(move.dsn, autocommit=True) as conn:
        table = sql.Identifier(schema, "writer_epoch")
        conn.execute(sql.SQL("UPDATE {} SET writes = %s").format(table), (writes,))


WHILE_MOVED = (
    *(("here", "fed", 0), ("both", "fed", 0), ("held", "fed", 0), ("there", "fed", 1)),
    *(("there", "here", 1), ("fed", "here", 1), ("fed", "both", 1), ("fed", "held", 1)),
    ("fed", "there", 0),
)
"""What the two stores say of themselves, and which of them is the truth then."""


def test_truth_is_found_from_either_store(move: MovedByHand) -> None:
    """Whatever the two say of themselves while a switch goes on, whoever asks finds one store."""
    names = (move.truth, move.follower)
    for first, second, truth in WHILE_MOVED:
        set_to(move, names[0], first)
        set_to(move, names[1], second)

        found = [find_truth(move.dsn, entry).address.schema for entry in names]

        assert [names[truth]] * 2 == found, (first, second)


@pytest.mark.parametrize("both", ["there", "fed"])
def test_stores_that_send_one_to_the_other_are_named(move: MovedByHand, both: str) -> None:
    """No store is guessed to be the truth."""
    for name in (move.truth, move.follower):
        set_to(move, name, both)

    with pytest.raises(StoreUnreachable, match="name each other") as lost:
        find_truth(move.dsn, move.truth)

    assert move.truth in str(lost.value) and move.follower in str(lost.value)


def test_truth_that_cannot_be_reached_is_named_with_who_says_so(move: MovedByHand) -> None:
    """The message says what is where, and shows no password."""
    dsn = make_conninfo("", host="127.0.0.1", port=1, user="nexus", dbname="moved")
    set_to(move, move.truth, "there")
    with psycopg.connect(move.dsn, autocommit=True) as conn:
        table = sql.Identifier(move.truth, "writer_epoch")
        conn.execute(sql.SQL("UPDATE {} SET peer_dsn = %s").format(table), (dsn,))

    with pytest.raises(StoreUnreachable) as away:
        find_truth(move.dsn, move.truth)

    command = [sys.executable, "-m", "api.cli.main", "events", "list"]
    done = subprocess.run(
        command,
        env=os.environ | {"NEXUS_DATABASE_URL": move.dsn, "NEXUS_SCHEMA": move.truth},
        capture_output=True,
        text=True,
        check=False,
    )
    said = str(away.value)
    assert (Exit.STORE_UNAVAILABLE, said.split()[:9]) == (done.returncode, done.stderr.split()[:9])
    assert f"schema {move.truth} of database" in said
    assert f"schema {move.follower} of database moved, host 127.0.0.1, port 1" in said
    assert "cannot be reached" in said


def test_change_beside_the_log_is_made_in_the_truth_alone(move: MovedByHand) -> None:
    """While a switch goes on, and in the store that follows, keys stay as they are."""
    insert = (
        "INSERT INTO api_keys (key_id, secret_sha256, role, created_at)"
        " VALUES (%s, sha256('x'), 'admin', now())"
    )

    def change(schema: str, key: str) -> None:
        with psycopg.connect(move.dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
            conn.execute(insert, (key,))

    change(move.truth, "a")
    move.hold()
    for schema in (move.truth, move.follower):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=schema):
            change(schema, "b")
    move.feed()
    move.copy_beside()
    move.go_there()
    change(move.truth, "b")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        change(move.follower, "c")


def test_pool_gives_no_connection_to_a_store_that_was_left(move: MovedByHand) -> None:
    """What lies in it is renewed, what is in use is let go when it comes back."""

    async def schema_of(conn: psycopg.AsyncConnection[Any]) -> str:
        (row,) = await (await conn.execute("SELECT current_schema()")).fetchall()
        return str(row[0])

    async def scene() -> list[str]:
        stores = Stores(move.dsn, move.truth)
        seen = []
        async with StorePool(stores, min_size=2, max_size=3) as pool:
            watching = asyncio.create_task(stores.watch(lambda _: pool.moved()))
            async with pool.connection() as conn:
                switching = asyncio.create_task(asyncio.to_thread(move.go_there))
                while stores.known.schema != move.follower and not switching.done():
                    await asyncio.sleep(0.005)
                seen.append(await schema_of(conn))
                async with pool.connection() as other:
                    seen.append(await schema_of(other))
            assert 0 == await switching
            for _ in range(4):
                async with pool.connection() as conn:
                    seen.append(await schema_of(conn))
            await PooledLog(pool).last_position()
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
        return seen

    before, after = move.truth, move.follower
    move.hold()

    assert [before, *[after] * 5] == asyncio.run(scene())


def test_audit_reads_on_where_it_began_and_keeps_no_switch_waiting(move: MovedByHand) -> None:
    """It sees one state of one store, however long it takes."""
    with PostgresAuditSource(move.dsn, move.truth) as audit:
        first = audit.last_position()
        move.hold()

        assert 0 == move.go_there()
        assert first == audit.last_position()


def with_keys(move: MovedByHand, use: Callable[[Ring], Awaitable[None]]) -> None:
    """Use the keys of a gateway, and a writer that issues them."""

    async def scene() -> None:
        stores = Stores(move.dsn, move.truth)
        async with (
            KeyWriter(move.dsn, move.truth) as writer,
            StorePool(stores, max_size=2) as pool,
        ):
            watching = asyncio.create_task(stores.watch(lambda _: pool.moved()))
            await use(Ring(pool, writer))
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_key_that_is_made_or_ended_before_a_switch_is_so_in_the_new_store(
    move: MovedByHand,
) -> None:
    """One that is made meanwhile waits for the switch, with its event and its row."""
    account = uuid4()

    async def use(keys: Ring) -> None:
        old, ended = await keys.issue(account), await keys.issue(account)
        await keys.revoke(ended.key_id)
        move.hold()
        making = asyncio.create_task(keys.issue(account))
        await asyncio.sleep(0.2)
        assert not making.done()
        await asyncio.to_thread(move.feed)
        await asyncio.to_thread(move.copy_beside)
        await asyncio.to_thread(move.go_there)
        new = await making
        keys.forget()
        for key in (old, new):
            assert account == (await keys.principal(key.key_id, key.secret)).account_id
        with pytest.raises(NotAuthorized):
            await keys.principal(ended.key_id, ended.secret)

    with_keys(move, use)


def test_persons_key_is_not_made_when_a_switch_takes_too_long(
    move: MovedByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator hears that he may ask again, and nothing was made."""
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.2)

    async def use(keys: Ring) -> None:
        subjects = Subjects(keys._pool, when_not_held)
        monkeypatch.setattr(subjects, "_stands_open", lambda _: asyncio.sleep(0, False))
        move.hold()
        with pytest.raises(VenueUnavailable):
            await subjects.sealed("an account", "Anna Muster")
        move.release()
        sealed = await subjects.sealed("an account", "Anna Muster")
        assert ["Anna Muster"] == await subjects.opened([sealed])

    with_keys(move, use)


def test_numbers_of_a_fix_session_go_on_in_the_new_store(move: MovedByHand) -> None:
    """What is saved in a switch waits for it; who owns a session, and what was sent, stays."""
    name, sent = SessionId("NEXUS", "ALPHA"), [Numbered(1, Source(7, 0), 11)]
    said: list[str] = []

    async def scene() -> None:
        store, other = (
            PostgresSessionStore(*(move.dsn, move.truth, SystemClock(), log_end), say=said.append)
            for _ in range(2)
        )
        await store.open(name)
        await store.save(name, Numbers(2, 2), sent)
        move.hold()
        saving = asyncio.create_task(store.save(name, Numbers(3, 2)))
        await asyncio.sleep(0.2)
        assert not saving.done()
        await asyncio.to_thread(move.copy_beside)
        going = asyncio.create_task(asyncio.to_thread(move.go_there))
        await asyncio.sleep(0.05)
        await store.moved()
        assert 0 == await going
        await saving
        assert sent == await store.sent(name, 1, 9)
        new = SessionId("NEXUS", "BETA")
        await store.open(new)
        assert 3 == (await other.open(name)).next_in
        with pytest.raises(SessionEnded):
            await store.save(name, Numbers(4, 2))
        await store.save(new, Numbers(2, 1))
        await store.close()
        await other.close()

    asyncio.run(asyncio.wait_for(scene(), 30))
    assert [] == said


async def log_end(_: SessionId) -> int:
    """Where the log ends."""
    return 0


def test_both_stores_are_brought_to_their_present_shape(move: MovedByHand) -> None:
    """Whichever is named; of one that was left, and holds but word of the other, nothing is."""
    done: list[str] = []

    def run(entry: str) -> StoreAddress:
        done.clear()
        return migrate_stores(
            move.dsn, entry, done=lambda store, _: done.append(store.schema), say=lambda _: None
        ).address

    first, second = move.truth, move.follower
    assert (first, [first, second]) == (run(first).schema, done)
    move.hold()
    move.go_there()
    assert (second, [first, second]) == (run(first).schema, done)
    set_to(move, first, "there")
    assert [first, second] == [kept_store(move.dsn, name).schema for name in (first, second)]
    with psycopg.connect(move.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(first, "stored_events")))
    assert (second, [second]) == (run(first).schema, done)
    assert [second] * 2 == [kept_store(move.dsn, name).schema for name in (first, second)]
