"""A desk whose clock a test sets, and the venue's timers on it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from application.commands import CloseDay, Refusal, Reply
from application.requests import Command
from application.writer.timers import Timers
from domain.identifiers import instant_of
from infrastructure.calendar_source import Calendars
from tests.model.settling_desk import SettlingDesk

CALENDARS = Calendars()


class TimedDesk(SettlingDesk):
    """What the timers send is decided at once; commands named in `refusing` are refused."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Command] = []
        self.said: list[str] = []
        self.refusal: Refusal | None = None
        self.refusing: tuple[type[Command], ...] = ()
        self.restart()

    def now(self) -> int:
        return self.at

    def restart(self) -> None:
        """Timers that know nothing but the desk."""
        self.timers = Timers(lambda: self.desk, self.decide, CALENDARS, self, say=self.said.append)

    async def decide(self, command: Command) -> Reply:
        self.sent.append(command)
        if self.refusal is not None and isinstance(command, self.refusing):
            return Reply(0, self.refusal)
        return self.send(command)

    def at_utc(self, *moment: int) -> list[Command]:
        """Set the clock and look: what is sent."""
        self.at = max(self.at, instant_of(datetime(*moment, tzinfo=UTC)))  # type: ignore[arg-type]
        return self.look()

    def look(self) -> list[Command]:
        """Look once: what is sent, but for the ends of days."""
        return [command for command in self.look_at_all() if not isinstance(command, CloseDay)]

    def look_at_all(self) -> list[Command]:
        """Look once: what is sent."""
        self.sent.clear()
        asyncio.run(self.timers.look())
        return list(self.sent)


def kinds(sent: list[Command]) -> list[str]:
    """The commands' names, in order."""
    return [type(command).__name__ for command in sent]
