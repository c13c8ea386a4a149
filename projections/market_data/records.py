"""What travels in the ring: one record of integers, and what its words mean by kind."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

from domain.identifiers import uuid_of_bits

HALF = 62
"""A quantity beyond 62 bits is two words: the lower bits, and how often 2^62 was passed."""
_LOWER = (1 << HALF) - 1
_WORD = 1 << 64
_SIGN = 1 << 63

LOG = 0
"""The source of what follows from committed events; each feed from outside has a number above."""


class Kind(IntEnum):
    """What a record tells; subscribers are interested in kinds of an instrument."""

    LEVEL = 0
    TRADE = 1
    QUOTE = 2
    STATUS = 3
    MARK = 4
    REFERENCE = 5


class Printed(IntEnum):
    """What became of a trade."""

    TRADED = 0
    BUSTED = 1
    CORRECTED = 2


class Record(NamedTuple):
    """One message. `sequence` counts the updates of a kind of an instrument, one by one; `position`
    is that of the last event of its command in the log, 0 of what is in no log.

    `number` (of all records) and `ordinal` (of its instrument and kind) are given by the ring.
    What the other words mean depends on the kind: see `Level`, `Trade`, `Quote`, `Status`,
    `Reference`; a mark has its price.
    """

    source: int
    instrument: int
    kind: int
    side: int
    sequence: int
    at: int
    position: int
    price: int = 0
    qty: int = 0
    high: int = 0
    first: int = 0
    second: int = 0
    third: int = 0
    number: int = 0
    ordinal: int = 0


class Level(NamedTuple):
    """What rests at a price after an update of the book; nothing does where `qty` is 0.

    `left` records of the same update follow; the last one's `checksum` is that of the book.
    """

    side: int
    price: int
    qty: int
    orders: int
    left: int
    checksum: int


class Trade(NamedTuple):
    """A trade, or what became of one. `side` took; it is 0 in an auction, and not said again."""

    trade_id: UUID
    printed: int
    side: int
    price: int
    qty: int
    price_before: int


class Quote(NamedTuple):
    """The best prices and what rests there; zeros where a side is empty."""

    bid: int
    bid_qty: int
    ask: int
    ask_qty: int


class Status(NamedTuple):
    """The phase of an instrument; what its auction traded, zeros when nothing did."""

    phase: int
    session_date: int
    auction_price: int
    auction_qty: int


class Reference(NamedTuple):
    """A price from outside, and the best prices there; zeros where they are not said.

    `quoted_at` is the other side's own time.
    """

    price: int
    bid: int
    ask: int
    quoted_at: int


def halves(qty: int) -> tuple[int, int]:
    """A quantity as the two words of a record."""
    return qty & _LOWER, qty >> HALF


def whole(qty: int, high: int) -> int:
    """The quantity of two words."""
    return qty + (high << HALF)


def id_words(identifier: UUID) -> tuple[int, int]:
    """An id as two signed words."""
    high, low = divmod(identifier.int, _WORD)
    return _signed(high), _signed(low)


def _signed(word: int) -> int:
    return word - _WORD if word & _SIGN else word


def id_of(first: int, second: int) -> UUID:
    """The id of two words."""
    return uuid_of_bits((first % _WORD << 64) | second % _WORD)


def level_of(record: Record) -> Level:
    """A record as a level of the book."""
    return Level(
        record.side,
        record.price,
        whole(record.qty, record.high),
        record.first,
        record.second,
        record.third,
    )


def trade_of(record: Record) -> Trade:
    """A record as a trade."""
    trade_id = id_of(record.first, record.second)
    return Trade(trade_id, record.high, record.side, record.price, record.qty, record.third)


def quote_of(record: Record) -> Quote:
    """A record as the best prices."""
    bid_qty, ask_qty = whole(record.qty, record.high), whole(record.second, record.third)
    return Quote(record.price, bid_qty, record.first, ask_qty)


def status_of(record: Record) -> Status:
    """A record as a phase."""
    return Status(record.first, record.second, record.price, record.qty)


def reference_of(record: Record) -> Reference:
    """A record as a price from outside."""
    return Reference(record.price, record.first, record.second, record.third)
