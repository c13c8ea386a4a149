"""Committing alone: what gathers while a commit rests, and what does not rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
import pytest

from application.commands import Envelope, Reply
from application.log.ports import Batch, OutcomeUnknown
from application.writer.committing import Committing, Unstorable
from application.writer.gathering import Limits, Pending
from application.writer.pacing import Pacer
from domain.decision import Decision
from domain.events import AccountStatusChanged
from infrastructure.log.memory import MemoryLog

FOREVER = 30.0
ENVELOPE = Envelope("tester", "test", msgspec.Raw(b"\xc0"))


class Resting(Pacer):
    """A pace that asks for a long rest, and notes what each commit holds."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.held: list[int] = []

    def rest(self, now: float) -> float:
        return self.seconds

    def began(self, commands: int, now: float) -> None:
        self.held.append(commands)


class Scene:
    """A committing of two commands a group at most; what it answered, in order."""

    def __init__(self, pacer: Pacer, log: MemoryLog | None = None) -> None:
        self.log = log or MemoryLog()
        self.committing = Committing(self.log, Limits(batch_commands=2), None, bool, pacer)
        self.committing.begin(0, 0.0)
        self.answered: list[int] = []
        self._decided = 0

    def decide(self, number: int, *, events: bool = True) -> Pending:
        """Take in one decision of one event."""
        pending = Pending(ENVELOPE, lambda reply: self.answered.append(reply.position))
        committing = self.committing
        committing.unanswered += 1
        if events:
            self._decided += 1
            decision = Decision(number, 0, number, "", "", self._decided)
            account = decision.new_id()
            event = AccountStatusChanged(
                account, 1, number, 0, "", "", decision.correlation_id, 0, 0, ""
            )
            decision.events.append(event)
            committing.gather(pending, decision, None)
        committing.attach(pending, Reply(number))
        committing.close_if_full()
        return pending


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene; one that hangs fails."""

    async def in_time() -> None:
        await asyncio.wait_for(scene(), 10)

    asyncio.run(in_time())


def test_group_that_is_full_does_not_rest() -> None:
    """A commit waits for company; when there is no room for more it goes at once."""

    async def play() -> None:
        pacer = Resting(FOREVER)
        scene = Scene(pacer)
        scene.decide(1)
        committing = asyncio.create_task(scene.committing.commit_all())
        await asyncio.sleep(0.01)
        assert [] == scene.answered
        scene.decide(2)
        await committing
        assert ([1, 2], [2]) == (scene.answered, pacer.held)

    run(play)


def test_what_comes_while_a_commit_rests_is_one_commit_with_it() -> None:
    """That is what it rests for."""

    async def play() -> None:
        pacer = Resting(0.05)
        scene = Scene(pacer)
        scene.decide(1)
        committing = asyncio.create_task(scene.committing.commit_all())
        await asyncio.sleep(0.01)
        scene.decide(2, events=False)
        await committing
        assert ([1, 2], [2]) == (scene.answered, pacer.held)

    run(play)


def test_groups_beyond_the_first_go_without_a_rest() -> None:
    """What is full already has all the company it can have, and leaves in order."""

    async def play() -> None:
        pacer = Resting(FOREVER)
        scene = Scene(pacer)
        for number in range(1, 7):
            scene.decide(number)
        await scene.committing.commit_all()
        assert (list(range(1, 7)), [2, 2, 2]) == (scene.answered, pacer.held)
        assert 6 == scene.committing.committed
        assert 0 == scene.committing.unanswered

    run(play)


@pytest.mark.parametrize("error", [OutcomeUnknown("lost"), ValueError("too long")])
def test_group_that_failed_stays_the_first_of_those_not_committed(error: Exception) -> None:
    """Nothing of it is answered, and whoever recovers finds every command in order."""

    class Failing(MemoryLog):
        async def append(self, batch: Batch) -> None:
            raise error

    async def play() -> None:
        scene = Scene(Resting(0), Failing())
        decided = [scene.decide(number, events=number != 2) for number in range(1, 6)]
        with pytest.raises((OutcomeUnknown, Unstorable)) as failed:
            await scene.committing.commit_all()
        assert [] == scene.answered
        if isinstance(failed.value, Unstorable):
            assert [decided[0]] == failed.value.decided
        assert decided == scene.committing.take_uncommitted()
        assert [] == scene.committing.take_uncommitted()

    run(play)
