"""What time it is for a session, and SendingTime as clients write it."""

from __future__ import annotations

import time
from calendar import timegm

from application.ports import Clock

DATE_AND_TIME = 17
"""How long a time is without a fraction: 20261130-09:30:00."""


class MachineTimes:
    """The wall clock, and one that never jumps, by which silence is measured."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> int:
        """Microseconds since 1970; it may jump."""
        return self._clock.now()

    def steady(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()


class SendingTimes:
    """Reads UTCTimestamps; what is the same within a second is read once."""

    def __init__(self) -> None:
        self._text = b"none yet"
        self._micros = 0

    def read(self, text: bytes) -> int | None:
        """An instant in microseconds since 1970; None for what is no UTCTimestamp.

        A fraction may have three, six or nine digits; below a microsecond it is cut.
        """
        start = text[:DATE_AND_TIME]
        if start != self._text:
            micros = _seconds(start)
            if micros is None:
                return None
            self._text, self._micros = start, micros * 1_000_000
        if len(text) == DATE_AND_TIME:
            return self._micros
        fraction = text[DATE_AND_TIME + 1 :]
        if text[DATE_AND_TIME] != 46 or len(fraction) not in (3, 6, 9) or not fraction.isdigit():
            return None
        return self._micros + int(fraction[:6].ljust(6, b"0"))


def _seconds(text: bytes) -> int | None:
    """Seconds since 1970 of a date and time to the second; a leap second is the next one."""
    if len(text) != DATE_AND_TIME or text[8] != 45 or text[11] != 58 or text[14] != 58:
        return None
    parts = (text[:4], text[4:6], text[6:8], text[9:11], text[12:14], text[15:17])
    if not all(part.isdigit() for part in parts):
        return None
    year, month, day, hour, minute, second = map(int, parts)
    if not (1970 <= year and 1 <= month <= 12 and hour < 24 and minute < 60 and second <= 60):
        return None
    if not 1 <= day <= _days(year, month):
        return None
    return timegm((year, month, day, hour, minute, second))


def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
