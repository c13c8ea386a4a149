"""The calendar as clients see it: which days trade, from when to when, and when they settle."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from api.documents import Document
from api.rendering import date_text
from application.ports import TradingDay, TradingDays
from domain.errors import InvalidField
from domain.instrument import MANUAL
from projections.instruments import InstrumentRow

US_EXCHANGES = "XNYS"
"""The calendar that Alpaca's clients mean."""
AROUND_THE_CLOCK = "24/7"

DateType = Literal["TRADING", "SETTLEMENT"]

_DATE = r"^\d{4}-\d{2}-\d{2}$"
_Date = Annotated[str, Field(pattern=_DATE, examples=["2026-11-27"])]
_Time = Annotated[str, Field(pattern=r"^\d{2}:\d{2}$", examples=["13:00"])]
_Plain = Annotated[str, Field(pattern=r"^\d{4}$", examples=["1300"])]


class CalendarDay(Document):
    """A day on which there is a session, in Alpaca's shape, by the exchange's own clock.

    There is no trading outside of sessions here: `session_open` and `session_close` are `open`
    and `close`. `settlement_date` is null where the instruments do not share one cycle.
    """

    date: _Date
    open: _Time
    close: _Time
    session_open: _Plain
    session_close: _Plain
    settlement_date: _Date | None


class Wanted(NamedTuple):
    """The days that are asked for: from one date to another, both included, 0 for no bound."""

    start: int
    end: int
    by: DateType


def calendar_of(rows: Iterable[InstrumentRow], named: str | None) -> str:
    """The calendar that is shown: the one that is named, else what most clients mean.

    An exchange's goes before the clock's round, New York's before others. Where sessions are
    an operator's alone to open, it is New York's too.
    """
    used = {row.calendar for row in rows}.difference(MANUAL)
    if named is not None:
        if named not in used | {US_EXCHANGES}:
            raise InvalidField("calendar", "is not the calendar of any instrument")
        return named
    exchanges = sorted(used - {AROUND_THE_CLOCK})
    if exchanges:
        return US_EXCHANGES if US_EXCHANGES in used else exchanges[0]
    return AROUND_THE_CLOCK if used else US_EXCHANGES


def cycle_of(rows: Iterable[InstrumentRow], calendar: str) -> int | None:
    """The settlement cycle that the instruments of a calendar share; None when they do not."""
    listed = list(rows)
    own = [row for row in listed if row.calendar == calendar] or listed
    cycles = {row.settlement_cycle for row in own}
    return cycles.pop() if len(cycles) == 1 else None


def days_shown(found: TradingDays, wanted: Wanted, cycle: int | None) -> list[dict[str, Any]]:
    """The days of a calendar that are asked for, the first first."""
    if wanted.by == "SETTLEMENT":
        if cycle is None:
            raise InvalidField(
                "date_type", "cannot be SETTLEMENT: the instruments settle on different days"
            )
        last = wanted.end or 10**8
        chosen = [
            day
            for day in found.days
            if max(wanted.start, 1) <= found.settlement_of(day.date, cycle) <= last
        ]
    else:
        first = bisect_left(found.days, wanted.start, key=attrgetter("date"))
        after = bisect_right(found.days, wanted.end or 10**8, key=attrgetter("date"))
        chosen = list(found.days[first:after])
    return [_document(day, found, cycle) for day in chosen]


def _document(day: TradingDay, found: TradingDays, cycle: int | None) -> dict[str, Any]:
    return {
        "date": date_text(day.date),
        "open": day.opens,
        "close": day.closes,
        "session_open": day.opens.replace(":", ""),
        "session_close": day.closes.replace(":", ""),
        "settlement_date": (
            None if cycle is None else date_text(found.settlement_of(day.date, cycle))
        ),
    }
