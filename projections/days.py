"""Calendar days of UTC as integers like 20261120."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from domain.identifiers import Instant, datetime_of

_MICROSECONDS = 86_400_000_000
_MILLISECONDS = 86_400_000


def day_of(at: Instant) -> int:
    """The day of an instant."""
    return _date(at // _MICROSECONDS)


def day_of_id(identifier: UUID) -> int:
    """The day on which an id of ours was drawn, which is that of the event that drew it."""
    return _date((identifier.int >> 80) // _MILLISECONDS)


@lru_cache(maxsize=4096)
def _date(days: int) -> int:
    date = datetime_of(days * _MICROSECONDS)
    return date.year * 10_000 + date.month * 100 + date.day
