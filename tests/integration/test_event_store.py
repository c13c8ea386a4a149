"""The writer's log on PostgreSQL: whole batches, one leader, every position once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql

from application.log.ports import Batch, Fenced, OutcomeUnknown, RequestKey
from domain.account import Account, AccountTerms
from domain.decision import Decision
from domain.events import AccountLimitsSet, DomainEvent
from infrastructure.log import appending
from infrastructure.log.codec import encode_event, typed_columns
from infrastructure.log.writing import PostgresEventLog

NOON = 1_795_608_000_000_000


def account_events(count: int, name: str = "a", first_position: int = 1) -> list[DomainEvent]:
    """An account that is opened and then gets new limits, one event each."""
    decision = Decision(NOON, 0, first_position, "tester", "test", first_position)
    account = Account.open(decision, decision.new_id(), AccountTerms(name, name, 1, 1))
    for limit in range(count - 1):
        account.set_limits(decision, limit)
    return decision.events


def batch(events: list[DomainEvent], first_position: int = 1, *keys: RequestKey) -> Batch:
    """A batch of these events."""
    return Batch(first_position, events, keys)


def key(name: str, position: int = 1) -> RequestKey:
    """A request key."""
    return RequestKey(UUID(int=9), name, b"12345678", position)


@asynccontextmanager
async def leading(schema: Any) -> AsyncIterator[PostgresEventLog]:
    """A log that leads."""
    log = PostgresEventLog(schema.dsn, schema.schema, 0)
    assert await log.try_take_over()
    try:
        yield log
    finally:
        await log.close()


def rows(schema: Any, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Rows of the test's schema."""
    with psycopg.connect(schema.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema)))
        return conn.execute(query.encode(), values).fetchall()


def stored_positions(schema: Any) -> list[int]:
    """Every position in the table."""
    found = rows(schema, "SELECT notification_id FROM stored_events ORDER BY 1")
    return [row[0] for row in found]


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test's coroutine, not for ever."""
    asyncio.run(asyncio.wait_for(work(), 60))


def test_event_comes_back_as_it_was_appended(schema: Any) -> None:
    """By position, by aggregate and above a version; the typed columns say what the event says."""

    async def work() -> None:
        async with leading(schema) as log:
            events = account_events(5)
            await log.append(batch(events))
            read = await log.read(0, 10)
            assert [(n, e) for n, e in enumerate(events, 1)] == [tuple(r) for r in read]
            assert events[2:4] == [r.event for r in await log.read(2, 2)]
            assert events == [r.event for r in await log.stream(events[0].originator_id)]
            assert events[3:] == [r.event for r in await log.stream(events[0].originator_id, 3)]
            limits = await log.read(0, 10, topics=[AccountLimitsSet.TOPIC])
            assert events[1:] == [r.event for r in limits]
            assert 5 == await log.last_position()
            (row,) = rows(
                schema,
                "SELECT (extract(epoch FROM recorded_at) * 1000000)::bigint, account_id,"
                " instrument_id, correlation_id, actor, state FROM stored_events"
                " WHERE notification_id = 1",
            )
            columns = typed_columns(events[0])
            assert (
                columns.recorded_at,
                columns.account_id,
                columns.instrument_id,
                columns.correlation_id,
                columns.actor,
                encode_event(events[0]),
            ) == row

    run(work)


def test_empty_log_has_no_last_position(schema: Any) -> None:
    """Positions begin with 1."""

    async def work() -> None:
        async with leading(schema) as log:
            assert 0 == await log.last_position()
            assert [] == list(await log.read(0, 10))

    run(work)


def test_batch_is_stored_whole_with_its_keys_or_not_at_all(schema: Any) -> None:
    """A version or a key that is there already refuses all of the batch, as ValueError."""

    async def work() -> None:
        async with leading(schema) as log:
            await log.append(batch(account_events(2), 1, key("k1")))
            other = account_events(3, "b", 3)
            doubled = msgspec.structs.replace(other[2], originator_version=1)
            with pytest.raises(ValueError, match="stored_events_pkey"):
                await log.append(batch([*other[:2], doubled], 3))
            with pytest.raises(ValueError, match="request_keys_pkey"):
                await log.append(batch(other, 3, key("k2", 3), key("k1", 3)))
            assert [1, 2] == stored_positions(schema)
            assert None is await log.find_key(UUID(int=9), "k2")
            assert key("k1") == await log.find_key(UUID(int=9), "k1")
            assert [(UUID(int=9), "k1")] == list(await log.keys_up_to(1))
            await log.append(batch(other, 3, key("k2", 3)))
            assert [1, 2, 3, 4, 5] == stored_positions(schema)
            whose = UUID(int=9)
            assert [(whose, "k1")] == list(await log.keys_up_to(3, limit=1))
            assert [(whose, "k2")] == list(await log.keys_up_to(3, (whose, "k1"), 1))
            assert [] == list(await log.keys_up_to(3, (whose, "k2"), 1))

    run(work)


