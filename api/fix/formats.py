"""The types of FIX fields: whether a value is written as its type demands."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

LONGEST_NUMBER = 64
LONGEST_INTEGER = 18

_HOURS = frozenset(b"%02d" % hour for hour in range(24))
_SIXTY = frozenset(b"%02d" % minute for minute in range(60))
# A minute with a leap second has 61.
_SECONDS = _SIXTY | {b"60"}
_WEEKS = frozenset({b"w1", b"w2", b"w3", b"w4", b"w5"})
# Milliseconds are the standard's; micro- and nanoseconds are what newer engines write.
_FRACTIONS = frozenset({0, 4, 7, 10})

# The days that were asked about lately: most messages say today.
_days: dict[bytes, bool] = {}
_DAYS_KEPT = 1_000
_seconds: set[bytes] = set()
_SECONDS_KEPT = 1_000


def any_text(value: bytes) -> bool:
    """Text is whatever holds no separator."""
    return True


def _char(value: bytes) -> bool:
    return len(value) == 1


def _boolean(value: bytes) -> bool:
    return value in (b"Y", b"N")


def _unsigned(value: bytes) -> bool:
    return value.isdigit() and len(value) <= LONGEST_INTEGER


def _integer(value: bytes) -> bool:
    return _unsigned(value[1:] if value.startswith(b"-") else value)


def _decimal(value: bytes) -> bool:
    """Digits with at most one point and a minus; no exponent, no plus."""
    if value.isdigit():
        return len(value) <= LONGEST_NUMBER
    digits = value[1:] if value.startswith(b"-") else value
    whole, _, rest = digits.partition(b".")
    return (whole + rest).isdigit() and len(value) <= LONGEST_NUMBER


def _words(value: bytes) -> bool:
    """Words with one space between them."""
    return b"" not in value.split(b" ")


def _country(value: bytes) -> bool:
    return len(value) == 2 and value.isalpha()


def _currency(value: bytes) -> bool:
    return len(value) == 3 and value.isalpha()


def _date(value: bytes) -> bool:
    """A day of the calendar, as YYYYMMDD."""
    known = _days.get(value)
    if known is None:
        known = _is_day(value)
        if len(_days) >= _DAYS_KEPT:
            _days.clear()
        if len(value) == 8:
            _days[value] = known
    return known


def _is_day(value: bytes) -> bool:
    if len(value) != 8 or not value.isdigit():
        return False
    try:
        date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return False
    return True


def _time(value: bytes) -> bool:
    """A time of day, as HH:MM:SS with or without a fraction."""
    return (
        value[:2] in _HOURS
        and value[3:5] in _SIXTY
        and value[6:8] in _SECONDS
        and value[2:6:3] == b"::"
        and len(value) - 8 in _FRACTIONS
        and (len(value) == 8 or (value[8] == 46 and value[9:].isdigit()))
    )


def _timestamp(value: bytes) -> bool:
    """A day and a time of day with a hyphen between; messages of one second share most of it."""
    if value[:17] not in _seconds:
        if value[8:9] != b"-" or not _date(value[:8]) or not _time(value[9:17]):
            return False
        if len(_seconds) >= _SECONDS_KEPT:
            _seconds.clear()
        _seconds.add(value[:17])
    return len(value) == 17 or (
        value[17] == 46 and value[18:].isdigit() and len(value) - 17 in _FRACTIONS
    )


def _month(value: bytes) -> bool:
    """A month, a day of it, or a week of it, as YYYYMM, YYYYMMDD or YYYYMMw1."""
    return _is_day(value[:6] + b"01") and (
        len(value) == 6 or (len(value) == 8 and (value[6:] in _WEEKS or _is_day(value)))
    )


FORMATS: dict[str, Callable[[bytes], bool]] = {
    "String": any_text,
    "Exchange": any_text,
    "data": any_text,
    "char": _char,
    "Boolean": _boolean,
    "int": _integer,
    "Length": _unsigned,
    "NumInGroup": _unsigned,
    "SeqNum": _unsigned,
    "float": _decimal,
    "Qty": _decimal,
    "Price": _decimal,
    "PriceOffset": _decimal,
    "Amt": _decimal,
    "Percentage": _decimal,
    "MultipleValueString": _words,
    "Country": _country,
    "Currency": _currency,
    "MonthYear": _month,
    "UTCTimestamp": _timestamp,
    "UTCTimeOnly": _time,
    "UTCDateOnly": _date,
    "LocalMktDate": _date,
}
