"""The end of a move: the old store is exported and dropped; a sign-post to the new one stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log import mode_changes
from infrastructure.log.layouts import Layout, layout_of
from infrastructure.log.statements import EVENT_TABLE, EventTable
from infrastructure.log.stores import StoreAddress, Writes, read_state_now
from migrations.move.phases import MoveRefused

SIGN_POST = frozenset({"writer_epoch", "schema_migrations", "store_moves", "store_move_history"})
"""What stays of the old store: who still names it is sent on, and the move can be looked up."""

_LOCK_TIMEOUT = "2s"
_ATTEMPTS = 20

Export = Callable[[StoreAddress], list[str]]
"""Puts the whole log of a store away, and says in what the copy differs, if in anything."""
Say = Callable[[str], None]


class CannotFinalize(MoveRefused):
    """The old store cannot be dropped now; it is all there still."""


def finalize(
    old: StoreAddress,
    new: StoreAddress,
    export: Export | None,
    *,
    committing: Callable[[psycopg.Connection[Any]], None] = lambda conn: None,
    say: Say = lambda text: None,
) -> None:
    """Let the new store stand alone and drop the old one, after an export where there is one.

    A run that was killed is begun again. `committing` is called within the last transaction, on
    the old store's connection. Raises CannotFinalize, psycopg.Error.
    """
    with _opened(old) as ours, _opened(new) as theirs:
        old_state, new_state = read_state_now(ours, old), read_state_now(theirs, new)
        if new_state.writes not in (Writes.HERE, Writes.BOTH):
            raise CannotFinalize(
                f"store {new.schema} is {new_state.writes}: the log was not cut over to it"
            )
        if old_state.writes not in (Writes.FED, Writes.THERE):
            raise CannotFinalize(f"store {old.schema} is {old_state.writes}: it is not a follower")
        if old_state.peer != new:
            raise CannotFinalize(f"store {old.schema} does not follow store {new.schema}")
        lost = _last(ours, old) - _last(theirs, new)
        if lost > 0:
            raise CannotFinalize(f"store {new.schema} lacks {lost} positions that the old one has")
        # From here there is no way back: the old store gets nothing more.
        mode_changes.stand_alone(theirs, new)
        mode_changes.point_at(ours, old, new)
        say(f"store {new.schema} stands alone")
        if export is not None and _exists(ours, old, EVENT_TABLE):
            differing = export(old)
            if differing:
                raise CannotFinalize(f"the export is not good: {'; '.join(differing[:3])}")
            say("the old store was exported")
        _drop(ours, old, say)
        with ours.transaction():
            committing(ours)


def drop_store(store: StoreAddress) -> None:
    """Drop a store whole, with its schema: a target that nobody needs any more."""
    with _opened(store) as conn:
        _patiently(
            conn,
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(store.schema)),
            store,
        )


def _drop(conn: psycopg.Connection[Any], store: StoreAddress, say: Say) -> None:
    """Drop everything but the sign-post, a table at a time: each is the smaller lock."""
    for kind, name in _relations(conn, store):
        _patiently(
            conn,
            sql.SQL("DROP {} IF EXISTS {} CASCADE").format(
                sql.SQL(kind), sql.Identifier(store.schema, name)
            ),
            store,
        )
    say(f"store {store.schema} was dropped; its sign-post stays")


def _patiently(conn: psycopg.Connection[Any], statement: sql.Composed, store: StoreAddress) -> None:
    """Run a statement that wants a lock, again and again while others hold it."""
    for attempt in range(_ATTEMPTS):
        try:
            conn.execute(statement)
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            if attempt + 1 == _ATTEMPTS:
                raise CannotFinalize(
                    f"store {store.schema} is in use, and what is left of it cannot be dropped;"
                    " try again"
                ) from None


def _relations(conn: psycopg.Connection[Any], store: StoreAddress) -> list[tuple[str, str]]:
    """What there is to drop, views first; parts of a table go with it."""
    rows = conn.execute(
        "SELECT CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'"
        " ELSE 'TABLE' END, relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
        " AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition"
        " AND NOT relname = ANY(%s) ORDER BY 1 DESC, 2",
        (sql.Identifier(store.schema).as_string(None), list(SIGN_POST)),
    ).fetchall()
    return [(kind, name) for kind, name in rows]


def _last(conn: psycopg.Connection[Any], store: StoreAddress) -> int:
    """The last position of a store; 0 where its events are dropped already."""
    if not _exists(conn, store, EVENT_TABLE):
        return 0
    query = EventTable(store.schema, layout_of(conn, store.schema) or Layout.PLAIN).last()
    row = conn.execute(query.text.encode(), query.values).fetchone()
    assert row is not None
    return int(row[0])


def _exists(conn: psycopg.Connection[Any], store: StoreAddress, table: str) -> bool:
    row = conn.execute(
        "SELECT to_regclass(%s)", (sql.Identifier(store.schema, table).as_string(None),)
    ).fetchone()
    return row is not None and row[0] is not None


@contextmanager
def _opened(store: StoreAddress) -> Iterator[psycopg.Connection[Any]]:
    with AttentiveConnectionNow.open(
        store.dsn, application_name=f"nexus move {store.schema}"[:63]
    ) as conn:
        conn.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_TIMEOUT,))
        yield conn
