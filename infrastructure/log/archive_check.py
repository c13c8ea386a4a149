"""Holds an archive against itself, and against a store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg

from application.log.ports import ArchiveError
from infrastructure.log.archive import Archive, ArchivedRange
from infrastructure.log.archive_store import ArchivedStore, KeySums, Sums

Progress = Callable[[int], object]


def damages(archive: Archive, progress: Progress | None = None) -> Iterator[str]:
    """What is wrong with the files of an archive, each in a sentence.

    Every byte is read: its sum, every row, positions without a gap, time that never falls, and the
    versions of each aggregate rising by one within a range. What the events say is for an audit.
    """
    rules = _Rules()
    for held in archive.ranges:
        yield from _damages_of(archive, held)
        try:
            yield from rules.of_rows(archive, held)
            yield from _of_keys(archive, held)
        except ArchiveError as error:
            yield str(error)
        if progress is not None:
            progress(held.last - archive.first + 1)


def _damages_of(archive: Archive, held: ArchivedRange) -> Iterator[str]:
    for file in held.files:
        try:
            data = archive.bytes_of(file)
        except ArchiveError as error:
            yield str(error)
            continue
        if len(data) != file.size:
            yield f"{file.name} has {len(data)} bytes, and was written with {file.size}"
        elif hashlib.sha256(data).hexdigest() != file.sha256:
            yield f"{file.name} has other bytes than it was written with"


def _of_keys(archive: Archive, held: ArchivedRange) -> Iterator[str]:
    keys = archive.keys_of(held)
    if len(keys) != held.keys.rows:
        yield f"{held.keys.file.name} has {len(keys)} keys, and {held.keys.rows} are promised"
    for key in keys:
        if not held.first <= key[3] <= held.last:
            yield f"{held.keys.file.name} has a key of position {key[3]}, beyond its range"


class _Rules:
    """What rows must be beside those before them."""

    def __init__(self) -> None:
        self._at = 0

    def of_rows(self, archive: Archive, held: ArchivedRange) -> Iterator[str]:
        """What is wrong with the rows of a range."""
        versions: dict[UUID, int] = {}
        for row in archive.rows(held.first - 1, held.last):
            position, originator, version, _, _, recorded_at = row[:6]
            if recorded_at < self._at:
                yield f"position {position} was recorded before the one ahead of it"
            self._at = recorded_at
            before = versions.get(originator, version - 1)
            if version != before + 1:
                yield f"position {position} is version {version} of {originator} after {before}"
            versions[originator] = version


def differences(
    archive: Archive,
    store: ArchivedStore,
    *,
    up_to: int | None = None,
    contents: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Where a store says otherwise than its archive, each in a sentence; none is equal.

    The store's rows are summed in the database and held to what the manifest says. With `contents`
    the files are loaded there too, and what they hold is summed the same way.
    """
    found: list[str] = []
    with store.reading() as conn:
        for held in archive.ranges:
            if up_to is not None and held.first > up_to:
                break
            found += _differences_of(archive, held, store, conn, contents)
            if progress is not None:
                progress(held.last - archive.first + 1)
    return found


def _differences_of(
    archive: Archive,
    held: ArchivedRange,
    store: ArchivedStore,
    conn: psycopg.Connection[Any],
    contents: bool,
) -> Iterator[str]:
    yield from _told(
        held,
        "the store",
        store.sums(conn, held.first, held.last),
        store.key_sums(conn, held.first, held.last),
    )
    if contents:
        files = archive.bytes_of(held.events.file), archive.bytes_of(held.keys.file)
        try:
            found = store.sums_of_files(conn, *files)
        except (psycopg.Error, OSError, EOFError) as error:
            yield f"{held.events.file.name} or its keys cannot be loaded: {error}"
        else:
            yield from _told(held, "the archive's file", *found)


def _told(held: ArchivedRange, whose: str, events: Sums, keys: KeySums) -> Iterator[str]:
    for name, rows, due, checksum, promised in (
        ("events", events.rows, held.events.rows, events.checksum, held.events.checksum),
        ("request keys", keys.rows, held.keys.rows, keys.checksum, held.keys.checksum),
    ):
        where = f"positions {held.first} to {held.last}"
        if rows != due:
            yield f"{where}: {whose} has {rows} {name}, and the archive was made of {due}"
        elif checksum != promised:
            yield f"{where}: {whose} has other {name} than the archive was made of"
