"""When a FIX session is open: by the clock on the wall of its zone, also when that jumps."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.fix.settings.schedule import Schedule, Span, Weekday
from domain.identifiers import instant_of

NEW_YORK = ZoneInfo("America/New_York")
ZONES = ("America/New_York", "Europe/London", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")
MINUTE = timedelta(minutes=1)


def at(text: str) -> int:
    """An instant in New York."""
    return instant_of(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK))


def utc(text: str) -> int:
    """An instant in UTC."""
    return instant_of(datetime.fromisoformat(text).replace(tzinfo=UTC))


def schedule(begins: str, ends: str, **said: object) -> Schedule:
    """A schedule in New York."""
    return Schedule.model_validate(
        {"zone": "America/New_York", "begins": begins, "ends": ends, **said}
    )


def test_day_is_open_from_its_first_instant_to_before_its_last() -> None:
    """On the days that are named, and on no other."""
    office = schedule("08:00", "17:00", days=["mon", "tue", "wed", "thu", "fri"])
    friday = Span(at("2026-11-20 08:00"), at("2026-11-20 17:00"))

    assert friday == office.span_at(friday.begins) == office.span_at(friday.ends - 1)
    assert None is office.span_at(friday.begins - 1) is office.span_at(friday.ends)
    assert None is office.span_at(at("2026-11-21 12:00"))
    monday = Span(at("2026-11-23 08:00"), at("2026-11-23 17:00"))
    assert monday == office.span_after(friday.begins) == office.span_after(friday.ends)


def test_span_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    """Friday's night is open on Saturday morning, and Saturday has none."""
    night = schedule("22:00", "06:00", days=["fri"])

    span = night.span_at(at("2026-11-21 05:59"))

    assert Span(at("2026-11-20 22:00"), at("2026-11-21 06:00")) == span
    assert None is night.span_at(at("2026-11-21 22:30"))


def test_days_without_a_pause_follow_on_each_other() -> None:
    """Equal times are a whole day: one span ends where the next begins."""
    round_the_clock = schedule("17:00", "17:00")

    first = round_the_clock.span_at(at("2026-11-20 16:59"))
    second = round_the_clock.span_at(at("2026-11-20 17:00"))

    assert first is not None and second is not None
    assert first.ends == second.begins


@pytest.mark.parametrize(
    ("first", "last", "begins", "ends", "inside", "outside"),
    [
        ("sun", "fri", "17:00", "17:00", "2026-11-18 03:00", "2026-11-21 12:00"),
        ("fri", "mon", "17:00", "08:00", "2026-11-22 03:00", "2026-11-24 12:00"),
        ("mon", "mon", "09:00", "08:00", "2026-11-23 07:59", "2026-11-23 08:30"),
        ("mon", "mon", "08:00", "09:00", "2026-11-23 08:30", "2026-11-24 08:30"),
    ],
)
def test_weekly_span_lasts_over_days(
    first: str, last: str, begins: str, ends: str, inside: str, outside: str
) -> None:
    """From a day of the week to another, also over its end, or nearly the whole of it."""
    weekly = schedule(begins, ends, first=first, last=last)

    span = weekly.span_at(at(inside))

    assert span is not None
    assert None is weekly.span_at(at(outside))
    begun = datetime.fromtimestamp(span.begins / 1e6, NEW_YORK)
    assert (Weekday(first).number, begins) == (begun.weekday(), f"{begun:%H:%M}")


def test_time_that_the_clocks_skip_is_when_they_do() -> None:
    """On the day that has no half past two, what would begin then begins at three."""
    early = schedule("02:30", "03:15")

    assert Span(utc("2026-03-08 07:00"), utc("2026-03-08 07:15")) == early.span_at(
        utc("2026-03-08 07:05")
    )
    # Both ends skipped: there is nothing of it on that day.
    assert None is schedule("02:10", "02:50").span_at(utc("2026-03-08 07:00"))


