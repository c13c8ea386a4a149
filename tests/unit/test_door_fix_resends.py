"""What one FIX session asks for again is made a piece at a time: others are answered meanwhile."""

from __future__ import annotations

import asyncio
from zlib import crc32

import pytest

from api.fix.application.rendering import Owed, Reports, rendered
from api.fix.application.reports import TOPICS
from api.fix.application.terms import SessionTerms
from api.fix.codec import render
from api.fix.ports import Body, Numbered, SessionId, Source
from api.fix.session.memory import MemorySessionStore
from api.fix.session.resending import Resending
from api.fix.session.waiting import Pending
from application.log.ports import Recorded
from domain.events import OrderEvent
from domain.identifiers import NO_ID
from infrastructure.log.memory import MemoryLog
from tests.model.command_flow import lived

SESSION = SessionId("NEXUS", "C1")


@pytest.fixture(autouse=True)
def shorter_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the machine is, others have their turn in the middle of what is asked here."""
    monkeypatch.setattr("application.turns.TURN_SECONDS", 0.000_05)


async def turns_beside(work: asyncio.Task[None]) -> int:
    """How often somebody else could go on until work is done."""
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    await work
    return turns


def reported(log: MemoryLog) -> list[Source]:
    """The events of a log that a drop copy is told of."""
    events = [Recorded(number, event) for number, event in enumerate(log.events(), 1)]
    return [
        Source(one.position)
        for one in events
        if isinstance(one.event, OrderEvent) and one.event.TOPIC in TOPICS
    ]


def test_door_fix_reports_that_are_asked_for_again_are_made_while_others_go_on() -> None:
    """Hundreds of them: the same as one by one."""
    log = lived(7, 900).log
    sources, owed = reported(log), Owed("fix:x", SessionTerms({"A": NO_ID}))
    found: list[Body] = []

    async def make(some: list[Source]) -> None:
        found.extend(await rendered(log, Reports(log, 10_000), owed, some))

    async def scene() -> int:
        return await turns_beside(asyncio.create_task(make(sources)))

    turns = asyncio.run(scene())
    together, found[:] = [*found], []
    asyncio.run(make(sources[:5]))

    assert len(sources) > 500
    assert together[:5] == found
    assert turns >= 5


def test_door_fix_numbers_that_are_asked_for_again_are_written_while_others_go_on() -> None:
    """A range of thousands, in its order."""
    count, fields = 20_000, [(58, b"x" * 200)]
    checksum = crc32(render(fields))
    written: list[int] = []

    async def bodies(_: SessionId, sources: list[Source]) -> list[Body]:
        return [Body(b"8", fields) for _ in sources]

    async def write(pending: list[Pending]) -> bool:
        written.extend(one.seq_num for one in pending)
        return True

    async def scene() -> int:
        store = MemorySessionStore()
        numbers = await store.open(SESSION)
        rows = [Numbered(n + 1, Source(n + 1), checksum, False) for n in range(count)]
        await store.save(SESSION, numbers._replace(next_out=count + 1), rows)
        resending = Resending(SESSION, store, bodies, lambda: b"20261130-18:00:00.000")
        return await turns_beside(asyncio.create_task(resending.send(1, count, write)))

    assert asyncio.run(scene()) >= 5
    assert [*range(1, count + 1)] == written
