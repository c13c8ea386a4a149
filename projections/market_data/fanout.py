# cython: language_level=3, overflowcheck=True, boundscheck=False, wraparound=False
# cython: initializedcheck=False, auto_pickle=False
# mypy: disable-error-code="import-untyped,untyped-decorator,no-any-return"
"""One message to a thousand subscribers: a shared ring, the latest of each kind, pending bits."""

# Publishing writes a record once and sets the pending bit of every interested subscriber, 64 with
# one operation. Nobody is called, nothing is copied for anybody and no memory is taken, so that
# neither a slow subscriber nor a thousand of them hold the publisher or each other. Whoever has a
# pending bit reads the ring through a cursor of its own, or the latest record of what it wants.
#
# *Notified* is: the pending bit of every interested subscriber is set, and the record is readable
# through its cursor.
#
# A row is an instrument and a kind: 8 * instrument + kind. Numbers of records rise by one for ever;
# record `number` stands at `number & mask`. What the newest `capacity` records are is readable,
# what was overwritten is not; `lost_position` is the highest log position among that.
#
# Bounds. Everything that comes in is checked against 64 bits and against the capacities before the
# first word is written. Numbers and ordinals count records: 2**63 are not reached. Bounds of the
# arrays are not checked at run time: a slot is below its capacity, and so is a row.
#
# Publisher and subscribers are one thread, as of a loop: nothing is locked and nobody waits. `head`
# moves once, after the whole batch was written, so that no command is seen by halves.

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import cython

from projections.market_data.records import Record

KINDS: Final = 8
WIDTH: Final = 16
"""Words of a record: 15, and in the ring the number of the one before it of its row."""
MAX_SLOTS: Final = 2**16
MAX_INSTRUMENTS: Final = 2**20
MAX_RECORDS: Final = 2**26

_LOG = cython.declare(cython.longlong, 0)

# Under its own name Cython would turn a float argument into an integer by cutting it.
Whole = int
_new = tuple.__new__


class Reading(NamedTuple):
    """Records that a subscriber wants, and where it reads on.

    Up to `position` of the log these are all that were readable; 0 where none was looked at.
    """

    records: list[Record]
    cursor: int
    position: int


def implementation() -> str:
    """Which form of this file runs: 'compiled' or 'interpreted'."""
    return "compiled" if cython.compiled else "interpreted"


@cython.cfunc
@cython.inline
@cython.exceptval(-1, check=True)
def _int64(value: Any) -> cython.longlong:
    """A caller's integer as a 64-bit one, or ValueError."""
    if not isinstance(value, int):
        raise TypeError(f"{value!r} is not an integer")
    if cython.compiled:
        try:
            return value
        except OverflowError:
            raise ValueError(f"{value} does not fit 64 bits") from None
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} does not fit 64 bits")
    return value


@cython.cfunc
@cython.exceptval(-1, check=True)
def _within(
    name: str, value: Any, least: cython.longlong, most: cython.longlong
) -> cython.longlong:
    """A caller's integer inside bounds, or ValueError that names it."""
    number: cython.longlong = _int64(value)
    if number < least or number > most:
        raise ValueError(f"{name} is {number}, not {least} to {most}")
    return number


