"""Fields of a message as the venue's own values, exact, and what is wrong with one by its tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from api.fix.application import tags as t
from api.fix.application.terms import SessionTerms
from api.fix.application.vocabulary import OrdRejReason
from api.fix.ports import Received
from domain.errors import InvalidAmount
from domain.identifiers import Instant, instant_of
from domain.money import to_units

YES = b"Y"
_MIDNIGHT = time()
_MOST_DIGITS = 17
"""So many digits hold no amount that is too large."""


class WrongValue(Exception):
    """A value that its tag cannot have here: SessionRejectReason(373) 5."""

    def __init__(self, tag: int, why: str) -> None:
        super().__init__(f"{t.named(tag)} {why}")
        self.tag = tag


class MissingField(Exception):
    """A field that this message needs beside those it has: BusinessRejectReason(380) 5."""

    def __init__(self, tag: int, why: str) -> None:
        super().__init__(f"{t.named(tag)} {why}")
        self.tag = tag


class NotServed(Exception):
    """Something that FIX has and this venue does not do: OrdRejReason(103) says which."""

    def __init__(self, tag: int, why: str, reason: int = OrdRejReason.UNSUPPORTED) -> None:
        super().__init__(f"{t.named(tag)} {why}")
        self.tag = tag
        self.reason = reason


def text_in(message: Received, tag: int) -> str:
    """A text; empty when it is not there. Raises WrongValue."""
    value = message.get(tag)
    if value is None:
        return ""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise WrongValue(tag, "is not UTF-8") from None


def name_in(message: Received, tag: int, longest: int = 128) -> str:
    """A name that the venue keeps. Raises WrongValue, or MissingField without one."""
    name = text_in(message, tag)
    if not name:
        raise MissingField(tag, "is required")
    if len(name) > longest or not name.isprintable():
        raise WrongValue(tag, f"is no name of 1 to {longest} characters")
    return name


def account_in(message: Received, terms: SessionTerms) -> UUID:
    """The account that Account(1) chooses, which may be left out where there is one alone."""
    label = text_in(message, t.ACCOUNT)
    if label:
        account_id = terms.accounts.get(label)
        if account_id is None:
            raise NotServed(t.ACCOUNT, "is no account of this session", _UNKNOWN_ACCOUNT)
        return account_id
    if len(terms.accounts) != 1:
        raise MissingField(t.ACCOUNT, "is required: this session has several accounts")
    return next(iter(terms.accounts.values()))


_UNKNOWN_ACCOUNT = OrdRejReason.UNKNOWN_ACCOUNT


def amount_in(message: Received, tag: int, scale: int, *, signed: bool = False) -> int | None:
    """An exact amount of 10^-scale units above zero, or of either sign; None when it is not there.

    Raises WrongValue.
    """
    value = message.get(tag)
    if value is None:
        return None
    try:
        amount = _small(value, scale)
        if amount < 0:
            amount = to_units(_plain(value), scale, t.named(tag))
    except InvalidAmount as wrong:
        raise WrongValue(tag, wrong.message.removeprefix(t.named(tag)).strip()) from None
    if amount <= 0 and not signed:
        raise WrongValue(tag, "must be greater than 0")
    return amount


def _small(value: bytes, scale: int) -> int:
    """An amount as nearly all are written, whole or with places that the scale holds; -1 of any
    other, which is not wrong for that.
    """
    whole, _, places = value.partition(b".")
    missing = scale - len(places)
    if missing < 0 or not whole.isdigit() or len(whole) + scale > _MOST_DIGITS:
        return -1
    if places and not places.isdigit():
        return -1
    units: int = int(whole + places) * 10**missing
    return units


def _plain(value: bytes) -> str:
    """A number as FIX may write it, as decimals are read here: 5. and .5 are whole ones."""
    number = value.decode("ascii", "replace")
    sign = "-" if number.startswith("-") else ""
    whole, point, places = number.removeprefix("-").partition(".")
    if not point or not (whole or places):
        return number
    return f"{sign}{whole or '0'}.{places or '0'}"


def instant_in(message: Received, tag: int) -> Instant | None:
    """An instant (UTCTimestamp); None when it is not there. Raises WrongValue."""
    value = message.get(tag)
    if value is None:
        return None
    try:
        said = value.decode("ascii")
        day = _day(said[:8])
        if said[8] != "-" or said[11] != ":" or said[14] != ":":
            raise ValueError
        hours, minutes, seconds = int(said[9:11]), int(said[12:14]), int(said[15:17])
        rest = said[17:]
        if rest and (rest[0] != "." or not rest[1:].isdigit()):
            raise ValueError
        if hours > 23 or minutes > 59 or seconds > 60:
            raise ValueError
        micros = int(rest[1:7].ljust(6, "0")) if rest else 0
    except (ValueError, IndexError):
        raise WrongValue(tag, "is no UTCTimestamp") from None
    whole = timedelta(hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)
    return instant_of(datetime.combine(day, _MIDNIGHT, UTC) + whole)


def end_of_day_in(message: Received, tag: int, zone: str) -> Instant | None:
    """The end of a day (LocalMktDate) in a time zone; None when it is not there."""
    value = message.get(tag)
    if value is None:
        return None
    try:
        day = _day(value.decode("ascii"))
        after = datetime.combine(day + timedelta(days=1), _MIDNIGHT, ZoneInfo(zone))
    except (ValueError, OverflowError):
        raise WrongValue(tag, "is no LocalMktDate") from None
    return instant_of(after)


def day_in(message: Received, tag: int) -> int | None:
    """A day (LocalMktDate) as an integer; None when it is not there. Raises WrongValue."""
    value = message.get(tag)
    if value is None:
        return None
    try:
        day = _day(value.decode("ascii"))
    except ValueError:
        raise WrongValue(tag, "is no LocalMktDate") from None
    return day.year * 10_000 + day.month * 100 + day.day


def _day(said: str) -> datetime:
    if len(said) != 8 or not said.isdigit():
        raise ValueError(said)
    return datetime(int(said[:4]), int(said[4:6]), int(said[6:]))


def may_be_known(message: Received) -> bool:
    """Whether its sender says that it may have sent this before."""
    return message.get(t.POSS_DUP_FLAG) == YES or message.get(t.POSS_RESEND) == YES


class Entry:
    """One entry of a repeating group, read like a message."""

    def __init__(self, message: Received) -> None:
        self.begin_string = b""
        self.msg_type = message.msg_type
        self.seq_num = message.seq_num
        self._tags: list[int] = []
        self._values: list[bytes] = []
        self.tags: Sequence[int] = self._tags
        self.values: Sequence[bytes] = self._values
        self.raw = b""
        self._first: dict[int, bytes] = {}

    def add(self, tag: int, value: bytes) -> None:
        """Take one more field in."""
        self._tags.append(tag)
        self._values.append(value)
        self._first.setdefault(tag, value)

    def get(self, tag: int) -> bytes | None:
        """The first value of a tag; None when it is not there."""
        return self._first.get(tag)


def entries_in(message: Received, count_tag: int, first_tag: int) -> Iterator[Entry]:
    """The entries of a group that is the last of its message, each begins with one tag."""
    entry: Entry | None = None
    inside = False
    for tag, value in zip(message.tags, message.values, strict=True):
        if tag == count_tag:
            inside = True
        elif inside:
            if tag == first_tag:
                if entry is not None:
                    yield entry
                entry = Entry(message)
            if entry is not None:
                entry.add(tag, value)
    if entry is not None:
        yield entry
