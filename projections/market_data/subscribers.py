"""Kinds of subscribers of the ring: critical, lossy, conflating. Each reads at its own pace.

None of them is called by the publisher; it sets their bits, and `projections.market_data.waking`
lets those run that have something to read. A subscriber that never reads costs the others nothing.

- `Critical` is given every record that is in the log, in order, once, out of the log where the ring
  has it no more: for whoever decides by it.
- `Lossy` is given what the ring still has, in order, and counts what it has not: a tape, a chart.
- `Conflating` is given the newest of each row at most `rate` times a second, and counts what that
  stands for: clients.
- `Bounded` (`projections.market_data.freshness`) reads the newest, never older than a limit: risk.

A busted trade must not be conflated away: whoever tells clients of trades takes `Lossy` for them,
at its throttle's pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from projections.market_data.depth import Books
from projections.market_data.fanout import Fanout
from projections.market_data.records import LOG, Kind, Record

PAGE = 256
_LEVEL = int(Kind.LEVEL)
_SECOND = 1_000_000

UNKNOWN = -1
_NOTHING_NEW_SECONDS = 0.01

Row = tuple[int, int]
"""An instrument's index and a kind."""


class Subscriber:
    """Who has a slot of the feed, and is told that there is something to read."""

    def __init__(self, fanout: Fanout) -> None:
        """Take a slot. Raises OverflowError when none is free."""
        self.slot = fanout.open()
        self.fanout = fanout
        self.closed = False
        self._told = False
        self._waiter: asyncio.Future[None] | None = None

    def ready(self) -> None:
        """Be told that something can be read."""
        self._told = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Return when something may be read that could not be when this was last asked."""
        if not self._told:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        self._told = False

    def due(self, now: int) -> int:
        """How many microseconds it must not be told yet."""
        return 0

    def close(self) -> None:
        """Leave the feed; who waits is told."""
        if not self.closed:
            self.closed = True
            self.fanout.close(self.slot)
            self.ready()


class Lossy(Subscriber):
    """Reads what the ring has; what was overwritten before it came is counted in `dropped`."""

    def __init__(self, fanout: Fanout) -> None:
        super().__init__(fanout)
        self.cursor = fanout.head
        self.dropped = 0
        self._next: dict[Row, int] = {}

    def subscribe(self, instrument: int, kind: int) -> None:
        """Be told of a kind from now on; nothing changes for one that is told of already."""
        assert not self.closed
        ordinal = self.fanout.subscribe(self.slot, instrument, kind)
        self._next.setdefault((instrument, kind), ordinal)

    def unsubscribe(self, instrument: int, kind: int) -> None:
        """Be told of a kind no more."""
        assert not self.closed
        self.fanout.unsubscribe(self.slot, instrument, kind)
        self._next.pop((instrument, kind), None)

    def take(self, limit: int = PAGE) -> Sequence[Record]:
        """The next records, about so many, none of a command without the others; none once it is
        closed.
        """
        found: list[Record] = []
        if self.closed:
            return found
        records, self.cursor, _ = self.fanout.read(self.slot, self.cursor, limit)
        for record in records:
            row = record.instrument, record.kind
            if record.ordinal >= self._next[row]:
                self.dropped += record.ordinal - self._next[row]
                self._next[row] = record.ordinal + 1
                found.append(record)
        return found


class Place(NamedTuple):
    """Where a reader of the log stands, and what it was told last: the sequence of each row."""

    position: int
    sequences: Mapping[Row, int]


class Stretch(NamedTuple):
    """The records of whole commands of the log, and the position up to which they are all."""

    records: Sequence[Record]
    position: int


class RecordLog(Protocol):
    """The log as records, for who has fallen behind the ring (`projections.market_data.replay`)."""

    async def read(self, place: Place) -> Stretch:
        """The records of the next commands, with the numbers that the ring gave them."""
        ...


class Critical(Subscriber):
    """Reads every record that is in the log, in order, once, however slow it is.

    While the ring has what it needs it reads that; when it has fallen behind, or begins long ago,
    it reads on out of the log until the ring has the rest. It holds nobody, and nothing is dropped
    for it. Up to `position` it was given everything: who keeps that and begins there again is given
    what follows.

    What is in no log (prices from outside) it is not given: nobody could promise that.
    """

    def __init__(self, fanout: Fanout, log: RecordLog, position: int) -> None:
        super().__init__(fanout)
        self.position = position
        self.from_log = 0
        """How many records came out of the log and not out of the ring."""
        self._log = log
        self._cursor: int | None = None
        self._told_last: dict[Row, int] = {}

    def subscribe(self, instrument: int, kind: int, sequence: int = UNKNOWN) -> None:
        """Be told of a kind from where it stands in the log. `sequence` is the kind's there: out of
        the log it is counted on from that, else as a feed would that began there.
        """
        assert not self.closed
        self.fanout.subscribe(self.slot, instrument, kind)
        self._told_last.setdefault((instrument, kind), sequence)

    def unsubscribe(self, instrument: int, kind: int) -> None:
        """Be told of a kind no more."""
        assert not self.closed
        self.fanout.unsubscribe(self.slot, instrument, kind)
        self._told_last.pop((instrument, kind), None)

    async def take(self, limit: int = PAGE) -> Sequence[Record]:
        """The next records, about so many; it waits for some. None once it is closed."""
        while not self.closed:
            if records := await self.read(limit):
                return records
            await self.wait()
        return []

    async def read(self, limit: int = PAGE) -> Sequence[Record]:
        """The next records, about so many; none when it was given all that there is."""
        while not self.closed and (self._cursor is None or self._cursor < self.fanout.head):
            records = self._out_of_ring(limit)
            if records is None:
                records = await self._out_of_log()
            if records:
                return records
        return []

    def _out_of_ring(self, limit: int) -> Sequence[Record] | None:
        """What the ring has next; None when something before that is not in it any more."""
        if self.position < self.fanout.lost_position:
            self._cursor = None
            return None
        if self._cursor is None or self._cursor < self.fanout.tail:
            self._cursor = self.fanout.first_above(self.position)
        records, self._cursor, position = self.fanout.read(self.slot, self._cursor, limit)
        # The log may have been read further than the ring was filled.
        new = [one for one in records if one.source == LOG and one.position > self.position]
        return self._given(new, position)

    async def _out_of_log(self) -> Sequence[Record]:
        """What the log has next, which other commands may have followed meanwhile."""
        known = {row: told for row, told in self._told_last.items() if told != UNKNOWN}
        stretch = await self._log.read(Place(self.position, known))
        if stretch.position <= self.position:
            # The ring had it, so the log has it: whoever reads that is behind for a moment.
            await asyncio.sleep(_NOTHING_NEW_SECONDS)
        wanted = [one for one in stretch.records if (one.instrument, one.kind) in self._told_last]
        self.from_log += len(wanted)
        return self._given(wanted, stretch.position)

    def _given(self, records: Sequence[Record], position: int) -> Sequence[Record]:
        for one in records:
            self._told_last[one.instrument, one.kind] = one.sequence
        self.position = max(self.position, position)
        return records


class Update(NamedTuple):
    """What a conflating client is told at once of an instrument and kind.

    It stands for all updates above `previous` up to `sequence`; `skipped` of them had records of
    their own that nobody sent. `whole`: what was known before is void.
    """

    instrument: int
    kind: int
    previous: int
    sequence: int
    records: Sequence[Record]
    skipped: int
    whole: bool


class Conflating(Subscriber):
    """Gives the newest of each row, at most `rate` times a second; of a book, what changed.

    The clock is one that never goes back, in microseconds.
    """

    def __init__(self, fanout: Fanout, books: Books, *, rate: int) -> None:
        if not 1 <= rate <= _SECOND:
            raise ValueError(f"rate is {rate} a second, not 1 to {_SECOND}")
        super().__init__(fanout)
        self.skipped = 0
        self.interval = _SECOND // rate
        self._books = books
        self._next_at: int | None = None
        self._seen: dict[Row, int | None] = {}
        """The sequence that was told last; None before anything was."""

    def subscribe(self, instrument: int, kind: int) -> None:
        """Be told of a kind: of a book the whole first, of others the latest. Again: once more."""
        assert not self.closed
        self.fanout.subscribe(self.slot, instrument, kind)
        self._seen[instrument, kind] = None
        # What stands already is told without waiting for a change, but not before it is due.
        self.fanout.notify(self.slot)

    def unsubscribe(self, instrument: int, kind: int) -> None:
        """Be told of a kind no more."""
        assert not self.closed
        self.fanout.unsubscribe(self.slot, instrument, kind)
        self._seen.pop((instrument, kind), None)

    def due(self, now: int) -> int:
        """How many microseconds its throttle lets it wait, never more than one interval."""
        if self._next_at is None:
            return 0
        return min(max(0, self._next_at - now), self.interval)

    def take(self, now: int) -> Sequence[Update]:
        """What is new of each row; nothing, and what is new stays so, before it is due."""
        if self.closed or self.due(now):
            return []
        updates = [update for row in self._seen if (update := self._of(row)) is not None]
        if updates:
            self._next_at = now + self.interval
        return updates

    def _of(self, row: Row) -> Update | None:
        instrument, kind = row
        seen = self._seen[row]
        if kind == _LEVEL:
            return self._of_book(instrument, seen)
        latest = self.fanout.latest(instrument, kind)
        if latest is None or latest.sequence == seen:
            return None
        return self._tell(row, latest.sequence, [latest], seen is None)

    def _of_book(self, instrument: int, seen: int | None) -> Update | None:
        changes = self._books.changes(instrument, seen)
        if changes.sequence == seen:
            return None
        return self._tell((instrument, _LEVEL), changes.sequence, changes.records, changes.whole)

    def _tell(self, row: Row, sequence: int, records: Sequence[Record], whole: bool) -> Update:
        seen = self._seen[row]
        skipped = 0 if seen is None else max(0, sequence - seen - 1)
        self.skipped += skipped
        self._seen[row] = sequence
        previous = sequence - 1 if seen is None else seen
        return Update(*row, previous, sequence, records, skipped, whole)
