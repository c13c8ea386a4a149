"""Which part of an account's history is asked for, in Alpaca's words."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Literal, NamedTuple

from api.http.parameters import date_in, instant_in
from domain.errors import InvalidField
from domain.identifiers import Instant, datetime_of

MINUTE = 60_000_000
DAY = 1440
FINE_DAYS = 30
"""The longest part of which points finer than a day are told, in days."""
NO_DAY = 0
LAST_DAY = 99_991_231

Timeframe = Literal["1Min", "5Min", "15Min", "1H", "1D"]
Reporting = Literal["market_hours", "extended_hours", "continuous"]
Reset = Literal["per_day", "no_reset"]

STEPS: dict[str, int] = {"1Min": 1, "5Min": 5, "15Min": 15, "1H": 60, "1D": DAY}
"""The minutes of a timeframe."""

_PERIOD = re.compile(r"([1-9]\d{0,3})([DWMA])")
_DAYS = {"D": 1, "W": 7, "M": 30, "A": 365}
_MONTHS = {"M": 1, "A": 12}


class Period(NamedTuple):
    """How far back: so many of a unit; of `all` the number is 0."""

    number: int
    unit: str

    @property
    def days(self) -> int:
        """About how many days that is."""
        return self.number * _DAYS[self.unit] if self.number else 10**6

    def before(self, last: date) -> date:
        """The date that is so long before another: the days after it are those of the period."""
        try:
            if self.unit not in _MONTHS:
                return last - timedelta(days=self.days)
            months = last.year * 12 + last.month - 1 - self.number * _MONTHS[self.unit]
            year, month = divmod(months, 12)
            following = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
            return date(year, month + 1, min(last.day, (following - timedelta(days=1)).day))
        except (OverflowError, ValueError):
            return date.min if self.number > 0 else date.max


ALL = Period(0, "A")
TODAY = Period(1, "D")


class Asked(NamedTuple):
    """What is asked for. Bounds are instants and the dates they were written as; None: none."""

    timeframe: Timeframe
    period: Period | None
    start: Instant | None
    end: Instant | None
    start_date: int
    end_date: int
    reporting: Reporting
    reset: Reset | None

    @property
    def step(self) -> int:
        """The minutes of a point."""
        return STEPS[self.timeframe]


class Words(NamedTuple):
    """The parameters of a request, as they were sent."""

    period: str | None
    timeframe: Timeframe | None
    start: str | None
    end: str | None
    date_end: str | None
    reporting: Reporting | None
    extended_hours: bool | None
    reset: Reset | None


def asked_for(words: Words, now: Instant) -> Asked:
    """What the words ask for; raises InvalidField where they contradict each other."""
    if words.end is not None and words.date_end is not None:
        raise InvalidField("date_end", "may not stand beside end")
    bounds = (words.start, words.end if words.date_end is None else words.date_end, words.period)
    if None not in bounds:
        raise InvalidField("period", "may not stand beside both start and end")
    start, end = instant_in(words.start, "start"), instant_in(words.end, "end")
    end_date = date_in(words.date_end, "date_end") or date_in(words.end, "end") or LAST_DAY
    start_date = date_in(words.start, "start") or NO_DAY
    if words.date_end is not None:
        # To the end of that date.
        end = (instant_in(words.date_end, "date_end") or 0) // (DAY * MINUTE) * DAY * MINUTE
        end += DAY * MINUTE
    if start is not None and (start >= now or (end is not None and start >= end)):
        raise InvalidField("start", "is not before the end")
    period = _period_in(words.period)
    if period is None and start is None:
        period = Period(1, "M")
    if period is not None and start is not None:
        if words.period in ("all", "intraday"):
            raise InvalidField("period", "may not be all or intraday beside start")
        last = Period(-period.number, period.unit).before(date_of(start_date))
        end = start + (last - date_of(start_date)).days * DAY * MINUTE
        end_date = number_of(last - timedelta(days=1))
    span = _days_of(period, start, min(end or now, now))
    fine = words.period == "intraday"
    timeframe = words.timeframe or _usual(0 if fine else span)
    if fine and timeframe == "1D":
        raise InvalidField("timeframe", "is not finer than a day, as period intraday asks for")
    if timeframe != "1D" and span > FINE_DAYS:
        raise InvalidField("timeframe", f"must be 1D beyond {FINE_DAYS} days")
    return Asked(
        *(timeframe, period, start, end, start_date, end_date),
        _reporting(words.reporting, words.extended_hours),
        words.reset,
    )


def _reporting(said: Reporting | None, extended: bool | None) -> Reporting:
    """Nothing trades outside of sessions: extended hours are market hours."""
    if extended is False and said == "extended_hours":
        raise InvalidField("extended_hours", "contradicts intraday_reporting")
    return "continuous" if said == "continuous" else "market_hours"


def _period_in(text: str | None) -> Period | None:
    if text is None:
        return None
    if text in ("all", "intraday"):
        return ALL if text == "all" else TODAY
    found = _PERIOD.fullmatch(text)
    if found is None:
        raise InvalidField("period", "must be a number and D, W, M or A, or all or intraday")
    return Period(int(found[1]), found[2])


def _days_of(period: Period | None, start: Instant | None, end: Instant) -> int:
    """How many days, rounded up, lie between start and end, or are in the period."""
    if start is None:
        assert period is not None, "without a start there is a period"
        return period.days
    return -(-(end - start) // (DAY * MINUTE))


def _usual(days: int) -> Timeframe:
    """The timeframe of so many days where none is asked for."""
    return "1Min" if days < 7 else "15Min" if days < FINE_DAYS else "1D"


def number_of(day: date) -> int:
    """A date as 20261120."""
    return day.year * 10_000 + day.month * 100 + day.day


def date_of(day: int) -> date:
    """The date of a number such as 20261120."""
    return date(day // 10_000, day // 100 % 100, day % 100)


def utc_date(at: Instant) -> int:
    """The date of an instant in UTC."""
    return number_of(datetime_of(at).date())
