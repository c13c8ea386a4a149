"""Watchlists: every account's lists as they are now."""

from __future__ import annotations

from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import WatchlistChanged, WatchlistCreated, WatchlistDeleted
from domain.identifiers import Instant
from projections.columns import BIGINT, BOOLEAN, TEXT, UUID_
from projections.connections import Connection
from projections.projection import Column, Index, Projection, Table, on

WATCHLISTS = Table(
    "watchlists",
    (
        Column("watchlist_id", UUID_),
        Column("account_id", UUID_),
        Column("created_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("deleted", BOOLEAN),
        Column("name", TEXT),
        Column("instruments", TEXT),
    ),
    key=("watchlist_id",),
    indexes=(Index("account", ("account_id", "name"), "NOT deleted"),),
    fillfactor=50,
)


class Watchlists(Projection):
    """One row a list; `instruments` are the ids on it, in its order."""

    name = "watchlists"
    tables = (WATCHLISTS,)

    def __init__(self) -> None:
        super().__init__()
        (self.lists,) = self.changes

    @on(WatchlistCreated)
    def created(self, position: int, e: WatchlistCreated) -> None:
        self._put(e, e.at)

    @on(WatchlistChanged)
    def changed(self, position: int, e: WatchlistChanged) -> None:
        self._put(e, e.created_at)

    @on(WatchlistDeleted)
    def deleted(self, position: int, e: WatchlistDeleted) -> None:
        gone = {"watchlist_id": e.originator_id, "deleted": True, "instruments": ""}
        self.lists.patch(e.originator_id.int, {**gone, "updated_at": e.at})

    def _put(self, e: WatchlistCreated | WatchlistChanged, created_at: Instant) -> None:
        self.lists.put(
            e.originator_id.int,
            {
                "watchlist_id": e.originator_id,
                "account_id": e.account_id,
                "created_at": created_at,
                "updated_at": e.at,
                "deleted": False,
                "name": e.name,
                "instruments": " ".join(map(str, e.instruments)),
            },
        )


class WatchlistRow(msgspec.Struct, frozen=True, gc=False):
    """One list."""

    watchlist_id: UUID
    account_id: UUID
    name: str
    instruments: str
    created_at: int
    updated_at: int

    @property
    def instrument_ids(self) -> list[UUID]:
        """What is on it, in its order."""
        return [UUID(one) for one in self.instruments.split()]


_SELECT = (
    f"SELECT {', '.join(WatchlistRow.__struct_fields__)} FROM watchlists"
    " WHERE account_id = %s AND NOT deleted"
)


async def list_watchlists(conn: Connection, account_id: UUID) -> list[WatchlistRow]:
    """An account's lists, the oldest first."""
    async with conn.cursor(row_factory=class_row(WatchlistRow)) as cursor:
        await cursor.execute(f"{_SELECT} ORDER BY watchlist_id", (account_id,))
        return await cursor.fetchall()


async def get_watchlist(
    conn: Connection, account_id: UUID, name_or_id: str | UUID
) -> WatchlistRow | None:
    """One list of an account, by its name or its id."""
    column = "watchlist_id" if isinstance(name_or_id, UUID) else "name"
    async with conn.cursor(row_factory=class_row(WatchlistRow)) as cursor:
        await cursor.execute(f"{_SELECT} AND {column} = %s", (account_id, name_or_id))
        return await cursor.fetchone()
