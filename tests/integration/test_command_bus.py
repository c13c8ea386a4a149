"""The command bus: batches over a unix socket, and writers that come and go behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uvloop

from application.commands import (
    BustTrade,
    CancelAll,
    ChangeInstrument,
    CheckMargins,
    CloseInstrument,
    CorrectTrade,
    Deposit,
    Envelope,
    ExpireOrders,
    HaltInstrument,
    ListInstrument,
    MarkInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    ReadState,
    Refusal,
    Reply,
    ResumeInstrument,
    SetAccountLimits,
    SetAccountPolicy,
    SetAccountStatus,
    SetCommissionSchedule,
    SetKillSwitch,
    Settle,
    decode_command,
)
from application.requests import Command
from domain.errors import VenueUnavailable
from infrastructure.command_bus import BusServer, UnixSocketBus

ACCOUNT = UUID(int=7)


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], None]:
    """Runs a coroutine on the loop of the processes and on the plain one."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(work: Any) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(asyncio.wait_for(work, 30))

    return run


@pytest.fixture
def path(server_home: Path, tmp_path: Path) -> Path:
    """A short path for the socket."""
    return server_home / f"bus-{abs(hash(tmp_path)) % 10**8}.sock"


class Writer:
    """Takes commands at the other end; answers when told to, with the place in line."""

    def __init__(self, path: Path) -> None:
        self.taken: list[tuple[Envelope, Callable[[Reply], object]]] = []
        self.answering = True
        self.server = BusServer(path, self.submit)

    def submit(self, envelope: Envelope, answer: Callable[[Reply], object]) -> None:
        self.taken.append((envelope, answer))
        if self.answering:
            answer(Reply(len(self.taken)))

    @property
    def commands(self) -> list[Any]:
        return [decode_command(envelope.body) for envelope, _ in self.taken]


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Writer]:
    """A writer that listens for the length of a block."""
    writer = Writer(path)
    await writer.server.open()
    try:
        yield writer
    finally:
        await writer.server.close()


def order(key: str) -> PlaceOrder:
    """An order with a request key."""
    return PlaceOrder(ACCOUNT, "ACME", 1, 2, 1, 10**8, 10**9, 0, key)


async def taken(writer: Writer, count: int) -> None:
    """Wait until the writer has taken so many commands in."""
    while len(writer.taken) < count:
        await asyncio.sleep(0.001)


def test_commands_arrive_as_they_were_sent_and_each_gets_its_own_answer(
    run: Any, path: Path
) -> None:
    """What is sent in one turn goes out together, in order; actor and gateway come along."""

    async def work() -> None:
        async with serving(path) as writer:
            bus = UnixSocketBus(path)
            sent = [order(f"o{i}") for i in range(2_000)]
            replies = await asyncio.gather(*[bus.send(c, "key:A", "http") for c in sent])
            assert list(range(1, 2_001)) == [reply.position for reply in replies]
            assert sent == writer.commands
            assert {("key:A", "http")} == {(e.actor, e.gateway) for e, _ in writer.taken}
            await bus.close()

    run(work())


def test_answers_may_come_in_any_order(run: Any, path: Path) -> None:
    """An answer belongs to the command it names, not to the oldest."""

    async def work() -> None:
        async with serving(path) as writer:
            writer.answering = False
            bus = UnixSocketBus(path)
            waiting = [asyncio.create_task(bus.send(order(f"o{i}"), "a", "t")) for i in range(3)]
            await taken(writer, 3)
            for number in (2, 0, 1):
                writer.taken[number][1](Reply(number))
            assert [0, 1, 2] == [reply.position for reply in await asyncio.gather(*waiting)]
            await bus.close()

    run(work())


def test_repeatable_commands_go_to_whoever_leads_next(run: Any, path: Path) -> None:
    """A writer that ends before it answers costs a client nothing but time."""

    async def work() -> None:
        bus = UnixSocketBus(path)
        async with serving(path) as first:
            first.answering = False
            waiting = [asyncio.create_task(bus.send(order(f"o{i}"), "a", "t")) for i in range(3)]
            waiting.append(asyncio.create_task(bus.send(ReadState(), "a", "t")))
            await taken(first, 4)
        async with serving(path) as second:
            replies = await asyncio.gather(*waiting)
            assert [1, 2, 3, 4] == [reply.position for reply in replies]
            assert first.commands == second.commands
            await bus.close()

    run(work())


