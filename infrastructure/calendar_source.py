"""Sessions of the venue's calendars, and the days on which their trades settle.

Around the clock a session is a UTC day, and every day settles. Exchanges' sessions come from
exchange_calendars, US banking holidays from pandas, which it brings along: both run in a
process of their own that prints a table, so that nobody else carries them. A settlement day
is a session that is also a banking day.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from bisect import bisect_left, bisect_right
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from application.ports import Session, TradingDay, TradingDays, UnknownCalendar
from domain.identifiers import MAX_INSTANT, Instant, datetime_of, instant_of
from infrastructure.plain_environment import plain_environment

ALWAYS = "24/7"
FIRST_DAY = date(1970, 1, 1)
YEARS_AHEAD = 3
"""Through which year after the present one the days of a calendar are told."""
LONGEST_CYCLE = 30
"""The most settlement days that an instrument may take."""

DAYS_BEFORE = 14
DAYS_AFTER = 400
DAYS_TO_SETTLE = 90
"""How much longer the days are read, so that the last session has all its value dates."""

READ_SECONDS = 60.0
LAST_MINUTE = "23:59"
_DAY = 86_400_000_000


class Calendars:
    """Sessions by calendar (`application.ports.TradingCalendar`), a year at a time in memory.

    The days of a calendar are read once, from 1970 on, when somebody asks for them.
    """

    def __init__(self) -> None:
        self._tables: dict[str, list[Session]] = {}
        self._days: dict[tuple[str, int], TradingDays] = {}

    def session_at_or_after(self, calendar: str, at: Instant) -> Session:
        """The session under way at an instant, or else the next one."""
        if calendar == ALWAYS:
            return _utc_day(at)
        table = self._tables.get(calendar)
        if table is None or not table[0].opens_at <= at < table[-1].closes_at:
            table = self._tables[calendar] = _read(calendar, at)
        # Sessions do not overlap: the first that closes later is the one.
        number = bisect_right(table, at, key=lambda session: session.closes_at)
        if number == len(table):
            raise UnknownCalendar(f"calendar {calendar} has no session after {datetime_of(at)}")
        return table[number]

    def days(self, calendar: str, year: int) -> TradingDays:
        """All days of a calendar from 1970 to the third year after one."""
        known = self._days.get((calendar, year))
        if known is None:
            last = date(min(year + YEARS_AHEAD, date.max.year), 12, 31)
            days = _utc_days(last) if calendar == ALWAYS else _trading_days(calendar, last)
            # Another year's are not asked for again.
            self._days = {key: found for key, found in self._days.items() if key[1] == year}
            known = self._days[calendar, year] = days
        return known


def _utc_days(last: date) -> TradingDays:
    first = FIRST_DAY.toordinal()
    ends = min(last + timedelta(days=DAYS_TO_SETTLE), date.max).toordinal()
    numbers = tuple(_number(date.fromordinal(day)) for day in range(first, ends + 1))
    days = numbers[: last.toordinal() + 1 - first]
    return TradingDays(tuple(TradingDay(day, "00:00", LAST_MINUTE) for day in days), numbers)


def _trading_days(calendar: str, last: date) -> TradingDays:
    """An exchange's days by its own clock, as far as a day can say them.

    What of a session lies on another date than the session's own is left out.
    """
    table = _ask(calendar, FIRST_DAY, last + timedelta(days=DAYS_TO_SETTLE))
    zone = ZoneInfo(table["zone"])
    days = []
    for day, opens_at, closes_at in table["sessions"]:
        opens, closes = (datetime_of(at).astimezone(zone) for at in (opens_at, closes_at))
        if day <= _number(last):
            begins = opens.strftime("%H:%M") if _number(opens) == day else "00:00"
            ends = closes.strftime("%H:%M") if _number(closes) == day else LAST_MINUTE
            days.append(TradingDay(day, begins, ends))
    return TradingDays(tuple(days), tuple(table["settlement_days"]))


def _utc_day(at: Instant) -> Session:
    opens_at = at - at % _DAY
    first = datetime_of(opens_at).date().toordinal()
    last = date.max.toordinal()
    days = [date.fromordinal(min(first + cycle, last)) for cycle in range(LONGEST_CYCLE + 1)]
    return Session(
        _number(days[0]),
        tuple(map(_number, days)),
        opens_at,
        min(opens_at + _DAY, MAX_INSTANT),
    )


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def _read(calendar: str, at: Instant) -> list[Session]:
    """Read over a year of an exchange's sessions."""
    day = datetime_of(at).date()
    first = day - timedelta(days=DAYS_BEFORE)
    table = _ask(calendar, first, day + timedelta(days=DAYS_AFTER + DAYS_TO_SETTLE))
    sessions = _sessions(table["sessions"], table["settlement_days"])
    if not sessions:
        raise UnknownCalendar(f"calendar {calendar} could not be read: it has no sessions then")
    return sessions


