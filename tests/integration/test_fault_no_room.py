"""A store that lacks room is waited for by the writer that leads, and by nobody else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Schema
from tests.log_checks import check_replay, read_log
from tests.writer_process import BusClient, Partition, partition

pytestmark = pytest.mark.crash

FULL_SECONDS = 4.0


@pytest.fixture
def venue(schema: Schema) -> Iterator[Partition]:
    """A partition without a writer yet."""
    with partition(schema.dsn, schema.schema) as made:
        yield made


@contextmanager
def full_disk(venue: Partition) -> Iterator[None]:
    """Have every append answered as by a server whose disk is full; reading goes on."""
    with psycopg.connect(venue.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(venue.schema)))
        conn.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';"
            " END $$"
        )
        conn.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON stored_events"
            " FOR EACH STATEMENT EXECUTE FUNCTION no_room()"
        )
        try:
            yield
        finally:
            conn.execute("DROP TRIGGER full_disk ON stored_events")


def test_full_disk_is_waited_for_and_said_once(venue: Partition) -> None:
    """Orders wait and are stored once there is room; nobody takes the lead from the one who waits,
    whose lines are that the store is away and that it is back.
    """
    leader = venue.start()
    venue.leader()
    standby = venue.start()
    standby.says("standing by")

    async def run() -> BusClient:
        client = BusClient(venue.bus_path)
        await client.open()
        stop = asyncio.Event()
        trading = asyncio.gather(*[client.trade(stop, f"t{i}") for i in range(4)])
        await client.answered_more(20)
        with full_disk(venue):
            await asyncio.sleep(FULL_SECONDS)
            answered = client.answers
        await client.answered_more(20)
        assert client.answers > answered
        stop.set()
        await asyncio.wait_for(trading, 40)
        await client.bus.close()
        return client

    epoch = venue.rows("SELECT epoch FROM writer_epoch")
    began = time.monotonic()
    client = asyncio.run(asyncio.wait_for(run(), 60))
    assert time.monotonic() - began < FULL_SECONDS + 20
    assert epoch == venue.rows("SELECT epoch FROM writer_epoch")
    assert 1 == leader.said.count("the store is away"), leader.said
    assert 1 == leader.said.count("the store is back after"), leader.said
    assert 1 == leader.said.count("leads partition"), leader.said
    assert "leads" not in standby.said
    log = read_log(venue.dsn, venue.schema)
    log.check()
    stored = log.orders_by_client_id()
    assert set(client.told) <= set(stored)
    assert {} == {key: found for key, found in stored.items() if len(found) != 1}
    check_replay(venue.dsn, venue.schema, venue.bus_path)
