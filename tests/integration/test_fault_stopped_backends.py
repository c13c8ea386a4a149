"""A process of a server elsewhere stands still, and nobody there ends it: the venue goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest

from api.processes import venue_claim
from api.processes.venue_claim import VenueClaim
from application.log.ports import Fenced, OutcomeUnknown
from infrastructure import attentive
from infrastructure.log import leading
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.stores import StoreAddress
from infrastructure.log.writing import PostgresEventLog
from projections import runners_lock
from projections.runner import Runner
from projections.trades import Trades
from tests.conftest import Schema
from tests.integration.test_event_store import account_events, batch, stored_positions
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream
from tests.model.projecting import connector, positions
from tests.writer_process import wait_until

pytestmark = pytest.mark.crash


@pytest.fixture(autouse=True)
def in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for fractions of what the venue waits."""
    monkeypatch.setattr(attentive, "SILENT_SECONDS", 0.3)
    monkeypatch.setattr(attentive, "SLOW_SECONDS", 0.3)
    monkeypatch.setattr(attentive, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(leading, "ENDING_SECONDS", 0.3)
    monkeypatch.setattr(leading, "ROW_SECONDS", 1)
    monkeypatch.setattr(runners_lock, "ENDING_SECONDS", 0.3)
    monkeypatch.setattr(runners_lock, "AGAIN_SECONDS", 0.0)


@contextmanager
def standing_still(backend: int) -> Iterator[None]:
    """A process of the server that is stopped, and goes on after the block."""
    os.kill(backend, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(backend, signal.SIGCONT)


def until_gone(schema: Schema, backend: int) -> None:
    """Wait until a process of the server has ended."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        query = "SELECT 1 FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: conn.execute(query, (backend,)).fetchone() is None, "it to end")


def backend_of(log: PostgresEventLog) -> int:
    """The process of the server that a leader's commits go to."""
    assert log._lead is not None
    return log._lead.conn.info.backend_pid


def test_leader_whose_backend_stands_still_leads_on(schema: Schema) -> None:
    """It is missed within seconds, what is stored goes on over another connection, and when that
    process goes on it stores nothing more and gives back the lock, which the leader takes.
    """

    async def work() -> None:
        log, other = (PostgresEventLog(schema.dsn, schema.schema, 0) for _ in range(2))
        events = account_events(4)
        assert 1 == await log.try_take_over()
        await log.append(batch(events[:1]))
        stopped = backend_of(log)
        with standing_still(stopped):
            began = time.monotonic()
            with pytest.raises(OutcomeUnknown):
                await log.append(batch(events[1:2], 2))
            assert time.monotonic() - began < 5
            assert 2 == await log.take_over()
            await log.append(batch(events[1:2], 2))
            await log.renew()
            assert log._lead is not None and not log._lead.locked
            assert None is await other.try_take_over()
        until_gone(schema, stopped)
        await log.renew()
        assert log._lead.locked
        await log.append(batch(events[2:], 3))
        assert [1, 2, 3, 4] == stored_positions(schema)
        for one in (log, other):
            await one.close()

    asyncio.run(asyncio.wait_for(work(), 60))


def test_commit_that_takes_long_is_said_once(
    schema: Schema, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether a disk is slow or a process stands still nobody can tell from afar: whoever looks at
    the log is told which process it is, and it is waited for.
    """

    async def work() -> None:
        log = PostgresEventLog(schema.dsn, schema.schema, 0)
        assert 1 == await log.try_take_over()
        with psycopg.connect(schema.dsn) as other:
            other.execute(f"LOCK TABLE {schema.schema}.stored_events".encode())
            storing = asyncio.create_task(log.append(batch(account_events(1))))
            ends = time.monotonic() + 20
            while "at work on one statement" not in caplog.text:
                assert time.monotonic() < ends
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
        await asyncio.wait_for(storing, 20)
        assert 1 == caplog.text.count(f"process {backend_of(log)} of the store has been at work")
        await log.close()

    asyncio.run(asyncio.wait_for(work(), 60))


def test_nobody_leads_past_a_transaction_that_stands_still(schema: Schema) -> None:
    """It may yet be stored, so the lead waits for it, and says which process is to be ended; who is
    taken over that way is fenced.
    """

    async def work() -> None:
        log, other = (PostgresEventLog(schema.dsn, schema.schema, 0) for _ in range(2))
        events = account_events(2)
        assert 1 == await log.try_take_over()
        await log.append(batch(events[:1]))
        assert log._lead is not None
        lead, stopped = log._lead.conn, backend_of(log)
        await lead.execute("BEGIN")
        await lead.execute(f"SELECT 1 FROM {schema.schema}.writer_epoch FOR SHARE".encode())
        assert None is await other.try_take_over(0.2)
        await asyncio.sleep(0.3)
        with standing_still(stopped):
            with pytest.raises(OutcomeUnknown, match=f"process {stopped} of the store"):
                await other.try_take_over(0.2)
        until_gone(schema, stopped)
        assert 2 == await other.try_take_over(0.2)
        with pytest.raises((Fenced, OutcomeUnknown)):
            await log.append(batch(events[1:], 2))
        await other.append(batch(events[1:], 2))
        assert [1, 2] == stored_positions(schema)
        for one in (log, other):
            await one.close()

    asyncio.run(asyncio.wait_for(work(), 60))


def test_venue_whose_hold_stands_still_takes_itself_for_no_other(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its former connection keeps the lock of one venue a store: that ends nobody, is said once,
    and the hold is taken again when the process is gone.
    """
    for name, seconds in (("PATIENCE", 0.3), ("AGAIN_PATIENCE", 0.3), ("LOOK", 0.05)):
        monkeypatch.setattr(venue_claim, f"{name}_SECONDS", seconds)
    said: list[str] = []
    claim = VenueClaim(StoreAddress(schema.dsn, schema.schema), Path("/data/one"), said.append)
    claim.begin()
    try:
        with psycopg.connect(schema.dsn, autocommit=True) as conn:
            ((_, stopped),) = conn.execute(
                venue_claim._HOLDER.encode(), (schema.schema,)
            ).fetchall()
        with standing_still(stopped):
            wait_until(lambda: bool(said), "it to say so")
            time.sleep(1)
            assert claim.lost is None
            assert 1 == len(said) and f"process {stopped} of the store" in said[0]
        wait_until(lambda: len(said) == 2, "it to have hold again")
        assert claim.lost is None and "again" in said[1]
    finally:
        claim.end()


def test_projector_whose_former_connection_stands_still_keeps_the_views(schema: Schema) -> None:
    """It works without the lock that nobody gives back, and has it when that process is gone."""
    stream = EventStream().some_market(accounts=2, instruments=2).some_commands(20)
    half = len(stream.events) // 2
    append_events(schema.dsn, schema.schema, stream.events[:half])

    async def work() -> None:
        async with PostgresEventSource(schema.dsn, schema.schema) as source:
            runner = Runner(connector(schema), source, [Trades()])
            with ExitStack() as stack:
                while await runner.step():
                    pass
                assert runner._session is not None
                stopped = runner._session.conn.info.backend_pid
                stack.enter_context(standing_still(stopped))
                await runner.close()
                append_events(schema.dsn, schema.schema, stream.events[half:])
                ends = time.monotonic() + 20
                while positions(schema)["trades"] < len(stream.events):
                    assert time.monotonic() < ends
                    await runner.step()
                assert runner._lock._lacks
            until_gone(schema, stopped)
            await runner.step()
            assert not runner._lock._lacks
            await runner.close()

    asyncio.run(asyncio.wait_for(work(), 60))