def test_position_is_never_given_twice(schema: Any) -> None:
    """Not even by a writer that has lost count: the index refuses it."""

    async def work() -> None:
        async with leading(schema) as log:
            await log.append(batch(account_events(2)))
            with pytest.raises(ValueError, match="notification_id"):
                await log.append(batch(account_events(1, "b", 2), 2))
            assert [1, 2] == stored_positions(schema)

    run(work)


def test_value_that_the_store_cannot_keep_is_told_apart_from_a_lost_connection(
    schema: Any,
) -> None:
    """The batch is refused with ValueError, and the log leads on."""

    async def work() -> None:
        async with leading(schema) as log:
            event = msgspec.structs.replace(account_events(1)[0], actor="zero \0 character")
            with pytest.raises(ValueError):
                await log.append(batch([event]))
            huge = msgspec.structs.replace(account_events(1)[0], at=2**70)
            with pytest.raises(ValueError):
                await log.append(batch([huge]))
            await log.append(batch(account_events(1)))
            assert [1] == stored_positions(schema)

    run(work)


def test_decision_too_large_for_one_statement_is_one_transaction(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several statements, and the last one's failure leaves nothing of the first."""
    monkeypatch.setattr(appending, "STATEMENT_EVENTS", 10)

    async def work() -> None:
        async with leading(schema) as log:
            events = account_events(35)
            broken = [*events[:-1], msgspec.structs.replace(events[-1], originator_version=1)]
            with pytest.raises(ValueError):
                await log.append(batch(broken, 1, key("k1")))
            assert [] == stored_positions(schema)
            await log.append(batch(events, 1, key("k1")))
            assert list(range(1, 36)) == stored_positions(schema)
            assert key("k1") == await log.find_key(UUID(int=9), "k1")

    run(work)


def test_one_writer_leads_and_the_next_waits_until_it_is_gone(schema: Any) -> None:
    """While the lock is held and the lease fresh, nobody else gets it."""

    async def work() -> None:
        second = PostgresEventLog(schema.dsn, schema.schema, 0)
        assert await second.leader_is_gone()
        async with leading(schema):
            assert not await second.leader_is_gone()
            assert None is await second.try_take_over()
            with pytest.raises(Fenced):
                await second.take_over()
        # The server notices in its own time that the connection was closed.
        while not await second.leader_is_gone():
            await asyncio.sleep(0.01)
        assert 2 == await second.try_take_over()
        await second.close()

    run(work)


def test_partitions_have_a_writer_each(schema: Any) -> None:
    """The lock is the partition's, not the schema's."""

    async def work() -> None:
        async with leading(schema):
            other = PostgresEventLog(schema.dsn, schema.schema, 1)
            assert 1 == await other.try_take_over()
            await other.close()

    run(work)


def test_silent_leader_is_fenced_and_stores_nothing_more(schema: Any) -> None:
    """Whoever takes over after the lease ends the old backend and raises the epoch."""

    async def work() -> None:
        async with leading(schema) as old:
            await old.append(batch(account_events(1)))
            new = PostgresEventLog(schema.dsn, schema.schema, 0)
            assert 2 == await new.try_take_over(lease_seconds=0)
            with pytest.raises(OutcomeUnknown):
                await old.append(batch(account_events(1, "b", 2), 2))
            with pytest.raises(Fenced):
                await old.take_over()
            await new.append(batch(account_events(1, "c", 2), 2))
            assert [1, 2] == stored_positions(schema)
            await new.close()

    run(work)


def test_epoch_alone_fences_a_writer_that_still_has_its_connection(schema: Any) -> None:
    """Raised epoch, living connection: nothing is stored, and the lease is not renewed."""

    async def work() -> None:
        async with leading(schema) as log:
            await log.append(batch(account_events(1)))
            rows(schema, "UPDATE writer_epoch SET epoch = epoch + 1 RETURNING 1")
            with pytest.raises(Fenced):
                await log.append(batch(account_events(1, "b", 2), 2, key("k1", 2)))
            with pytest.raises(Fenced):
                await log.renew()
            assert [1] == stored_positions(schema)
            assert None is await log.find_key(UUID(int=9), "k1")

    run(work)


def test_takeover_waits_for_the_transaction_of_the_one_before(schema: Any) -> None:
    """An old transaction that holds the epoch commits first, and its events are read then."""

    async def work() -> None:
        async with leading(schema) as old:
            await old.append(batch(account_events(1)))
        with psycopg.connect(schema.dsn) as slow:
            slow.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema.schema)))
            slow.execute("SELECT 1 FROM writer_epoch WHERE epoch = 1 FOR SHARE")
            new = PostgresEventLog(schema.dsn, schema.schema, 0)
            taking = asyncio.create_task(new.try_take_over())
            await asyncio.sleep(0.2)
            assert not taking.done()
            slow.execute("UPDATE stored_events SET actor = 'the last word'")
            slow.commit()
            assert 2 == await taking
            assert [("the last word",)] == rows(schema, "SELECT actor FROM stored_events")
            await new.close()

    run(work)


