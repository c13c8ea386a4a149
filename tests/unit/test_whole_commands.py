"""The log is read by whole commands: whatever the size of a page, no decision is seen by halves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from application.log.ports import Batch, Recorded
from application.log.whole_commands import (
    first_command,
    follow,
    read_command,
    read_commands,
    whole_commands,
)
from domain.account import Account, AccountTerms
from domain.decision import Decision
from domain.events import AccountLimitsSet, AccountOpened
from infrastructure.log.memory import MemoryLog

SIZES = (1, 3, 7, 1, 2)


def commands(log: MemoryLog, sizes: Sequence[int], begin: int = 0) -> None:
    """Commit a command for each size: an account that is opened, and then gets limits."""
    for number, size in enumerate(sizes, begin + 1):
        first = len(log.rows) + 1
        decision = Decision(1_000_000 + number, 0, number, "me", "test", first)
        account = Account.open(decision, decision.new_id(), AccountTerms(f"a{number}", "", 1, 1))
        for limit in range(size - 1):
            account.set_limits(decision, limit)
        asyncio.run(log.append(Batch(first, decision.events, ())))


@pytest.fixture
def log() -> MemoryLog:
    """Five commands of different sizes."""
    made = MemoryLog()
    commands(made, SIZES)
    return made


@pytest.mark.parametrize("limit", range(1, 16))
def test_commands_come_whole_whatever_the_limit(log: MemoryLog, limit: int) -> None:
    """Each read ends where a command does, and is larger only where a command was too large."""
    ends = [sum(SIZES[: number + 1]) for number in range(len(SIZES))]
    after, seen = 0, []
    while True:
        events, caught_up = asyncio.run(read_commands(log, after, limit))
        seen += events
        if events:
            after = events[-1].position
            assert after in ends
            assert len(events) <= limit or len(first_command(events)) >= limit
        if caught_up:
            break
    assert list(range(1, ends[-1] + 1)) == [position for position, _ in seen]


@pytest.mark.parametrize("first", [1, 2, 5, 12, 13])
def test_command_is_read_from_its_first_event(log: MemoryLog, first: int) -> None:
    """All of it and nothing of the next, also at the end of the log."""
    found = asyncio.run(read_command(log, first))

    size = SIZES[[1, 2, 5, 12, 13].index(first)]
    assert list(range(first, first + size)) == [position for position, _ in found]


def test_command_longer_than_a_page_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page grows until the next command, or the end, is seen."""
    monkeypatch.setattr("application.log.whole_commands.PAGE", 4)
    log = MemoryLog()
    commands(log, [1, 30, 2])

    assert 30 == len(asyncio.run(read_command(log, 2)))
    assert 2 == len(asyncio.run(read_command(log, 32)))


def test_page_is_cut_before_a_command_that_may_go_on(log: MemoryLog) -> None:
    """A page that is not full holds all there is; one that a command fills alone stays."""
    page = asyncio.run(log.read(0, 6))

    assert [1, 2, 3, 4] == [position for position, _ in whole_commands(page, 6)]
    assert page == whole_commands(page, 7)
    assert page[1:4] == whole_commands(page[1:4], 3)
    assert page[1:4] == first_command(page[1:])
    assert [] == first_command([])


def test_log_is_followed_by_topic_past_what_is_left_out() -> None:
    """Events come once and in order, and what is of other topics is not read again and again."""

    class Watched(MemoryLog):
        """A log that grows when somebody waits for it, and knows from where it was read."""

        def __init__(self) -> None:
            super().__init__()
            self.read_after: list[int] = []
            self.waits = 0

        async def read(
            self, after: int, limit: int, *, topics: Sequence[str] = ()
        ) -> Sequence[Recorded]:
            self.read_after.append(after)
            return await super().read(after, limit, topics=topics)

        async def wait(self, timeout: float) -> None:
            self.waits += 1
            if self.waits == 1:
                await asyncio.to_thread(commands, self, [2, 4], 10)

    log = Watched()
    commands(log, [1, 3, 6])

    async def work() -> list[Recorded]:
        found: list[Recorded] = []
        async for events in follow(log, 0, limit=2, topics=[AccountOpened.TOPIC]):
            found += events
            if len(found) == 5:
                break
        return found

    found = asyncio.run(asyncio.wait_for(work(), 20))
    assert [1, 2, 5, 11, 13] == [position for position, _ in found]
    assert AccountLimitsSet.TOPIC in {row.topic for row in log.rows}
    assert 1 == log.waits
    # From 5 on there was nothing of this topic up to the end as it was, 10.
    assert [0, 1, 2, 10, 10, 11] == log.read_after
