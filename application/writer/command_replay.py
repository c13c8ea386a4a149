"""A recorded run decided again: the same numbers, the same instants, and so the same bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from application.commands import Envelope, Reply
from application.log.ports import DeskSnapshots, EventLog
from application.writer.numbering import Numbering
from application.writer.sequencer import Sequencer
from domain.identifiers import Instant

ROUND = 256
"""How many commands are decided before their answers are awaited."""


class NumberedCommand(Protocol):
    """One command of a journal."""

    @property
    def number(self) -> int:
        """The number it was decided under."""
        ...

    @property
    def at(self) -> Instant:
        """The instant it was decided at."""
        ...

    @property
    def envelope(self) -> Envelope:
        """Who asked for what."""
        ...


class JournalNumbering(Numbering):
    """Numbers and instants as a journal has them."""

    def __init__(self, partition: int) -> None:
        super().__init__(partition, self, None)
        self.due: NumberedCommand | None = None

    def now(self) -> Instant:
        """The instant of the command that is about to be decided."""
        return 0 if self.due is None else self.due.at

    def number_and_instant(self) -> tuple[int, Instant]:
        """The number that the command had, and its instant."""
        number, at = super().number_and_instant()
        return number if self.due is None else self.due.number, at


class CommandReplay(Sequencer):
    """The sequencer, with numbers and instants from a journal instead of its own."""

    def __init__(
        self,
        log: EventLog,
        snapshots: DeskSnapshots,
        *,
        partition: int = 0,
        say: Callable[[str], object] = print,
    ) -> None:
        self._from_journal = JournalNumbering(partition)
        super().__init__(
            log,
            snapshots,
            self._from_journal,
            partition=partition,
            say=say,
            numbering=self._from_journal,
        )
        self._running: asyncio.Task[None] | None = None

    async def decide(self, command: NumberedCommand) -> asyncio.Future[Reply]:
        """Decide one command; the answer follows with its round.

        What waits for a look-up, or broke the desk, is waited for: the next command of the
        journal was decided after it.
        """
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._from_journal.due = command
        self.submit(command.envelope, answered.set_result)
        if self._admission.is_looking_up or not self._admission.is_open:
            await self._wait(answered)
        return answered

    async def replay(
        self, commands: Iterable[NumberedCommand], each_round: Callable[[int], object]
    ) -> int:
        """Decide all commands in order; returns how many there were.

        `each_round` hears how many are decided and committed.
        """
        self._running = running = asyncio.create_task(self.run())
        try:
            await self._wait(asyncio.ensure_future(self.ready.wait()))
            done = 0
            for command in commands:
                answered = await self.decide(command)
                done += 1
                if done % ROUND == 0:
                    await self._wait(answered)
                    each_round(done)
            if done:
                await self._wait(answered)
                each_round(done)
            return done
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _wait(self, answered: asyncio.Future[Any]) -> None:
        """Wait for an answer; a writer that ends before it raises what ended it."""
        assert self._running is not None
        await asyncio.wait({answered, self._running}, return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            answered.cancel()
            self._running.result()
