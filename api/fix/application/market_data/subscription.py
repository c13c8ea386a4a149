"""One MarketDataRequest that is served: what of it was told, and what is to be told next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from api.fix.application import tags as t
from api.fix.application.market_data import messages
from api.fix.application.market_data.messages import Fields
from api.fix.application.market_data.requests import MOST_LEVELS, NoMarketData, Wanted
from api.fix.application.market_data.told import ToldBook
from api.fix.application.vocabulary import MDReqRejReason
from api.fix.ports import Body
from projections.market_data.feed import Feed, Followed, Listed, Snapshot
from projections.market_data.records import Kind, Record
from projections.market_data.subscribers import Conflating, Lossy, Update

MOST_ENTRIES = 2 * MOST_LEVELS
"""How many entries an incremental refresh has at most."""
_LEVEL, _TRADE = int(Kind.LEVEL), int(Kind.TRADE)
_AT_EVERY_CHANCE = 1_000_000


class Pace:
    """How often a session is told what is new, by a clock that never goes back."""

    def __init__(self, rate: int) -> None:
        self._interval = 1_000_000 // rate
        self._next_at: int | None = None

    def wait(self, now: int) -> int:
        """How many microseconds it is not told yet, never more than one interval."""
        if self._next_at is None:
            return 0
        return min(max(0, self._next_at - now), self._interval)

    def told(self, now: int) -> None:
        """Note that it was."""
        self._next_at = now + self._interval


class _Watch(Conflating):
    """What is new of all that one request names, when its session may be told again."""

    def __init__(self, feed: Feed, pace: Pace, awake: asyncio.Event) -> None:
        super().__init__(feed.fanout, feed.books, rate=_AT_EVERY_CHANCE)
        self._pace = pace
        self._awake = awake

    def ready(self) -> None:
        """Have the session look at what is new."""
        super().ready()
        self._awake.set()

    def due(self, now: int) -> int:
        """How many microseconds its session's pace lets it wait."""
        return self._pace.wait(now)

    def begin(self, row: int) -> Update:
        """Be told of a book from now on, and take the whole of it."""
        self.subscribe(row, _LEVEL)
        update = self._of((row, _LEVEL))
        assert update is not None, "a book that nobody was told is new"
        return update


class _Told(NamedTuple):
    listed: Listed
    book: ToldBook


class Writer:
    """Writes the messages of one request; `rpt_seq` says the sequence of each, too."""

    def __init__(self, wanted: Wanted, *, rpt_seq: bool) -> None:
        self.wanted = wanted
        self._rpt_seq = rpt_seq

    def sequence(self, number: int) -> Fields:
        """RptSeq where it is agreed: FIX 4.4 has none in these messages."""
        return [(t.RPT_SEQ, b"%d" % number)] if self._rpt_seq else []

    def snapshot_of(self, snapshot: Snapshot) -> Body:
        """All that was asked for, once. Raises NoMarketData where the book is too deep."""
        book = ToldBook(self.wanted.sides, self.wanted.depth)
        book.begin(snapshot.book.records)
        trade = next((one for one in snapshot.latest if one.kind == _TRADE), None)
        return self.whole(snapshot.instrument, book, trade, snapshot.book.sequence)

    def whole(self, listed: Listed, book: ToldBook, trade: Record | None, number: int) -> Body:
        """A book as it stands. Raises NoMarketData where it is too deep for one message."""
        if not self.wanted.depth and book.deepest() > MOST_LEVELS:
            said = (
                f"the book of {listed.symbol} has more levels on a side than the {MOST_LEVELS} of"
                f" a message: ask for a {t.named(t.MARKET_DEPTH)} of 1 to {MOST_LEVELS}"
            )
            raise NoMarketData(MDReqRejReason.MARKET_DEPTH, said)
        asked = trade if self.wanted.trades else None
        return messages.snapshot(
            self.wanted.request_id, listed, book.shown(), asked, self.sequence(number)
        )


