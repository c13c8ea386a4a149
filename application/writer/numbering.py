"""Numbers commands and has them decided: what a command is, before it is known to be stored.

Every command that may change something gets the next number and an instant, is noted in the
journal, and is decided by its handler on the desk of the moment.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from uuid import UUID

from application.commands import Reply
from application.deciding.handlers import HANDLERS
from application.deciding.step import Step
from application.desk.desk import Desk
from application.ports import Clock
from application.writer.gathering import Journal, Pending
from application.writer.replies import render
from domain.errors import Rejection
from domain.identifiers import Instant, command_id


class DeskBroken(Exception):
    """A command has left the desk half changed: nothing more may be decided on it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(repr(error))
        self.error = error


class _Ahead(NamedTuple):
    """The instant that was ahead of the clock, and the steady moment at which it was given."""

    at: Instant
    since: int


class Numbering:
    """Gives the commands of a partition their numbers and instants, and decides them in order.

    Numbers and instants only grow, also over a recovery: a number stands for one decision.
    `steady` tells the microseconds since some moment, on a clock that never goes back: where the
    newest instant is ahead of the clock, instants go on half as quickly as time, until the clock
    has caught up. Without it they stand still so long.
    """

    def __init__(
        self,
        partition: int,
        clock: Clock,
        journal: Journal | None,
        steady: Callable[[], int] | None = None,
    ) -> None:
        self._partition = partition
        self._clock = clock
        self._journal = journal
        self._steady = steady
        self._ahead: _Ahead | None = None
        self._number = 0
        self._last_at: Instant = 0
        self.desk = Desk(partition)

    def begin(self, desk: Desk) -> None:
        """Go on after the last command of a desk that was rebuilt from the log."""
        if self._journal is not None:
            self._journal.begin(desk.command)
        self._number = max(self._number, desk.command)
        self._last_at = max(self._last_at, desk.last_at)
        self._ahead = None
        self.desk = desk

    def decide(self, pending: Pending) -> tuple[Step, Reply]:
        """Number one command and decide it.

        Raises a Rejection when it is refused and nothing has changed, DeskBroken when
        something has.
        """
        step = self._number_next(pending)
        try:
            return step, self._handle(step, pending.command)
        except Rejection as refusal:
            if step.events:
                raise DeskBroken(refusal) from refusal
            raise
        except Exception as error:
            raise DeskBroken(error) from error

    def number_and_instant(self) -> tuple[int, Instant]:
        """The number and instant of the next command; time never goes back."""
        return self._number + 1, self.instant()

    def instant(self) -> Instant:
        """The instant that a command would get now."""
        at = self._clock.now()
        if at > self._last_at:
            self._ahead = None
            return at
        if self._steady is None:
            return self._last_at
        steady = self._steady()
        if self._ahead is None or steady < self._ahead.since:
            self._ahead = _Ahead(self._last_at, steady)
        return max(self._last_at, self._ahead.at + (steady - self._ahead.since) // 2)

    def newest_id(self) -> UUID:
        """The id of the newest numbered command."""
        return command_id(self._last_at, self._partition, self._number)

    def spare_id(self) -> UUID:
        """Draw an id for a command that is never decided; its number goes to no other."""
        self._number, self._last_at = self.number_and_instant()
        return self.newest_id()

    def flush_journal(self) -> None:
        """Let no note of a command be lost with this process."""
        if self._journal is not None:
            self._journal.flush()

    def _number_next(self, pending: Pending) -> Step:
        envelope = pending.envelope
        number, at = self.number_and_instant()
        self._number = number
        self._last_at = at
        if self._journal is not None:
            self._journal.write(number, at, envelope)
        return Step(self.desk, at, number, envelope.actor, envelope.gateway, pending.body)

    def _handle(self, step: Step, command: Any) -> Reply:
        """Call the command's handler, and let the desk go on past its events."""
        reply: Reply | None = HANDLERS[type(command)](step, command)
        if reply is None:
            orders = step.desk.orders
            reply = render(step.events, step.last_position(), at_hand=orders.remembered)
        if step.events:
            self.desk.moved_to(step.last_position(), self._last_at, self._number)
        return reply


class CommandClock:
    """The instants of a writer's next commands: the time by which its timers go."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering

    def now(self) -> Instant:
        """The instant that a command would get now."""
        return self._numbering.instant()
