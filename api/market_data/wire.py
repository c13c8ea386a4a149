"""What the market-data process and those it tells say to each other, over a unix socket.

A frame is a msgpack array of messages, each an array that begins with its name. Records travel as
fifteen words of 64 bits each, levels of a book as four, little endian. Who connects says `Hello`
first, and which version it speaks; of another version nothing is said and the connection ends.

Instruments are told by the index that they have in the process, which is another one after the
next start: it is known by `Instruments`, which comes before anything that names one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Annotated, Any
from uuid import UUID

import msgspec

from domain.identifiers import Instant
from projections.market_data.depth import ALL_LEVELS, BookChanges, BookStamp, level_records
from projections.market_data.feed import Listed, Snapshot
from projections.market_data.levels import BUY, SELL, Changed, Resting
from projections.market_data.records import Record, whole

VERSION = 1
WORDS = 15
_RECORD = struct.Struct(f"<{WORDS}q")
_LEVEL = struct.Struct("<4q")
_PRICE = struct.Struct("<2q")


class Message(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Anything that is said."""


# From a gateway


class Hello(Message, frozen=True, array_like=True, gc=False, tag="hello"):
    """The first that is said, and that it is this version of all this."""

    version: int


class Ask(Message, frozen=True, array_like=True, gc=False, tag="ask"):
    """Wants all that stands of a symbol of today, once."""

    number: int
    symbol: str
    levels: Annotated[int, msgspec.Meta(ge=0, le=ALL_LEVELS)] = ALL_LEVELS


class Follow(Message, frozen=True, array_like=True, gc=False, tag="follow"):
    """Wants all that stands of a symbol of today, or of an instrument, and what follows."""

    number: int
    symbol: str = ""
    instrument_id: UUID | None = None


class Leave(Message, frozen=True, array_like=True, gc=False, tag="leave"):
    """Wants no more of an instrument."""

    index: int


Request = Hello | Ask | Follow | Leave

# From the market-data process


class Instruments(Message, frozen=True, array_like=True, gc=False, tag="instruments"):
    """The ids of instruments, from an index on."""

    first: int
    ids: list[UUID]


class Stands(Message, frozen=True, array_like=True, gc=False, tag="stands"):
    """A snapshot: levels as packed words, best first, and the newest record of each other kind."""

    stamp: BookStamp
    bids: bytes
    asks: bytes
    latest: bytes
    as_of: Instant | None
    position: int


class Answer(Message, frozen=True, array_like=True, gc=False, tag="answer"):
    """What was asked for; what stands is left out where it is followed here already."""

    number: int
    index: int
    instrument: Listed
    stands: Stands | None


class Refused(Message, frozen=True, array_like=True, gc=False, tag="refused"):
    """There is no such instrument."""

    number: int


class Told(Message, frozen=True, array_like=True, gc=False, tag="told"):
    """Records of whole commands, of what is followed and of every mark."""

    records: bytes


class Valued(Message, frozen=True, array_like=True, gc=False, tag="valued"):
    """Prices at which the venue values instruments: pairs of an index and a price."""

    prices: bytes


class Confirmed(Message, frozen=True, array_like=True, gc=False, tag="confirmed"):
    """That all has been told up to a position, and when each source (that of the log is 0) last
    knew that it had told everything, by the machine's steady clock.
    """

    position: int
    at: dict[int, Instant]


class FeedMetrics(Message, frozen=True, array_like=True, gc=False, tag="metrics"):
    """How the market-data process stands."""

    position: int = 0
    """Where in the log it has come to."""
    age: int | None = None
    """Microseconds since it knew itself at the log's head; None before it ever did."""
    records: int = 0
    """How many records it has published since it began."""
    gateways: int = 0
    followed: int = 0
    """How many instruments gateways follow, each counted for each of them."""
    unsent: int = 0
    """How many bytes are written ahead of gateways that have not read them."""
    snapshots: int = 0
    """How many it has given, since the process started, as all below."""
    begun_anew: int = 0
    """How often it has begun anew from a snapshot and the log."""
    dropped: int = 0
    """How many gateways were so slow that they had to begin anew."""
    refused: int = 0
    """How many connections made no sense."""


Said = Instruments | Answer | Refused | Told | Valued | Confirmed | FeedMetrics

_ENCODER = msgspec.msgpack.Encoder(uuid_format="bytes")
_REQUESTS = msgspec.msgpack.Decoder(list[Request])
_SAID = msgspec.msgpack.Decoder(list[Said])


def encode(messages: Sequence[Message]) -> bytes:
    """Messages as the body of a frame."""
    return _ENCODER.encode(messages)


def requests_in(frame: memoryview) -> list[Request]:
    """What a gateway says. Raises msgspec.MsgspecError."""
    return _REQUESTS.decode(frame)


def said_in(frame: memoryview) -> list[Said]:
    """What the process says. Raises msgspec.MsgspecError."""
    return _SAID.decode(frame)


def packed(records: Sequence[Record]) -> bytes:
    """Records as their words."""
    return struct.pack(f"<{WORDS * len(records)}q", *chain.from_iterable(records))


def unpacked(words: bytes) -> list[Record]:
    """The records of these words. Raises msgspec.ValidationError."""
    return [Record(*found) for found in _rows(_RECORD, words)]


def packed_prices(prices: Iterable[tuple[int, int]]) -> bytes:
    """Pairs of an index and a price as their words."""
    return b"".join(_PRICE.pack(*pair) for pair in prices)


def unpacked_prices(words: bytes) -> Iterable[tuple[int, int]]:
    """The pairs of an index and a price of these words. Raises msgspec.ValidationError."""
    return _rows(_PRICE, words)


def _rows(row: struct.Struct, words: bytes) -> Iterable[tuple[Any, ...]]:
    if len(words) % row.size:
        raise msgspec.ValidationError(f"{len(words)} bytes are no rows of {row.size}")
    return row.iter_unpack(words)


def packed_snapshot(snapshot: Snapshot, stamp: BookStamp) -> Stands:
    """A snapshot as it travels, with the stamp of its book."""
    sides: dict[int, list[bytes]] = {BUY: [], SELL: []}
    for record in snapshot.book.records:
        sides[record.side].append(_LEVEL.pack(record.price, record.qty, record.high, record.first))
    return Stands(
        stamp,
        b"".join(sides[BUY]),
        b"".join(sides[SELL]),
        packed(snapshot.latest),
        snapshot.as_of,
        snapshot.position,
    )


def resting(words: bytes) -> list[Resting]:
    """The levels of these words. Raises msgspec.ValidationError."""
    return [
        Resting(price, whole(qty, high), orders)
        for price, qty, high, orders in _rows(_LEVEL, words)
    ]


def unpacked_snapshot(instrument: Listed, row: int, stood: Stands) -> Snapshot:
    """A snapshot that has arrived, of an instrument that has this row here. Raises
    msgspec.ValidationError.
    """
    changed = [
        Changed(side, *level)
        for side, words in ((BUY, stood.bids), (SELL, stood.asks))
        for level in resting(words)
    ]
    return Snapshot(
        instrument,
        BookChanges(stood.stamp.sequence, level_records(row, stood.stamp, changed), True),
        stood.stamp.checksum,
        [record._replace(instrument=row) for record in unpacked(stood.latest)],
        stood.as_of,
        stood.position,
    )
