"""One kind of an instrument as clients are told it: what is new since each was told.

A message is made once and given to all who were told the same before: those who read in time. Who
reads late has been told less, and gets one that stands for all it missed. So a tape keeps nothing
of a client, and a client keeps of each tape what it was told last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import msgspec

from api.ws.market_data import messages
from api.ws.market_data.counts import ChannelCounts
from api.ws.market_data.messages import Message, Span
from projections.market_data.feed import Feed, Followed
from projections.market_data.records import Kind, Record
from projections.market_data.subscribers import Row

TRADES_AT_ONCE = 1_000
"""How many trades a client is told of in one message, so that no message grows without a bound."""
_KEPT = 64
"""For how many different readers the messages of one moment are kept."""

Note = Mapping[str, Any]
"""What is added to a message: its age, where that is more than it should be."""

_encode = msgspec.json.Encoder().encode


class Place(NamedTuple):
    """What a client was told last: the sequence, and which of the ring's records of the kind."""

    sequence: int
    ordinal: int


NOWHERE = Place(0, 0)
"""The place of who was told that there is nothing yet."""


class Part(NamedTuple):
    """What a client is sent of one tape: messages between commas, or nothing to say."""

    text: bytes
    place: Place
    left_out: int = 0
    more: bool = False


class Tape:
    """One kind of an instrument under one name."""

    kind: ClassVar[Kind]

    def __init__(self, feed: Feed, counts: ChannelCounts, followed: Followed, symbol: str) -> None:
        self.feed = feed
        self._counts = counts
        self.row: Row = (followed.row, int(self.kind))
        self.told = messages.Told(symbol, followed.instrument.price_decimals)
        self._standing: object = None
        self._note: Note | None = None
        self._parts: dict[Place | None, Part] = {}

    def since(self, place: Place | None, note: Note | None = None) -> Part | None:
        """What a client is to be told that was told up to a place; with None, what stands. None
        where nothing is new.
        """
        standing = self._stands()
        if standing != self._standing or note is not self._note or len(self._parts) >= _KEPT:
            self._parts.clear()
            self._standing, self._note = standing, note
        part = self._parts.get(place)
        if part is None:
            part = self._make(place)
            if part is None:
                return None
            self._parts[place] = part
        return part

    def _stands(self) -> object:
        """What is another whenever there is something new."""
        return self.feed.fanout.count(*self.row)

    def _make(self, place: Place | None) -> Part | None:
        raise NotImplementedError

    def _text(self, message: Message) -> bytes:
        self._counts.made += 1
        return _encode({**message, **self._note} if self._note else message)


class BookTape(Tape):
    """A book: whole at first, then each level that changed, as it is now."""

    kind = Kind.LEVEL

    def _stands(self) -> object:
        return self.feed.books.sequence(*self.row)

    def _make(self, place: Place | None) -> Part | None:
        after = None if place is None else place.sequence
        changes = self.feed.books.changes(self.row[0], after)
        if changes.sequence == after:
            return None
        previous = None if changes.whole else after
        skipped = 0 if previous is None else max(0, changes.sequence - previous - 1)
        span = Span(previous, changes.sequence, skipped)
        text = self._text(messages.book(self.told, span, changes.records))
        return Part(text, Place(changes.sequence, 0), skipped)


class LatestTape(Tape):
    """What has one newest state: it is told, and stands for what went before."""

    def _make(self, place: Place | None) -> Part | None:
        record = self.feed.fanout.latest(*self.row)
        if record is None:
            return self._nothing() if place is None else None
        if place is not None and record.sequence == place.sequence:
            return None
        if place is None or place == NOWHERE:
            span = Span(None, record.sequence, 0)
        else:
            # A feed that begins anew counts on from higher up, and the ring counts what it was
            # given again: neither has left out more than the other says.
            between = min(record.sequence - place.sequence, record.ordinal - place.ordinal)
            span = Span(place.sequence, record.sequence, max(0, between - 1))
        text = self._text(self._message(span, record))
        return Part(text, Place(record.sequence, record.ordinal), span.left_out)

    def _message(self, span: Span, record: Record) -> Message:
        raise NotImplementedError

    def _nothing(self) -> Part | None:
        """What is said where there is none yet."""
        return None


class QuoteTape(LatestTape):
    """The best prices, the newest of them."""

    kind = Kind.QUOTE

    def _message(self, span: Span, record: Record) -> Message:
        return messages.quote(self.told, span, record)

    def _nothing(self) -> Part:
        return Part(self._text(messages.quote(self.told, Span(None, 0, 0), None)), NOWHERE)


class StatusTape(LatestTape):
    """The phase, the newest of them."""

    kind = Kind.STATUS

    def _message(self, span: Span, record: Record) -> Message:
        return messages.status(self.told, span, record)


class TradeTape(Tape):
    """Every trade, bust and correction that the ring still has; the others are counted."""

    kind = Kind.TRADE

    def _make(self, place: Place | None) -> Part | None:
        if place is None:
            return self._newest()
        fanout = self.feed.fanout
        found = fanout.since(*self.row, place.ordinal, TRADES_AT_ONCE)
        newest = fanout.latest(*self.row)
        if not found:
            if newest is None or newest.ordinal <= place.ordinal:
                return None
            # Others have filled the ring since, and the newest is kept beside it.
            found = [newest]
        texts, sequence = [], place.sequence
        dropped, between = 0, found[0].ordinal - place.ordinal - 1
        for record in found:
            # A feed that came back tells the newest again.
            if record.sequence > sequence:
                span = Span(sequence or record.sequence - 1, record.sequence, between)
                texts.append(self._text(messages.trade(self.told, span, record)))
                sequence, dropped, between = record.sequence, dropped + between, 0
        more = found[-1].ordinal < fanout.count(*self.row)
        return Part(b",".join(texts), Place(sequence, found[-1].ordinal), dropped, more)

    def _newest(self) -> Part:
        record = self.feed.fanout.latest(*self.row)
        if record is None:
            return Part(b"", NOWHERE)
        text = self._text(messages.trade(self.told, Span(None, record.sequence, 0), record))
        return Part(text, Place(record.sequence, record.ordinal))
