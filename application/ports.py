"""What the application asks of the outside; infrastructure fits these by shape."""

from __future__ import annotations

from asyncio import Future
from bisect import bisect_left, bisect_right
from typing import NamedTuple, Protocol

from application.commands import Reply
from application.requests import Command
from domain.identifiers import Instant


class Clock(Protocol):
    """The one clock of a process."""

    def now(self) -> Instant:
        """Microseconds since 1970 UTC; it may jump, the sequencer never goes back."""
        ...


class Session(NamedTuple):
    """One trading session of a calendar; dates are integers as 20261120.

    `value_dates` are by settlement cycle, from T+0 on: days that settle. Only where the
    session's own date does not, T+0 and T+1 are the same day.
    """

    session_date: int
    value_dates: tuple[int, ...]
    opens_at: Instant
    closes_at: Instant

    @property
    def settles(self) -> bool:
        """Whether its own date is one on which trades settle."""
        return self.value_dates[0] == self.session_date


class TradingDay(NamedTuple):
    """One day of a calendar; `opens` and `closes` as 09:30, by the exchange's own clock."""

    date: int
    opens: str
    closes: str


class TradingDays(NamedTuple):
    """The days of a calendar, and those of them on which trades settle, both ascending."""

    days: tuple[TradingDay, ...]
    settlement_days: tuple[int, ...]

    def settlement_of(self, day: int, cycle: int) -> int:
        """The date on which trades of a day settle; 0 beyond what is known."""
        settles = self.settlement_days
        number = bisect_right(settles, day) + cycle - 1 if cycle else bisect_left(settles, day)
        return settles[number] if number < len(settles) else 0


class UnknownCalendar(Exception):
    """No calendar has this name, or none that can say what was asked."""


class SessionCalendar(Protocol):
    """When instruments trade."""

    def session_at_or_after(self, calendar: str, at: Instant) -> Session:
        """The session that is under way at an instant, or else the next one.

        It may take a second when a calendar is read for the first time. Raises
        UnknownCalendar.
        """
        ...


class TradingCalendar(SessionCalendar, Protocol):
    """When instruments trade, and all days on which they do."""

    def days(self, calendar: str, year: int) -> TradingDays:
        """All days of a calendar from 1970 to the third year after one.

        It may take some seconds when they are read for the first time. Raises UnknownCalendar.
        """
        ...


class CommandBus(Protocol):
    """How gateways reach the writer."""

    def ask(self, command: Command, actor: str, gateway: str) -> Future[Reply]:
        """Send a command at once, behind what was sent before; its reply is what `send` gives."""
        ...

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Have a command decided; returns only after what it decided is committed.

        A refusal is a Reply with `refusal` set. Raises VenueUnavailable when the writer
        cannot be reached in time: the outcome is then unknown and a retry with the same
        request key is safe.
        """
        ...