def test_time_that_the_clocks_show_twice_is_the_first() -> None:
    """A span that begins in the doubled hour begins once, and a day of 25 hours is one."""
    assert Span(utc("2026-11-01 05:30"), utc("2026-11-01 07:30")) == schedule(
        "01:30", "02:30"
    ).span_at(utc("2026-11-01 06:45"))
    assert Span(utc("2026-10-31 05:30"), utc("2026-11-01 05:30")) == schedule(
        "01:30", "01:30"
    ).span_at(utc("2026-11-01 05:00"))


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Daily and weekly ones, often around the hours at which clocks change."""
    hours = st.one_of(st.integers(0, 3), st.integers(0, 23))
    times = st.builds(time, hours, st.sampled_from((0, 15, 30, 59)))
    said: dict[str, object] = {
        "zone": draw(st.sampled_from(ZONES)),
        "begins": draw(times),
        "ends": draw(times),
    }
    days = st.sampled_from(list(Weekday))
    if draw(st.booleans()):
        said |= {"first": draw(days), "last": draw(days)}
    elif draw(st.booleans()):
        said["days"] = draw(st.frozensets(days, min_size=1))
    return Schedule.model_validate(said)


MOMENTS = st.one_of(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)),
    # The hours around which New York, London and Lord Howe change their clocks.
    *(
        st.timedeltas(timedelta(hours=-30), timedelta(hours=30)).map(lambda d, m=moment: m + d)
        for moment in (
            datetime(2026, 3, 8, 7),
            datetime(2026, 11, 1, 6),
            datetime(2026, 3, 29, 1),
            datetime(2026, 10, 25, 1),
            datetime(2026, 4, 4, 15),
            datetime(2026, 10, 3, 15, 30),
        )
    ),
)


@given(schedules(), MOMENTS)
def test_instant_is_inside_when_the_clock_on_the_wall_says_so(
    plan: Schedule, moment: datetime
) -> None:
    """Judged minute by minute of the week, but for hours that the clocks show twice."""
    here = moment.replace(tzinfo=UTC)
    local = here.astimezone(plan.zone)
    shown_twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    jumped = (here - timedelta(hours=2)).astimezone(plan.zone).utcoffset() != local.utcoffset()
    if shown_twice or jumped:
        return

    assert wall_says(plan, local) is (plan.span_at(instant_of(here)) is not None)


def wall_says(plan: Schedule, local: datetime) -> bool:
    """Whether it is open by the day of the week and the time that a clock shows."""
    now = local.time()
    if plan.first is not None and plan.last is not None:
        of_week = local.weekday() * 86_400 + seconds(now)
        begins = plan.first.number * 86_400 + seconds(plan.begins)
        ends = plan.last.number * 86_400 + seconds(plan.ends)
        if begins < ends:
            return begins <= of_week < ends
        return of_week >= begins or of_week < ends
    today, yesterday = (list(Weekday)[(local.weekday() - back) % 7] for back in (0, 1))
    days = plan.days or frozenset(Weekday)
    if plan.begins < plan.ends:
        return today in days and plan.begins <= now < plan.ends
    return (today in days and now >= plan.begins) or (yesterday in days and now < plan.ends)


def seconds(shown: time) -> float:
    """Since midnight, as a clock shows it."""
    return shown.hour * 3_600 + shown.minute * 60 + shown.second + shown.microsecond / 1e6


@given(schedules(), MOMENTS)
def test_spans_follow_each_other_and_never_overlap(plan: Schedule, moment: datetime) -> None:
    """What comes next begins where the one before has ended, whatever the clocks do between."""
    now = instant_of(moment.replace(tzinfo=UTC))
    span = plan.span_at(now)
    after = plan.span_after(now)

    assert after is not None and now < after.begins < after.ends
    assert after == plan.span_at(after.begins) == plan.span_at(after.ends - 1)
    assert after.begins - now <= 15 * 86_400_000_000
    if span is not None:
        assert span.begins <= now < span.ends <= after.begins
        assert span == plan.span_at(span.begins) == plan.span_at(span.ends - 1)
    else:
        assert None is plan.span_at(after.begins - 1) or plan.span_at(after.begins - 1) != after


@pytest.mark.parametrize("wrong", ["24:00", "7", "", "17:00:00.5", "17:00Z"])
def test_what_no_clock_shows_is_refused(wrong: str) -> None:
    """A time of day is hours and minutes, and seconds where they matter."""
    with pytest.raises(ValidationError, match="ends"):
        schedule("08:00", wrong)
