"""What sessions are told of lively days adds up for a client that knows nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest

from api.fix.application import follower, rendering
from api.fix.application.behind import Behind
from api.fix.application.gateway import FixApplication
from api.fix.application.reports import ASKED
from api.fix.application.terms import SessionTerms, door_of
from api.fix.ports import SessionId
from application.commands import Envelope, Reply, encode_command
from application.log import whole_commands
from application.log.ports import Batch, Recorded
from application.requests import Command
from domain.events import DomainEvent, OrderCanceled, OrderEvent, OrderReplaced, RequestRefused
from tests.model.command_flow import InMemoryVenue
from tests.model.fix_books import FixBooks
from tests.model.fix_venue import NewsLog, RecordingLink, TickingClock, is_fix_44

COMMANDS = 350
SESSIONS = [SessionId("NEXUS", f"C{number}") for number in range(3)]
COPY = SessionId("NEXUS", "COPY")


class ManyDoors(InMemoryVenue):
    """A venue whose commands come through three sessions and through HTTP."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._doors = random.Random(seed)

    async def decide(self, command: Command, actor: str = "somebody") -> Reply:
        door = self._doors.choice(["http", *map(door_of, SESSIONS)])
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = msgspec.Raw(encode_command(command))
        self.writer.submit(Envelope(actor, door, body), answered.set_result)
        reply = await answered
        self.flow.heard(command, reply)
        return reply


def day(seed: int) -> tuple[list[Recorded], list[UUID]]:
    """A log, and its accounts."""
    venue = ManyDoors(seed)
    asyncio.run(venue.live(COMMANDS))
    events = venue.log.events()
    return [Recorded(n, event) for n, event in enumerate(events, 1)], venue.flow.accounts


class LivingLog(NewsLog):
    """A log that grows while it is read, and at times answers with an error."""

    def __init__(self, story: Sequence[Recorded], seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.errors = 0.0
        self._commands: Iterator[list[DomainEvent]] = iter(
            [
                [one.event for one in group]
                for _, group in groupby(story, key=lambda one: one.event.correlation_id)
            ]
        )

    async def grow(self) -> bool:
        """Commit one more command; false when there is none."""
        events = next(self._commands, None)
        if events is not None:
            await self.append(Batch(len(self.rows) + 1, events, []))
        return events is not None

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self._chance.random() < self.errors:
            raise psycopg.OperationalError("the store answers an error")

    async def read(self, *asked: Any, **topics: Any) -> Sequence[Recorded]:
        await self._answer()
        return await super().read(*asked, **topics)

    async def read_of_account(self, *asked: Any) -> Sequence[Recorded]:
        await self._answer()
        return await super().read_of_account(*asked)

    async def first_events(self, *asked: Any) -> Sequence[Recorded]:
        await self._answer()
        return await super().first_events(*asked)

    async def stream(self, *asked: Any) -> Sequence[Recorded]:
        await self._answer()
        return await super().stream(*asked)

    async def last_position(self) -> int:
        await self._answer()
        return await super().last_position()


def owed(story: Sequence[Recorded], door: str | None) -> list[int]:
    """The positions that a session is owed, read off the log alone; all of them without a door."""
    owner: dict[UUID, str] = {}
    positions = []
    for position, event in story:
        if isinstance(event, OrderEvent):
            whose = owner.setdefault(event.originator_id, event.gateway)
        elif isinstance(event, RequestRefused) and event.request in ASKED:
            whose = event.gateway
        else:
            continue
        asked = isinstance(event, OrderCanceled | OrderReplaced) and event.request_key
        if door in (None, whose) or (asked and event.gateway == door):
            positions.append(position)
    return positions


class Client:
    """A session that comes and goes, and has every report it was ever told."""

    def __init__(self, link: RecordingLink) -> None:
        self.link = link
        self.reports = list(link.reports)


@pytest.mark.parametrize("errors", [0.0, 0.15])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_sessions_are_told_of_a_day_adds_up(
    seed: int, errors: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each event of an order once to whom it is owed, in order, through lost connections, slow
    readers and errors of the store; and a resend is the same bytes.
    """
    for name in ("FIRST_BACKOFF", "LAST_BACKOFF"):
        monkeypatch.setattr(follower, name, 0)
    monkeypatch.setattr(follower, "TELL_WITHIN", -1.0)
    monkeypatch.setattr(follower, "MOST_PENDING", 20)
    monkeypatch.setattr(follower, "CATCH_UP_AT_ONCE", 7)
    monkeypatch.setattr(rendering, "READ_AT_ONCE", 50)
    monkeypatch.setattr(whole_commands, "STRETCH", 60)
    story, accounts = day(seed)

    async def play() -> dict[SessionId, list[Any]]:
        log = LivingLog(story, seed)
        terms = {one: SessionTerms(_labels(accounts)) for one in SESSIONS}
        terms[COPY] = SessionTerms(_labels(accounts), drop_copy=True)
        nothing: Any = None
        behind = Behind(nothing, log, nothing, TickingClock())
        application = FixApplication(terms.__getitem__, behind, log)
        links = {one: RecordingLink(one) for one in terms}
        told: dict[SessionId, list[Any]] = {one: [] for one in terms}
        for link in links.values():
            link.told = 0
            await application.logged_on(link, 0, ())
        chance = random.Random(seed)
        log.errors = errors
        while await log.grow():
            for _ in range(chance.randint(0, 4)):
                await asyncio.sleep(0)
            if chance.random() < 0.05:
                session_id = chance.choice(list(links))
                old = links[session_id]
                await application.logged_off(old)
                told[session_id] += old.reports
                links[session_id] = RecordingLink(session_id)
                links[session_id].told = old.told
                await application.logged_on(links[session_id], old.told, ())
            elif chance.random() < 0.1:
                link = chance.choice(list(links.values()))
                link.reads.clear() if link.reads.is_set() else link.reads.set()
        for session_id, link in links.items():
            link.reads.set()
            async with asyncio.timeout(20):
                while link.told < len(log.rows):
                    await asyncio.sleep(0)
            told[session_id] += link.reports
        log.errors = 0
        for session_id, reports in told.items():
            sources = [report.source for report in reports]
            bodies = await application.render(session_id, sources)
            assert [report.body for report in reports] == list(bodies)
        await application.stop()
        return told

    for session_id, reports in asyncio.run(play()).items():
        door = None if session_id == COPY else door_of(session_id)
        assert owed(story, door) == [report.source.position for report in reports]
        books = FixBooks()
        for report in reports:
            assert is_fix_44(report.body)
            books.take([(tag, value.decode()) for tag, value in report.body.fields])
        assert len(books.orders) > 20 and books.refusals
        assert bool(books.others) == (session_id != COPY)


def _labels(accounts: Sequence[UUID]) -> dict[str, UUID]:
    return {f"ACC{number}": account for number, account in enumerate(accounts)}