@pytest.mark.parametrize(
    "command",
    [
        SetKillSwitch(None, True, "a runaway"),
        SetKillSwitch(ACCOUNT, False),
        SetAccountStatus(ACCOUNT, 1, "asked for"),
        SetAccountLimits(ACCOUNT, 500),
        SetAccountPolicy(ACCOUNT, True),
        SetCommissionSchedule(ACCOUNT, 0),
        ChangeInstrument("ACME", collar_bps=500),
        ChangeInstrument("ACME", new_symbol="ACME", name="Acme Corporation"),
        OpenAccount("a", "a", 1),
        ListInstrument("ACME", "Acme", "equity", "XNYS", 2, 10**7, 10**8),
        Deposit(ACCOUNT, 100, "once"),
    ],
    ids=lambda command: type(command).__name__,
)
def test_command_that_twice_does_what_once_does_survives_a_failover(
    run: Any, path: Path, command: Command
) -> None:
    """An operator who engages the kill switch while writers change is answered, not refused."""

    async def work() -> None:
        bus = UnixSocketBus(path)
        async with serving(path) as first:
            first.answering = False
            waiting = asyncio.create_task(bus.send(command, "a", "t"))
            await taken(first, 1)
        async with serving(path) as second:
            assert 1 == (await waiting).position
            assert [command] == first.commands == second.commands
            await bus.close()

    run(work())


@pytest.mark.parametrize(
    "command",
    [
        CancelAll(ACCOUNT),
        HaltInstrument("ACME", "news"),
        OpenInstrument("ACME", 20261120, 20261124, 0, 1),
        CloseInstrument("ACME"),
        ResumeInstrument("ACME"),
        MarkInstrument("ACME", 10**9),
        ChangeInstrument("ACME", new_symbol="ACM"),
        BustTrade(ACCOUNT, 1, "error"),
        CorrectTrade(ACCOUNT, 1, 10**9, "error"),
        Settle(20261124),
        CheckMargins(),
        ExpireOrders("ACME"),
        Deposit(ACCOUNT, 100, ""),
        order(""),
    ],
)
def test_command_that_a_repeat_could_double_or_misreport_is_sent_once(
    run: Any, path: Path, command: Command
) -> None:
    """Nobody knows whether it was done: the answer says so, and nothing is sent again."""

    async def work() -> None:
        bus = UnixSocketBus(path)
        async with serving(path) as first:
            first.answering = False
            waiting = asyncio.create_task(bus.send(command, "a", "t"))
            await taken(first, 1)
        with pytest.raises(VenueUnavailable, match="went away before it answered"):
            await waiting
        async with serving(path) as second:
            await bus.send(ReadState(), "a", "t")
            assert [ReadState()] == second.commands
            await bus.close()

    run(work())


@pytest.mark.parametrize(
    ("command", "answered"),
    [
        (SetKillSwitch(None, True, "a runaway"), True),
        (order("o1"), True),
        (HaltInstrument("ACME", "news"), False),
    ],
)
def test_what_a_writer_that_was_taken_over_refuses_is_asked_of_the_next_one(
    run: Any, path: Path, command: Command, answered: bool
) -> None:
    """It did nothing of it for sure, or nobody knows: what may be sent again is, the rest fails."""

    async def work() -> None:
        bus = UnixSocketBus(path)
        async with serving(path) as fenced:
            fenced.answering = False
            waiting = asyncio.create_task(bus.send(command, "a", "t"))
            await taken(fenced, 1)
            why = VenueUnavailable("this writer was taken over")
            fenced.taken[0][1](Reply(0, Refusal(why.code, why.message, {})))
        async with serving(path) as leader:
            if answered:
                assert 1 == (await waiting).position
                assert [command] == leader.commands
            else:
                with pytest.raises(VenueUnavailable):
                    await waiting
                assert [] == leader.commands
            await bus.close()

    run(work())