def _ask(calendar: str, first: date, last: date) -> dict[str, Any]:
    """Ask the process that knows exchanges' sessions for those between two dates."""
    sources = str(Path(__file__).parent.parent)
    paths = os.pathsep.join(filter(None, (sources, os.environ.get("PYTHONPATH"))))
    try:
        made = subprocess.run(
            [
                *(sys.executable, "-P", "-W", "ignore", "-m", "infrastructure.calendar_source"),
                *(calendar, first.isoformat(), last.isoformat()),
            ],
            env=plain_environment() | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=READ_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UnknownCalendar(f"calendar {calendar} could not be read: {error}") from error
    if made.returncode:
        why = (made.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise UnknownCalendar(f"calendar {calendar} could not be read: {why}")
    table: dict[str, Any] = json.loads(made.stdout)
    return table


def _sessions(
    sessions: list[tuple[int, Instant, Instant]], settlement_days: list[int]
) -> list[Session]:
    """Each session with its value dates, as far as the settlement days reach."""
    table = []
    for day, opens_at, closes_at in sessions:
        same_day = bisect_left(settlement_days, day)
        later = bisect_right(settlement_days, day)
        after = settlement_days[later : later + LONGEST_CYCLE]
        if len(after) == LONGEST_CYCLE:
            table.append(Session(day, (settlement_days[same_day], *after), opens_at, closes_at))
    return table


def _table(calendar: str, first: date, last: date) -> dict[str, Any]:
    """An exchange's sessions between two days, and those of them that are banking days."""
    import exchange_calendars

    try:
        found = exchange_calendars.get_calendar(calendar, first.isoformat(), last.isoformat())
    except ValueError:
        # Some are known from a day on, or until one.
        known = exchange_calendars.get_calendar(calendar)
        begins, ends = known.bound_min(), known.bound_max()
        first = first if begins is None else max(first, begins.date())
        last = last if ends is None else min(last, ends.date())
        found = exchange_calendars.get_calendar(calendar, first.isoformat(), last.isoformat())
    days = [stamp.date() for stamp in found.sessions]
    opens = [_instant(stamp.to_pydatetime()) for stamp in found.opens]
    closes = [_instant(stamp.to_pydatetime()) for stamp in found.closes]
    holidays = _banking_holidays(first, last)
    return {
        "zone": str(found.tz),
        "sessions": list(zip(map(_number, days), opens, closes, strict=True)),
        "settlement_days": [_number(day) for day in days if day not in holidays],
    }


def _banking_holidays(first: date, last: date) -> set[date]:
    """The days on which the Federal Reserve Banks are closed and no dollars move.

    The rules are those of the federal holidays. A holiday on a Sunday is kept on Monday; for
    one on a Saturday the Banks, unlike federal offices, stay open on the Friday before.
    """
    from pandas import Timestamp
    from pandas.tseries.holiday import (
        AbstractHolidayCalendar,
        Holiday,
        USFederalHolidayCalendar,
        nearest_workday,
        sunday_to_monday,
    )

    rules = [
        Holiday(
            rule.name,
            month=rule.month,
            day=rule.day,
            start_date=rule.start_date,
            observance=sunday_to_monday,
        )
        if rule.observance is nearest_workday
        else rule
        for rule in USFederalHolidayCalendar.rules
    ]
    calendar = AbstractHolidayCalendar("Federal Reserve", rules)
    return {stamp.date() for stamp in calendar.holidays(Timestamp(first), Timestamp(last))}


def _instant(moment: datetime) -> Instant:
    return instant_of(moment.astimezone(UTC))


if __name__ == "__main__":
    print(json.dumps(_table(sys.argv[1], *map(date.fromisoformat, sys.argv[2:4]))))
