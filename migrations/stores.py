"""Brings the stores of a partition to their present shape: the one that is named, and its peer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.stores import (
    WRITTEN,
    StoreAddress,
    Stores,
    StoreState,
    Writes,
    find_truth,
    read_state_now,
)
from migrations.runner import Migration, migrate


def migrate_stores(
    dsn: str,
    schema: str,
    *,
    done: Callable[[StoreAddress, Sequence[Migration]], object],
    say: Callable[[str], object],
) -> StoreState:
    """Apply to both stores what is missing, each in its own layout; answers with the truth.

    Of a store that a finished move has left there is nothing to migrate. Raises MigrationError, and
    psycopg.Error when the truth cannot be reached; a follower may be away.
    """
    entry = StoreAddress(dsn, schema)
    _migrate(entry, done)
    conn, state = Stores(*entry, pinned=True).connect_now("nexus migrate", reading=False)
    conn.close()
    if state.peer is not None:
        try:
            _migrate(state.peer, done)
        except psycopg.OperationalError as error:
            if state.writes in WRITTEN:
                say(f"the store that follows cannot be reached and waits: {str(error).strip()}")
    return find_truth(dsn, schema)


def kept_store(dsn: str, schema: str) -> StoreAddress:
    """The store whose views are kept by who is named this one: it, or the truth where a finished
    move has left nothing of it.
    """
    entry = StoreAddress(dsn, schema)
    conn, state = Stores(*entry, pinned=True).connect_now("nexus views", reading=False)
    with conn:
        if state.writes is not Writes.THERE or _holds_events(conn, entry):
            return entry
    return find_truth(*entry).address


def _migrate(
    address: StoreAddress, done: Callable[[StoreAddress, Sequence[Migration]], object]
) -> None:
    with AttentiveConnectionNow.open(address.dsn) as conn:
        if read_state_now(conn, address).writes is Writes.THERE and not _holds_events(
            conn, address
        ):
            return
    done(address, migrate(address.dsn, address.schema))


def _holds_events(conn: psycopg.Connection[Any], address: StoreAddress) -> bool:
    table = sql.Identifier(address.schema, "stored_events").as_string(None)
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()
    assert row is not None
    return bool(row[0])