def test_writer_that_stands_still_is_left_for_the_one_that_took_its_place(
    run: Any, path: Path
) -> None:
    """A paused writer keeps its connections open; the new socket at the path tells the truth."""

    async def work() -> None:
        bus = UnixSocketBus(path)
        async with serving(path) as paused:
            paused.answering = False
            waiting = asyncio.create_task(bus.send(order("o1"), "a", "t"))
            await taken(paused, 1)
            async with serving(path) as leader:
                assert 1 == (await asyncio.wait_for(waiting, 5)).position
                assert [order("o1")] == leader.commands
                await bus.close()

    run(work())


def test_answers_of_a_leaving_writer_go_out_before_it_closes(run: Any, path: Path) -> None:
    """Who was answered knows it; who was not is served by the next."""

    async def work() -> None:
        bus = UnixSocketBus(path)
        async with serving(path) as leaving:
            leaving.answering = False
            waiting = [asyncio.create_task(bus.send(order(f"o{i}"), "a", "t")) for i in range(2)]
            await taken(leaving, 2)
            leaving.server.stop_reading()
            late = asyncio.create_task(bus.send(order("late"), "a", "t"))
            leaving.taken[0][1](Reply(41))
            leaving.taken[1][1](Reply(42))
            await leaving.server.close()
            assert [41, 42] == [reply.position for reply in await asyncio.gather(*waiting)]
            async with serving(path) as following:
                assert 1 == (await late).position
                assert [order("late")] == following.commands
                await bus.close()
            assert 2 == len(leaving.taken)

    run(work())


def test_command_waits_for_a_writer_until_its_time_is_over(run: Any, path: Path) -> None:
    """Without a writer the outcome is unavailable, in time, and the bus still works after."""

    async def work() -> None:
        bus = UnixSocketBus(path, timeout=0.2)
        with pytest.raises(VenueUnavailable):
            await bus.send(order("o1"), "a", "t")
        async with serving(path) as writer:
            assert 1 == (await bus.send(order("o2"), "a", "t")).position
            assert [order("o2")] == writer.commands
            await bus.close()

    run(work())


def test_answer_that_cannot_be_written_down_costs_nobody_elses(run: Any, path: Path) -> None:
    """One reply with a number beyond every encoding does not swallow the others of its turn."""

    async def work() -> None:
        async with serving(path) as writer:
            writer.answering = False
            bus = UnixSocketBus(path)
            waiting = [asyncio.create_task(bus.send(order(f"o{i}"), "a", "t")) for i in range(3)]
            await taken(writer, 3)
            writer.taken[0][1](Reply(1))
            writer.taken[1][1](Reply(2, result={"needed": 10**40}))
            writer.taken[2][1](Reply(3))
            first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
            assert isinstance(first, Reply) and isinstance(third, Reply)
            assert (1, 3) == (first.position, third.position)
            assert isinstance(second, VenueUnavailable)
            await bus.close()

    run(work())


def test_frame_that_is_no_frame_ends_that_connection_alone(run: Any, path: Path) -> None:
    """Rubbish on one connection, others go on; nothing of the rubbish is decided."""

    async def work() -> None:
        async with serving(path) as writer:
            bus = UnixSocketBus(path)
            await bus.send(order("o1"), "a", "t")
            for rubbish in (
                b"\x00\x00\x00\x03abc",
                b"\xff\xff\xff\xff",
                b"\x00\x00\x00\x02\x91\x01",
            ):
                reader, other = await asyncio.open_unix_connection(str(path))
                other.write(rubbish)
                assert b"" == await reader.read()
                other.close()
            assert 2 == (await bus.send(order("o2"), "a", "t")).position
            assert [order("o1"), order("o2")] == writer.commands
            await bus.close()

    run(work())


def test_closing_the_bus_answers_what_is_out(run: Any, path: Path) -> None:
    """A gateway that leaves tells its clients that the outcome is not known."""

    async def work() -> None:
        async with serving(path) as writer:
            writer.answering = False
            bus = UnixSocketBus(path)
            waiting = asyncio.create_task(bus.send(order("o1"), "a", "t"))
            await taken(writer, 1)
            await bus.close()
            with pytest.raises(VenueUnavailable):
                await waiting

    run(work())
