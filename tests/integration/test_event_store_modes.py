"""The writer's log through a move: in both stores, held back, followed, and never failed by it."""

from __future__ import annotations

import asyncio

import msgspec
import psycopg
import pytest
from psycopg import sql

from application.log.ports import Batch, OutcomeUnknown
from domain.events import DomainEvent
from infrastructure.log import appending
from tests.stores import Store, batches_of, check_guards, leading_in, run, same, say


def test_event_store_in_mode_both_has_every_append_twice(
    pair: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """In one transaction each, whatever the layouts, and both channels are told."""
    truth, follower = pair
    say(truth, "both", follower)

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(truth.dsn, autocommit=True) as conn:
            for store in pair:
                await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(store.schema)))
            async with leading_in(truth) as log:
                # Who takes the lead ends this mode: the mover begins it again.
                assert "here" == truth.mode()
                say(truth, "both", follower)
                for batch in batches_of(events):
                    await log.append(batch)
            count = -(-len(events) // 100)
            heard = [n async for n in conn.notifies(timeout=10, stop_after=2 * count)]
            for store in pair:
                told = [n.payload for n in heard if n.channel == store.schema]
                assert str(len(events)) == told[-1]
                assert count == len(told)

    run(work)
    assert "both" == truth.mode()
    assert list(range(1, len(events) + 1)) == follower.positions()
    assert same(truth, follower)
    for store in pair:
        if store.layout.chunked:
            check_guards(store, events)


def test_event_store_goes_between_modes_with_the_same_batch(
    pair: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """Alone, both, held, alone: nobody above the log notices, and no batch is lost or doubled."""
    truth, follower = pair

    async def work() -> None:
        async with leading_in(truth) as log:
            batches = batches_of(events[:600])
            say(truth, "both", follower)
            await log.append(next(batches))
            await log.append(next(batches))
            say(truth, "here", follower)
            await log.append(next(batches))
            say(truth, "held", follower, held_seconds=30)
            waiting = asyncio.create_task(log.append(next(batches)))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            say(truth, "here", follower)
            await waiting
            # It lacks what was appended meanwhile: nothing is appended to it until it has that.
            say(truth, "both", follower)
            await log.append(next(batches))
            assert "here" == truth.mode()
            await log.renew()
            await log.append(next(batches))

    run(work)
    assert list(range(1, 601)) == truth.positions()
    assert list(range(1, 201)) == follower.positions()


def test_event_store_waits_no_longer_for_a_switch_than_it_may_take(
    move: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """Past its deadline the writer goes on where it was, and says so in the row."""
    truth, follower = move

    async def work() -> None:
        async with leading_in(truth) as log:
            say(truth, "held", follower, held_seconds=0.2)
            for batch in batches_of(events[:200]):
                await log.append(batch)

    before = truth.rows("SELECT generation FROM writer_epoch")[0][0]
    run(work)
    assert [("here", None)] == truth.rows("SELECT writes, held_until FROM writer_epoch")
    assert before + 2 == truth.rows("SELECT generation FROM writer_epoch")[0][0]
    assert list(range(1, 201)) == truth.positions()


def test_event_store_is_let_go_by_the_writers_own_clock_too(
    move: tuple[Store, Store], events: list[DomainEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's clock goes back, and a switch that is long dead seems to have time yet."""
    monkeypatch.setattr("infrastructure.log.writing.HELD_MOST", 0.2)
    truth, follower = move

    async def work() -> None:
        async with leading_in(truth) as log:
            for batch in batches_of(events[:200]):
                say(truth, "held", follower, held_seconds=3_600)
                began = asyncio.get_running_loop().time()
                await log.append(batch)
                assert asyncio.get_running_loop().time() - began >= 0.2

    run(work)
    assert "here" == truth.mode()
    assert list(range(1, 201)) == truth.positions()


def damage(how: str, follower: Store) -> None:
    """Make a follower fail."""
    match how:
        case "gone":
            follower.rows("DROP TABLE stored_events")
        case "no room for the day":
            follower.rows("DROP TABLE stored_events_default")
        case "a key of its own":
            follower.rows("ALTER TABLE request_keys ADD CHECK (request_key = '') NOT VALID")
        case "moved head":
            follower.rows("UPDATE log_head SET position = position + 1")
        case "no schema":
            follower.rows(f"ALTER SCHEMA {follower.schema} RENAME TO {follower.schema}_x")


@pytest.mark.parametrize(
    "how", ["gone", "no room for the day", "a key of its own", "moved head", "no schema"]
)
def test_event_store_that_follows_fails_no_append(
    move: tuple[Store, Store], events: list[DomainEvent], how: str
) -> None:
    """Whatever is wrong with it: the batch is stored in the truth, and it is left behind."""
    truth, follower = move

    async def work() -> None:
        async with leading_in(truth) as log:
            batches = batches_of(events[:400])
            say(truth, "both", follower)
            await log.append(next(batches))
            generation = truth.rows("SELECT generation FROM writer_epoch")[0][0]
            damage(how, follower)
            await log.append(next(batches))
            assert [("here", generation + 1)] == truth.rows(
                "SELECT writes, generation FROM writer_epoch"
            )
            # It is not there when the statement for both is made, either.
            say(truth, "both", follower)
            await log.append(next(batches))
            await log.append(next(batches))

    try:
        run(work)
        assert "here" == truth.mode()
        assert list(range(1, 401)) == truth.positions()
    finally:
        if how == "no schema":
            truth.rows(f"ALTER SCHEMA {follower.schema}_x RENAME TO {follower.schema}")


def test_event_store_that_follows_and_is_locked_holds_nobody_up(
    move: tuple[Store, Store], events: list[DomainEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An append waits for a lock on the follower for a moment, and goes on without it."""
    monkeypatch.setattr(appending, "FOLLOWER_SECONDS", 0.2)
    truth, follower = move

    async def work() -> None:
        async with leading_in(truth) as log:
            say(truth, "both", follower)
            batches = batches_of(events[:300])
            await log.append(next(batches))
            with psycopg.connect(follower.dsn) as other:
                table = sql.Identifier(follower.schema, "stored_events")
                other.execute(sql.SQL("LOCK TABLE {}").format(table))
                await asyncio.wait_for(log.append(next(batches)), 10)
            assert "here" == truth.mode()
            await log.append(next(batches))

    run(work)
    assert list(range(1, 301)) == truth.positions()
    assert list(range(1, 101)) == follower.positions()


def test_event_store_refuses_values_in_both_and_keeps_its_follower(
    move: tuple[Store, Store], events: list[DomainEvent]
) -> None:
    """What the truth refuses is the writer's fault: ValueError, nothing stored, still both."""
    truth, follower = move

    async def work() -> None:
        async with leading_in(truth) as log:
            say(truth, "both", follower)
            first, second = batches_of(events[:200])
            await log.append(first)
            doubled = msgspec.structs.replace(second.events[0], originator_version=1)
            doubled = msgspec.structs.replace(doubled, originator_id=events[0].originator_id)
            foreign = msgspec.structs.replace(second.events[0], actor="zero \0 character")
            for event in (doubled, foreign):
                with pytest.raises(ValueError):
                    await log.append(Batch(101, [event], []))
            await log.append(second)

    run(work)
    assert "both" == truth.mode()
    assert same(truth, follower)


@pytest.mark.parametrize("mode", ["here", "both", "held"])
def test_event_store_loses_no_append_with_its_connection_in_any_mode(
    move: tuple[Store, Store], events: list[DomainEvent], mode: str
) -> None:
    """The backend is ended in the middle: what is stored is in the log, and goes on from there."""
    truth, follower = move

    async def work() -> None:
        async with leading_in(truth) as log:
            batches = list(batches_of(events[:400]))
            say(truth, "both" if mode == "both" else "here", follower)
            await log.append(batches[0])
            if mode == "held":
                say(truth, "held", follower, held_seconds=30)
            with psycopg.connect(truth.dsn) as other:
                table = sql.Identifier(truth.schema, "stored_events")
                other.execute(sql.SQL("LOCK TABLE {} IN SHARE MODE").format(table))
                appending_ = asyncio.create_task(log.append(batches[1]))
                await asyncio.sleep(0.1)
                assert not appending_.done()
                assert truth.rows("SELECT pg_terminate_backend(backend_pid) FROM writer_epoch")
                with pytest.raises(OutcomeUnknown):
                    await appending_
            if mode == "held":
                say(truth, "here", follower)
            await log.take_over()
            # A lead that is taken anew appends to the truth alone.
            assert "here" == truth.mode()
            end = await log.last_position()
            assert 100 == end
            for batch in batches[1:]:
                await log.append(batch)

    run(work)
    assert list(range(1, 401)) == truth.positions()
    assert list(range(1, 101 if mode == "both" else 1)) == follower.positions()
