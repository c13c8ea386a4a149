"""A venue that is too busy says so before waiting is useless, and lets people cancel."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.commands import (
    CancelAll,
    CancelOrder,
    HaltInstrument,
    PlaceOrder,
    ReadOrder,
    ReadState,
    Reply,
    SetAccountStatus,
    SetKillSwitch,
)
from application.log.ports import Batch, OutcomeUnknown
from application.requests import Command
from application.writer.gathering import Limits
from domain.terms import Side
from infrastructure.log.memory import MemoryLog
from tests.model.desk_harness import DeskHarness, shares, trading_desk, wire
from tests.model.memory_writer import MemoryWriter, logged, on_a_writer

BUSY = "QUEUE_FULL"


@pytest.fixture
def venue() -> DeskHarness:
    """An open market and two accounts."""
    return trading_desk()


def order(venue: DeskHarness, client: str) -> PlaceOrder:
    """A limit order that rests."""
    return PlaceOrder(venue.a, "X", int(Side.BUY), 2, 1, shares(1), wire(90), 0, client)


def code(reply: Reply) -> str:
    """What a command is refused with; empty when it is not."""
    return "" if reply.refusal is None else reply.refusal.code


class SlowStore:
    """Holds commits and recoveries of a log in memory back, or loses a commit."""

    def __init__(self, log: MemoryLog, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.recovery = asyncio.Event()
        self.recovery.set()
        self.fails = False
        append, take_over = log.append, log.take_over

        async def slowly(batch: Batch) -> None:
            await self.gate.wait()
            if self.fails:
                self.fails = False
                raise OutcomeUnknown("lost")
            await append(batch)

        async def taken_over() -> int:
            await self.recovery.wait()
            return await take_over()

        monkeypatch.setattr(log, "append", slowly)
        monkeypatch.setattr(log, "take_over", taken_over)


Scene = Callable[[MemoryWriter, SlowStore], Awaitable[None]]


def play(
    venue: DeskHarness, monkeypatch: pytest.MonkeyPatch, scene: Scene, queue: int = 1_000
) -> None:
    """A scene with a writer whose oldest command may wait for a second."""
    log = logged(venue)

    async def on(writer: MemoryWriter) -> None:
        writer.passes(100)
        await scene(writer, SlowStore(log, monkeypatch))

    on_a_writer(log, on, limits=Limits(queue=queue, oldest_ms=1_000))


def test_order_is_refused_at_once_while_another_waits_too_long(venue, monkeypatch):
    """Nothing is taken: no event, no key; and what waits is done when the store goes on."""

    async def scene(writer: MemoryWriter, store: SlowStore) -> None:
        store.gate.clear()
        first = writer.begin(order(venue, "1"))
        writer.passes(0.9)
        second = writer.begin(order(venue, "2"))
        writer.passes(0.2)
        assert [BUSY] * 3 == await writer.codes(*[order(venue, "3")] * 3)
        assert not first.done()
        assert not second.done()
        store.gate.set()
        assert ["", ""] == [code(await one) for one in (first, second)]
        assert [""] == await writer.codes(order(venue, "3"))

    play(venue, monkeypatch, scene)


def test_nobody_is_refused_while_the_log_goes_to_another_store(venue, monkeypatch):
    """However long what is under way waits for that: it is stored at once afterwards."""

    async def scene(writer: MemoryWriter, store: SlowStore) -> None:
        store.gate.clear()
        first = writer.begin(order(venue, "1"))
        monkeypatch.setattr(MemoryLog, "is_held", True)
        writer.passes(1.5)
        second = writer.begin(order(venue, "2"))
        await asyncio.sleep(0)
        assert not second.done()
        monkeypatch.setattr(MemoryLog, "is_held", False)
        writer.passes(0.9)
        third = writer.begin(order(venue, "3"))
        store.gate.set()
        assert [""] * 3 == [code(await one) for one in (first, second, third)]

    play(venue, monkeypatch, scene)


@pytest.mark.parametrize(
    "command",
    [
        lambda venue: CancelOrder(venue.a, None, "1", "c"),
        lambda venue: CancelAll(venue.a),
        lambda venue: SetKillSwitch(None, True, "too much"),
        lambda venue: SetKillSwitch(venue.a, True, "too much"),
        lambda venue: SetAccountStatus(venue.a, 2, "too much"),
        lambda venue: HaltInstrument("X", "too much"),
        lambda venue: ReadOrder(venue.a, None, "1"),
        lambda venue: ReadState(),
    ],
    ids=["cancel", "cancel all", "kill switch", "of an account", "status", "halt", "read", "state"],
)
def test_what_takes_risk_away_is_taken_however_busy_it_is(
    venue: DeskHarness, monkeypatch: pytest.MonkeyPatch, command: Callable[[DeskHarness], Command]
) -> None:
    """Whoever may not send an order can still cancel, and operators can stop the venue."""

    async def scene(writer: MemoryWriter, store: SlowStore) -> None:
        await writer.codes(order(venue, "1"))
        store.gate.clear()
        writer.begin(order(venue, "2"))
        writer.passes(5)
        assert [BUSY] == await writer.codes(order(venue, "3"))
        taken = writer.begin(command(venue))
        await asyncio.sleep(0)
        assert not taken.done()
        store.gate.set()
        assert "" == code(await taken)

    play(venue, monkeypatch, scene)


def test_cancels_find_room_in_a_queue_that_is_full_of_orders(venue, monkeypatch):
    """A quarter on top of the queue is kept for them, and no more than that."""

    async def scene(writer: MemoryWriter, store: SlowStore) -> None:
        await writer.codes(order(venue, "1"))
        store.gate.clear()
        for number in range(8):
            writer.begin(order(venue, f"o{number}"))
        assert [BUSY] == await writer.codes(order(venue, "more"))
        cancels = [writer.begin(CancelOrder(venue.a, None, "1", f"c{n}")) for n in range(3)]
        assert [False, False, True] == [one.done() for one in cancels]
        assert 10 == writer.sequencer.unanswered
        store.gate.set()
        assert ["", "ORDER_NOT_WORKING", BUSY] == [code(await one) for one in cancels]

    play(venue, monkeypatch, scene, queue=8)


def test_recovery_is_waited_for_and_what_waited_is_not_held_against_anybody(venue, monkeypatch):
    """While the desk is built anew nothing is refused for its age, nor is anything right after."""

    async def scene(writer: MemoryWriter, store: SlowStore) -> None:
        store.recovery.clear()
        store.fails = True
        first = writer.begin(order(venue, "1"))
        while writer.sequencer.ready.is_set():
            await asyncio.sleep(0)
        writer.passes(30)
        second = writer.begin(order(venue, "2"))
        store.gate.clear()
        store.recovery.set()
        await writer.sequencer.ready.wait()
        third = writer.begin(order(venue, "3"))
        await asyncio.sleep(0)
        assert not third.done()
        writer.passes(1.1)
        assert [BUSY] == await writer.codes(order(venue, "4"))
        store.gate.set()
        assert ["", "", ""] == [code(await one) for one in (first, second, third)]
        writer.said.clear()

    play(venue, monkeypatch, scene)


def test_commands_of_the_venues_own_are_taken_always(venue, monkeypatch):
    """Timers close sessions and settle however many orders wait."""

    async def scene(writer: MemoryWriter, store: SlowStore) -> None:
        store.gate.clear()
        writer.begin(order(venue, "1"))
        writer.passes(5)
        assert [BUSY] == await writer.codes(order(venue, "2"))
        own = asyncio.create_task(writer.sequencer.send(order(venue, "3")))
        await asyncio.sleep(0)
        store.gate.set()
        assert "" == code(await own)

    play(venue, monkeypatch, scene)


def test_what_cannot_be_read_is_refused_like_any_order(venue, monkeypatch):
    """Bytes that are no command find no way past the queue."""

    async def scene(writer: MemoryWriter, store: SlowStore) -> None:
        store.gate.clear()
        writer.begin(order(venue, "1"))
        writer.passes(5)
        for body in (b"\xc0", b"\x91\xa4what", b""):
            assert BUSY == code(await writer.send(body))
        store.gate.set()

    play(venue, monkeypatch, scene)
