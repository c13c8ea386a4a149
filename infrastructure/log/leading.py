"""Takes the lead of a partition in the store that its log stands in: the lock, then the epoch.

The epoch is what keeps a former leader from storing anything; the lock only keeps others from
trying. So where a process of the server that was told to end stands still and keeps the lock, the
lead is taken without, and the lock when that process ends.

A store that the log has moved to is opened by the switch. Where that was killed before it came
to it, the first writer does so that follows.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, LiteralString, NamedTuple

import psycopg
from psycopg import sql

from infrastructure.attentive import AttentiveConnection
from infrastructure.log.lease_watch import Beat, LeaseWatch
from infrastructure.log.modes import Connection, Seat
from infrastructure.log.statements import EventTable
from infrastructure.log.stores import (
    READERS_LOCK,
    WRITER,
    StoreAddress,
    Stores,
    StoreState,
    StoreUnreachable,
    Writes,
    read_state,
)

log = logging.getLogger(__name__)

LEASE_SECONDS = 5.0
"""How long a silent writer keeps its lock before a standby may end it."""
OPENING_SECONDS = 3.0
"""How long a switch may take from its commit until the new store is open."""
READERS_SECONDS = 2.0
"""How long a reader may stay in the store that was left, before it is ended."""
ENDING_SECONDS = 2.0
"""How long a backend that was told to end may keep the lock before the lead is taken without."""
ROW_SECONDS = 3
"""How long one may keep the row of the lead, which nobody leads without."""
_AGAIN = 0.05
_SOON = 0.005


class WriterClaim(NamedTuple):
    """Who wants to lead which partition, how long another may have been silent, and who knows
    how long that was.
    """

    partition: int
    holder: str
    lease_seconds: float
    watch: LeaseWatch


class StoreStandsStill(StoreUnreachable):
    """A process of the server holds what nobody can go on without, and neither works nor ends."""


class Lead(NamedTuple):
    """The lead of a partition: its connection holds the lock, but for one that stands still."""

    conn: Connection
    state: StoreState
    seat: Seat
    end: int
    """The last position of the log when the lead was taken."""
    locked: bool = True

    async def lock(self) -> Lead:
        """Have the lock, if it is free by now."""
        seat = self.seat
        return self._replace(locked=await _try_lock(self.conn, seat.store, seat.partition))


def lock_name(store: StoreAddress, partition: int) -> str:
    """What the advisory lock of a partition's writer is made from."""
    return f"nexus writer {store.schema} {partition}"


def backend_name(store: StoreAddress) -> str:
    """The application name of a writer's connection, as the server keeps it."""
    return f"{WRITER} {store.schema}"[:63]


async def take_lead(stores: Stores, claim: WriterClaim) -> Lead | None:
    """Lead where the log stands; None while another one is alive. Raises psycopg.Error."""
    conn, state = await stores.connect(WRITER, reading=False)
    if isinstance(conn, AttentiveConnection):
        conn.says_when_slow = True
    lead = None
    try:
        held = await _locked(conn, state.address, claim)
        if held is not None:
            before = 0
            if state.writes is Writes.FED:
                before = await _closed_behind(conn, state)
            seat = await _seated(conn, state.address, claim, before, held)
            if seat is not None:
                lead = Lead(conn, state, seat, await end_of(conn, state), held.locked)
        return lead
    finally:
        if lead is None:
            await conn.close()


class _Held(NamedTuple):
    """The lock, or the epoch that may be followed without it."""

    locked: bool
    epoch: int = 0
    backend: int = 0


async def _locked(conn: Connection, store: StoreAddress, claim: WriterClaim) -> _Held | None:
    """Have the lock; a holder that may be ended is ended first. None while another one leads."""
    if await _try_lock(conn, store, claim.partition):
        return _Held(True)
    former = await _end_former(conn, store, claim)
    if former is None:
        return None
    ends = asyncio.get_running_loop().time() + ENDING_SECONDS
    while asyncio.get_running_loop().time() < ends:
        await asyncio.sleep(_AGAIN)
        if await _try_lock(conn, store, claim.partition):
            return _Held(True)
    return former


