"""Value dates: sessions of the exchange on which banks move dollars too."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from application.ports import Session
from domain.identifiers import MAX_INSTANT, instant_of
from infrastructure.calendar_source import LONGEST_CYCLE, Calendars


@pytest.fixture(scope="module")
def calendars() -> Calendars:
    """The calendars of one process; each year of an exchange is read once."""
    return Calendars()


def session(calendars: Calendars, date: str, calendar: str = "XNYS") -> Session:
    """The session under way at 15:00 UTC of a date."""
    at = datetime.fromisoformat(date).replace(hour=15, tzinfo=UTC)
    return calendars.session_at_or_after(calendar, instant_of(at))


@pytest.mark.parametrize(
    ("traded", "cycle", "settles", "why"),
    [
        ("2026-10-05", 2, 20261007, "an ordinary week"),
        ("2026-10-08", 1, 20261009, "the day before a long weekend of the banks"),
        ("2026-10-08", 2, 20261013, "Columbus Day, a Monday, trades and does not settle"),
        ("2026-10-09", 2, 20261014, "Columbus Day after a weekend"),
        ("2026-10-12", 2, 20261014, "traded on Columbus Day"),
        ("2026-11-09", 2, 20261112, "Veterans Day, a Wednesday, trades and does not settle"),
        ("2026-11-10", 1, 20261112, "the eve of Veterans Day"),
        ("2026-11-11", 1, 20261112, "traded on Veterans Day"),
        ("2026-04-01", 2, 20260406, "Good Friday: banks open, the exchange closed"),
        ("2026-11-25", 2, 20261130, "Thanksgiving, and the short session after it"),
        ("2026-12-23", 2, 20261228, "Christmas"),
        ("2026-07-01", 2, 20260706, "the exchange keeps a Saturday's holiday on Friday"),
        ("2028-11-09", 1, 20281110, "banks do not: Veterans Day 2028 is a Saturday"),
        ("2027-12-29", 2, 20271231, "nor New Year's Day 2028, a Saturday"),
        ("2029-11-09", 1, 20291113, "a Sunday's holiday is kept on Monday"),
        ("2025-01-07", 2, 20250110, "a day of mourning: banks open, the exchange closed"),
        ("2026-10-08", 30, 20261123, "a long cycle passes over both holidays"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else str(value),
)
def test_settlement_days_are_sessions_and_banking_days(
    calendars: Calendars, traded: str, cycle: int, settles: int, why: str
) -> None:
    """A cycle counts sessions that are banking days, after the session that traded."""
    assert settles == session(calendars, traded).value_dates[cycle], why


def test_settlement_of_cycle_zero_is_on_the_trade_date(calendars: Calendars) -> None:
    """Same-day trades settle on their own date."""
    thursday = session(calendars, "2026-10-08")
    assert thursday.session_date == thursday.value_dates[0]
    assert thursday.settles


def test_settlement_of_cycle_zero_waits_for_the_banks(calendars: Calendars) -> None:
    """On Columbus Day no dollars move: the first day after it that settles is the value date."""
    columbus_day = session(calendars, "2026-10-12")
    assert 20261012 == columbus_day.session_date
    assert 20261013 == columbus_day.value_dates[0]
    assert not columbus_day.settles


def test_settlement_around_the_clock_counts_every_day(calendars: Calendars) -> None:
    """Instruments that trade at any hour settle on calendar days, weekends and holidays too."""
    friday = session(calendars, "2026-10-09", "24/7")
    assert (20261009, 20261010, 20261011, 20261012) == friday.value_dates[:4]
    assert friday.settles


def test_settlement_in_dollars_heeds_us_banks_wherever_the_exchange_is(
    calendars: Calendars,
) -> None:
    """London trades on Columbus Day as well and its dollars do not move either."""
    assert 20261013 == session(calendars, "2026-10-08", "XLON").value_dates[2]


def test_settlement_dates_reach_to_the_longest_cycle(calendars: Calendars) -> None:
    """Whatever cycle an instrument may have, every session knows its value date."""
    for name, date in (("XNYS", "2026-10-08"), ("XNYS", "2027-11-01"), ("24/7", "2026-10-08")):
        dates = session(calendars, date, name).value_dates
        assert LONGEST_CYCLE + 1 == len(dates)
        assert sorted(set(dates)) == list(dates)


def test_settlement_dates_stop_at_the_last_date_there_is(calendars: Calendars) -> None:
    """The end of the calendar is an end and no error."""
    assert {99991231} == set(calendars.session_at_or_after("24/7", MAX_INSTANT).value_dates)
