"""A writer whose store fails under it: every answer comes, is true, and nothing is doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql

from application.commands import (
    CancelAll,
    CancelOrder,
    Deposit,
    Envelope,
    HaltInstrument,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    ReadState,
    Reply,
    ResumeInstrument,
    encode_command,
)
from application.deciding.handlers import HANDLERS
from application.deciding.step import Step
from application.desk.desk import Desk
from application.desk.state import state_hash
from application.log.ports import Batch, Fenced, OutcomeUnknown, RequestKey
from application.requests import Command
from application.writer.gathering import Limits
from application.writer.loading import load_desk
from application.writer.sequencer import Sequencer
from domain.events import AccountLimitsSet
from domain.order_terms import Request
from domain.terms import OrderType, Side, TimeInForce
from infrastructure.clock import SystemClock
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.writing import PostgresEventLog

SYMBOL = "ACME"
LOT = 10**8
DOLLAR = 10**9


class FaultyLog(PostgresEventLog):
    """The real log; a test says what happens around the next appends."""

    def __init__(self, dsn: str, schema: str, partition: int = 0) -> None:
        super().__init__(dsn, schema, partition)
        self.faults: list[Callable[[Batch], Awaitable[None]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.keys_away = 0
        self.quarantine_away = 0

    async def append(self, batch: Batch) -> None:
        await self.gate.wait()
        if self.faults:
            await self.faults.pop(0)(batch)
            return
        await super().append(batch)

    async def lost_before(self, batch: Batch) -> None:
        raise OutcomeUnknown("the connection broke before the statement went out")

    async def lost_after(self, batch: Batch) -> None:
        await super().append(batch)
        raise OutcomeUnknown("the connection broke after the commit")

    async def fenced(self, batch: Batch) -> None:
        raise Fenced

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        if self.keys_away:
            self.keys_away -= 1
            raise OutcomeUnknown("the store is away")
        return await super().find_key(account_id, key)

    async def quarantine(
        self, correlation_id: UUID, actor: str, gateway: str, command: bytes, error: str
    ) -> None:
        if self.quarantine_away:
            self.quarantine_away -= 1
            raise OutcomeUnknown("the store is away")
        await super().quarantine(correlation_id, actor, gateway, command, error)


class Bench:
    """A sequencer on a faulty log, with one open instrument and an account that has cash."""

    def __init__(self, dsn: str, schema: str, limits: Limits | None = None) -> None:
        self.dsn = dsn
        self.schema = schema
        self.log = FaultyLog(dsn, schema)
        self.snapshots = PostgresSnapshots(dsn, schema)
        self.said: list[str] = []
        self.writer = Sequencer(
            self.log,
            self.snapshots,
            SystemClock(),
            limits=limits,
            lease=self.log,
            say=self.said.append,
        )
        self.account = UUID(int=0)
        self.running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        self.running = asyncio.create_task(self.writer.run())
        await self.writer.ready.wait()
        opened = await self.send(OpenAccount("buyer", "", 1))
        assert opened.result is not None
        self.account = UUID(opened.result["account_id"])
        await self.send(Deposit(self.account, 10**12, "cash"))
        await self.send(
            ListInstrument(
                SYMBOL, "", "us_equity", "manual", 4, 10**7, LOT, reference_price=100 * DOLLAR
            )
        )
        await self.send(OpenInstrument(SYMBOL, 20261120, 20261124, 0, 2**52))

    def submit(self, command: Command) -> asyncio.Future[Reply]:
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def answer(reply: Reply) -> None:
            assert not future.done(), "a command was answered twice"
            future.set_result(reply)

        envelope = Envelope("tester", "test", msgspec.Raw(encode_command(command)))
        self.writer.submit(envelope, answer)
        return future

    async def send(self, command: Command) -> Reply:
        return await asyncio.wait_for(self.submit(command), 20)

    def buy(self, key: str, price: int = 99) -> PlaceOrder:
        return PlaceOrder(
            self.account,
            SYMBOL,
            Side.BUY,
            OrderType.LIMIT,
            TimeInForce.GTC,
            LOT,
            price * DOLLAR,
            0,
            key,
        )

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.dsn) as conn:
            await conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(self.schema)))
            return await (await conn.execute(query.encode())).fetchall()

    async def check(self) -> Desk:
        """Nothing doubled, no gap, and the log replays to what the writer has."""
        ((count, last, versions),) = await self.rows(
            "SELECT count(*), COALESCE(max(notification_id), 0), count(DISTINCT"
            " (originator_id, originator_version)) FROM stored_events"
        )
        assert (count, count) == (last, versions)
        assert [] == await self.rows(
            "SELECT originator_id FROM stored_events GROUP BY 1"
            " HAVING max(originator_version) <> count(*) OR min(originator_version) <> 1"
        )
        state = await self.send(ReadState(hashed=True))
        assert state.result is not None
        desk, _ = await load_desk(self.log, self.snapshots, 0)
        assert (desk.position, state_hash(desk).hex()) == (last, state.result["state_hash"])
        assert 1 == state.result["waiting"], "a command was forgotten"
        return desk

    async def close(self) -> None:
        assert self.running is not None
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)
        await self.log.close()


@asynccontextmanager
async def bench(schema: Any, limits: Limits | None = None) -> AsyncIterator[Bench]:
    """A bench that is open for the length of a block."""
    made = Bench(schema.dsn, schema.schema, limits)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def answered(futures: Sequence[asyncio.Future[Reply]]) -> list[Reply]:
    """Every answer; a command that is never answered fails the test."""
    return await asyncio.wait_for(asyncio.gather(*futures), 20)


def refused(replies: Sequence[Reply]) -> list[str]:
    """The codes of the refusals among the answers."""
    return [reply.refusal.code for reply in replies if reply.refusal is not None]


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_commit_of_unknown_outcome_is_answered_as_the_store_has_it(schema: Any, fault: str) -> None:
    """Stored or not, each command is in the log once and its answer says where."""

    async def run() -> None:
        async with bench(schema) as b:
            b.log.faults.append(getattr(b.log, fault))
            replies = await answered([b.submit(b.buy(f"o{i}")) for i in range(5)])
            assert [] == refused(replies)
            assert [False] * 5 == [reply.duplicate for reply in replies]
            again = await answered([b.submit(b.buy(f"o{i}")) for i in range(5)])
            assert [r.order for r in replies] == [r.order for r in again]
            # A repeat shows the order as it is now, and says as of which position.
            desk = await b.check()
            assert {desk.position} == {r.position for r in again}
            assert 5 == len(desk.orders.working)

    asyncio.run(run())


def test_lost_outcome_keeps_the_shape_of_every_reply(schema: Any) -> None:
    """A command without a request key is answered after a lost outcome as without one."""

    async def run() -> None:
        async with bench(schema) as b:
            await b.send(b.buy("o1"))
            commands: list[Command] = [
                OpenAccount("second", "", 1),
                HaltInstrument(SYMBOL, "news"),
                ResumeInstrument(SYMBOL),
                CancelAll(b.account),
            ]
            for command in commands:
                b.log.faults.append(b.log.lost_after)
                reply = await b.send(command)
                assert reply.result is not None
                found = set(reply.result)
                expected = {
                    OpenAccount: {"account_id"},
                    CancelAll: {"canceled", "remaining"},
                }.get(type(command), {"instrument_id", "symbol", "phase"})
                assert expected == found
            await b.check()

    asyncio.run(run())


def test_fenced_writer_refuses_everything_it_holds(schema: Any) -> None:
    """What was under way when another writer took over is answered too, as unavailable."""

    async def run() -> None:
        async with bench(schema, Limits(batch_commands=2)) as b:
            b.log.gate.clear()
            b.log.faults.append(b.log.fenced)
            futures = [b.submit(b.buy(f"o{i}")) for i in range(7)]
            await asyncio.sleep(0)
            b.log.gate.set()
            replies = await answered(futures)
            assert ["VENUE_UNAVAILABLE"] * 7 == refused(replies)
            assert b.running is not None
            with pytest.raises(Fenced):
                await b.running
            assert 0 == b.writer.unanswered

    asyncio.run(run())


def test_writer_fenced_while_it_recovers_refuses_what_it_holds(schema: Any) -> None:
    """A commit fails, and when the lock is wanted back another writer has it."""

    async def run() -> None:
        async with bench(schema) as b:
            rival = PostgresEventLog(schema.dsn, schema.schema, 0)

            async def lost_to_a_rival(batch: Batch) -> None:
                await b.log._drop_writer()
                assert await rival.try_take_over()
                raise OutcomeUnknown("the connection broke")

            b.log.faults.append(lost_to_a_rival)
            replies = await answered([b.submit(b.buy(f"o{i}")) for i in range(3)])
            assert ["VENUE_UNAVAILABLE"] * 3 == refused(replies)
            assert 0 == b.writer.unanswered
            await rival.close()

    asyncio.run(run())


def test_flush_during_a_recovery_returns(schema: Any) -> None:
    """Who waits for what was decided is not forgotten because the desk is rebuilt meanwhile."""

    async def run() -> None:
        async with bench(schema) as b:
            await b.send(b.buy("o1"))
            waiting: list[asyncio.Task[None]] = []

            async def lost_and_flushed(batch: Batch) -> None:
                waiting.append(asyncio.create_task(b.writer.flush()))
                raise OutcomeUnknown("the connection broke")

            b.log.faults.append(lost_and_flushed)
            futures = [b.submit(b.buy("o2")), b.submit(b.buy("o1"))]
            replies = await answered(futures)
            assert [False, True] == [reply.duplicate for reply in replies]
            await asyncio.wait_for(asyncio.gather(*waiting), 5)
            await b.check()

    asyncio.run(run())


def test_repeat_of_a_request_that_was_decided_anew_gives_the_second_decision(schema: Any) -> None:
    """The first decision was never stored: its position must not be looked at."""

    async def run() -> None:
        async with bench(schema) as b:
            await b.send(b.buy("rest"))
            moved: list[bool] = []

            async def lost_and_moved(batch: Batch) -> None:
                # Decided again, the first command of the batch has fewer events.
                handler = HANDLERS[Deposit]
                HANDLERS[Deposit] = _refusing
                moved.append(True)
                asyncio.get_running_loop().call_later(0.5, HANDLERS.__setitem__, Deposit, handler)
                raise OutcomeUnknown("the connection broke")

            b.log.faults.append(lost_and_moved)
            deposit = b.submit(Deposit(b.account, 100, "d1"))
            first = b.submit(b.buy("o1"))
            again = b.submit(b.buy("o1"))
            replies = await answered([deposit, first, again])
            assert moved
            assert ["INVALID_FIELD"] == refused(replies)
            assert replies[1].order == replies[2].order
            assert replies[1].position == replies[2].position
            await asyncio.sleep(0.6)
            await b.check()

    asyncio.run(run())


def _refusing(step: Step, command: Any) -> Reply:
    from domain.errors import InvalidField

    raise InvalidField("amount", "is not wanted any more")


def _breaking(step: Step, command: Any) -> Reply:
    account = step.desk.accounts.account(command.account_id)
    account.deposit(step, command.amount, Request(), "")
    raise RuntimeError("a fault in a handler")


def _doubling(step: Step, command: Any) -> Reply:
    """Events that the store refuses: a version that is there already."""
    account = step.desk.accounts.account(command.account_id)
    account.set_limits(step, 0)
    event = step.events[-1]
    assert isinstance(event, AccountLimitsSet)
    step.events[-1] = msgspec.structs.replace(event, originator_version=1)
    return Reply(step.last_position())


@pytest.mark.parametrize("handler", [_breaking, _doubling])
def test_command_that_breaks_the_writer_is_quarantined_and_the_others_go_on(
    schema: Any, handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault in one command costs that command alone, and a person can look at it."""

    async def run() -> None:
        async with bench(schema) as b:
            monkeypatch.setitem(HANDLERS, Deposit, handler)
            b.log.quarantine_away = 2
            futures = [b.submit(b.buy(f"a{i}")) for i in range(3)]
            futures.append(b.submit(Deposit(b.account, 1, "poison")))
            futures += [b.submit(b.buy(f"b{i}")) for i in range(3)]
            replies = await answered(futures)
            assert ["COMMAND_QUARANTINED"] == refused(replies)
            assert replies[3].refusal is not None
            ((actor, command),) = await b.rows("SELECT actor, command FROM quarantined_commands")
            assert ("tester", encode_command(Deposit(b.account, 1, "poison"))) == (actor, command)
            monkeypatch.undo()
            desk = await b.check()
            assert 6 == len(desk.orders.working)

    asyncio.run(run())


