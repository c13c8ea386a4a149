"""What processes say of market data: it arrives as it was, and what makes no sense is not taken."""

from __future__ import annotations

import struct
from uuid import UUID

import msgspec
import pytest

from api.market_data.wire import (
    Answer,
    Ask,
    Confirmed,
    FeedMetrics,
    Follow,
    Hello,
    Instruments,
    Leave,
    Refused,
    Told,
    Valued,
    encode,
    packed,
    packed_prices,
    packed_snapshot,
    requests_in,
    said_in,
    unpacked,
    unpacked_prices,
    unpacked_snapshot,
)
from projections.market_data.depth import BookChanges, BookStamp, level_records
from projections.market_data.feed import Listed, Snapshot
from projections.market_data.levels import BUY, SELL, Changed
from projections.market_data.records import LOG, Kind, Record

ID = UUID(int=0x0199AAAABBBB7CCC8DDD0123456789AB)
ALFA = Listed(ID, "ALFA", "us_equity", 4, 100, 10**8)
EDGES = (0, 1, -1, 2**63 - 1, -(2**63))


def test_feed_records_arrive_with_every_word_as_it_was():
    """Also the largest and the smallest that a word can hold."""
    records = [Record(*(EDGES[(n + word) % 5] for word in range(15))) for n in range(7)]

    assert records == unpacked(packed(records))
    assert [] == unpacked(packed([]))


@pytest.mark.parametrize("words", [b"\0" * 119, b"\0" * 121, b"x"])
def test_feed_words_that_are_no_records_are_not_taken(words):
    """Nothing is cut off or filled up."""
    with pytest.raises(msgspec.ValidationError, match="are no rows of 120"):
        unpacked(words)


def test_feed_snapshot_arrives_as_it_was():
    """Its book with quantities beyond 64 bits, and records with the row they have over there."""
    stamp = BookStamp(41, 0xFFFFFFFF, 1_763_625_600_000_000, 99)
    changed = [Changed(BUY, 995_000, 2**70 + 3, 12), Changed(SELL, 995_100, 1, 1)]
    trade = Record(LOG, 3, int(Kind.TRADE), 1, 7, 5, 99, 995_000, 10**8, 0, -5, 6, 0, 17, 2)
    book = BookChanges(stamp.sequence, level_records(3, stamp, changed), True)
    snapshot = Snapshot(ALFA, book, stamp.checksum, [trade], 123_456, 100)

    arrived = unpacked_snapshot(ALFA, 9, packed_snapshot(snapshot, stamp))

    expected = BookChanges(stamp.sequence, level_records(9, stamp, changed), True)
    assert snapshot._replace(book=expected, latest=[trade._replace(instrument=9)]) == arrived


def test_feed_snapshot_of_an_empty_book_arrives_too():
    """Of one whose age nobody knows."""
    stamp = BookStamp(0, 0, 0, 0)
    snapshot = Snapshot(ALFA, BookChanges(0, [], True), 0, [], None, 0)

    assert snapshot == unpacked_snapshot(ALFA, 0, packed_snapshot(snapshot, stamp))


def test_feed_values_arrive_by_their_index():
    """A price is a word."""
    pairs = [(0, 995_000), (7, 0), (8, 2**62)]

    assert pairs == list(unpacked_prices(packed_prices(pairs)))


def test_feed_messages_arrive_as_they_were_said():
    """Every one of both sides, ids and nothing among them."""
    requests = [Hello(1), Ask(1, "ALFA", 5), Follow(2, "BETA"), Follow(3, "", ID), Leave(4)]
    stands = packed_snapshot(
        Snapshot(ALFA, BookChanges(0, [], True), 0, [], None, 0), BookStamp(0, 0, 0, 0)
    )
    said = [
        *(Instruments(0, [ID]), Answer(1, 0, ALFA, stands), Answer(2, 0, ALFA, None)),
        *(Refused(3), Told(b"x"), Valued(b"y"), Confirmed(0, {}), Confirmed(6, {0: 5, 2: 1})),
        FeedMetrics(position=5, age=None, dropped=2),
    ]

    assert requests == requests_in(memoryview(encode(requests)))
    assert said == said_in(memoryview(encode(said)))


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode("hello"),
        msgspec.msgpack.encode([["hallo", 1]]),
        msgspec.msgpack.encode([["hello", "1"]]),
        msgspec.msgpack.encode([["ask", 1, "ALFA", -1]]),
        msgspec.msgpack.encode([["ask", 1, "ALFA", 2**31]]),
        msgspec.msgpack.encode([["ask", 1]]),
        msgspec.msgpack.encode([["follow", 1, "", b"short"]]),
        msgspec.msgpack.encode([["confirmed", 1, {}]]),
        struct.pack(">I", 7),
    ],
)
def test_feed_request_that_makes_no_sense_is_not_taken(frame):
    """Garbled bytes, a message of the other side, or a field that is wrong."""
    with pytest.raises(msgspec.MsgspecError):
        requests_in(memoryview(frame))
