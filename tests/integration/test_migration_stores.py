"""Where the log stands: found from either store of a move, whoever has written what there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from infrastructure.log.pool import StorePool
from infrastructure.log.reads import PooledLog
from infrastructure.log.stores import StoreAddress, Stores, StoreUnreachable, find_truth
from migrations.stores import migrate_stores
from tests.conftest import Schema
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

    said = str(away.value)
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
    move.go_there()
    assert (second, [first, second]) == (run(first).schema, done)
    set_to(move, first, "there")
    with psycopg.connect(move.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(first, "stored_events")))
    assert (second, [second]) == (run(first).schema, done)