@cython.final
@cython.cclass
class Fanout:
    """The ring, the latest records, who is interested in what, and who has something to read."""

    _ring: cython.longlong[::1]
    _mask: cython.longlong
    _capacity: cython.longlong
    head = cython.declare(cython.longlong, visibility="readonly")
    lost_position = cython.declare(cython.longlong, visibility="readonly")
    # One row an instrument and kind: how many records there were, the latest, who wants them.
    _count: cython.longlong[::1]
    _latest: cython.longlong[::1]
    _interest: cython.ulonglong[::1]
    instruments = cython.declare(cython.longlong, visibility="readonly")
    # The record that is being written.
    _staged: cython.longlong[::1]
    # One bit a subscriber.
    _pending: cython.ulonglong[::1]
    _bit: cython.ulonglong[::1]
    _words: cython.int
    _slots: cython.int
    _next_word: cython.int
    _free: list[int]
    _wake: Any
    _armed: cython.bint

    def __init__(
        self,
        *,
        records: Whole = 65_536,
        instruments: Whole = 1_024,
        subscribers: Whole = 1_024,
    ) -> None:
        """Take all memory there will be, but for more instruments (`make_room`)."""
        wanted = _within("records", records, 1, MAX_RECORDS)
        size: cython.longlong = 16
        while size < wanted:
            size *= 2
        slots = _within("subscribers", subscribers, 1, MAX_SLOTS)
        self._slots = slots
        self._words = (slots + 63) // 64
        self._ring = array("q", [0]) * (size * WIDTH)
        self._staged = array("q", [0]) * WIDTH
        self._capacity = size
        self._mask = size - 1
        self.head = 0
        self.lost_position = 0
        self._count = array("q")
        self._latest = array("q")
        self._interest = array("Q")
        self.instruments = 0
        self._pending = array("Q", [0]) * self._words
        # Powers of Python's integers: a C shift would stay within 32 bits.
        self._bit = array("Q", [int("1") << bit for bit in range(64)])
        self._next_word = 0
        self._free = list(range(slots - 1, -1, -1))
        self._wake = None
        self._armed = True
        self.make_room(_within("instruments", instruments, 1, MAX_INSTRUMENTS))

    # -- who is there ----------------------------------------------------------------------

    def open(self) -> int:
        """A slot for one more subscriber. Raises OverflowError when all are taken."""
        if not self._free:
            raise OverflowError(f"all {self._slots} subscribers of the feed are there")
        return self._free.pop()

    def close(self, slot: Whole) -> None:
        """Forget a subscriber; its slot may be another's."""
        s: cython.int = self._slot(slot)
        row: cython.longlong
        if s in self._free:
            raise ValueError(f"slot {s} is nobody's")
        word: cython.int = s >> 6
        bit: cython.ulonglong = self._bit[s & 63]
        for row in range(self.instruments * 8):
            if self._interest[row * self._words + word] & bit:
                self._interest[row * self._words + word] ^= bit
        if self._pending[word] & bit:
            self._pending[word] ^= bit
        self._free.append(s)

    def subscribe(self, slot: Whole, instrument: Whole, kind: Whole) -> int:
        """Tell a subscriber of a kind from now on; the ordinal that its next record will have."""
        s: cython.int = self._slot(slot)
        row: cython.longlong = self._row(instrument, kind)
        self._interest[row * self._words + (s >> 6)] |= self._bit[s & 63]
        return self._count[row] + 1

    def unsubscribe(self, slot: Whole, instrument: Whole, kind: Whole) -> None:
        """Tell a subscriber of a kind no more."""
        s: cython.int = self._slot(slot)
        row: cython.longlong = self._row(instrument, kind)
        at: cython.longlong = row * self._words + (s >> 6)
        bit: cython.ulonglong = self._bit[s & 63]
        if self._interest[at] & bit:
            self._interest[at] ^= bit

    def make_room(self, instruments: Whole) -> None:
        """Have room for so many instruments; what was there stays. Never while publishing."""
        wanted: cython.longlong = _within("instruments", instruments, 1, MAX_INSTRUMENTS)
        if wanted <= self.instruments:
            return
        rows = wanted * KINDS
        self._count = _grown("q", self._count, rows)
        self._latest = _grown("q", self._latest, rows * WIDTH)
        self._interest = _grown("Q", self._interest, rows * self._words)
        self.instruments = wanted

    def begin(self, position: Whole) -> None:
        """Say that what is told begins above a position of the log: what is at or below it was
        never here, as if it had been overwritten.
        """
        begun: cython.longlong = _int64(position)
        if begun > self.lost_position:
            self.lost_position = begun

    # -- telling ---------------------------------------------------------------------------

    def publish(self, record: Record) -> None:
        """Make one record readable, and set the pending bit of everyone who wants it."""
        self._stage(record)
        self._put(self.head)
        self.head += 1
        if not self._armed:
            self._arm()

    def publish_all(self, records: Sequence[Record]) -> None:
        """Make the records of one command readable together, in their order."""
        record: Any
        for record in records:
            self._stage(record)
        number: cython.longlong = self.head
        for record in records:
            self._stage(record)
            self._put(number)
            number += 1
        self.head = number
        if not self._armed:
            self._arm()

    # -- reading ---------------------------------------------------------------------------

    @property
    def tail(self) -> int:
        """The number of the oldest record that is readable."""
        return self.head - self._capacity if self.head > self._capacity else 0

    def read(self, slot: Whole, cursor: Whole, limit: Whole) -> Reading:
        """What a subscriber wants from `cursor` on: about `limit` records, and none of a command
        without the others that it wants of it. What was overwritten is passed over.
        """
        s: cython.int = self._slot(slot)
        number: cython.longlong = _within("cursor", cursor, 0, self.head)
        wanted: cython.longlong = _within("limit", limit, 1, MAX_RECORDS)
        tail: cython.longlong = self.tail
        if number < tail:
            number = tail
        word: cython.int = s >> 6
        bit: cython.ulonglong = self._bit[s & 63]
        at: cython.longlong
        row: cython.longlong
        position: cython.longlong
        # Of the newest command that was given something of, and of the last two looked at.
        given: cython.longlong = -1
        newest: cython.longlong = 0
        before: cython.longlong = 0
        found: list[Record] = []
        while number < self.head:
            at = (number & self._mask) * 16
            position = self._ring[at + 6] if self._ring[at] == _LOG else -1
            row = self._ring[at + 1] * 8 + self._ring[at + 2]
            if self._interest[row * self._words + word] & bit:
                if wanted <= 0 and (position < 0 or position != given):
                    # Of its command nothing was given: it is not behind the reader.
                    if position == newest:
                        newest = before
                    break
                found.append(self._record(self._ring, at))
                given = position
                wanted -= 1
            if position > newest:
                before = newest
                newest = position
            number += 1
        return Reading(found, number, newest)

    def latest(self, instrument: Whole, kind: Whole) -> Record | None:
        """The newest record of a kind; None where there was none yet."""
        row: cython.longlong = self._row(instrument, kind)
        return None if self._count[row] == 0 else self._record(self._latest, row * 16)

    def since(self, instrument: Whole, kind: Whole, ordinal: Whole, limit: Whole) -> list[Record]:
        """The first records of a kind above an ordinal that are readable, at most `limit`; the
        others of the ring are not looked at.
        """
        row: cython.longlong = self._row(instrument, kind)
        above: cython.longlong = _int64(ordinal)
        wanted: cython.longlong = _within("limit", limit, 1, MAX_RECORDS)
        tail: cython.longlong = self.tail
        newest: cython.longlong = self._latest[row * 16 + 13] if self._count[row] else -1
        number: cython.longlong = newest
        left: cython.longlong = 0
        at: cython.longlong
        while number >= tail:
            at = (number & self._mask) * 16
            if self._ring[at + 14] <= above:
                break
            left += 1
            number = self._ring[at + 15]
        found: list[Record] = []
        number = newest
        while left > 0:
            at = (number & self._mask) * 16
            if left <= wanted:
                found.append(self._record(self._ring, at))
            left -= 1
            number = self._ring[at + 15]
        found.reverse()
        return found

    def count(self, instrument: Whole, kind: Whole) -> int:
        """How many records of a kind there were: the ordinal of the latest."""
        return self._count[self._row(instrument, kind)]

    def first_above(self, position: Whole) -> int:
        """The number of the first readable record that stands above a position of the log; of the
        next one where there is none.
        """
        above: cython.longlong = _int64(position)
        number: cython.longlong = self.tail
        at: cython.longlong
        while number < self.head:
            at = (number & self._mask) * 16
            if self._ring[at] == _LOG and self._ring[at + 6] > above:
                break
            number += 1
        return number

    # -- waking ----------------------------------------------------------------------------

    def wake_by(self, wake: Callable[[], object] | None) -> None:
        """Call this when somebody has something to read, once and not again until `rearm`; call
        nobody when it is None, as at the beginning.
        """
        self._wake = wake
        self._armed = wake is None
        if not self._armed:
            self._arm()

    def is_pending(self, slot: Whole) -> bool:
        """Whether a subscriber has been told of something since it was taken last."""
        s: cython.int = self._slot(slot)
        return (self._pending[s >> 6] & self._bit[s & 63]) != 0

    def notify(self, slot: Whole) -> None:
        """Set a subscriber's pending bit, as a record does."""
        s: cython.int = self._slot(slot)
        self._pending[s >> 6] |= self._bit[s & 63]
        if not self._armed:
            self._arm()

    def take_ready(self, limit: Whole) -> list[int]:
        """At least `limit` subscribers with something to read, if there are so many, and at most
        63 more: no word of 64 is taken by halves. Their pending bits are cleared.

        It begins where it ended, so that all have their turn.
        """
        wanted: cython.longlong = _within("limit", limit, 1, MAX_SLOTS)
        ready: list[int] = []
        word: cython.ulonglong
        looked: cython.int = 0
        bit: cython.int
        while looked < self._words and wanted > 0:
            word = self._pending[self._next_word]
            if word != 0:
                self._pending[self._next_word] = 0
                for bit in range(64):
                    if word & self._bit[bit]:
                        ready.append(self._next_word * 64 + bit)
                        wanted -= 1
            self._next_word += 1
            if self._next_word == self._words:
                self._next_word = 0
            looked += 1
        return ready

    def rearm(self) -> bool:
        """Have the next record wake again; false, and nothing done, when somebody is pending."""
        word: cython.int
        for word in range(self._words):
            if self._pending[word] != 0:
                return False
        self._armed = self._wake is None
        return True

    def memory_bytes(self) -> int:
        """The bytes of all arrays."""
        rows = self.instruments * KINDS
        of_rows = rows * 8 * (1 + WIDTH + self._words)
        return (self._capacity + 1) * WIDTH * 8 + of_rows + 8 * (self._words + 64)

    # -- the core --------------------------------------------------------------------------

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _slot(self, slot: Any) -> cython.int:
        """A slot inside the table."""
        number: cython.longlong = _int64(slot)
        if number < 0 or number >= self._slots:
            raise ValueError(f"slot is {number}, not 0 to {self._slots - 1}")
        s: cython.int = number
        return s

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _row(self, instrument: Any, kind: Any) -> cython.longlong:
        """The row of an instrument and kind."""
        i: cython.longlong = _int64(instrument)
        k: cython.longlong = _int64(kind)
        if i < 0 or i >= self.instruments:
            raise ValueError(f"instrument is {i}, not 0 to {self.instruments - 1}")
        if k < 0 or k >= 8:
            raise ValueError(f"kind is {k}, not 0 to 7")
        return i * 8 + k

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _stage(self, record: Any) -> cython.int:
        """Take a record's words, or refuse it before anything is written."""
        word: cython.int
        value: Any
        if len(record) != 15:
            raise ValueError(f"a record has 15 words, not {len(record)}")
        for word, value in enumerate(record):
            self._staged[word] = _int64(value)
        if self._staged[1] < 0 or self._staged[1] >= self.instruments:
            raise ValueError(f"instrument is {record[1]}, not 0 to {self.instruments - 1}")
        if self._staged[2] < 0 or self._staged[2] >= 8:
            raise ValueError(f"kind is {record[2]}, not 0 to 7")
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def _put(self, number: cython.longlong) -> cython.int:
        """Write what is staged: into the ring, as the latest, and to whom it concerns."""
        at: cython.longlong = (number & self._mask) * 16
        word: cython.int
        lost: cython.longlong = self._ring[at + 6] if self._ring[at] == _LOG else 0
        if number > self._mask and lost > self.lost_position:
            self.lost_position = lost
        row: cython.longlong = self._staged[1] * 8 + self._staged[2]
        self._count[row] += 1
        self._staged[13] = number
        self._staged[14] = self._count[row]
        latest: cython.longlong = row * 16
        self._ring[at + 15] = self._latest[latest + 13] if self._count[row] > 1 else -1
        for word in range(15):
            self._ring[at + word] = self._staged[word]
            self._latest[latest + word] = self._staged[word]
        base: cython.longlong = row * self._words
        for word in range(self._words):
            self._pending[word] |= self._interest[base + word]
        return 0

    @cython.cfunc
    @cython.exceptval(-1, check=True)
    def _arm(self) -> cython.int:
        """Wake whoever lets subscribers run, once until it has seen to all."""
        word: cython.int
        for word in range(self._words):
            if self._pending[word] != 0:
                self._armed = True
                self._wake()
                break
        return 0

    @cython.cfunc
    def _record(self, words: cython.longlong[::1], at: cython.longlong) -> Any:
        """The record that begins at a word."""
        return _new(Record, [words[word] for word in range(at, at + 15)])


@cython.cfunc
def _grown(code: str, old: Any, size: cython.longlong) -> Any:
    """A longer copy of an array, zero beyond what it held."""
    longer = array(code, [0]) * size
    if len(old):
        kept = memoryview(old).cast("B")
        memoryview(longer).cast("B")[: len(kept)] = kept
    return longer
