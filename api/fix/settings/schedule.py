"""When a FIX session is open: spans of a day or of a week, on the clock of a time zone.

A span belongs to the day on which it begins. A time that the clocks skip is the instant at which
they do so; of a time that they show twice the first counts. Nothing here reads a clock.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, NamedTuple, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, model_validator

from domain.identifiers import Instant, datetime_of, instant_of

DAY = timedelta(days=1)
WEEK = 7


class Weekday(StrEnum):
    """A day of the week, as it is written in the templates."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"

    @property
    def number(self) -> int:
        """0 is Monday."""
        return list(Weekday).index(self)


class Span(NamedTuple):
    """One opening of a session, from its first microsecond to before the last named one."""

    begins: Instant
    ends: Instant

    def __contains__(self, at: object) -> bool:
        return isinstance(at, int) and self.begins <= at < self.ends


def _zone(name: object) -> ZoneInfo:
    if isinstance(name, ZoneInfo):
        return name
    if not isinstance(name, str):
        raise ValueError("a time zone is a name such as America/New_York")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone is named {name!r}; one is America/New_York") from None


def _time(text: object) -> time:
    if isinstance(text, str):
        try:
            text = time.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is no time of day such as 17:30 or 17:30:00") from None
    if not isinstance(text, time):
        raise ValueError("a time of day is written as 17:30 or 17:30:00")
    if text.tzinfo is not None:
        raise ValueError("the time zone stands in `zone`, not in the time")
    if text.microsecond:
        raise ValueError("a time of day has no fraction of a second")
    return text


Zone = Annotated[
    ZoneInfo, BeforeValidator(_zone), PlainSerializer(lambda zone: zone.key, return_type=str)
]
TimeOfDay = Annotated[time, BeforeValidator(_time)]


class Schedule(BaseModel):
    """When a session is open: on `days` from `begins` to `ends`, over midnight when that is not
    later in the day; or once a week from `first` at `begins` to `last` at `ends`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    zone: Zone = ZoneInfo("UTC")
    begins: TimeOfDay
    ends: TimeOfDay
    days: frozenset[Weekday] | None = None
    first: Weekday | None = None
    last: Weekday | None = None
    resets: bool = True
    """Whether the numbers begin at 1 with each span."""

    @model_validator(mode="after")
    def _is_daily_or_weekly(self) -> Self:
        if (self.first is None) != (self.last is None):
            raise ValueError("first and last day of a weekly span go together")
        if self.first is not None and self.days is not None:
            raise ValueError("a schedule has days, or first and last, and not both")
        if self.days is not None and not self.days:
            raise ValueError("days names no day")
        return self

    def span_at(self, at: Instant) -> Span | None:
        """The span that holds an instant; None outside of all of them."""
        return next((span for span in self._around(at, 0) if at in span), None)

    def span_after(self, at: Instant) -> Span | None:
        """The next span that begins later; None where the calendar ends."""
        return next((span for span in self._around(at, WEEK + 1) if span.begins > at), None)

    def _around(self, at: Instant, days_on: int) -> list[Span]:
        """The spans that began up to a week ago, to those some days on, in order."""
        today = datetime_of(at).astimezone(self.zone).date()
        found: list[Span] = []
        for distance in range(-WEEK - 1, days_on + 2):
            try:
                span = self._span_of(today + timedelta(days=distance))
            except OverflowError:
                continue
            if span is not None and span.begins < span.ends:
                found.append(span)
        return found

    def _span_of(self, day: date) -> Span | None:
        """The span that begins on a day, if one does."""
        if self.first is not None and self.last is not None:
            if day.weekday() != self.first.number:
                return None
            lasts = (self.last.number - self.first.number) % WEEK
            if lasts == 0 and self.ends <= self.begins:
                lasts = WEEK
        else:
            if self.days is not None and list(Weekday)[day.weekday()] not in self.days:
                return None
            lasts = 0 if self.begins < self.ends else 1
        return Span(
            self._instant(day, self.begins), self._instant(day + timedelta(days=lasts), self.ends)
        )

    def _instant(self, day: date, shown: time) -> Instant:
        """When the zone's clocks first show a time of a day, or skip it."""
        local = datetime.combine(day, shown, self.zone)
        one, other = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
        if one <= other:
            return instant_of(one)
        # Skipped: between the two readings lies the instant at which the clocks went forward.
        before, after = other, one
        offset = before.astimezone(self.zone).utcoffset()
        while after - before > timedelta(seconds=1):
            middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
            if middle.astimezone(self.zone).utcoffset() == offset:
                before = middle
            else:
                after = middle
        return instant_of(after)
