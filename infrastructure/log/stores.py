"""Where the log of a partition stands: in the store that is named, or where it has moved to.

A move leaves word in the store it began in (`writer_epoch`), and whoever opens a connection
follows. While it is open it holds the readers' lock of its store: a switch waits until nobody
reads the store that it leaves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import StrEnum
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import AsyncConnection, Connection, sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row

from infrastructure.attentive import AttentiveConnection, AttentiveConnectionNow
from infrastructure.log.layouts import Layout
from infrastructure.log.ways_in import as_here

LOOK_SECONDS = 1.0
"""How often a process looks whether the log has moved, beside being told."""
AGAIN_SECONDS = 0.2
WRITER: Final = "nexus writer"
"""What a writer's connection is called; by this name alone others see whether it is alive."""
_HOPS = 5
_WHERE = {"dbname": "database", "host": "host", "port": "port"}

READERS_LOCK: Final = "hashtextextended('nexus readers ' || %s, 0)"
"""The key of a store's readers' lock, by its schema."""


class StoreAddress(NamedTuple):
    """A store: a database, and the schema in it that holds the partition."""

    dsn: str
    schema: str


class Writes(StrEnum):
    """Where the log is written, as a store says it (migration 0013)."""

    HERE = "here"
    BOTH = "both"
    HELD = "held"
    THERE = "there"
    FED = "fed"


WRITTEN = (Writes.HERE, Writes.BOTH, Writes.HELD)
"""What a store says that is the truth."""


class StoreState(NamedTuple):
    """What a store says of itself."""

    address: StoreAddress
    layout: Layout
    writes: Writes
    epoch: int
    """0 while nobody has led."""
    generation: int
    """Rises with every change of where the log is written."""
    peer: StoreAddress | None
    """The other store of a move."""


class StoreUnreachable(psycopg.OperationalError):
    """The stores name each other and none is the truth: try again, as with a server away."""


class Stores:
    """The stores of one partition, from the one that the settings name (the entry).

    A pinned one never follows: it is for those who look after this very store.
    """

    def __init__(self, dsn: str, schema: str, *, pinned: bool = False) -> None:
        self.entry = StoreAddress(dsn, schema)
        self.pinned = pinned
        self.known = self.entry
        """The store that was the truth when it was last asked for."""

    async def connect(
        self, name: str = "nexus", *, reading: bool = True, names: bool = False, **options: Any
    ) -> tuple[AsyncConnection[Any], StoreState]:
        """A connection in autocommit to the truth, and what the store says.

        With `reading` it holds the readers' lock until it is closed; with `names` its search_path
        is the store's schema. Raises psycopg.Error, and StoreUnreachable when it is the other store
        that does not answer.
        """
        search = _Search(self)
        while True:
            address = search.address
            try:
                conn = await AttentiveConnection.open(
                    address.dsn, **_options(name, address, options)
                )
            except psycopg.OperationalError as error:
                search.failed(error)
                continue
            try:
                if reading:
                    await conn.execute(_lock(), (address.schema,))
                if names:
                    await conn.execute(_use_names(address))
                state = await read_state(conn, address)
                if search.found(state):
                    return conn, state
            except BaseException:
                await conn.close()
                raise
            await conn.close()

    def connect_now(
        self, name: str = "nexus", *, reading: bool = True, names: bool = False, **options: Any
    ) -> tuple[Connection[Any], StoreState]:
        """The same for those who run no loop."""
        search = _Search(self)
        while True:
            address = search.address
            try:
                conn = AttentiveConnectionNow.open(address.dsn, **_options(name, address, options))
            except psycopg.OperationalError as error:
                search.failed(error)
                continue
            try:
                if reading:
                    conn.execute(_lock(), (address.schema,))
                if names:
                    conn.execute(_use_names(address))
                state = read_state_now(conn, address)
                if search.found(state):
                    return conn, state
            except BaseException:
                conn.close()
                raise
            conn.close()

    async def watch(self, moved: Callable[[StoreState], Awaitable[object]]) -> None:
        """Call `moved` whenever the truth is another store than before, until canceled."""
        before = self.known
        while True:
            with suppress(psycopg.Error, OSError):
                conn, state = await self.connect("nexus watch", reading=False)
                async with conn:
                    await conn.execute(
                        sql.SQL("LISTEN {}").format(sql.Identifier(moves_channel(state.address)))
                    )
                    if state.address != before:
                        await moved(state)
                    before = state.address
                    # One that nobody writes yet is left, and found again, until it is opened.
                    while (await read_state(conn, state.address)).writes in WRITTEN:
                        async for _ in conn.notifies(timeout=LOOK_SECONDS, stop_after=1):
                            pass
                if state.writes in WRITTEN:
                    continue
            await asyncio.sleep(AGAIN_SECONDS)


