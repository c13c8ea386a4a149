"""The schema of a store whose events stand in parts by time, and how a store says what it is."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.stores import Stores, Writes, find_truth
from migrations.runner import migrate, status


@pytest.fixture
def pair(postgres: EmbeddedServer) -> Iterator[tuple[str, str, str]]:
    """A server with a plain schema and one in PostgreSQL's own partitions, neither led yet."""
    dsn, tag = postgres.dsn(), uuid.uuid4().hex[:12]
    plain, native = f"plain_{tag}", f"native_{tag}"
    migrate(dsn, plain)
    migrate(dsn, native, layout=Layout.NATIVE)
    yield dsn, plain, native
    with psycopg.connect(dsn, autocommit=True) as conn:
        for name in (plain, native):
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


def set_mode(dsn: str, schema: str, writes: str, peer: str) -> None:
    """Have a store say where the log is written."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL(
                "INSERT INTO {}.writer_epoch (partition, epoch, holder, backend_pid, taken_at,"
                " writes, peer_schema) VALUES (0, 1, '', 0, now(), %(writes)s, %(peer)s)"
                " ON CONFLICT (partition) DO UPDATE SET writes = %(writes)s,"
                " peer_schema = %(peer)s, generation = writer_epoch.generation + 1"
            ).format(sql.Identifier(schema)),
            {"writes": writes, "peer": peer},
        )


def test_schema_keeps_the_layout_it_was_made_with(pair: tuple[str, str, str]) -> None:
    """Later runs need not be told, and apply nothing twice."""
    dsn, plain, native = pair

    assert [] == migrate(dsn, native)
    assert not any(row.pending for row in status(dsn, native))
    with psycopg.connect(dsn) as conn:
        said = (layout_of(conn, plain), layout_of(conn, native), layout_of(conn, "nothing_here"))
    assert (Layout.PLAIN, Layout.NATIVE, None) == said


def test_truth_is_found_from_either_store(pair: tuple[str, str, str]) -> None:
    """A follower names the store it follows; one that was left names where the log went."""
    dsn, plain, native = pair
    set_mode(dsn, plain, "here", native)
    set_mode(dsn, native, "fed", plain)
    assert {plain} == {find_truth(dsn, entry).address.schema for entry in (plain, native)}

    # Nobody has written the new one yet, and it is the truth.
    set_mode(dsn, plain, "there", native)
    assert {native} == {find_truth(dsn, entry).address.schema for entry in (plain, native)}

    set_mode(dsn, native, "here", plain)
    assert {native} == {find_truth(dsn, entry).address.schema for entry in (plain, native)}


def test_pinned_one_stays_and_one_that_never_moved_is_here(pair: tuple[str, str, str]) -> None:
    """Who keeps a store in step looks at that store, whatever it says."""
    dsn, plain, native = pair
    assert Writes.HERE is find_truth(dsn, plain).writes

    set_mode(dsn, plain, "there", native)
    conn, state = Stores(dsn, plain, pinned=True).connect_now()
    conn.close()

    assert (plain, Writes.THERE) == (state.address.schema, state.writes)


def test_what_stands_beside_the_log_is_changed_in_the_truth_alone(
    pair: tuple[str, str, str],
) -> None:
    """Who meets this connects again and finds the store that is written; a feed says what it is."""
    dsn, plain, native = pair
    set_mode(dsn, plain, "there", native)
    insert = sql.SQL(
        "INSERT INTO {}.api_keys (key_id, secret_sha256, role, created_at)"
        " VALUES ('k', sha256('k'), 'admin', now())"
    ).format(sql.Identifier(plain))

    with psycopg.connect(dsn) as conn:
        with pytest.raises(psycopg.OperationalError, match="not written now: it is there"):
            conn.execute(insert)
        conn.rollback()
        conn.execute("SET LOCAL nexus.feeding = 'on'")
        conn.execute(insert)


@pytest.mark.parametrize("after", [30_000, 2**31 - 10, 2**62])
def test_log_is_asked_at_any_position_in_any_layout(pair: tuple[str, str, str], after: int) -> None:
    """Whatever the driver makes of the numbers: what is added up on the server fits."""
    dsn, *schemas = pair

    async def read(schema: str) -> list[int]:
        async with PostgresEventSource(dsn, schema, pinned=True) as source:
            found = [*await source.read(after, 5_000), *await source.read_range(after, after + 9)]
            found += await source.read_at([after])
            return [recorded.position for recorded in found]

    assert [[], []] == [asyncio.run(read(schema)) for schema in schemas]
