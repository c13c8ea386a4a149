"""Who listens is told of every update once and in order, whatever comes between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from api.asset_classes import AssetClasses
from api.cli.gateway import ANSWERS_A_PING_WITHIN
from api.groups import Groups
from api.patience import PATIENCE_SECONDS
from api.ws import outbox, subscriptions
from api.ws.outbox import Outbox
from api.ws.stream import AUTHENTICATE_WITHIN
from api.ws.subscriptions import Since, Subscriptions
from application.commands import CorrectTrade
from application.log import whole_commands
from application.log.ports import Batch, Recorded
from application.log.whole_commands import read_stretch
from domain.errors import InvalidField, VenueUnavailable
from domain.events import OrderFilled
from domain.terms import Side
from infrastructure.log.codec import typed_columns
from infrastructure.log.memory import MemoryLog
from tests.model.command_flow import lived
from tests.model.desk_harness import trading_desk, wire
from tests.model.told_updates import Told, told_of

COMMANDS = 400


@pytest.fixture(scope="module")
def story() -> list[Recorded]:
    """A log in which orders and groups are placed, replaced, filled, busted and ended."""
    return [Recorded(row.position, event) for row, event in _rows(lived(7, COMMANDS).log)]


def _rows(log: MemoryLog) -> Iterator[tuple[Any, Any]]:
    return zip(log.rows, log.events(), strict=True)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "FIRST_BACKOFF", 0)
    monkeypatch.setattr(subscriptions, "LAST_BACKOFF", 0)


class LivingLog(MemoryLog):
    """A log that grows while it is followed, and at times answers with an error."""

    def __init__(self, story: Sequence[Recorded], seed: int = 0) -> None:
        super().__init__()
        self._commands = [
            [event for _, event in group]
            for _, group in groupby(story, key=lambda one: one.event.correlation_id)
        ]
        self._chance = random.Random(seed)
        self._news = asyncio.Event()
        self.errors = 0.0
        self.answered_errors = 0

    async def grow(self, commands: int) -> bool:
        """Commit some more commands; false when there are no more."""
        for _ in range(min(commands, len(self._commands))):
            await self.append(Batch(len(self.rows) + 1, self._commands.pop(0), []))
        self._news.set()
        return bool(self._commands)

    async def wait(self, timeout: float) -> None:
        await self._news.wait()
        self._news.clear()

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        await self._answer()
        return await super().read(after, limit, topics=topics)

    async def read_of_account(self, *asked: Any) -> Sequence[Recorded]:
        await self._answer()
        return await super().read_of_account(*asked)

    async def stream(self, *asked: Any) -> Sequence[Recorded]:
        await self._answer()
        return await super().stream(*asked)

    async def last_position(self) -> int:
        await self._answer()
        return await super().last_position()

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self._chance.random() < self.errors:
            self.answered_errors += 1
            kinds = (psycopg.OperationalError, psycopg.InternalError, ConnectionResetError)
            raise self._chance.choice(kinds)("the store answers an error")


class Client:
    """Reads its outbox at a pace of its own, and notes what it was told."""

    def __init__(self, updates: Subscriptions, account_id: UUID, pauses: int = 0) -> None:
        self._updates = updates
        self._account_id = account_id
        self._pauses = pauses
        self._reading: asyncio.Task[None] | None = None
        self.outbox = Outbox()
        self.told: list[Told] = []
        self.from_position = 0

    async def listen(self, since: Since | None = None) -> None:
        """Subscribe, from the position given or from now on."""
        self.outbox = Outbox()
        position = await self._again(since)
        if since is None:
            self.from_position = position
        self._reading = asyncio.create_task(self._read(self.outbox))

    async def _again(self, since: Since | None) -> int:
        while True:
            try:
                return await self._updates.listen(self._account_id, self.outbox, since)
            except VenueUnavailable:
                await asyncio.sleep(0)

    async def _read(self, outbox: Outbox) -> None:
        while True:
            message = msgspec.json.decode(await outbox.next())
            self.told.append(Told.by(message["data"]))
            for _ in range(self._pauses):
                await asyncio.sleep(0)

    async def reconnect(self) -> None:
        """Lose the connection with all that was not read, and go on after the last update."""
        await self.leave()
        last = self.told[-1] if self.told else Told(self.from_position, "")
        await self.listen(Since(*last))

    async def leave(self) -> None:
        """Leave in the middle of whatever is under way."""
        assert self._reading is not None
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._updates.leave(self.outbox)

    async def told_all(self, story: Sequence[Recorded]) -> None:
        """Wait for the last update; then each was told once, in order."""
        wanted = [one for one in told_of(story, self._account_id)]
        wanted = [one for one in wanted if one.position > self.from_position]
        while len(self.told) < len(wanted):
            await asyncio.sleep(0)
        assert wanted == self.told
        assert not self.outbox.ended.is_set()


def of_accounts(story: Sequence[Recorded], count: int) -> list[UUID]:
    """The accounts with the most updates."""
    accounts = {getattr(event, "account_id", None) for _, event in story} - {None}
    return sorted(accounts, key=lambda one: (-len(told_of(story, one)), one.int))[:count]


def subscriptions_on(log: MemoryLog) -> Subscriptions:
    """What follows a log for its listeners."""
    return Subscriptions(log, log, AssetClasses(log), Groups(log))


@pytest.mark.parametrize("errors", [0.0, 0.2])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_update_is_told_once_and_in_order(
    story: list[Recorded], errors: float, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through errors of the store, reconnects, slow readers, and listeners of other accounts."""
    monkeypatch.setattr("api.ws.outbox.UPDATES_WAITING", 8)
    monkeypatch.setattr(subscriptions, "CATCH_UP_AT_ONCE", 5)
    monkeypatch.setattr(subscriptions, "TOLD_AT_ONCE", 1)
    monkeypatch.setattr(whole_commands, "STRETCH", 40)
    one, other = of_accounts(story, 2)

    async def play() -> int:
        chance = random.Random(seed)
        log = LivingLog(story, seed)
        await log.grow(30)
        log.errors = errors
        updates = subscriptions_on(log)
        clients = [Client(updates, one), Client(updates, one, pauses=200), Client(updates, other)]
        clients += [Client(updates, one, pauses) for pauses in (0, 3, 10)]
        for client in clients:
            await client.listen()
        while await log.grow(chance.randint(1, 9)):
            for _ in range(chance.randint(0, 30)):
                await asyncio.sleep(0)
            if chance.random() < 0.3:
                await chance.choice(clients).reconnect()
        await asyncio.wait_for(asyncio.gather(*(c.told_all(story) for c in clients)), 60)
        await updates.stop()
        return log.answered_errors

    assert bool(errors) == bool(asyncio.run(play()))