class _Search:
    """The way from one store to the next, until one says that it is the truth."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._came_from: StoreState | None = None
        self._left = _HOPS
        self.address = stores.known

    def failed(self, error: psycopg.OperationalError) -> None:
        """A store does not answer: what was known may be gone for good, and the entry knows better.
        Raises the error, or StoreUnreachable, when there is nothing else to try.
        """
        if self._came_from is not None:
            said, there = told_of(self._came_from.address), told_of(self.address)
            raise StoreUnreachable(
                f"the log has moved: {said} says that it stands in {there}, which cannot be"
                f" reached: {str(error).strip()}"
            ) from error
        entry = self._stores.entry
        if self.address == entry:
            raise error
        self._go(entry, None)

    def found(self, state: StoreState) -> bool:
        """Whether this is the truth; if not, the other store is looked at next."""
        if self._stores.pinned or state.peer is None or state.writes in WRITTEN:
            self._stores.known = state.address
            return True
        sent_here = self._came_from is not None and self._came_from.writes is Writes.THERE
        if state.writes is Writes.FED and sent_here:
            # Nobody has written it yet, and it is whole.
            self._stores.known = state.address
            return True
        self._go(state.peer, state)
        return False

    def _go(self, address: StoreAddress, came_from: StoreState | None) -> None:
        self._left -= 1
        if not self._left:
            raise StoreUnreachable(
                f"{told_of(self.address)} and {told_of(address)} name each other, and neither says"
                " that the log is written there"
            )
        self.address, self._came_from = address, came_from


def told_of(store: StoreAddress) -> str:
    """A store in words; no password is among them."""
    said = conninfo_to_dict(store.dsn)
    where = [f"{word} {said[name]}" for name, word in _WHERE.items() if said.get(name)]
    return f"schema {store.schema} of {', '.join(where) or 'the default server'}"


def moves_channel(store: StoreAddress) -> str:
    """The channel on which a store tells that its mode has changed."""
    return f"{store.schema}_moves"


def find_truth(dsn: str, schema: str) -> StoreState:
    """What the store says that is the truth now, from one of the two; raises psycopg.Error."""
    conn, state = Stores(dsn, schema).connect_now(reading=False)
    conn.close()
    return state


def leave_readers(address: StoreAddress) -> tuple[str, tuple[str]]:
    """The statement with which a connection gives the readers' lock of its store back."""
    return f"SELECT pg_advisory_unlock_shared({READERS_LOCK})", (address.schema,)


def _options(name: str, address: StoreAddress, options: dict[str, Any]) -> dict[str, Any]:
    return {"application_name": f"{_called(name)} {address.schema}"[:63], **options}


def _called(name: str) -> str:
    """How a connection is called: after its process too, where that was given a name."""
    process = os.environ.get("PGAPPNAME")
    return name if process is None or name == WRITER else f"{process} {name}"


def _use_names(address: StoreAddress) -> sql.Composed:
    return sql.SQL("SET search_path TO {}").format(sql.Identifier(address.schema))


def _lock() -> str:
    return f"SELECT pg_advisory_lock_shared({READERS_LOCK})"


_STATE = """
SELECT {schema}.store_layout(), COALESCE(e.writes, 'here'), COALESCE(e.epoch, 0),
       COALESCE(e.generation, 0), e.peer_dsn, e.peer_schema
  FROM (SELECT) AS one LEFT JOIN {schema}.writer_epoch e ON true
"""
_OLDER = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.InvalidSchemaName,
)
"""What a schema answers that is not there, or older than moves are: it is read as it was."""


async def read_state(conn: AsyncConnection[Any], address: StoreAddress) -> StoreState:
    """What the store says of itself over this connection, which is in autocommit."""
    try:
        async with conn.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(_state_query(address))
            return _state(address, await cursor.fetchone())
    except _OLDER:
        return _unmoved(address)


def read_state_now(conn: Connection[Any], address: StoreAddress) -> StoreState:
    """The same for those who run no loop."""
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(_state_query(address))
            return _state(address, cursor.fetchone())
    except _OLDER:
        return _unmoved(address)


def _state_query(address: StoreAddress) -> sql.Composed:
    return sql.SQL(_STATE).format(schema=sql.Identifier(address.schema))


def _state(address: StoreAddress, row: tuple[Any, ...] | None) -> StoreState:
    assert row is not None
    layout, writes, epoch, generation, peer_dsn, peer_schema = row
    peer = None
    if peer_schema is not None:
        peer = StoreAddress(as_here(peer_dsn, address.dsn), peer_schema)
    return StoreState(address, Layout(layout), Writes(writes), epoch, generation, peer)


def _unmoved(address: StoreAddress) -> StoreState:
    return StoreState(address, Layout.PLAIN, Writes.HERE, 0, 0, None)
