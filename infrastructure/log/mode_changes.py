"""How the mode of a store changes: held for a switch, left for its peer, opened, freed again.

Each change is one conditional statement on the store's row of `writer_epoch`, which every append
takes FOR SHARE: whoever changes it waits for appends under way, and none follows it unseen.
"""

from __future__ import annotations

import time
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from infrastructure.log.stores import READERS_LOCK, StoreAddress, Writes, moves_channel

Connection = psycopg.Connection[Any]

_TRY_SECONDS = 0.005


class Held(NamedTuple):
    """A hold on appends: what the store was before, and which change of its row it is."""

    before: Writes
    generation: int
    epoch: int
    until: float
    """By this process's monotonic clock, a little before the store's own deadline."""

    @property
    def seconds_left(self) -> float:
        """How long the hold is still good for."""
        return self.until - time.monotonic()


def hold(conn: Connection, store: StoreAddress, seconds: float) -> Held | None:
    """Keep appends back for so long at most; None where the store is not the truth."""
    until = time.monotonic() + seconds
    with conn.transaction():
        was = conn.execute(
            sql.SQL("SELECT writes FROM {}.writer_epoch FOR UPDATE").format(
                sql.Identifier(store.schema)
            )
        ).fetchone()
        rows = _change(
            conn,
            store,
            "UPDATE {schema}.writer_epoch SET writes = 'held', generation = generation + 1,"
            " held_until = clock_timestamp() + %(seconds)s * interval '1 second'"
            " WHERE writes IN ('here', 'both') AND peer_schema IS NOT NULL"
            " RETURNING generation, epoch",
            seconds=seconds,
        )
    if not rows or was is None:
        return None
    generation, epoch = rows[0]
    return Held(Writes(was[0]), generation, epoch, until)


def let_go(conn: Connection, store: StoreAddress, held: Held) -> bool:
    """End a hold as if it had not been: nothing was appended, so the peer lacks nothing."""
    return bool(
        _change(
            conn,
            store,
            "UPDATE {schema}.writer_epoch SET writes = %(before)s, held_until = NULL,"
            " generation = generation + 1"
            " WHERE writes = 'held' AND generation = %(generation)s RETURNING 1",
            before=held.before.value,
            generation=held.generation,
        )
    )


def let_go_of_a_lost_hold(conn: Connection, store: StoreAddress) -> bool:
    """End the hold of a switch that died; the peer is fed from here on, whatever it was before."""
    return bool(
        _change(
            conn,
            store,
            "UPDATE {schema}.writer_epoch SET writes = 'here', held_until = NULL,"
            " generation = generation + 1 WHERE writes = 'held' RETURNING 1",
        )
    )


def leave_for_peer(conn: Connection, store: StoreAddress, held: Held) -> bool:
    """Make the peer the truth, for ever; false when the hold has run out or is another's."""
    return bool(
        _change(
            conn,
            store,
            "UPDATE {schema}.writer_epoch SET writes = 'there', held_until = NULL,"
            " generation = generation + 1 WHERE writes = 'held' AND generation = %(generation)s"
            " AND held_until > clock_timestamp() RETURNING 1",
            generation=held.generation,
        )
    )


def open_for_writes(conn: Connection, store: StoreAddress, above_epoch: int) -> bool:
    """Let a store that was fed be written, under an epoch that no writer of the other one had.

    False when it is open already.
    """
    return bool(
        _change(
            conn,
            store,
            # Nobody has led here yet: a standby gives the writer that follows a lease's time.
            "UPDATE {schema}.writer_epoch SET writes = 'here', generation = generation + 1,"
            " epoch = GREATEST(epoch, %(epoch)s) + 1, backend_pid = 0,"
            " renewed_at = clock_timestamp() WHERE writes = 'fed' RETURNING 1",
            epoch=above_epoch,
        )
    )


def follow_peer(conn: Connection, store: StoreAddress) -> bool:
    """Let a store that was left be fed by the one that it was left for."""
    return bool(
        _change(
            conn,
            store,
            "UPDATE {schema}.writer_epoch SET writes = 'fed', generation = generation + 1"
            " WHERE writes = 'there' RETURNING 1",
        )
    )


def point_at(conn: Connection, store: StoreAddress, peer: StoreAddress) -> None:
    """Leave a follower as a sign-post to the truth, for good."""
    _change(
        conn,
        store,
        "UPDATE {schema}.writer_epoch SET writes = 'there', peer_dsn = %(dsn)s,"
        " peer_schema = %(peer)s, generation = generation + 1"
        " WHERE writes IN ('fed', 'there') RETURNING 1",
        dsn=None if peer.dsn == store.dsn else peer.dsn,
        peer=peer.schema,
    )


def stand_alone(conn: Connection, store: StoreAddress) -> bool:
    """Let the truth have no peer any more."""
    return bool(
        _change(
            conn,
            store,
            "UPDATE {schema}.writer_epoch SET writes = 'here', peer_dsn = NULL,"
            " peer_schema = NULL, held_until = NULL, generation = generation + 1"
            " WHERE writes IN ('here', 'both', 'held') RETURNING 1",
        )
    )


class Drained(NamedTuple):
    """How it went until nobody read a store any more."""

    seconds: float
    ended: int
    """Sessions that had to be ended."""


def wait_until_unread(conn: Connection, store: StoreAddress, patience: float) -> Drained:
    """Return once nobody holds the readers' lock of a store; who does for too long is ended.

    Who comes now finds that the store was left, and goes on by itself.
    """
    began = time.monotonic()
    ended: set[int] = set()
    key = READERS_LOCK % "%(schema)s"
    values = {"schema": store.schema}
    while not _asked(conn, f"SELECT pg_try_advisory_lock({key})", values):
        if time.monotonic() - began > patience:
            rows = conn.execute(
                f"WITH key AS (SELECT {key} AS k)"
                " SELECT l.pid, pg_terminate_backend(l.pid) FROM pg_locks l, key"
                " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND l.classid::bigint = (key.k >> 32) & 4294967295"
                " AND l.objid::bigint = key.k & 4294967295 AND l.pid <> pg_backend_pid()".encode(),
                values,
            ).fetchall()
            ended |= {row[0] for row in rows}
        time.sleep(_TRY_SECONDS)
    conn.execute(f"SELECT pg_advisory_unlock({key})".encode(), values)
    return Drained(time.monotonic() - began, len(ended))


def _asked(conn: Connection, query: str, values: dict[str, Any]) -> bool:
    row = conn.execute(query.encode(), values).fetchone()
    return row is not None and bool(row[0])


def _change(
    conn: Connection, store: StoreAddress, text: LiteralString, **values: Any
) -> list[tuple[Any, ...]]:
    """Run a change, and tell who listens; together, where no transaction is open already."""
    with conn.transaction():
        query = sql.SQL(text).format(schema=sql.Identifier(store.schema))
        rows: list[tuple[Any, ...]] = conn.execute(query, values).fetchall()
        if rows:
            conn.execute("SELECT pg_notify(%s, '')", (moves_channel(store),))
    return rows