def test_client_that_names_its_last_update_is_told_the_rest_of_its_position(
    story: list[Recorded],
) -> None:
    """A replacement tells two updates at one position; the second alone is told to who has one."""
    account = of_accounts(story, 1)[0]
    wanted = told_of(story, account)
    replaced = next(n for n, one in enumerate(wanted) if one.event == "replaced")
    assert wanted[replaced + 1] == Told(wanted[replaced].position, "new")

    async def heard_since(since: Since, count: int) -> list[Told]:
        log = LivingLog(story)
        while await log.grow(50):
            pass
        updates = subscriptions_on(log)
        client = Client(updates, account)
        await client.listen(since)
        while len(client.told) < count:
            await asyncio.sleep(0)
        await updates.stop()
        return client.told

    position = wanted[replaced].position
    for since, first in (
        (Since(position, "replaced"), replaced + 1),
        (Since(position, "new"), replaced + 2),
        (Since(position), replaced + 2),
        (Since(position - 1), replaced),
        (Since(0), 0),
    ):
        told = asyncio.run(asyncio.wait_for(heard_since(since, len(wanted) - first), 30))
        assert wanted[first:] == told


def test_fill_is_told_with_the_position_it_left_whatever_corrected_it_since() -> None:
    """A correction books the trade once more, where the position is by then."""
    venue = trading_desk()
    venue.place(venue.b, Side.SELL, 10, 100)
    venue.place(venue.a, Side.BUY, 4, 100)
    first = venue._found_last_trade()
    venue.place(venue.a, Side.BUY, 6, 100)
    assert venue.send(CorrectTrade(first, 1, wire(99), "mispriced")).refusal is None

    async def heard() -> list[tuple[int, str]]:
        log = LivingLog([Recorded(n, event) for n, event in enumerate(venue.log, 1)])
        while await log.grow(50):
            pass
        updates = subscriptions_on(log)
        box = Outbox()
        await updates.listen(venue.a, box, Since(0))
        told = []
        while len(told) < 5:
            told.append(msgspec.json.decode(await asyncio.wait_for(box.next(), 5))["data"])
        await updates.stop()
        return [(one["position"], one["position_qty"]) for one in told if one["event"] == "fill"]

    fills = [n for n, e in enumerate(venue.log, 1) if isinstance(e, OrderFilled)]
    wanted = ["1004.00000000", "1010.00000000"]
    assert list(zip(fills[::2], wanted, strict=True)) == asyncio.run(heard())


