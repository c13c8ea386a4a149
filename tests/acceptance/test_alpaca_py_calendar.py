"""alpaca-py reads the calendar: which days trade, half days among them, and when they settle."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import httpx
import pytest

from infrastructure.embedded_server import EmbeddedServer
from tests.acceptance.methods import shows
from tests.acceptance.scene import client_of
from tests.alpaca_py import APIError, GetCalendarRequest, TradingClient
from tests.venue import Trader, Venue, served


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """One venue for all tests of this file, with an instrument that operators open."""
    with served(postgres.dsn()) as venue:
        venue.instrument()
        yield venue


@pytest.fixture(scope="module")
def trader(venue: Venue) -> Trader:
    """An account."""
    return venue.trader(cash="0")


@pytest.fixture
def client(venue: Venue, trader: Trader) -> TradingClient:
    """The trader's client."""
    return client_of(venue, trader)


@pytest.fixture
def http(venue: Venue, trader: Trader) -> Iterator[httpx.Client]:
    """The same key without the client."""
    with venue.client(trader) as http:
        yield http


def days(http: httpx.Client, **asked: str) -> list[dict[str, Any]]:
    """The rows of a calendar."""
    found = http.get("/v2/calendar", params=asked)
    assert found.status_code == 200, found.text
    shown: list[dict[str, Any]] = found.json()
    return shown


def hours(http: httpx.Client, **asked: str) -> list[tuple[str, str, str]]:
    """When each day opens, closes and settles."""
    return [(day["open"], day["close"], day["settlement_date"]) for day in days(http, **asked)]


@shows("get_calendar", "the days of the instruments' calendar, with early closes")
def test_get_calendar_tells_holidays_and_early_closes(client: TradingClient) -> None:
    """Thanksgiving is no day, and the exchange closes at one the day after it."""
    asked = GetCalendarRequest(start=date(2026, 11, 25), end=date(2026, 11, 30))

    found = client.get_calendar(asked)

    assert [
        (date(2026, 11, 25), datetime(2026, 11, 25, 9, 30), datetime(2026, 11, 25, 16, 0)),
        (date(2026, 11, 27), datetime(2026, 11, 27, 9, 30), datetime(2026, 11, 27, 13, 0)),
        (date(2026, 11, 30), datetime(2026, 11, 30, 9, 30), datetime(2026, 11, 30, 16, 0)),
    ] == [(day.date, day.open, day.close) for day in found]


@shows("get_calendar", "without bounds all days from 1970 on")
def test_get_calendar_without_bounds_tells_all_days_there_are(client: TradingClient) -> None:
    """From 1970 on, each once and in order; one bound alone bounds one side."""
    every = client.get_calendar()
    dates = [day.date for day in every]

    assert date(1970, 1, 2) == dates[0]
    assert dates[-1] >= date(2029, 12, 31)
    assert sorted(set(dates)) == dates
    assert all(day.open < day.close and day.open.date() == day.date for day in every)
    assert [d for d in dates if d >= date(2029, 1, 1)] == [
        day.date for day in client.get_calendar(GetCalendarRequest(start=date(2029, 1, 1)))
    ]
    assert [d for d in dates if d <= date(1970, 12, 31)] == [
        day.date for day in client.get_calendar(GetCalendarRequest(end=date(1970, 12, 31)))
    ]


@shows("get_calendar", "both bounds are included")
def test_get_calendar_takes_a_single_day_and_none(client: TradingClient) -> None:
    """Both bounds are included; a weekend has no days."""
    single = GetCalendarRequest(start=date(2026, 7, 2), end=date(2026, 7, 2))
    weekend = GetCalendarRequest(start=date(2026, 11, 28), end=date(2026, 11, 29))

    assert [date(2026, 7, 2)] == [day.date for day in client.get_calendar(single)]
    assert [] == client.get_calendar(weekend)


@shows("get_calendar", "start after end is 422")
def test_get_calendar_that_ends_before_it_starts_is_refused(client: TradingClient) -> None:
    """The refusal names the bound."""
    asked = GetCalendarRequest(start=date(2026, 12, 1), end=date(2026, 11, 30))

    with pytest.raises(APIError) as refused:
        client.get_calendar(asked)

    assert refused.value.status_code == 422
    assert "start is after end" in refused.value.message


@shows("get_calendar", "422 by name of a bound that is no date")
@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"start": "tomorrow"}, "start"),
        ({"end": "2026-02-30"}, "end"),
        ({"start": "2026-11-27Tnoon"}, "start"),
        ({"date_type": "trading"}, "date_type"),
        ({"calendar": "XTKS"}, "calendar"),
        ({"calendar": "manual"}, "calendar"),
    ],
    ids=str,
)
def test_alpaca_calendar_refuses_what_it_cannot_read_by_name(
    http: httpx.Client, asked: dict[str, str], field: str
) -> None:
    """Nothing is guessed."""
    refused = http.get("/v2/calendar", params=asked)

    assert (422, field) == (refused.status_code, refused.json()["field"])


@shows("get_calendar", "`settlement_date`, over the banks' holidays")
def test_alpaca_calendar_tells_when_a_day_settles(http: httpx.Client) -> None:
    """By the cycle that the instruments share, over holidays of the banks; the times once more."""
    assert [
        {
            "date": "2026-11-27",
            "open": "09:30",
            "close": "13:00",
            "session_open": "0930",
            "session_close": "1300",
            "settlement_date": "2026-12-01",
        }
    ] == days(http, start="2026-11-27T00:00:00-05:00", end="2026-11-27")
    assert ["2026-10-13", "2026-10-14", "2026-10-14"] == [
        day["settlement_date"] for day in days(http, start="2026-10-08", end="2026-10-12")
    ]


@shows("get_calendar", "`date_type` SETTLEMENT")
def test_alpaca_calendar_by_settlement_date(http: httpx.Client) -> None:
    """With that type of date the bounds are those of settlement."""
    found = days(http, start="2026-10-14", end="2026-10-14", date_type="SETTLEMENT")

    assert ["2026-10-09", "2026-10-12"] == [day["date"] for day in found]


@shows("get_calendar", "an exchange's calendar before 24/7")
def test_alpaca_calendar_is_that_of_the_instruments(postgres: EmbeddedServer) -> None:
    """Around the clock every day trades; where an exchange's is in use too, that one is shown."""
    thanksgiving = {"start": "2026-11-26", "end": "2026-11-26"}
    with served(postgres.dsn()) as venue, venue.client(venue.trader(cash="0")) as http:
        venue.instrument(calendar="24/7")
        around = [("00:00", "23:59", "2026-11-28")]
        assert around == hours(http, **thanksgiving)
        listed = venue.admin.post(
            "/admin/instruments",
            json={
                **{"symbol": "LON", "name": "London", "calendar": "XLON", "tick": "0.01"},
                **{"lot": "1", "reference_price": "100", "settlement_cycle": 1},
            },
        )
        assert listed.status_code == 200, listed.text

        assert [("08:00", "16:30", "2026-11-27")] == hours(http, **thanksgiving)
        assert around == hours(http, **thanksgiving, calendar="24/7")
