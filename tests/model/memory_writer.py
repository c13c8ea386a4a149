"""A writer on a log in memory, whose clocks are set: what the door does, without a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from application.commands import Envelope, Reply, encode_command
from application.log.ports import Recorded
from application.requests import Command
from application.writer.gathering import Limits
from application.writer.request_keys import key_of_event
from application.writer.sequencer import Sequencer
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.desk_harness import NOON, DeskHarness


class SetClock:
    """Time is a value that is set: the instant, and the nanoseconds that have passed."""

    def __init__(self) -> None:
        self.at = NOON
        self.elapsed = 0

    def now(self) -> int:
        return self.at


class MemoryWriter:
    """A sequencer that leads a log in memory."""

    def __init__(
        self, log: MemoryLog, snapshots: MemorySnapshots, limits: Limits | None = None
    ) -> None:
        self.log = log
        self.clock = SetClock()
        self.said: list[str] = []
        self.sequencer = Sequencer(
            log,
            snapshots,
            self.clock,
            limits=limits,
            say=self.said.append,
            elapsed=lambda: self.clock.elapsed,
        )

    def begin(self, command: Command | bytes) -> asyncio.Future[Reply]:
        """One command under way, or the bytes of one."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        body = command if isinstance(command, bytes) else encode_command(command)
        envelope = Envelope("tester", "test", msgspec.Raw(body))
        self.sequencer.submit(envelope, answered.set_result)
        return answered

    async def send(self, command: Command | bytes) -> Reply:
        """One command, answered."""
        return await asyncio.wait_for(self.begin(command), 10)

    async def codes(self, *commands: Command) -> list[str]:
        """What commands sent one after the other are refused with; empty when they are not."""
        replies = [await self.send(command) for command in commands]
        return [reply.refusal.code if reply.refusal is not None else "" for reply in replies]

    def passes(self, seconds: float) -> None:
        """Let time pass on the clock that never goes back."""
        self.clock.elapsed += round(seconds * 10**9)


def on_a_writer(
    log: MemoryLog,
    scene: Callable[[MemoryWriter], Awaitable[None]],
    snapshots: MemorySnapshots | None = None,
    limits: Limits | None = None,
) -> None:
    """Run a scene with a writer that leads this log."""

    async def play() -> None:
        writer = MemoryWriter(log, snapshots or MemorySnapshots(), limits)
        running = asyncio.create_task(writer.sequencer.run())
        await writer.sequencer.ready.wait()
        await scene(writer)
        assert [] == writer.said
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())


def logged(venue: DeskHarness) -> MemoryLog:
    """The log of what a desk lived through."""
    log = MemoryLog()
    recorded = [Recorded(n, event) for n, event in enumerate(venue.log, 1)]
    keys = [key for row in recorded if (key := key_of_event(row.event, row.position))]
    log.load(recorded, keys)
    return log
