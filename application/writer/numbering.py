"""Numbers commands and has them decided: what a command is, before it is known to be stored.

Every command that may change something gets the next number and an instant, is noted in the
journal, and is decided by its handler on the desk of the moment.
"""

from __future__ import annotations

from typing import Any
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


class Numbering:
    """Gives the commands of a partition their numbers and instants, and decides them in order.

    Numbers and instants only grow, also over a recovery: a number stands for one decision.
    """

    def __init__(self, partition: int, clock: Clock, journal: Journal | None) -> None:
        self._partition = partition
        self._clock = clock
        self._journal = journal
        self._number = 0
        self._last_at: Instant = 0
        self.desk = Desk(partition)

    def begin(self, desk: Desk) -> None:
        """Go on after the last command of a desk that was rebuilt from the log."""
        if self._journal is not None:
            self._journal.begin(desk.command)
        self._number = max(self._number, desk.command)
        self._last_at = max(self._last_at, desk.last_at)
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
        return self._number + 1, max(self._clock.now(), self._last_at)

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
