"""Sessions of the venue's calendars: UTC days around the clock, and those of real exchanges.

Exchanges' sessions come from exchange_calendars, which brings pandas along: it runs in a
process of its own that prints a table, so that nobody else carries it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from application.ports import Session, UnknownCalendar
from domain.identifiers import MAX_INSTANT, Instant, datetime_of, instant_of

ALWAYS = "24/7"
SETTLEMENT_SESSIONS = 2
"""Value date: so many sessions of the instrument's own calendar after the session (T+2)."""

DAYS_BEFORE = 14
DAYS_AFTER = 400
READ_SECONDS = 60.0
_DAY = 86_400_000_000


class Calendars:
    """Sessions by calendar (`application.ports.SessionCalendar`), a year at a time in memory."""

    def __init__(self) -> None:
        self._tables: dict[str, list[Session]] = {}

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


def _utc_day(at: Instant) -> Session:
    opens_at = at - at % _DAY
    day = datetime_of(opens_at).date()
    return Session(
        _number(day),
        _number(day + timedelta(days=SETTLEMENT_SESSIONS)),
        opens_at,
        min(opens_at + _DAY, MAX_INSTANT),
    )


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def _read(calendar: str, at: Instant) -> list[Session]:
    """A year of an exchange's sessions around an instant, from the process that knows them."""
    sources = str(Path(__file__).parent.parent)
    paths = os.pathsep.join(filter(None, (sources, os.environ.get("PYTHONPATH"))))
    try:
        made = subprocess.run(
            [
                *(sys.executable, "-W", "ignore", "-m", "infrastructure.calendar_source"),
                *(calendar, datetime_of(at).date().isoformat()),
            ],
            env=os.environ | {"PYTHONPATH": paths},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=READ_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise UnknownCalendar(f"calendar {calendar} could not be read: {error}") from error
    table = [Session(*row) for row in json.loads(made.stdout)] if made.returncode == 0 else []
    if not table:
        why = (made.stderr.strip().splitlines() or ["it has no sessions then"])[-1]
        raise UnknownCalendar(f"calendar {calendar} could not be read: {why}")
    return table


def _table(calendar: str, day: date) -> list[Session]:
    """An exchange's sessions around a day, each with its value date."""
    import exchange_calendars

    first = day - timedelta(days=DAYS_BEFORE)
    found = exchange_calendars.get_calendar(
        calendar, start=first.isoformat(), end=(day + timedelta(days=DAYS_AFTER)).isoformat()
    )
    days = [stamp.date() for stamp in found.sessions]
    opens = [_instant(stamp.to_pydatetime()) for stamp in found.opens]
    closes = [_instant(stamp.to_pydatetime()) for stamp in found.closes]
    return [
        Session(_number(days[i]), _number(days[i + SETTLEMENT_SESSIONS]), opens[i], closes[i])
        for i in range(len(days) - SETTLEMENT_SESSIONS)
    ]


def _instant(moment: datetime) -> Instant:
    return instant_of(moment.astimezone(UTC))


if __name__ == "__main__":
    print(json.dumps(_table(sys.argv[1], date.fromisoformat(sys.argv[2]))))