def test_renewed_lease_keeps_the_lead(schema: Any) -> None:
    """A leader that says it is alive is not ended, however old its last beat looks."""

    async def work() -> None:
        async with leading(schema) as log:
            rows(
                schema,
                "UPDATE writer_epoch SET renewed_at = renewed_at - interval '1 hour' RETURNING 1",
            )
            other = PostgresEventLog(schema.dsn, schema.schema, 0)
            assert not await other.leader_is_gone(0.05)
            while not await other.leader_is_gone(0.05):
                await asyncio.sleep(0.01)
            await log.renew()
            assert not await other.leader_is_gone(0.05)
            assert None is await other.try_take_over()
            await other.close()

    run(work)


def test_lost_connection_is_an_unknown_outcome_and_can_be_led_again(schema: Any) -> None:
    """Append and renewal say that they do not know; the same writer takes its own lock back."""

    async def work() -> None:
        async with leading(schema) as log:
            await log.append(batch(account_events(1)))
            ended = rows(schema, "SELECT pg_terminate_backend(backend_pid, 5000) FROM writer_epoch")
            assert [(True,)] == ended
            with pytest.raises(OutcomeUnknown):
                await log.renew()
            with pytest.raises(OutcomeUnknown):
                await log.append(batch(account_events(1, "b", 2), 2))
            assert 2 == await log.take_over()
            await log.append(batch(account_events(1, "b", 2), 2))
            assert [1, 2] == stored_positions(schema)

    run(work)


def test_reading_survives_the_loss_of_its_connection(schema: Any) -> None:
    """A broken reading connection is opened again, and what is read is the same."""

    async def work() -> None:
        async with leading(schema) as log:
            await log.append(batch(account_events(3)))
            assert 3 == len(await log.read(0, 10))
            rows(
                schema,
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE query LIKE %s AND pid <> pg_backend_pid()",
                f"%{schema.schema}%stored_events%ORDER BY notification_id%",
            )
            assert 3 == len(await log.read(0, 10))

    run(work)


def test_every_batch_notifies_once_with_its_last_position(schema: Any) -> None:
    """Readers are woken when there is something to read, by one notice a batch."""

    async def work() -> None:
        async with await psycopg.AsyncConnection.connect(schema.dsn, autocommit=True) as conn:
            await conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(schema.schema)))
            async with leading(schema) as log:
                await log.append(batch(account_events(3)))
                await log.append(batch(account_events(2, "b", 4), 4))
            heard = [n.payload async for n in conn.notifies(timeout=10, stop_after=2)]
            assert ["3", "5"] == heard

    run(work)


def test_quarantined_command_is_kept_as_it_came(schema: Any) -> None:
    """Whatever its texts hold; the same one twice is one row."""

    async def work() -> None:
        async with leading(schema) as log:
            for _ in range(2):
                await log.quarantine(UUID(int=5), "a\0b", "http", b"\x93\x00", "RuntimeError('\0')")
            found = rows(schema, "SELECT actor, gateway, command, error FROM quarantined_commands")
            assert [("a\ufffdb", "http", b"\x93\x00", "RuntimeError('\ufffd')")] == found

    run(work)