class Subscription:
    """What a session asked to be told from now on, conflated to its session's pace.

    Trades are told one by one, each once; where some are missing, as after a break of the feed, the
    instrument begins anew with a snapshot.
    """

    def __init__(self, writer: Writer, feed: Feed, pace: Pace, awake: asyncio.Event) -> None:
        """Raises OverflowError when the feed has no room for more subscribers."""
        self._writer = writer
        self._feed = feed
        self._awake = awake
        self._told: dict[int, _Told] = {}
        self._coming: deque[int] = deque()
        """The instruments that were not told yet."""
        self._traded: dict[int, int] = {}
        """The sequence of the trade that was told last."""
        self._watch = _Watch(feed, pace, awake)
        try:
            self._tape = Lossy(feed.fanout) if writer.wanted.trades else None
        except OverflowError:
            self._watch.close()
            raise
        feed.waker.add(self._watch)

    def watch(self, followed: Followed) -> None:
        """Be told of an instrument that is followed, of all that stands first."""
        row, listed = followed
        wanted = self._writer.wanted
        self._told[row] = _Told(listed, ToldBook(wanted.sides, wanted.depth))
        self._coming.append(row)
        self._awake.set()

    def close(self) -> None:
        """Be told no more."""
        self._feed.waker.remove(self._watch)
        if self._tape is not None:
            self._tape.close()

    def take(self, now: int) -> Iterator[Body]:
        """What is new: each instrument that begins by itself, so that others may have their turn
        between two, and then what changed of all. Raises NoMarketData.
        """
        while self._coming:
            yield self._first(self._coming.popleft())
        books = {one.instrument: one for one in self._watch.take(now) if one.kind == _LEVEL}
        trades = self._trades()
        entries: list[Fields] = []
        for row, told in self._told.items():
            update, printed = books.get(row), trades.get(row, ())
            if self._is_void(row, update, printed):
                yield from self._refresh(entries)
                entries = []
                yield self._anew(row, told, update)
            elif update is not None:
                changes = told.book.update(update.records)
                if changes and not self._writer.wanted.incremental:
                    yield self._writer.whole(told.listed, told.book, None, update.sequence)
                else:
                    number = self._writer.sequence(update.sequence)
                    entries += messages.level_entries(told.listed, changes, number)
            for record in printed:
                number = self._writer.sequence(record.sequence)
                entries.append(messages.trade_entry(told.listed, record, number))
        yield from self._refresh(entries)

    def _first(self, row: int) -> Body:
        """All that stands of an instrument, from which on it is told what changes."""
        told, number = self._told[row], 0
        trade: Record | None = None
        if self._tape is not None:
            self._watch.subscribe(row, _TRADE)
            self._tape.subscribe(row, _TRADE)
            trade = self._feed.fanout.latest(row, _TRADE)
            if trade is not None:
                number = self._traded[row] = trade.sequence
        if self._writer.wanted.sides:
            update = self._watch.begin(row)
            number = update.sequence
            told.book.begin(update.records)
        return self._writer.whole(told.listed, told.book, trade, number)

    def _is_void(self, row: int, update: Update | None, printed: Sequence[Record]) -> bool:
        """Whether what is known of an instrument is void, or trades are missing; note the trades
        that are told now.
        """
        void = update is not None and update.whole
        for record in printed:
            last = self._traded.get(row)
            void = void or (last is not None and record.sequence != last + 1)
            self._traded[row] = record.sequence
        return void

    def _anew(self, row: int, told: _Told, update: Update | None) -> Body:
        """A book from which on it is told again."""
        number = update.sequence if update is not None else self._traded.get(row, 0)
        if update is not None and update.whole:
            told.book.begin(update.records)
        elif update is not None:
            told.book.update(update.records)
        return self._writer.whole(told.listed, told.book, None, number)

    def _trades(self) -> dict[int, list[Record]]:
        """The trades that were not told yet, by instrument and in order."""
        found: dict[int, list[Record]] = {}
        while self._tape is not None and (records := self._tape.take()):
            for record in records:
                if record.sequence > self._traded.get(record.instrument, -1):
                    found.setdefault(record.instrument, []).append(record)
        return found

    def _refresh(self, entries: list[Fields]) -> Iterator[Body]:
        for start in range(0, len(entries), MOST_ENTRIES):
            part = entries[start : start + MOST_ENTRIES]
            yield messages.refresh(self._writer.wanted.request_id, part)
