"""Puts an archive back into an empty store, of whichever layout, as if its writer had filled it.

A range of the archive is one transaction of the store, so that whatever ends it in between, the
next run goes on behind the last whole range.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from application.log.ports import ArchiveError
from domain.identifiers import datetime_of
from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.archive import Archive, ArchivedRange
from infrastructure.log.archive_store import ArchivedStore, load_events, load_keys
from infrastructure.log.copying import End, Positions, RangeCopy, open_end
from infrastructure.log.derived import REQUEST_KEYS
from infrastructure.log.follower import Follower
from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.statements import EVENT_TABLE
from infrastructure.log.stores import StoreAddress
from infrastructure.log.upkeep import make_parts

Progress = Callable[[int], object]
_PASSING = "pg_temp"


def restore(archive: Archive, store: StoreAddress, progress: Progress | None = None) -> int:
    """Put the whole log into a store that nobody has led; answers with its last position.

    Raises ArchiveError when the archive or the store does not allow it, and for rows that are not
    those the archive was made of.
    """
    if archive.first != 1 or not archive.ranges:
        raise ArchiveError(f"{archive.directory} does not hold a log from its first event on")
    with _ends(store) as (source, target):
        restored = _restored(archive, target)
        make_parts(
            target.conn,
            store.schema,
            target.layout,
            datetime_of(archive.ranges[0].recorded_from),
            datetime_of(archive.ranges[-1].recorded_until),
        )
        for held in archive.ranges:
            if held.last > restored:
                _put(archive, held, source, target)
            if progress is not None:
                progress(held.last)
    return archive.up_to


@contextmanager
def _ends(store: StoreAddress) -> Iterator[tuple[End, End]]:
    """Where rows pass through, a session's own tables, and where they come to stand."""
    with AttentiveConnectionNow.open(store.dsn, autocommit=False) as conn:
        layout = layout_of(conn, store.schema)
    if layout is None:
        raise ArchiveError(f"schema {store.schema} is none of a store: nexus db init")
    target = open_end(store, layout, "nexus restore")
    source = open_end(StoreAddress(store.dsn, _PASSING), Layout.PLAIN, "nexus restore")
    try:
        for table in (EVENT_TABLE, REQUEST_KEYS.table):
            source.conn.execute(
                sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})").format(
                    sql.Identifier(table), target.table(table)
                )
            )
        yield source, target
    finally:
        for end in (source, target):
            with suppress(psycopg.Error):
                end.conn.close()


def _restored(archive: Archive, target: End) -> int:
    """How far an earlier run has come; raises ArchiveError when the store is not its own."""
    led = target.conn.execute(
        sql.SQL("SELECT count(*) FROM {}").format(target.table("writer_epoch"))
    ).fetchone()
    if led is not None and led[0]:
        raise ArchiveError(f"store {target.store.schema} has been led by a writer: it is not empty")
    last = target.last_position()
    ended = [held for held in archive.ranges if held.last == last]
    if not last:
        return 0
    store = ArchivedStore(target.store.dsn, target.store.schema)
    if ended:
        with store.reading() as conn:
            found = store.sums(conn, ended[0].first, last)
        if found.checksum == ended[0].events.checksum:
            return last
    raise ArchiveError(
        f"store {target.store.schema} holds {last} events that are not of this archive"
    )


def _put(archive: Archive, held: ArchivedRange, source: End, target: End) -> None:
    """Bring one range: its files into the passing tables, then the rows and all that belongs to
    them into the store.
    """
    events, keys = (sql.Identifier(_PASSING, t) for t in (EVENT_TABLE, REQUEST_KEYS.table))
    source.conn.execute(sql.SQL("TRUNCATE {}, {}").format(events, keys))
    load_events(source.conn, events, archive.bytes_of(held.events.file))
    load_keys(source.conn, keys, archive.bytes_of(held.keys.file))
    positions = Positions(held.first, held.last)
    with target.conn.transaction():
        ranges = RangeCopy(source, target)
        copied = ranges.copy(positions)
        ranges.merge_heads(positions)
        Follower(target).advance(positions)
        if copied.keys != held.keys.rows:
            raise ArchiveError(f"{held.keys.file.name} has {copied.keys} keys of {held.keys.rows}")
        store = ArchivedStore(target.store.dsn, target.store.schema)
        if store.sums(target.conn, held.first, held.last).checksum != held.events.checksum:
            raise ArchiveError(f"{held.events.file.name} has other rows than it was made of")