def test_command_that_breaks_while_a_commit_fails_is_answered_too(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two faults at once are still one answer for each command."""

    async def run() -> None:
        async with bench(schema) as b:
            monkeypatch.setitem(HANDLERS, Deposit, _breaking)
            b.log.faults += [b.log.lost_before, b.log.lost_after]
            futures = [b.submit(b.buy(f"a{i}")) for i in range(3)]
            futures.append(b.submit(Deposit(b.account, 1, "poison")))
            futures += [b.submit(b.buy(f"b{i}")) for i in range(3)]
            replies = await answered(futures)
            assert ["COMMAND_QUARANTINED"] == refused(replies)
            monkeypatch.undo()
            await b.check()

    asyncio.run(run())


def test_orders_of_an_account_keep_their_order_through_a_recovery(schema: Any) -> None:
    """An order is placed and canceled by its id, pipelined, while the store fails."""

    async def run() -> None:
        async with bench(schema) as b:
            for number in range(3):
                b.log.faults.append(b.log.lost_before)
                keys = [f"{number}-{i}" for i in range(4)]
                futures = []
                for key in keys:
                    futures.append(b.submit(b.buy(key)))
                    futures.append(b.submit(CancelOrder(b.account, None, key, "c" + key)))
                assert [] == refused(await answered(futures))
            desk = await b.check()
            assert {} == desk.orders.working

    asyncio.run(run())


def test_idle_writer_notices_that_its_connection_is_gone(schema: Any) -> None:
    """A beat finds the loss before a command does, and the writer leads again."""

    async def run() -> None:
        async with bench(schema) as b:
            ((pid,),) = await b.rows("SELECT backend_pid FROM writer_epoch")
            assert [(True,)] == await b.rows(f"SELECT pg_terminate_backend({pid}, 5000)")
            b.writer.beat()
            reply = await b.send(b.buy("o1"))
            assert reply.refusal is None
            ((again,),) = await b.rows("SELECT backend_pid FROM writer_epoch")
            assert pid != again
            await b.check()

    asyncio.run(run())


def test_answer_without_a_commit_needs_a_fresh_lease(
    schema: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read commits nothing, so only the lease can tell that another writer leads by now."""

    async def run() -> None:
        async with bench(schema) as b:
            assert (await b.send(ReadState())).refusal is None
            rival = PostgresEventLog(schema.dsn, schema.schema, 0)
            assert await rival.try_take_over(0.0)
            monkeypatch.setattr("application.writer.committing.SURE_SECONDS", 0.0)
            nobodys = CancelOrder(UUID(int=1), None, "unknown", "")
            replies = await answered([b.submit(ReadState()), b.submit(nobodys)])
            assert ["VENUE_UNAVAILABLE"] * 2 == refused(replies)
            await rival.close()

    asyncio.run(run())


def test_full_queue_refuses_at_once_and_holds_no_more(schema: Any) -> None:
    """Beyond the bound nothing is kept: the answer is QUEUE_FULL before memory grows."""

    async def run() -> None:
        async with bench(schema, Limits(queue=50)) as b:
            b.log.gate.clear()
            futures = [b.submit(b.buy(f"o{i}")) for i in range(500)]
            full = [f for f in futures if f.done()]
            assert 450 == len(full)
            assert {"QUEUE_FULL"} == set(refused([f.result() for f in full]))
            assert 50 == b.writer.unanswered
            b.log.gate.set()
            replies = await answered(futures)
            assert 450 == len(refused(replies))
            desk = await b.check()
            assert 50 == len(desk.orders.working)

    asyncio.run(run())
