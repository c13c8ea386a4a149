"""What a writer that recovers must not forget: commands that waited for the store meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from uuid import UUID

import msgspec
import pytest

from application.commands import CancelOrder, Command, Deposit, Envelope, Reply, encode_command
from application.desk.state import dump, state_hash
from application.log.ports import Batch, DeskSnapshot, Fenced, OutcomeUnknown, Recorded, RequestKey
from application.writer.loading import warm_filter
from application.writer.request_keys import RequestKeys, key_of_event
from application.writer.sequencer import Sequencer
from domain.terms import Side
from infrastructure.clock import SystemClock
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.desk_harness import DeskHarness, trading_desk


class SlowLog(MemoryLog):
    """A log whose next commit is lost, and whose takeover and look-ups of one kind, `stream` or
    `find_key`, end when a test says so.
    """

    def __init__(self, venue: DeskHarness, slow: str) -> None:
        super().__init__()
        self._slow = slow
        recorded = [Recorded(n, event) for n, event in enumerate(venue.log, 1)]
        keys = [key for row in recorded if (key := key_of_event(row.event, row.position))]
        self.load(recorded, keys)
        self.losing = False
        self.unreadable = 0
        self.looked_up = asyncio.Event()
        self.look_up = asyncio.Event()
        self.lost = asyncio.Event()
        self.lead = asyncio.Event()

    async def take_over(self) -> int:
        if self.losing:
            self.lost.set()
            await self.lead.wait()
        self.losing = False
        return await super().take_over()

    async def append(self, batch: Batch) -> None:
        if self.losing:
            raise OutcomeUnknown("the connection broke")
        await super().append(batch)

    async def stream(self, originator_id: UUID) -> Sequence[Recorded]:
        await self._wait("stream")
        if self.unreadable > 0:
            self.unreadable -= 1
            raise ValueError("an event of an unknown version")
        return await super().stream(originator_id)

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        await self._wait("find_key")
        return await super().find_key(account_id, key)

    async def _wait(self, kind: str) -> None:
        if kind == self._slow:
            self.looked_up.set()
            await self.look_up.wait()


def snapshot_of(venue: DeskHarness) -> MemorySnapshots:
    """A desk snapshot at the end of what a desk lived through."""
    snapshots = MemorySnapshots()
    desk = venue.desk
    snapshot = DeskSnapshot(desk.position, state_hash(desk), dump(desk))
    asyncio.run(snapshots.save(snapshot, venue.at))
    return snapshots


@asynccontextmanager
async def leading(
    log: MemoryLog, snapshots: MemorySnapshots
) -> AsyncIterator[Callable[[Command], asyncio.Future[Reply]]]:
    """A writer that leads the log for the length of a block; what submits a command to it."""
    writer = Sequencer(log, snapshots, SystemClock(), say=lambda _: None)
    running = asyncio.create_task(writer.run())
    await writer.ready.wait()

    def submit(command: Command) -> asyncio.Future[Reply]:
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = msgspec.Raw(encode_command(command))
        writer.submit(Envelope("tester", "test", body), answered.set_result)
        return answered

    yield submit
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def answer_of(venue: DeskHarness, command: Command, slow: str) -> Reply:
    """The answer to a command whose look-up ends while the writer recovers, and so before the
    next desk stands.
    """
    snapshots = snapshot_of(venue)

    async def play() -> Reply:
        log = SlowLog(venue, slow)
        async with leading(log, snapshots) as submit:
            answered = submit(command)
            await log.looked_up.wait()
            log.losing = True
            other = submit(Deposit(venue.b, 5, "cash"))
            await log.lost.wait()
            log.look_up.set()
            for _ in range(20):
                await asyncio.sleep(0)
            log.lead.set()
            assert (await asyncio.wait_for(other, 10)).refusal is None
            return await asyncio.wait_for(answered, 10)

    return asyncio.run(play())


class Ended(NamedTuple):
    """A desk that has seen an order end, and the command that ended it."""

    venue: DeskHarness
    cancel: CancelOrder


@pytest.fixture
def ended() -> Ended:
    """A desk on which an order was canceled."""
    venue = trading_desk()
    order = venue.place(venue.a, Side.BUY, 5, 100, client="mine").order
    cancel = CancelOrder(venue.a, order.order_id, "", "the end")
    venue.send(cancel)
    return Ended(venue, cancel)


def test_order_that_was_found_for_a_dropped_desk_is_found_for_the_next(ended: Ended) -> None:
    """An order that ended long ago is known as such, also to a command that a recovery delays."""
    late = msgspec.structs.replace(ended.cancel, request_key="late")

    answered = answer_of(ended.venue, late, "stream")

    assert answered.refusal is not None
    assert "ORDER_NOT_WORKING" == answered.refusal.code


def test_repeat_that_a_recovery_delays_is_still_a_repeat(ended: Ended) -> None:
    """A key that was found for a desk that is dropped is known on the next as well."""
    answered = answer_of(ended.venue, ended.cancel, "find_key")

    assert answered.refusal is None
    assert answered.duplicate


def test_command_whose_look_up_breaks_is_set_aside_and_its_account_goes_on(ended: Ended) -> None:
    """It is answered and quarantined; whoever stood behind it in the account does not wait."""
    snapshots = snapshot_of(ended.venue)
    cancels = [
        msgspec.structs.replace(ended.cancel, request_key=f"late {number}") for number in range(3)
    ]

    async def play() -> None:
        log = SlowLog(ended.venue, "stream")
        log.look_up.set()
        log.unreadable = 2
        async with leading(log, snapshots) as submit:
            replies = await asyncio.wait_for(asyncio.gather(*map(submit, cancels)), 10)
        codes = [reply.refusal.code for reply in replies if reply.refusal is not None]
        assert ["COMMAND_QUARANTINED"] * 2 + ["ORDER_NOT_WORKING"] == codes
        assert [encode_command(c) for c in cancels[:2]] == [q.command for q in log.quarantined]
        assert 2 == len({q.correlation_id for q in log.quarantined})

    asyncio.run(play())


@pytest.mark.parametrize("slow", ["find_key", "stream"])
def test_command_that_looks_something_up_is_answered_when_the_writer_is_fenced(
    ended: Ended, slow: str
) -> None:
    """Another writer leads: whoever waits for the store hears it too, repeats as well."""
    snapshots = snapshot_of(ended.venue)
    late = msgspec.structs.replace(ended.cancel, request_key="late")

    class Lost(SlowLog):
        async def append(self, batch: Batch) -> None:
            if self.losing:
                raise Fenced
            await super().append(batch)

    async def play() -> None:
        log = Lost(ended.venue, slow)
        async with leading(log, snapshots) as submit:
            if slow == "find_key":
                log.look_up.set()
                assert (await submit(ended.cancel)).duplicate
                log.look_up.clear()
                log.looked_up.clear()
            waits = submit(ended.cancel if slow == "find_key" else late)
            await log.looked_up.wait()
            log.losing = True
            decided = submit(Deposit(ended.venue.b, 5, "cash"))
            for answered in (waits, decided):
                refusal = (await asyncio.wait_for(answered, 10)).refusal
                assert refusal is not None
                assert "VENUE_UNAVAILABLE" == refusal.code

    asyncio.run(play())


class CollidingLog(MemoryLog):
    """A log whose next batch collides with events that its writer does not know of."""

    def __init__(self) -> None:
        super().__init__()
        self.collide = False
        self.taken_over_by_another = False

    async def append(self, batch: Batch) -> None:
        if self.collide:
            self.collide = False
            raise ValueError("duplicate key value violates unique constraint")
        await super().append(batch)

    async def take_over(self) -> int:
        if self.taken_over_by_another:
            raise Fenced
        return await super().take_over()


@pytest.mark.parametrize("taken_over", [False, True])
def test_lone_command_that_collides_is_decided_again_before_it_is_blamed(taken_over: bool) -> None:
    """What it collides with may be another writer's: then nothing is wrong with the command."""
    venue = trading_desk()
    log = CollidingLog()
    log.load([Recorded(n, event) for n, event in enumerate(venue.log, 1)], [])
    snapshots = snapshot_of(venue)

    async def play() -> None:
        async with leading(log, snapshots) as submit:
            log.collide, log.taken_over_by_another = True, taken_over
            reply = await asyncio.wait_for(submit(Deposit(venue.a, 5, "good")), 10)
            code = None if reply.refusal is None else reply.refusal.code
            assert ("VENUE_UNAVAILABLE" if taken_over else None) == code
            assert [] == log.quarantined

    asyncio.run(play())


