"""A server that is gone without a word is noticed within five seconds, whoever waits for it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infrastructure.attentive import AttentiveConnection, AttentiveConnectionNow, ServerSilent
from infrastructure.log.pool import StorePool
from infrastructure.log.stores import Stores
from infrastructure.waiting import wait_for_server
from tests.conftest import Schema
from tests.relay import Relay, relay_to

WITHIN_SECONDS = 5.0


@pytest.fixture
def relay(schema: Schema) -> Iterator[Relay]:
    """A way to the server that can be cut."""
    with relay_to(schema.dsn) as made:
        yield made


Cut = Callable[[Relay], None]
CUTS = pytest.mark.parametrize(
    "cut",
    [
        Relay.drop_what_is_connected,
        pytest.param(Relay.drop_everything, marks=pytest.mark.soak),
    ],
    ids=lambda cut: cut.__name__,
)


async def noticed(work: Callable[[], Awaitable[Any]]) -> float:
    """How long it took until a piece of work was told that the server is gone."""
    began = time.monotonic()
    with pytest.raises(psycopg.OperationalError):
        await asyncio.wait_for(work(), 30)
    return time.monotonic() - began


@CUTS
def test_statement_whose_server_has_gone_silent_is_given_up(relay: Relay, cut: Cut) -> None:
    """Packets that are dropped with no reset keep nobody waiting: the whole server unreachable, or
    this one connection forgotten on the way.
    """

    async def work() -> None:
        conn = await AttentiveConnection.open(relay.dsn)
        await conn.execute("SELECT 1")
        cut(relay)
        began = time.monotonic()
        with pytest.raises(ServerSilent, match="has given no answer"):
            await conn.execute("SELECT 2")
        assert time.monotonic() - began < WITHIN_SECONDS

    asyncio.run(work())


@CUTS
def test_those_who_run_no_loop_notice_it_too(relay: Relay, cut: Cut) -> None:
    """The supervisor, a mover and a migration wait in threads, for as long."""
    conn = AttentiveConnectionNow.open(relay.dsn)
    conn.execute("SELECT 1")
    cut(relay)
    began = time.monotonic()
    with pytest.raises(ServerSilent):
        conn.execute("SELECT 2")
    assert time.monotonic() - began < WITHIN_SECONDS


def test_statement_that_is_at_work_is_left_to_it(relay: Relay) -> None:
    """What takes long on a server that is well is waited for: a rebuild, an index, a lock."""

    async def work() -> None:
        conn = await AttentiveConnection.open(relay.dsn)
        await conn.execute("SELECT pg_sleep(2.5)")
        assert not conn.given_up
        # One that listens has asked for nothing.
        await conn.execute("LISTEN something")
        async for _ in conn.notifies(timeout=1.8):
            raise AssertionError("nobody said anything")
        assert not conn.given_up
        await conn.close()

    def in_a_thread() -> None:
        with AttentiveConnectionNow.open(relay.dsn) as now:
            now.execute("SELECT pg_sleep(2.5)")
            found.append(now.execute("SELECT 1").fetchone())

    found: list[Any] = []
    thread = threading.Thread(target=in_a_thread)
    thread.start()
    asyncio.run(work())
    thread.join()
    assert [(1,)] == found


def test_answer_that_its_reader_is_too_busy_to_read_is_not_lost(schema: Schema) -> None:
    """A loop that was held up finds the answer that came meanwhile."""

    async def work() -> None:
        conn = await AttentiveConnection.open(schema.dsn)
        asking = asyncio.ensure_future(conn.execute("SELECT repeat('x', 20000000)"))
        await asyncio.sleep(0)
        time.sleep(2)
        row = await (await asking).fetchone()
        assert row is not None and 20_000_000 == len(row[0])
        assert not conn.given_up
        await conn.close()

    asyncio.run(work())


@pytest.mark.soak
def test_every_connection_to_a_server_that_is_out_of_reach_is_renewed(
    relay: Relay, schema: Schema
) -> None:
    """What is found out on one connection of a process is known of all: a pool gives out none that
    would be found silent in its turn.
    """

    async def work() -> None:
        async with StorePool(Stores(relay.dsn, schema.schema), min_size=4, max_size=4) as pool:
            await pool.wait()
            relay.drop_everything()

            async def ask() -> None:
                async with pool.connection() as conn:
                    await conn.execute("SELECT 1")

            took = await asyncio.gather(*(noticed(ask) for _ in range(4)))
            assert max(took) < WITHIN_SECONDS + 0.5
            relay.forward()
            began = time.monotonic()
            while True:
                try:
                    await asyncio.wait_for(ask(), 10)
                    break
                except psycopg.OperationalError:
                    await asyncio.sleep(0.05)
            assert time.monotonic() - began < WITHIN_SECONDS

    asyncio.run(work())


def test_backend_that_is_stopped_holds_nobody_up_who_has_another(schema: Schema) -> None:
    """A statement of a stopped backend is at work for all that one can see; whoever is patient for
    so long only is told so in time.
    """
    from api.patience import patiently
    from domain.errors import VenueUnavailable

    async def work() -> None:
        conn = await AttentiveConnection.open(schema.dsn)
        backend = conn.pgconn.backend_pid
        os.kill(backend, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(VenueUnavailable):
                await patiently(lambda: conn.execute("SELECT 1"), 1.0)
            assert time.monotonic() - began < 2
        finally:
            os.kill(backend, signal.SIGCONT)
            await conn.close()

    asyncio.run(work())


def test_process_that_starts_while_the_store_is_away_waits_for_it(schema: Schema) -> None:
    """As those do that were there when it went: a line when it is away, one when it is back."""
    said: list[str] = []
    with relay_to(schema.dsn) as relay:
        dsn = relay.dsn
        port = int(str(conninfo_to_dict(dsn)["port"]))
    # Nobody listens there now.
    waiting = threading.Thread(target=wait_for_server, args=(dsn, said.append))
    waiting.start()
    time.sleep(1)
    assert waiting.is_alive() and 1 == len(said)
    with relay_to(schema.dsn, port):
        waiting.join(10)
    assert not waiting.is_alive()
    assert said[0].startswith("the store is away") and said[1].startswith("the store is back")
    assert 2 == len(said)


def test_lock_of_a_connection_that_was_given_up_is_free_when_it_is_taken_again(
    relay: Relay,
) -> None:
    """The server may keep the other end for hours: a projector or a supervisor that comes again
    does not wait for itself.
    """
    lock = "SELECT pg_try_advisory_lock(4711)"

    async def work() -> None:
        conn = await AttentiveConnection.open(relay.dsn)
        assert (True,) == await (await conn.execute(lock)).fetchone()
        relay.drop_what_is_connected()
        with pytest.raises(ServerSilent):
            await conn.execute("SELECT 1")
        again = await AttentiveConnection.open(relay.dsn)
        ends = time.monotonic() + 2
        while await (await again.execute(lock)).fetchone() != (True,):
            assert time.monotonic() < ends
            await asyncio.sleep(0.02)
        await again.close()

    asyncio.run(work())
