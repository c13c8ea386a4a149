"""A move is reckoned before anything is changed, and what stands against it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress
from migrations.move.planning import Plan, plan
from migrations.move.preparing import KEYS_INDEX, CannotPrepare, prepare
from migrations.runner import migrate
from tests.model.event_streams import EventStream
from tests.stores import Store, fill, say, store_of

NATIVE = Layout.NATIVE


@pytest.fixture(scope="module")
def source(postgres: EmbeddedServer) -> Iterator[Store]:
    """A plain store with events in it, which has led."""
    with store_of(postgres.dsn(), Layout.PLAIN) as made:
        asyncio.run(fill(made, EventStream().some_market().some_commands(100).events))
        yield made


@pytest.fixture
def target(postgres: EmbeddedServer) -> Iterator[Store]:
    """A schema that is not there yet."""
    with store_of(postgres.dsn(), Layout.PLAIN) as made:
        made.rows(f"DROP SCHEMA {made.schema} CASCADE")
        yield made
        made.rows(f"CREATE SCHEMA IF NOT EXISTS {made.schema}")


def planned(source: Store, target: Store | StoreAddress, layout: Layout | None = NATIVE) -> Plan:
    """A plan between two stores."""
    address = target.address if isinstance(target, Store) else target
    return plan(source.address, address, layout=layout)


def test_plan_counts_what_there_is_and_changes_nothing(source: Store, target: Store) -> None:
    """Rows, room and time are reckoned from the source; the target's schema is not made."""
    ((rows,),) = source.rows("SELECT count(*) FROM stored_events")
    found = plan(source.address, target.address, layout=NATIVE, rate=7)

    assert found.possible and found.same_database
    assert (rows, -(-rows // 7)) == (found.facts.rows, found.seconds)
    assert found.target_bytes > found.facts.event_bytes > 100_000
    assert [] == target.rows("SELECT FROM pg_namespace WHERE nspname = %s", target.schema)
    document = found.as_document()
    assert (rows, "native", []) == (
        document["rows"], document["target"]["layout"], document["refusals"]
    )  # fmt: skip
    assert any(f"{rows:,} events" in line for line in found.lines())


def test_plan_says_what_a_server_without_the_extension_lacks(source: Store, target: Store) -> None:
    """What is missing, where to get it, and what can be had without it."""
    found = planned(source, target, None)

    assert not found.possible and Layout.TIMESCALE is found.layout
    (reason,) = found.refusals
    assert all(word in reason for word in ("no TimescaleDB", "https://", "--layout native"))
    with pytest.raises(CannotPrepare, match="no TimescaleDB"):
        prepare(source.address, target.address)
    assert [] == target.rows("SELECT FROM pg_namespace WHERE nspname = %s", target.schema)


def test_plan_refuses_a_target_that_holds_something(source: Store, target: Store) -> None:
    """Tables of others, a store of another layout, events of another log, or the source itself."""
    assert "onto itself" in planned(source, source).refusals[0]
    assert "no other plain one" in planned(source, target, Layout.PLAIN).refusals[0]

    target.rows(f"CREATE SCHEMA {target.schema}")
    target.rows("CREATE TABLE prices ()")
    assert "1 tables that are no store's" in planned(source, target).refusals[0]
    target.rows("DROP TABLE prices")

    migrate(target.dsn, target.schema)
    assert "a store that is plain already" in planned(source, target).refusals[0]


def test_plan_refuses_a_store_of_another_move(source: Store, target: Store) -> None:
    """One that was written itself, or that follows another, is not overwritten."""
    migrate(target.dsn, target.schema, layout=NATIVE)
    assert planned(source, target).possible
    say(target, "fed", Store(target.dsn, "another"))
    assert "another partition or move" in planned(source, target).refusals[0]

    say(target, "here", None)
    asyncio.run(fill(target, EventStream().some_market().events))
    assert "events of another log" in planned(source, target).refusals[0]


def test_plan_refuses_a_source_that_is_not_written(source: Store, target: Store) -> None:
    """From a schema without a store, and from a follower, nothing is moved."""
    empty = Store(source.dsn, "nothing_here")
    assert "no store is in schema nothing_here" in planned(empty, target).refusals[0]

    with store_of(source.dsn, Layout.PLAIN) as follower:
        say(follower, "fed", source)
        (reason,) = planned(follower, target).refusals
    assert "not the one that is written" in reason and source.schema in reason


def test_plan_refuses_a_log_whose_time_runs_back(postgres: EmbeddedServer, target: Store) -> None:
    """Parts by time would not stand in the order of the log: it is seen before anything moves."""
    with store_of(postgres.dsn(), Layout.PLAIN) as broken:
        asyncio.run(fill(broken, EventStream().some_market().events))
        assert planned(broken, target).possible
        broken.rows(
            "UPDATE stored_events SET recorded_at = recorded_at - interval '1 day'"
            " WHERE notification_id = 20"
        )
        (reason,) = planned(broken, target).refusals
        assert "position 20 was recorded before the one at 19" in reason
        broken.rows("DELETE FROM stored_events WHERE notification_id = 20")
        assert "no event at position 20" in planned(broken, target).refusals[0]


def test_plan_keeps_no_password(source: Store, postgres: EmbeddedServer) -> None:
    """On another database the address would be kept in a table: a secret in it is refused."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE planned_elsewhere")
    try:
        secret = (postgres.data_dir / "password").read_text().strip()
        dsn = make_conninfo(postgres.dsn(), dbname="planned_elsewhere", password=secret)
        found = planned(source, StoreAddress(dsn, "log"))
        assert "password file" in found.refusals[0] and not found.same_database
        assert secret not in str(found.as_document()) + "".join(found.lines())
        own = make_conninfo(postgres.dsn(), dbname="planned_elsewhere")
        assert planned(source, StoreAddress(own, "log")).possible
    finally:
        with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
            conn.execute("DROP DATABASE planned_elsewhere")


def test_prepare_makes_a_follower_and_again_changes_nothing(source: Store, target: Store) -> None:
    """Tables of the layout, parts for the days to come, an index by position on the source."""
    ((before,),) = source.rows("SELECT xmin::text FROM writer_epoch")
    made = prepare(source.address, target.address, layout=NATIVE)
    again = prepare(source.address, target.address, layout=NATIVE)

    assert made.migrations and made.parts
    assert (0, 0, False) == (again.migrations, again.parts, again.index_made)
    assert [("fed", None, source.schema, 0, 0)] == target.rows(
        "SELECT writes, peer_dsn, peer_schema, epoch, backend_pid FROM writer_epoch"
    )
    assert [(before,)] == source.rows("SELECT xmin::text FROM writer_epoch")
    assert [(True,)] == source.rows(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", KEYS_INDEX
    )


def test_prepare_that_was_killed_is_ended_by_the_next(source: Store, target: Store) -> None:
    """Half of the tables, and an index that was never finished, are no hindrance."""
    migrate(target.dsn, target.schema, 7, layout=NATIVE)
    source.rows(f"DROP INDEX IF EXISTS {KEYS_INDEX}")
    source.rows(f"CREATE INDEX {KEYS_INDEX} ON request_keys USING brin (position)")
    source.rows(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(%s)", KEYS_INDEX
    )

    made = prepare(source.address, target.address, layout=NATIVE)

    assert made.index_made and made.migrations
    assert "fed" == target.mode()
    assert [(True,)] == source.rows(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", KEYS_INDEX
    )


def test_store_that_nobody_led_says_where_it_is_written(
    postgres: EmbeddedServer, target: Store
) -> None:
    """Its row is made by `prepare`: whoever comes first leads at once."""
    with store_of(postgres.dsn(), Layout.PLAIN) as fresh:
        prepare(fresh.address, target.address, layout=NATIVE, partition=3)
        assert [(3, 0, "here", True)] == fresh.rows(
            "SELECT partition, epoch, writes, renewed_at = '-infinity' FROM writer_epoch"
        )


@pytest.mark.timescale
def test_prepare_makes_the_extension_as_its_owner_and_weeks_for_what_is_old(
    source: Store, timescale: str
) -> None:
    """In a database of another server, without the extension until then."""
    name = "prepared_elsewhere"
    with psycopg.connect(timescale, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}")
    try:
        target = StoreAddress(make_conninfo(timescale, dbname=name), "log")
        found = plan(source.address, target)
        assert found.possible and "not in that database yet" in found.warnings[0]
        made = prepare(source.address, target, owner_dsn=target.dsn)
        again = prepare(source.address, target)

        assert (Layout.TIMESCALE, 0, 0) == (again.layout, again.migrations, again.parts)
        assert made.extension == again.extension == found.server.available
        assert [(source.dsn, source.schema)] == Store(*target).rows(
            "SELECT peer_dsn, peer_schema FROM writer_epoch"
        )
        ((weeks,),) = Store(*target).rows(
            "SELECT count(*) FROM timescaledb_information.chunks"
            " WHERE range_end - range_start = interval '7 days'"
        )
        assert weeks
    finally:
        with psycopg.connect(timescale, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
