"""Reads a LOBSTER archive: the messages of a trading day, and the book after each of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, time
from enum import IntEnum
from io import TextIOWrapper
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile
from zoneinfo import ZoneInfo

from domain.identifiers import Instant, instant_of
from domain.terms import Side

NEW_YORK = ZoneInfo("America/New_York")
CENT = 100
NO_PRICE = 9_999_999_999
"""What stands, with its sign, where the book has no such level."""

_NAME = re.compile(
    r"(?P<symbol>[A-Z0-9.]{1,24})_(?P<date>\d{4}-\d{2}-\d{2})_(?P<start>\d+)_(?P<end>\d+)"
    r"_(?P<kind>message|orderbook)_(?P<levels>\d{1,3})\.csv"
)
# Some times carry the noise of a binary fraction, as 43002.632812672004.
_TIME = re.compile(r"(\d{1,5})(?:\.(\d{1,15}))?", re.ASCII)
_DIRECTIONS = {"1": Side.BUY, "-1": Side.SELL}


class Kind(IntEnum):
    """What a message tells."""

    SUBMITTED = 1
    REDUCED = 2
    DELETED = 3
    EXECUTED = 4
    EXECUTED_HIDDEN = 5
    CROSSED = 6
    HALT = 7


class LobsterError(Exception):
    """The archive is not what it should be; the message names the file and the line."""


class Level(NamedTuple):
    """One price of one side of the book; prices are 1e-4 dollars."""

    price: int
    size: int


class Row(NamedTuple):
    """The visible book after a message, best level first."""

    asks: tuple[Level, ...]
    bids: tuple[Level, ...]


class Message(NamedTuple):
    """One line of the message file; `side` is that of the resting order.

    For HALT the price says what it is: -1 halt, 0 quoting resumes, 1 trading resumes.
    """

    time_ns: int
    kind: Kind
    order_id: int
    size: int
    price: int
    side: Side


class Recording(NamedTuple):
    """One day of one symbol, read whole."""

    symbol: str
    day: date
    levels: int
    messages: list[Message]
    rows: list[Row]

    def instant(self, time_ns: int) -> Instant:
        """The moment of a message: nanoseconds after midnight in New York, on the day."""
        midnight = datetime.combine(self.day, time(), NEW_YORK)
        return instant_of(midnight) + time_ns // 1_000

    def tick(self) -> int:
        """The coarsest step, a cent or finer, on which every visible price stands."""
        seen = (
            m.price for m in self.messages if m.kind is not Kind.EXECUTED_HIDDEN and m.price > 1
        )
        shown = (level.price for row in self.rows for side in row for level in side)
        return gcd(CENT, *seen, *shown)


def read_recording(path: Path, limit: int | None = None) -> Recording:
    """Read an archive, or its first `limit` messages; raises LobsterError."""
    try:
        with ZipFile(path) as archive:
            return _read(archive, path.name, limit)
    except (BadZipFile, OSError) as error:
        raise LobsterError(f"{path}: {error}") from error


def _read(archive: ZipFile, name: str, limit: int | None) -> Recording:
    found: dict[str, tuple[str, re.Match[str]]] = {}
    for entry in archive.namelist():
        match = _NAME.fullmatch(entry.rsplit("/", 1)[-1])
        if match is not None:
            found[match["kind"]] = entry, match
    if set(found) != {"message", "orderbook"}:
        raise LobsterError(
            f"{name}: holds no SYMBOL_DATE_START_END_message_LEVELS.csv beside its orderbook"
        )
    (entry, told), (book, shown) = found["message"], found["orderbook"]
    levels = int(told["levels"])
    if told.groups()[:4] != shown.groups()[:4] or levels != int(shown["levels"]):
        raise LobsterError(f"{name}: {entry} and {book} do not belong together")
    try:
        day = date.fromisoformat(told["date"])
    except ValueError as error:
        raise LobsterError(f"{name}: {entry}: {error}") from error
    messages = [_message(where, fields) for where, fields in _lines(archive, entry, limit)]
    reader = _Rows(levels)
    rows = [reader.read(where, fields) for where, fields in _lines(archive, book, limit)]
    if len(messages) != len(rows):
        raise LobsterError(f"{name}: {len(messages)} messages, but {len(rows)} rows of the book")
    if not messages:
        raise LobsterError(f"{name}: holds no message")
    for line, (before, after) in enumerate(pairwise(messages), 2):
        if after.time_ns < before.time_ns:
            raise LobsterError(f"{entry}, line {line}: is earlier than the line before")
    return Recording(told["symbol"], day, levels, messages, rows)


def _lines(archive: ZipFile, entry: str, limit: int | None) -> Iterator[tuple[str, list[str]]]:
    """Every line's fields, with where it stands."""
    with archive.open(entry) as raw, TextIOWrapper(raw, "ascii", errors="replace") as text:
        for number, line in enumerate(text, 1):
            if limit is not None and number > limit:
                return
            yield f"{entry}, line {number}", line.strip().split(",")


def _message(where: str, fields: list[str]) -> Message:
    if len(fields) != 6:
        raise LobsterError(f"{where}: has {len(fields)} fields instead of 6")
    at = _TIME.fullmatch(fields[0])
    if at is None:
        raise LobsterError(f"{where}: {fields[0]!r} is no time in seconds after midnight")
    time_ns = int(at[1]) * 10**9 + (int((at[2] or "").ljust(15, "0")) + 500_000) // 10**6
    try:
        kind = Kind(int(fields[1]))
        order_id, size, price = map(int, fields[2:5])
        side = _DIRECTIONS[fields[5]]
    except (ValueError, KeyError) as error:
        raise LobsterError(f"{where}: {','.join(fields)!r} is not a message: {error}") from error
    if kind is not Kind.HALT and (size <= 0 or price <= 0):
        raise LobsterError(f"{where}: size and price must be positive")
    return Message(time_ns, kind, order_id, size, price, side)


class _Rows:
    """Reads rows of the book; what did not change is the same object as in the row before."""

    def __init__(self, levels: int) -> None:
        self._levels = levels
        self._known: dict[Level, Level] = {}
        self._before = Row((), ())

    def read(self, where: str, fields: list[str]) -> Row:
        """One line as a row; raises LobsterError."""
        if len(fields) != 4 * self._levels:
            raise LobsterError(f"{where}: has {len(fields)} fields instead of {4 * self._levels}")
        try:
            numbers = list(map(int, fields))
        except ValueError as error:
            raise LobsterError(f"{where}: {error}") from error
        asks = self._side(numbers[0::4], numbers[1::4], self._before.asks)
        bids = self._side(numbers[2::4], numbers[3::4], self._before.bids)
        self._before = Row(asks, bids)
        return self._before

    def _side(
        self, prices: list[int], sizes: list[int], before: tuple[Level, ...]
    ) -> tuple[Level, ...]:
        known = self._known
        side = tuple(
            known.setdefault(level, level)
            for level in map(Level, prices, sizes)
            if abs(level.price) != NO_PRICE
        )
        return before if side == before else side