class ManyKeys(MemoryLog):
    """A log with keys of the past, read in pages of two; it is away when a test says so."""

    def __init__(self, keys: Sequence[tuple[UUID, str]]) -> None:
        super().__init__()
        self._past = sorted(keys)
        self.away = 0
        self.asked: list[tuple[UUID, str] | None] = []

    async def keys_up_to(
        self, position: int, after: tuple[UUID, str] | None = None, limit: int = 10_000
    ) -> Sequence[tuple[UUID, str]]:
        if self.away:
            self.away -= 1
            raise OutcomeUnknown("the store is away")
        self.asked.append(after)
        await asyncio.sleep(0)
        return [key for key in self._past if after is None or key > after][:2]


OLD = [(UUID(int=1), f"k{number}") for number in range(6)]


def test_store_that_is_away_only_delays_the_reading_of_old_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else every new key would have to be looked up for as long as the writer lives."""
    monkeypatch.setattr("application.log.away.FIRST_BACKOFF", 0)
    log, keys = ManyKeys(OLD), RequestKeys(warm_up_to=9)
    log.away = 3

    asyncio.run(warm_filter(log, keys))

    assert not keys.warming
    assert all(keys.needs_look_up(key) for key in OLD)


def test_reading_of_old_keys_goes_on_where_another_left_it() -> None:
    """A standby that takes the lead half way hands over what it has read."""

    async def work() -> None:
        log, keys = ManyKeys(OLD), RequestKeys(warm_up_to=9)
        standing_by = asyncio.create_task(warm_filter(log, keys))
        while len(log.asked) < 3:
            await asyncio.sleep(0)
        standing_by.cancel()
        await asyncio.gather(standing_by, return_exceptions=True)
        assert keys.warming and keys.warmed_to == OLD[3]

        await warm_filter(log, keys)

        assert [None, OLD[1], OLD[3], OLD[3], OLD[5]] == log.asked
        assert not keys.warming
        assert all(keys.needs_look_up(key) for key in OLD)

    asyncio.run(work())