def test_position_beyond_the_log_is_refused_by_its_name(story: list[Recorded]) -> None:
    """A future position is a mistake of the client's, and what it listened to goes on."""
    account = of_accounts(story, 1)[0]

    async def play() -> None:
        log = LivingLog(story)
        await log.grow(30)
        updates = subscriptions_on(log)
        client = Client(updates, account)
        await client.listen()
        with pytest.raises(InvalidField) as refusal:
            await updates.listen(account, client.outbox, Since(len(log.rows) + 1))
        assert "data.since_position" == refusal.value.details["field"]
        while await log.grow(50):
            await asyncio.sleep(0)
        await asyncio.wait_for(client.told_all(story), 30)
        await updates.stop()

    asyncio.run(play())


def test_fault_in_one_accounts_updates_ends_its_stream_and_no_other(
    story: list[Recorded], caplog: pytest.LogCaptureFixture
) -> None:
    """Better no updates than wrong ones; those of others do not wait for a person."""
    one, other = of_accounts(story, 2)
    first = {event.originator_id: place for place, event in reversed(story)}
    ends = [told.position for told in told_of(story, one) if told.event == "canceled"]
    wrong, damaged = next(
        (place, order_id)
        for place in ends
        if first[order_id := story[place - 1].event.originator_id] < place - 40
    )

    class Damaged(LivingLog):
        async def stream(self, originator_id: UUID, *asked: Any) -> Sequence[Recorded]:
            assert originator_id != damaged, "this life cannot be read"
            return await super().stream(originator_id, *asked)

    async def play() -> None:
        log = Damaged(story)
        while len(log.rows) < wrong - 20:
            await log.grow(1)
        updates = subscriptions_on(log)
        clients = [Client(updates, one), Client(updates, other)]
        for client in clients:
            await client.listen()
        while await log.grow(5):
            await asyncio.sleep(0)
        await asyncio.wait_for(clients[0].outbox.ended.wait(), 30)
        await asyncio.wait_for(clients[1].told_all(story), 30)
        await updates.stop()

    asyncio.run(play())
    assert "no more trade updates for one listener" in caplog.text


@pytest.mark.parametrize("limit", [1, 3, 1_000])
@pytest.mark.parametrize("stretch", [1, 7, 10_000])
def test_an_accounts_stretches_are_whole_commands_and_all_of_them(
    story: list[Recorded], limit: int, stretch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is cut, nothing is left out, told twice or torn from its command."""
    monkeypatch.setattr(whole_commands, "STRETCH", stretch)
    account = of_accounts(story, 1)[0]
    log = MemoryLog()
    log.load(story, [])
    topics = tuple({event.TOPIC for _, event in story})
    mine = [one for one in story if typed_columns(one.event).account_id == account]

    async def read() -> list[Recorded]:
        found: list[Recorded] = []
        reached = 0
        while reached < len(story):
            wanted = range(reached + 1, len(story) + 1)
            events, now = await read_stretch(log, account, wanted, limit, topics)
            assert now > reached
            if events:
                assert events[-1].position <= now
                left = {e.correlation_id for p, e in mine if p > now}
                assert events[-1].event.correlation_id not in left
            found += events
            reached = now
        return found

    assert mine == asyncio.run(read())


def test_outbox_takes_no_more_updates_than_fit_and_says_when_there_is_room() -> None:
    """Memory is bounded; updates that belong together are taken together or not at all."""

    async def play() -> None:
        box, bound = Outbox(), outbox.UPDATES_WAITING
        taken = 0
        while box.tell([{"position": taken}, {"position": taken}]):
            taken += 1
        assert bound <= 2 * taken <= bound + 1
        waiting = asyncio.create_task(box.room())
        for _ in range(bound // 2):
            await box.next()
        await asyncio.wait_for(waiting, 5)
        assert box.tell([{"position": taken}])
        assert not box.full.is_set()

    asyncio.run(play())


def test_figures_of_the_stream_are_those_of_its_document() -> None:
    """Whoever changes one of them changes what clients are told."""
    said = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    assert f"beyond {outbox.UPDATES_WAITING} updates" in said
    assert f"leaves {outbox.MESSAGES_WAITING:,} answers unread" in said
    assert f"waits up to {PATIENCE_SECONDS:.0f} s" in said
    assert (600.0, "ten minutes" in said) == (ANSWERS_A_PING_WITHIN, True)
    assert (10.0, "ten seconds" in said) == (AUTHENTICATE_WITHIN, True)
