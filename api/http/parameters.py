"""Parameters that several routes read: times, texts and keys, each refused under its name."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Literal, overload

from litestar.params import FromQuery, HeaderParameter, QueryParameter

from domain.errors import InvalidField
from domain.identifiers import instant_of

LARGEST_POSITION = 2**62
"""The largest log position that may be asked for."""

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        description="The same key and request again do nothing more, and are answered again.",
        required=False,
    ),
]
MinPosition = Annotated[
    int | None,
    HeaderParameter(
        name="X-Nexus-Position",
        description="Answer from views that hold this log position, as a reply named it.",
        required=False,
        ge=0,
        le=LARGEST_POSITION,
    ),
]

MaxAge = Annotated[
    int | None,
    QueryParameter(
        description="The oldest prices that are taken, in milliseconds; as the venue is set.",
        ge=1,
        le=60_000,
    ),
]
WhenOld = FromQuery[Literal["wait", "refuse"] | None]

_FINER = re.compile(r"[.,][0-9]{6}0*[1-9]")


def instant_in(text: str | None, field: str) -> int | None:
    """The instant of an RFC 3339 time or a date, UTC where it says no offset."""
    if text is None:
        return None
    # A plus sign that was not percent-encoded arrives as a space.
    written = text.replace(" ", "+") if "T" in text else text
    try:
        # What it says beyond microseconds is left out: the instant before, or the same.
        moment = datetime.fromisoformat(written)
    except ValueError:
        raise InvalidField(field, "must be an RFC 3339 time or a date") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return instant_of(moment)
    except OverflowError:
        raise InvalidField(field, "is out of range") from None


def until_in(text: str | None, field: str) -> int | None:
    """The first instant that is not earlier than a time, which may be told more finely."""
    at = instant_in(text, field)
    finer = None if text is None else _FINER.search(text)
    return at if at is None or finer is None else at + 1


@overload
def day_in(text: str, field: str) -> date: ...
@overload
def day_in(text: None, field: str) -> None: ...
def day_in(text: str | None, field: str) -> date | None:
    """The date of a text such as 2026-11-20."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:
        raise InvalidField(field, "must be a date, as 2026-11-20")
    return day


def date_in(text: str | None, field: str) -> int | None:
    """The date of an ISO 8601 text, as 20261120; of a time it is the date as it is written."""
    if text is None:
        return None
    day, _, rest = text.partition("T")
    try:
        found = date.fromisoformat(day)
    except ValueError:
        raise InvalidField(field, "must be a date as 2026-11-20") from None
    if rest:
        instant_in(text, field)
    return found.year * 10_000 + found.month * 100 + found.day
