"""When the venue's calendars open and close next; a calendar may take a while to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from application.ports import Session, TradingCalendar, TradingDays, UnknownCalendar
from domain.identifiers import Instant, datetime_of
from domain.instrument import MANUAL


class Sessions:
    """The calendars of a gateway, asked outside its event loop."""

    def __init__(self, calendar: TradingCalendar) -> None:
        self._calendar = calendar
        self._reading = asyncio.Lock()
        # Some seconds when they are read first: nobody else waits for that.
        self._reading_days = asyncio.Lock()

    async def next_session(self, calendars: Iterable[str], now: Instant) -> Session | None:
        """The first session of any of these calendars that opens after an instant."""
        timed = sorted(set(calendars).difference(MANUAL))
        if not timed:
            return None
        async with self._reading:
            found = await asyncio.to_thread(self._next_of_each, timed, now)
        return min(found, key=lambda session: session.opens_at, default=None)

    async def trades_again(self, calendar: str, last_date: int, now: Instant) -> Instant | None:
        """When a closed instrument's calendar opens it: one that had the session of `last_date`
        waits for a later one. None when only operators can say.
        """
        if calendar in MANUAL:
            return None
        async with self._reading:
            return await asyncio.to_thread(self._opening_after, calendar, last_date, now)

    async def days(self, calendar: str, now: Instant) -> TradingDays:
        """All days of a calendar, from 1970 to some years ahead; raises UnknownCalendar."""
        async with self._reading_days:
            return await asyncio.to_thread(self._calendar.days, calendar, datetime_of(now).year)

    def _opening_after(self, calendar: str, last_date: int, now: Instant) -> Instant | None:
        with suppress(UnknownCalendar):
            session = self._calendar.session_at_or_after(calendar, now)
            if session.session_date <= last_date:
                session = self._calendar.session_at_or_after(calendar, session.closes_at)
            return session.opens_at
        return None

    def _next_of_each(self, calendars: list[str], now: Instant) -> list[Session]:
        found = []
        for name in calendars:
            with suppress(UnknownCalendar):
                session = self._calendar.session_at_or_after(name, now)
                if session.opens_at <= now:
                    session = self._calendar.session_at_or_after(name, session.closes_at)
                found.append(session)
        return found
