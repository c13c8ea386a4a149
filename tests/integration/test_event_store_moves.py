"""The writer's log goes where the log of the partition goes: with the same batch, once, alone."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from application.log.ports import Fenced, OutcomeUnknown
from domain.events import DomainEvent
from infrastructure.database import EmbeddedServer
from infrastructure.log import leading
from infrastructure.log.layouts import Layout
from infrastructure.log.writing import PostgresEventLog
from tests.stores import (
    Store,
    append_as_feed,
    batches_of,
    leading_in,
    open_for_writing,
    pair_of,
    run,
    same,
    say,
    switch,
)


def test_event_store_is_followed_where_it_moves_and_back(
    pair: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """The batch that meets the switch is stored once, in the new store, by the same writer."""
    old, new = pair

    async def work() -> None:
        async with leading_in(old) as log:
            batches = batches_of(events[:600])
            say(old, "both", new)
            await log.append(next(batches))
            switch(old, new)
            await log.append(next(batches))
            assert 200 == await log.last_position()
            say(old, "fed", new)
            await log.renew()
            assert [1, 100] == [old.positions()[0], old.positions()[-1]]
            # The old store is brought up, and follows.
            say(new, "here", old)
            for batch in list(batches_of(events[:200]))[1:]:
                await append_as_feed(old, batch)
            say(new, "both", old)
            await log.append(next(batches))
            assert same(old, new)
            switch(new, old)
            say(new, "fed", old)
            await log.renew()
            await log.append(next(batches))
            assert 400 == await log.last_position()
            await log.append(next(batches))

    run(work)
    assert list(range(1, 301)) == new.positions()
    assert list(range(1, 501)) == old.positions()


def test_event_store_is_held_for_its_own_time_wherever_the_log_was_held_before(
    pair: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """Two stores count their changes each by itself: the same number in both is not one hold."""
    old, new = pair

    async def work() -> None:
        async with leading_in(old) as log:
            batches = batches_of(events[:300])
            say(old, "both", new)
            await log.append(next(batches))
            say(old, "held", new, held_seconds=0.5)
            waiting = asyncio.create_task(log.append(next(batches)))
            await asyncio.sleep(0.05)
            switch(old, new)
            await waiting
            say(old, "fed", new)
            say(new, "held", old, held_seconds=30)
            ((generation,),) = old.rows("SELECT generation - 2 FROM writer_epoch")
            new.rows("UPDATE writer_epoch SET generation = %s", generation)
            waiting = asyncio.create_task(log.append(next(batches)))
            await asyncio.sleep(0.7)
            assert not waiting.done()
            assert "held" == new.mode()
            say(new, "here", old)
            await waiting

    run(work)
    assert list(range(1, 301)) == new.positions()


def test_event_store_that_nobody_opened_is_opened_by_the_writer_that_follows(
    move: tuple[Store, Store], events: list[DomainEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The switch was killed behind its commit: who still reads the old store is ended first."""
    monkeypatch.setattr(leading, "OPENING_SECONDS", 0.1)
    monkeypatch.setattr(leading, "READERS_SECONDS", 0.2)
    old, new = move

    async def work() -> None:
        reader = PostgresEventLog(old.dsn, old.schema, 0)
        async with leading_in(old) as log:
            say(old, "both", new)
            first, second = batches_of(events[:200])
            await log.append(first)
            assert 100 == len(await reader.read(0, 1_000))
            say(old, "there", new)
            await log.append(second)
            assert ("here", 2) == new.rows("SELECT writes, epoch FROM writer_epoch")[0]
            # Its connection to the old store is gone, and it reads where the log is.
            assert 200 == len(await reader.read(0, 1_000))
            await reader.close()

    run(work)
    assert list(range(1, 201)) == new.positions()
    assert list(range(1, 101)) == old.positions()


def test_event_store_that_lacks_the_end_is_never_opened(
    move: tuple[Store, Store], events: list[DomainEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that the log was left for without all of it is written by nobody."""
    monkeypatch.setattr(leading, "OPENING_SECONDS", 0.1)
    old, new = move

    async def work() -> None:
        async with leading_in(old) as log:
            first, second = batches_of(events[:200])
            await log.append(first)
            say(old, "there", new)
            with pytest.raises(OutcomeUnknown, match=r"ends at 100 and in .* at 0"):
                await log.append(second)
            assert "fed" == new.mode()
            open_for_writing(old, new)
            with pytest.raises(OutcomeUnknown):
                await log.append(second)

    run(work)
    assert [] == new.positions()


def test_event_store_that_another_writer_leads_by_then_fences_the_one_that_follows(
    move: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """Of two who come to the new store one leads; what the other decided is not stored."""
    old, new = move

    async def work() -> None:
        async with leading_in(old) as log:
            say(old, "both", new)
            first, second = batches_of(events[:200])
            await log.append(first)
            switch(old, new)
            rival = PostgresEventLog(new.dsn, new.schema, 0)
            assert not await rival.leader_is_gone(), "it is left to the writer that follows"
            assert await rival.leader_is_gone(lease_seconds=0)
            assert await rival.try_take_over()
            with pytest.raises(Fenced):
                await log.append(second)
            with pytest.raises(Fenced):
                await log.take_over()
            await rival.append(second)
            await rival.close()

    run(work)
    assert list(range(1, 201)) == new.positions()
    assert list(range(1, 101)) == old.positions()


def test_event_store_is_read_by_a_standby_where_it_stands(
    move: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """It follows a switch by itself, and leads in the new store when the writer is gone."""
    old, new = move

    async def work() -> None:
        standby = PostgresEventLog(old.dsn, old.schema, 0)
        async with leading_in(old) as log:
            say(old, "both", new)
            first, second = batches_of(events[:200])
            await log.append(first)
            assert 100 == len(await standby.read(0, 1_000))
            assert not await standby.leader_is_gone()
            switch(old, new)
            assert not await standby.leader_is_gone(), "who says so is left"
            await log.append(second)
            assert 200 == len(await standby.read(0, 1_000))
            assert not await standby.leader_is_gone()
        while not await standby.leader_is_gone():
            await asyncio.sleep(0.01)
        assert await standby.try_take_over()
        assert ("here",) == new.rows("SELECT writes FROM writer_epoch")[0]
        await standby.close()

    run(work)


def test_event_store_on_another_server_is_followed_too(
    postgres: EmbeddedServer, events: list[DomainEvent]
) -> None:
    """The peer has an address of its own: another database is as good as another server."""
    name = "nexus_test_other_server"
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        conn.execute(f"CREATE DATABASE {name}".encode())
    other_dsn = make_conninfo(postgres.dsn(), dbname=name)
    with (
        pair_of(postgres.dsn(), Layout.PLAIN, Layout.PLAIN) as (old, _),
        pair_of(other_dsn, Layout.NATIVE, Layout.NATIVE) as (new, _),
    ):
        say(old, "here", new)
        say(new, "fed", old)

        async def work() -> None:
            async with leading_in(new) as log:
                first, second = batches_of(events[:200])
                await log.append(first)
                assert list(range(1, 101)) == old.positions()
                # Nothing is appended to another server in the same transaction.
                say(old, "both", new)
                await append_as_feed(new, first)
                say(old, "there", new)
                open_for_writing(old, new)
                await log.append(second)
                assert 200 == await log.last_position()

        run(work)
        assert list(range(1, 101)) == old.positions()
        assert list(range(1, 201)) == new.positions()
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name}".encode())
