"""Values as FIX writes them: amounts without trailing zeros, instants to the millisecond."""

from __future__ import annotations

from functools import lru_cache

from domain.identifiers import Instant, datetime_of
from domain.money import QTY_SCALE, USD_SCALE, average_price_text, to_text

LONGEST_TEXT = 512


def amount(units: int, scale: int) -> bytes:
    """An amount of 10^-scale units, as 101.25."""
    if units >= 0:
        # A third of what the text takes that has all places.
        whole, rest = divmod(units, 10**scale)
        return (b"%d.%0*d" % (whole, scale, rest)).rstrip(b"0") if rest else b"%d" % whole
    text = to_text(units, scale)
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


def quantity(qty: int) -> bytes:
    """A quantity; most are whole."""
    whole, rest = divmod(qty, 100_000_000)
    return amount(qty, QTY_SCALE) if rest else b"%d" % whole


def money(cents: int) -> bytes:
    """An amount of US dollars."""
    return amount(cents, USD_SCALE)


def average(value: int, filled: int, decimals: int) -> bytes:
    """The average price of what was filled; 0 of nothing."""
    if not filled:
        return b"0"
    if not (value % filled):
        return amount(value // filled, decimals)
    text = average_price_text(value, filled, decimals)
    return text.rstrip("0").rstrip(".").encode()


@lru_cache(maxsize=64)
def _second(seconds: int) -> bytes:
    return datetime_of(seconds * 1_000_000).strftime("%Y%m%d-%H:%M:%S").encode()


def timestamp(at: Instant) -> bytes:
    """An instant as a UTCTimestamp."""
    seconds, micros = divmod(at, 1_000_000)
    return b"%b.%03d" % (_second(seconds), micros // 1_000)


def date(day: int) -> bytes:
    """A day as a LocalMktDate."""
    return b"%d" % day


def text(said: str) -> bytes:
    """Words for people, in plain ASCII and without what would end the field."""
    plain = "".join(one if " " <= one <= "~" else "?" for one in said[:LONGEST_TEXT])
    return plain.encode("ascii")
