"""What a mirror has of the market: rows that last, books of what is followed, and the ring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from api.market_data.wire import Stands, resting, unpacked
from projections.market_data.depth import BookChanges, BookStamp, level_records
from projections.market_data.fanout import Fanout
from projections.market_data.levels import Changed, Levels
from projections.market_data.records import LOG, Kind, Record, level_of

_LEVEL, _MARK = int(Kind.LEVEL), int(Kind.MARK)


class OutOfStep(Exception):
    """What was told does not follow from what was told before."""


class _Book:
    """The book of one instrument as it was told."""

    def __init__(self, stood: Stands) -> None:
        sequence, checksum, self.at, self.position = stood.stamp
        self.levels = Levels(sequence, resting(stood.bids), resting(stood.asks))
        if self.levels.checksum != checksum:
            raise OutOfStep("a snapshot of a book has not its checksum")

    def take(self, record: Record) -> bool:
        """Take a level of the next update in; false when it is one of old."""
        if record.sequence <= self.levels.sequence:
            return False
        if record.sequence != self.levels.sequence + 1:
            raise OutOfStep(f"update {record.sequence} follows {self.levels.sequence}")
        level = level_of(record)
        if level.qty < 0 or (level.qty > 0) != (level.orders > 0):
            raise OutOfStep(f"{level.orders} orders rest with {level.qty} in all")
        self.levels.put(Changed(level.side, level.price, level.qty, level.orders))
        if not level.left:
            self.levels.commit()
            self.at, self.position = record.at, record.position
            if (self.levels.sequence, self.levels.checksum) != (record.sequence, level.checksum):
                raise OutOfStep(f"the book has not its checksum after update {record.sequence}")
        return True

    def stamp(self) -> BookStamp:
        """The latest update."""
        return BookStamp(self.levels.sequence, self.levels.checksum, self.at, self.position)

    def lacks(self, before: Levels) -> list[Changed]:
        """What is to be changed in a book as it was before, to be this one."""
        was = {(one.side, one.price): one for one in before.standing()}
        stands = {(one.side, one.price): one for one in self.levels.standing()}
        gone = [Changed(side, price, 0, 0) for side, price in was if (side, price) not in stands]
        return gone + [one for key, one in stands.items() if was.get(key) != one]


class Mirrored:
    """Every instrument that was ever told has a row here, for as long as this lives."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._rows: dict[UUID, int] = {}
        self._ids: list[UUID] = []
        self._books: dict[int, _Book] = {}
        self._told: dict[tuple[int, int], int] = {}
        """Of each row and kind the sequence that was told last, of books their own."""
        self._row_of: list[int] = []
        """The row of each instrument of the process that tells."""
        self._values: dict[UUID, int] = {}

    # Questions (`Books` among them)

    def row(self, instrument_id: UUID) -> int | None:
        """The row of an instrument; None where none was told."""
        return self._rows.get(instrument_id)

    def row_of(self, index: int) -> int:
        """The row of an instrument by the index of the process. Raises OutOfStep."""
        if not 0 <= index < len(self._row_of):
            raise OutOfStep(f"nobody has told of instrument {index}")
        return self._row_of[index]

    def changes(self, instrument: int, after: int | None) -> BookChanges:
        """What changed in a book that is followed, after a sequence."""
        book = self._books[instrument]
        if after == book.levels.sequence:
            return BookChanges(after, (), False)
        changed = None if after is None else book.levels.since(after)
        whole = changed is None
        if changed is None:
            changed = book.levels.standing()
        return BookChanges(
            book.levels.sequence, level_records(instrument, book.stamp(), changed), whole
        )

    def sequence(self, instrument: int, kind: int) -> int:
        """The count of the updates of a kind of what is followed."""
        if kind == _LEVEL:
            return self._books[instrument].levels.sequence
        return self._told.get((instrument, kind), 0)

    def valued_at(self, instrument_id: UUID) -> int | None:
        """What an instrument is valued at."""
        return self._values.get(instrument_id)

    # Being told

    def begin(self) -> None:
        """Be told by another process, or anew by the same: indexes mean nothing yet."""
        self._row_of.clear()

    def listed(self, first: int, ids: Iterable[UUID]) -> None:
        """Instruments have these indexes. Raises OutOfStep."""
        if first != len(self._row_of):
            raise OutOfStep(f"instruments from {first} on follow {len(self._row_of)} others")
        for identifier in ids:
            row = self._rows.setdefault(identifier, len(self._ids))
            if row == len(self._ids):
                self._ids.append(identifier)
            self._row_of.append(row)
        if len(self._rows) > self._fanout.instruments:
            self._fanout.make_room(2 * len(self._rows))

    def valued(self, prices: Iterable[tuple[int, int]]) -> None:
        """Instruments are valued at these prices."""
        for index, price in prices:
            self._values[self._ids[self.row_of(index)]] = price

    def told(self, records: Sequence[Record]) -> None:
        """Take records of whole commands in and publish them together. Raises OutOfStep."""
        taken: list[Record] = []
        for record in records:
            row = self.row_of(record.instrument)
            if self._takes(row, record):
                taken.append(record if row == record.instrument else _moved(record, row))
        self._fanout.publish_all(taken)

    def _takes(self, row: int, record: Record) -> bool:
        """Whether a record is new of what is followed, or a mark."""
        kind = record.kind
        book = self._books.get(row)
        if kind == _LEVEL:
            return book is not None and book.take(record)
        if book is None and kind != _MARK:
            return False
        if record.source == LOG:
            if record.sequence <= self._told.get((row, kind), -1):
                return False
            self._told[row, kind] = record.sequence
        return True

    def follow(self, row: int, stood: Stands) -> None:
        """Have all that stands of an instrument told, and its book kept. Raises OutOfStep."""
        book, before = _Book(stood), self._books.get(row)
        new = [_moved(record, row) for record in unpacked(stood.latest)]
        self._books[row] = book
        for record in new:
            if record.source == LOG:
                self._told[row, record.kind] = record.sequence
        told = [record for record in new if not self._is_latest(record)]
        if before is not None:
            told += level_records(row, book.stamp(), book.lacks(before.levels))
        self._fanout.publish_all(told)

    def _is_latest(self, record: Record) -> bool:
        """Whether the ring has this as the latest already, whatever it was counted as."""
        latest = self._fanout.latest(record.instrument, record.kind)
        return latest is not None and _said(latest) == _said(record)

    def leave(self, row: int) -> None:
        """Keep a book no more."""
        self._books.pop(row, None)


def _moved(record: Record, row: int) -> Record:
    return record._replace(instrument=row)


def _said(record: Record) -> tuple[int, ...]:
    """What a record says, without how it is counted and since when it stands."""
    return record.side, *record[7:13]
