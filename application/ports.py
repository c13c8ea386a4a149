"""What the application asks of the outside; infrastructure fits these by shape."""

from __future__ import annotations

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


class CommandBus(Protocol):
    """How gateways reach the writer."""

    async def send(self, command: Command, actor: str, gateway: str) -> Reply:
        """Have a command decided; returns only after what it decided is committed.

        A refusal is a Reply with `refusal` set. Raises VenueUnavailable when the writer
        cannot be reached in time: the outcome is then unknown and a retry with the same
        request key is safe.
        """
        ...
