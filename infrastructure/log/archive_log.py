"""An archive as the log that it holds: read without a server by position, aggregate and key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Self
from uuid import UUID

from application.audit.snapshots import AggregateSnapshot
from application.audit.verify import StoredRow
from application.log.ports import ArchiveError, DeskSnapshot, Recorded, RequestKey
from domain.events import InstrumentListed
from domain.identifiers import drawn_at, drawn_by
from infrastructure.log.archive import Archive
from infrastructure.log.codec import recorded

PAGE = 10_000
_KEYS_KEPT = 3
"""Ranges whose request keys stay at hand."""


class ArchiveReader:
    """One archive as people and the auditor read a log (`infrastructure.log.reader.LogReader`).

    It has events and request keys, and neither views nor snapshots.
    """

    def __init__(self, directory: Path) -> None:
        self.archive = Archive.open(directory)
        self._decimals: dict[UUID, int] = {}
        self._keys: dict[int, Mapping[tuple[UUID, str], tuple[bytes, int]]] = {}
        self._reading = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the files; nothing is held open."""

    def last_position(self) -> int:
        """The position of the newest row; 0 in an empty archive."""
        return self.archive.up_to

    def pages(self, after: int = 0) -> Iterator[Sequence[StoredRow]]:
        """Every row above a position. Only a whole archive can be audited; raises ArchiveError."""
        self.must_be_whole()
        rows = self.archive.rows(after)
        while page := list(islice(rows, PAGE)):
            self._reading = self.archive.range_at(page[-1][0])
            yield page

    def must_be_whole(self) -> None:
        """Raise ArchiveError for an archive that does not begin at the first event."""
        if self.archive.first != 1:
            raise ArchiveError(
                f"{self.archive.directory} begins at position {self.archive.first}: what stood"
                " before it is not known"
            )

    def stream(
        self, originator_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> list[StoredRow]:
        """The rows of one aggregate above a version, in order, at most `limit`."""
        archive, wanted = self.archive, originator_id.bytes
        # An id of ours was drawn when its first event was recorded, or before.
        born = drawn_at(originator_id) if drawn_by(originator_id) is not None else 0
        found: list[StoredRow] = []
        for held in archive.ranges:
            if held.recorded_until >= born and archive.may_have(held, wanted):
                rows = archive.rows(held.first - 1, held.last)
                own = (row for row in rows if row[1] == originator_id and row[2] > after_version)
                found += map(StoredRow._make, islice(own, limit and limit - len(found)))
                if len(found) == limit:
                    break
        return found

    def keys(
        self, wanted: Sequence[tuple[UUID, str]]
    ) -> Mapping[tuple[UUID, str], tuple[bytes, int]]:
        """The stored (fingerprint, position) of request keys.

        Those of what was read last are looked for where that stands, before anywhere else.
        """
        missing = set(wanted)
        found: dict[tuple[UUID, str], tuple[bytes, int]] = {}
        ranges = range(len(self.archive.ranges))
        near = [n for n in (self._reading, self._reading - 1, self._reading + 1) if n in ranges]
        for number in dict.fromkeys([*near, *ranges]):
            if not missing:
                break
            known = self._keys_in(number)
            found |= {key: known[key] for key in missing if key in known}
            missing -= found.keys()
        return found

    def _keys_in(self, number: int) -> Mapping[tuple[UUID, str], tuple[bytes, int]]:
        known = self._keys.pop(number, None)
        if known is None:
            rows = self.archive.keys_of(self.archive.ranges[number])
            known = {(row[0], row[1]): (row[2], row[3]) for row in rows}
            while len(self._keys) >= _KEYS_KEPT:
                del self._keys[next(iter(self._keys))]
        self._keys[number] = known
        return known

    def keys_named(self, key: str) -> list[RequestKey]:
        """Every account's request key of this name."""
        return [
            RequestKey(*row)
            for held in self.archive.ranges
            for row in self.archive.keys_of(held)
            if row[1] == key
        ]

    def key_count(self) -> int:
        """How many request keys are stored."""
        return self.archive.key_count

    def credentials(self) -> None:
        """No key: an archive lets nobody in."""

    def subjects(self) -> Sequence[UUID]:
        """Nobody's key."""
        return ()

    def tracked(self) -> Sequence[tuple[str, int, int]]:
        """No view."""
        return ()

    def ledger_view(self) -> None:
        """No view of the ledger."""

    def desk_snapshots(self) -> Sequence[DeskSnapshot]:
        """No snapshot."""
        return ()

    def aggregate_snapshots(self) -> Sequence[AggregateSnapshot]:
        """No snapshot."""
        return ()

    def read(self, after: int, limit: int) -> Sequence[Recorded]:
        """Events above a position, in order."""
        return _recorded(islice(self.archive.rows(after), limit))

    def select(
        self,
        after: int,
        limit: int,
        *,
        topics: Sequence[str] = (),
        account_id: UUID | None = None,
        order_id: UUID | None = None,
    ) -> Sequence[Recorded]:
        """Events above a position that are of these topics, this account and this order."""
        rows: Iterable[StoredRow]
        if order_id is not None:
            rows = (row for row in self.stream(order_id) if row[0] > after)
        else:
            rows = self.archive.rows(after)
        chosen = (
            row
            for row in rows
            if (not topics or row[3] in topics) and (account_id is None or row[7] == account_id)
        )
        return _recorded(islice(chosen, limit))

    def events_of(self, originator_id: UUID) -> Sequence[Recorded]:
        """The events of one aggregate."""
        return _recorded(self.stream(originator_id))

    def of_account(self, account_id: UUID) -> Sequence[Recorded]:
        """Every event that concerns an account: its own, its orders' and its positions'."""
        return _recorded(row for row in self.archive.rows(0) if row[7] == account_id)

    def price_decimals(self, instrument_id: UUID) -> int:
        """The price decimals of an instrument, as it was listed."""
        known = self._decimals.get(instrument_id)
        if known is None:
            first = next(iter(self.events_of(instrument_id)), None)
            listed = first.event if first is not None else None
            known = listed.price_decimals if isinstance(listed, InstrumentListed) else 0
            self._decimals[instrument_id] = known
        return known


class ArchiveLog:
    """One archive as programs read a log (`application.log.ports.ReportsLog`, `EventRanges`,
    `EventLookUps` and `EventSource`).

    A log that begins later than its first event is refused: nobody could tell what it leaves out.
    """

    def __init__(self, directory: Path) -> None:
        self._reader = ArchiveReader(directory)
        self._reader.must_be_whole()
        self._archive = self._reader.archive

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Archived events with positions above `after`, in order, at most `limit`."""
        return self._reader.select(after, limit, topics=topics)

    async def read_range(
        self, after: int, up_to: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Archived events above `after` and up to a position, in order."""
        rows = self._archive.rows(after, up_to)
        return _recorded(row for row in rows if not topics or row[3] in topics)

    async def read_of_account(
        self, account_id: UUID, after: int, up_to: int, limit: int, topics: Sequence[str]
    ) -> Sequence[Recorded]:
        """The archived events of an account in a range that are of these topics, in order."""
        rows = self._archive.rows(after, up_to)
        chosen = (row for row in rows if row[7] == account_id and (not topics or row[3] in topics))
        return _recorded(islice(chosen, limit))

    async def read_at(self, positions: Sequence[int]) -> Sequence[Recorded]:
        """The archived events at these positions, in order."""
        wanted = sorted({one for one in positions if 1 <= one <= self._archive.up_to})
        return _recorded(row for one in wanted for row in self._archive.rows(one - 1, one))

    async def stream(
        self, originator_id: UUID, after_version: int = 0, up_to_version: int | None = None
    ) -> Sequence[Recorded]:
        """The events of one aggregate above a version, at most up to another, in order."""
        return _recorded(
            row
            for row in self._reader.stream(originator_id)
            if row[2] > after_version and (up_to_version is None or row[2] <= up_to_version)
        )

    async def first_events(self, originator_ids: Sequence[UUID]) -> Sequence[Recorded]:
        """The first event of each of these aggregates, in no order."""
        return [one for each in originator_ids for one in self._reader.events_of(each)[:1]]

    async def lives(
        self, originator_ids: Sequence[UUID], *, after: int, limit: int
    ) -> Sequence[Recorded]:
        """The events of several aggregates together that stand above a position, in log order,
        at most `limit`.
        """
        found = [one for each in originator_ids for one in self._reader.events_of(each)]
        return sorted((o for o in found if o.position > after), key=lambda o: o.position)[:limit]

    async def find_key(self, account_id: UUID, key: str) -> RequestKey | None:
        """The archived request key, however old."""
        found = self._reader.keys([(account_id, key)]).get((account_id, key))
        return None if found is None else RequestKey(account_id, key, *found)

    async def last_position(self) -> int:
        """The position of the newest event; 0 in an empty archive."""
        return self._archive.up_to

    async def wait(self, timeout: float) -> None:
        """Wait in vain: nothing is added to what was opened."""
        await asyncio.sleep(timeout)

    async def close(self) -> None:
        """Leave the files; nothing is held open."""


def _recorded(rows: Iterable[StoredRow]) -> list[Recorded]:
    return recorded((row[0], row[3], row[4]) for row in rows)
