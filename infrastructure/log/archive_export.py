"""Writes a log into an archive, range by range, and goes on where the last time ended.

What is read is immutable, so ranges need no common snapshot. A range's files are written beside
their names, synced, then renamed; its line in the manifest comes last. Whatever ends the export in
between leaves files that no line names, and the next one writes them anew.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from application.log.ports import ArchiveError
from infrastructure.log.archive import (
    MANIFEST,
    Archive,
    ArchivedFile,
    ArchivedRange,
    ArchivedTable,
    ArchiveHead,
    manifest_line,
    manifest_lines,
    sync_directory,
    this_head,
)
from infrastructure.log.archive_index import StreamIndex
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.copy_rows import HEADER, TRAILER
from infrastructure.unix_paths import UnsafeDirectory, check_way, make_parents

ROWS_IN_RANGE = 250_000
_LEVEL = 4
"""Of gzip: twice as fast as its usual 6, and a twentieth larger."""
_AHEAD = 6

Progress = Callable[[int], object]


class Stretch(NamedTuple):
    """Which positions are to be exported; None for what follows of itself."""

    first: int | None = None
    up_to: int | None = None


def export(
    store: ArchivedStore,
    directory: Path,
    wanted: Stretch = Stretch(),  # noqa: B008
    *,
    rows_in_range: int = ROWS_IN_RANGE,
    progress: Progress | None = None,
) -> Archive:
    """Put the store's log into a directory, up to a position or to its end.

    An archive that is there is gone on with, after it was held against the store. Raises
    ArchiveError.
    """
    with _held(directory), store.reading() as conn, ThreadPoolExecutor(2, "gzip") as packers:
        archive = _begun(directory, conn, store, wanted)
        last = store.last_position(conn)
        end = last if wanted.up_to is None else wanted.up_to
        following = max(archive.up_to + 1, archive.first)
        if end > last:
            raise ArchiveError(f"position {end} is asked for, and the log ends at {last}")
        if following <= end:
            store.find_keys_by_position()
        while following <= end:
            until = min(following + rows_in_range - 1, end)
            made = _Range(store, conn, directory, packers, archive.head).write(following, until)
            _append(directory, made)
            archive.ranges.append(made)
            following = until + 1
            if progress is not None:
                progress(until - archive.first + 1)
    return archive


@contextmanager
def _held(directory: Path) -> Iterator[None]:
    """The directory for one exporter alone."""
    try:
        if os.geteuid() == 0:
            check_way(directory)
        make_parents(directory, 0o755)
        # What is exported is for its owner's eyes, until he says otherwise.
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(directory / ".lock", os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except UnsafeDirectory as error:
        raise ArchiveError(str(error)) from error
    except OSError as error:
        raise ArchiveError(f"{error.filename}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ArchiveError(f"{directory} is being written by another export") from None
        yield
    finally:
        os.close(lock)


def _begun(
    directory: Path, conn: psycopg.Connection[Any], store: ArchivedStore, wanted: Stretch
) -> Archive:
    """The archive that is there, fit to be gone on with, or a new one."""
    path = directory / MANIFEST
    lines = manifest_lines(directory) if path.exists() else []
    if not lines:
        return _new(directory, wanted.first or 1)
    whole = sum(len(line) + 1 for line in lines)
    if whole < path.stat().st_size:
        os.truncate(path, whole)
    archive = Archive.open(directory)
    if wanted.first not in (None, archive.first):
        raise ArchiveError(f"{directory} begins at position {archive.first}, not {wanted.first}")
    if archive.ranges:
        held = archive.ranges[-1]
        found = store.sums(conn, held.first, held.last)
        if (found.rows, found.checksum) != (held.events.rows, held.events.checksum):
            raise ArchiveError(
                f"{directory} is no archive of this log: positions {held.first} to {held.last}"
                " say otherwise here and there"
            )
    return archive


def _new(directory: Path, first: int) -> Archive:
    others = [path.name for path in directory.iterdir() if path.name not in (".lock", MANIFEST)]
    if others:
        raise ArchiveError(f"{directory} is no archive and is not empty: {sorted(others)[0]} is in")
    head = this_head(first)
    beside = directory / (MANIFEST + ".part")
    _put(beside, [manifest_line(head)])
    beside.rename(directory / MANIFEST)
    sync_directory(directory)
    return Archive(directory, head, [])


def _append(directory: Path, made: ArchivedRange) -> None:
    with (directory / MANIFEST).open("ab") as file:
        file.write(manifest_line(made))
        file.flush()
        os.fsync(file.fileno())


def _put(path: Path, pieces: list[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


class _Range:
    """One range on its way to its files."""

    def __init__(
        self,
        store: ArchivedStore,
        conn: psycopg.Connection[Any],
        directory: Path,
        packers: ThreadPoolExecutor,
        head: ArchiveHead,
    ) -> None:
        self._store = store
        self._conn = conn
        self._directory = directory
        self._packers = packers
        self._group = head.rows_in_group

    def write(self, first: int, last: int) -> ArchivedRange:
        """Write its files and publish them."""
        name = f"{first:016d}-{last:016d}"
        try:
            groups, events = self._events(f"events-{name}.copy.gz", first, last)
            keys = self._keys(f"keys-{name}.copy.gz", first, last)
            streams = self._streams(f"streams-{name}.bloom", first, last)
        except OSError as error:
            raise ArchiveError(f"{error.filename or self._directory}: {error.strerror}") from error
        sync_directory(self._directory)
        sums = self._store.sums(self._conn, first, last)
        if sums.rows != last - first + 1:
            raise ArchiveError(
                f"{sums.rows} rows stand at positions {first} to {last}: the store is not whole"
            )
        key_sums = self._store.key_sums(self._conn, first, last)
        return ArchivedRange(
            first,
            last,
            sums.recorded_from,
            sums.recorded_until,
            ArchivedTable(sums.rows, sums.checksum, events),
            ArchivedTable(key_sums.rows, key_sums.checksum, keys),
            streams,
            groups,
        )

    def _events(self, name: str, first: int, last: int) -> tuple[list[int], ArchivedFile]:
        """Write the rows; where each group begins, and the file."""
        packed = _Packed(self._directory, name)
        groups: list[int] = []
        waiting: deque[Future[bytes]] = deque()
        with packed:
            packed.write(_pack(HEADER))
            rows: list[bytes] = []
            count = 0
            for row in self._store.event_copy(self._conn, first, last):
                rows.append(row)
                count += 1
                if len(rows) == self._group:
                    waiting.append(self._packers.submit(_pack, b"".join(rows)))
                    rows = []
                if len(waiting) > _AHEAD:
                    groups.append(packed.write(waiting.popleft().result()))
            if rows:
                waiting.append(self._packers.submit(_pack, b"".join(rows)))
            groups += [packed.write(group.result()) for group in waiting]
            if count != last - first + 1:
                raise ArchiveError(
                    f"{count} rows stand at positions {first} to {last}: the store is not whole"
                )
            groups.append(packed.write(_pack(TRAILER)))
        return groups, packed.file

    def _keys(self, name: str, first: int, last: int) -> ArchivedFile:
        rows = self._store.key_copy(self._conn, first, last)
        with _Packed(self._directory, name) as packed:
            packed.write(_pack(b"".join([HEADER, *rows, TRAILER])))
        return packed.file

    def _streams(self, name: str, first: int, last: int) -> ArchivedFile:
        ids = self._store.originators(self._conn, first, last)
        with _Packed(self._directory, name) as packed:
            packed.write(StreamIndex.of(ids, len(ids)))
        return packed.file


def _pack(data: bytes) -> bytes:
    return gzip.compress(data, _LEVEL, mtime=0)


class _Packed:
    """A file that has its name once all of it is on the disk."""

    def __init__(self, directory: Path, name: str) -> None:
        self._path = directory / name
        self._beside = directory / (name + ".part")
        self._sum = hashlib.sha256()
        self._size = 0
        self._out = self._beside.open("wb")

    def write(self, data: bytes) -> int:
        """Add bytes; where they begin."""
        began = self._size
        self._out.write(data)
        self._sum.update(data)
        self._size += len(data)
        return began

    @property
    def file(self) -> ArchivedFile:
        """Its name and what it came to."""
        return ArchivedFile(self._path.name, self._size, self._sum.hexdigest())

    def __enter__(self) -> _Packed:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self._out.flush()
                os.fsync(self._out.fileno())
        finally:
            self._out.close()
        if kind is None:
            self._beside.rename(self._path)
        else:
            self._beside.unlink(missing_ok=True)
