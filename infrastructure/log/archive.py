"""An archive of a log: a directory of compressed files, each a range of positions, and a manifest.

A file is a binary COPY of its rows under gzip, so that PostgreSQL's and everybody's own tools read
it without this program. It is there whole or not at all, and stands in the manifest only after
that: a manifest is a line of JSON for the archive and one for each range, added at its end.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import msgspec

from application.audit.verify import StoredRow
from application.log.ports import ArchiveError
from infrastructure.log.archive_index import StreamIndex
from infrastructure.log.copy_rows import HEADER, NoRows, key_rows, stored_rows
from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.statements import STORED_COLUMNS

MANIFEST = "manifest.jsonl"
FORMAT = 1
GROUP = 4_096
"""Rows in a gzip member: what is read to look at one of them."""
_GROUPS_KEPT = 4
_INDEXES_KEPT = 400

Told = TypeVar("Told", bound=msgspec.Struct)


class ArchiveHead(msgspec.Struct, frozen=True):
    """What an archive is of."""

    format: int
    first: int
    """The first position; those before it were never put in."""
    columns: list[str]
    key_columns: list[str]
    rows_in_group: int = GROUP


class ArchivedFile(msgspec.Struct, frozen=True):
    """A file of a range, and what its bytes must come to."""

    name: str
    size: int
    sha256: str


class ArchivedTable(msgspec.Struct, frozen=True):
    """The rows of a range in a file: how many, and what they come to.

    The sum is what the database says of the rows, whatever the store's layout.
    """

    rows: int
    checksum: str
    file: ArchivedFile


class ArchivedRange(msgspec.Struct, frozen=True):
    """A range of positions and its files."""

    first: int
    last: int
    recorded_from: int
    recorded_until: int
    events: ArchivedTable
    keys: ArchivedTable
    streams: ArchivedFile
    groups: list[int]
    """Where in the file of events each group of rows begins, and where the last one ends."""

    @property
    def files(self) -> tuple[ArchivedFile, ...]:
        """All of its files."""
        return (self.events.file, self.keys.file, self.streams)


def this_head(first: int) -> ArchiveHead:
    """What an archive that begins now is of."""
    return ArchiveHead(
        FORMAT, first, list(STORED_COLUMNS), [column.name for column in REQUEST_KEYS.columns]
    )


class Archive:
    """The whole files of an archive, as its manifest named them when this was opened."""

    def __init__(self, directory: Path, head: ArchiveHead, ranges: Sequence[ArchivedRange]) -> None:
        self.directory = directory
        self.head = head
        self.ranges = list(ranges)
        self._groups: dict[int, list[StoredRow]] = {}
        self._streams: dict[int, StreamIndex] = {}

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read the manifest of a directory; raises ArchiveError."""
        lines = manifest_lines(directory)
        if not lines:
            raise ArchiveError(f"{directory / MANIFEST} is empty: export once more")
        head = _told(lines[0], ArchiveHead, directory, 1)
        here = this_head(head.first)
        if head.format != FORMAT:
            raise ArchiveError(
                f"{directory} is an archive of format {head.format}, and this program reads"
                f" {FORMAT}; run a newer one"
            )
        if (head.columns, head.key_columns) != (here.columns, here.key_columns):
            raise ArchiveError(f"{directory} has other columns than a log of this program")
        ranges: list[ArchivedRange] = []
        for number, line in enumerate(lines[1:], start=2):
            told = _told(line, ArchivedRange, directory, number)
            due = ranges[-1].last + 1 if ranges else head.first
            if told.first != due or told.last < told.first:
                raise ArchiveError(
                    f"{directory / MANIFEST}, line {number}: positions {told.first} to {told.last},"
                    f" where {due} comes next"
                )
            ranges.append(told)
        return cls(directory, head, ranges)

    @property
    def first(self) -> int:
        """The first position that it holds, or would."""
        return self.head.first

    @property
    def up_to(self) -> int:
        """Every position from the first to this one stands in a whole file; 0 when none does."""
        return self.ranges[-1].last if self.ranges else 0

    @property
    def key_count(self) -> int:
        """How many request keys it holds."""
        return sum(one.keys.rows for one in self.ranges)

    @property
    def size(self) -> int:
        """The bytes of its files."""
        return sum(file.size for one in self.ranges for file in one.files)

    def bytes_of(self, file: ArchivedFile) -> bytes:
        """The bytes of a file as they stand; raises ArchiveError."""
        try:
            return (self.directory / file.name).read_bytes()
        except OSError as error:
            raise ArchiveError(f"{error.filename}: {error.strerror}") from error

    def range_at(self, position: int) -> int:
        """The number of the range that a position stands in; one past the last for none."""
        low, high = 0, len(self.ranges)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.ranges[middle].last < position else (low, middle)
        return low

    def rows(self, after: int, up_to: int | None = None) -> Iterator[StoredRow]:
        """Every row above a position, in order, each a tuple in the order of StoredRow."""
        last = self.up_to if up_to is None else min(up_to, self.up_to)
        position = max(after + 1, self.first)
        while position <= last:
            group = self.group_at(position)
            yield from group[position - group[0][0] : last + 1 - group[0][0]]
            position = group[-1][0] + 1

    def group_at(self, position: int) -> list[StoredRow]:
        """The rows that are packed together with one; raises ArchiveError for damage."""
        number = self.range_at(position)
        held = self.ranges[number]
        index = (position - held.first) // self.head.rows_in_group
        first = held.first + index * self.head.rows_in_group
        known = self._groups.pop(first, None)
        if known is None:
            known = self._read_group(held, index, first)
            while len(self._groups) >= _GROUPS_KEPT:
                del self._groups[next(iter(self._groups))]
        self._groups[first] = known
        return known

    def _read_group(self, held: ArchivedRange, index: int, first: int) -> list[StoredRow]:
        path = self.directory / held.events.file.name
        start, end = held.groups[index], held.groups[index + 1]
        try:
            with path.open("rb") as file:
                file.seek(start)
                rows = stored_rows(gzip.decompress(file.read(end - start)))
        except (OSError, EOFError, NoRows, ValueError) as error:
            raise ArchiveError(f"{path}, bytes {start} to {end}: {error}") from error
        expected = range(first, min(first + self.head.rows_in_group, held.last + 1))
        if [row[0] for row in rows] != list(expected):
            raise ArchiveError(f"{path}, bytes {start} to {end}: other positions than it should be")
        return cast("list[StoredRow]", rows)

    def keys_of(self, held: ArchivedRange) -> list[tuple[Any, ...]]:
        """The request keys whose position is in a range: account, key, fingerprint, position."""
        data = self.bytes_of(held.keys.file)
        try:
            return key_rows(gzip.decompress(data)[len(HEADER) : -2])
        except (OSError, EOFError, NoRows) as error:
            raise ArchiveError(f"{self.directory / held.keys.file.name}: {error}") from error

    def may_have(self, held: ArchivedRange, originator: bytes) -> bool:
        """False proves that no row of a range is of an aggregate."""
        index = self._streams.get(held.first)
        if index is None:
            if len(self._streams) >= _INDEXES_KEPT:
                del self._streams[next(iter(self._streams))]
            index = self._streams[held.first] = StreamIndex(self.bytes_of(held.streams))
        return index.may_hold(originator)


def manifest_lines(directory: Path) -> list[bytes]:
    """The whole lines of a manifest; one that was being written when all ended is none."""
    try:
        text = (directory / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise ArchiveError(f"{directory} is no archive: it has no {MANIFEST}") from None
    except OSError as error:
        raise ArchiveError(f"{error.filename}: {error.strerror}") from error
    return text[: text.rfind(b"\n") + 1].splitlines()


def manifest_line(told: msgspec.Struct) -> bytes:
    """A line of a manifest."""
    return json.dumps(msgspec.to_builtins(told)).encode() + b"\n"


def _told(line: bytes, kind: type[Told], directory: Path, number: int) -> Told:
    try:
        return msgspec.json.decode(line, type=kind)
    except msgspec.MsgspecError as error:
        raise ArchiveError(f"{directory / MANIFEST}, line {number}: {error}") from error


def sync_directory(directory: Path) -> None:
    """Have the disk know the names in a directory."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