async def _try_lock(conn: Connection, store: StoreAddress, partition: int) -> bool:
    name = lock_name(store, partition)
    return bool(await _value(conn, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", name))


async def _end_former(conn: Connection, store: StoreAddress, claim: WriterClaim) -> _Held | None:
    """End the backend that holds the lock if it may be ended; what it led under."""
    cursor = await conn.execute(
        _in(
            store,
            "SELECT e.holder = %(me)s, e.backend_pid, e.epoch, e.renewed_at::text"
            " FROM {schema}.writer_epoch e WHERE e.partition = %(partition)s",
        ),
        {"me": claim.holder, "partition": claim.partition},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    own, pid, *beat = row
    if not own and claim.watch.silent(Beat(*beat)) < claim.lease_seconds:
        return None
    await conn.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid = %s AND application_name = %s",
        (pid, backend_name(store)),
    )
    return _Held(False, int(beat[0]), pid)


async def _seated(
    conn: Connection, store: StoreAddress, claim: WriterClaim, before: int, held: _Held
) -> Seat | None:
    """Raise the epoch; that waits for the transaction of the one before, and without the lock not
    for ever. None when another one has raised it meanwhile; raises StoreStandsStill.

    `before` is the epoch of a store that was left for this one, which is opened so. Appends to
    both stores end with whoever made them: what broke may have been the follower's.
    """
    if not held.locked:
        await conn.execute(f"SET lock_timeout TO '{ROW_SECONDS}s'".encode())
    try:
        epoch = await _raised(conn, store, claim, before, held)
    except psycopg.errors.LockNotAvailable as error:
        raise StoreStandsStill(
            f"process {held.backend} of the store is in a transaction of the one who led, and"
            " neither works nor ends: end it on the store's machine (kill -9)"
        ) from error
    if not held.locked:
        await conn.execute(b"SET lock_timeout TO DEFAULT")
        if epoch is None:
            # Another one was sooner.
            return None
        log.warning(
            "process %d of the store led, and neither works nor ends: its epoch is followed without"
            " its lock; end it on the store's machine (kill -9)",
            held.backend,
        )
    if epoch is None:
        raise StoreUnreachable(f"the log leaves store {store.schema} just now")
    return Seat(store, claim.partition, epoch)


async def _raised(
    conn: Connection, store: StoreAddress, claim: WriterClaim, before: int, held: _Held
) -> int | None:
    cursor = await conn.execute(
        _in(
            store,
            "INSERT INTO {schema}.writer_epoch AS e"
            " (partition, epoch, holder, backend_pid, taken_at, renewed_at)"
            " VALUES (%(partition)s, 1, %(me)s, pg_backend_pid(), clock_timestamp(),"
            " clock_timestamp())"
            " ON CONFLICT (partition) DO UPDATE SET"
            " epoch = greatest(e.epoch, %(before)s) + 1,"
            " holder = excluded.holder, backend_pid = excluded.backend_pid,"
            " taken_at = excluded.taken_at, renewed_at = excluded.renewed_at,"
            " writes = CASE WHEN e.writes IN ('both', 'fed') THEN 'here' ELSE e.writes END,"
            " generation = e.generation + CASE WHEN e.writes IN ('both', 'fed') THEN 1 ELSE 0 END"
            " WHERE (e.writes IN ('here', 'both', 'held') OR e.writes = 'fed' AND %(before)s > 0)"
            " AND (%(locked)s OR e.epoch = %(led)s)"
            " RETURNING e.epoch",
        ),
        {
            "partition": claim.partition,
            "me": claim.holder,
            "before": before,
            "locked": held.locked,
            "led": held.epoch,
        },
    )
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def _closed_behind(conn: Connection, state: StoreState) -> int:
    """See that the store which was left is behind everybody; its epoch, or 0 when the switch
    has opened the new one itself.

    Raises StoreUnreachable when the old store does not say that it was left for this one.
    """
    left = state.peer
    assert left is not None
    if await _opened(conn, state.address):
        return 0
    old, said = await Stores(left.dsn, left.schema, pinned=True).connect(
        "nexus writer leaves", reading=False
    )
    async with old:
        if said.writes is not Writes.THERE or said.peer is None:
            raise StoreUnreachable(f"store {left.schema} was not left for {state.address.schema}")
        await _without_readers(old, left)
        ends = await end_of(old, said), await end_of(conn, state)
    if ends[0] != ends[1]:
        raise StoreUnreachable(
            f"the log in store {left.schema} ends at {ends[0]:,} and in {state.address.schema},"
            f" which it was left for, at {ends[1]:,}: nothing is written"
        )
    return max(said.epoch, 1)


async def _opened(conn: Connection, store: StoreAddress) -> bool:
    """Wait for the switch to open the new store."""
    ends = asyncio.get_running_loop().time() + OPENING_SECONDS
    while asyncio.get_running_loop().time() < ends:
        if (await read_state(conn, store)).writes is not Writes.FED:
            return True
        await asyncio.sleep(_SOON)
    return False


async def _without_readers(conn: Connection, store: StoreAddress) -> None:
    """Return when nobody reads a store any more; whoever stays too long is ended."""
    key = _in(store, f"SELECT pg_try_advisory_lock({READERS_LOCK})")
    began = asyncio.get_running_loop().time()
    while not await _value(conn, key, store.schema):
        if asyncio.get_running_loop().time() - began > READERS_SECONDS:
            await conn.execute(
                "SELECT pg_terminate_backend(l.pid) FROM pg_locks l"
                " WHERE l.locktype = 'advisory' AND l.granted AND l.mode = 'ShareLock'"
                " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND l.objsubid = 1 AND l.pid <> pg_backend_pid()"
                f" AND (l.classid::bigint << 32 | l.objid::bigint) = {READERS_LOCK}",
                (store.schema,),
            )
        await asyncio.sleep(_SOON)
    await conn.execute(f"SELECT pg_advisory_unlock({READERS_LOCK})", (store.schema,))


async def end_of(conn: Connection, state: StoreState) -> int:
    """The last position of a store's log."""
    query = EventTable(state.address.schema, state.layout).last()
    return int(await _value(conn, query.text))


async def _value(conn: Connection, query: Any, *values: Any) -> Any:
    row = await (await conn.execute(query, values)).fetchone()
    assert row is not None
    return row[0]


def _in(store: StoreAddress, text: LiteralString) -> sql.Composed:
    return sql.SQL(text).format(schema=sql.Identifier(store.schema))
