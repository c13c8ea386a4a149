"""Where a store says that the log is written, as its writer looks at it and changes it.

Every change is made under the writer's own epoch, and raises the generation.
"""

from __future__ import annotations

from typing import Any, LiteralString, NamedTuple, TypeAlias

import psycopg
from psycopg import sql

from infrastructure.log.stores import StoreAddress, Writes

Connection: TypeAlias = psycopg.AsyncConnection[Any]


class Standing(NamedTuple):
    """What the row says that every append takes."""

    epoch: int
    writes: Writes
    generation: int
    held_seconds: float
    """For how long a switch may keep the writer back yet."""
    peer_schema: str | None
    """The peer's, when it stands in the same database."""


class Seat(NamedTuple):
    """A writer's place in a store: the row of its partition, under its epoch."""

    store: StoreAddress
    partition: int
    epoch: int

    async def standing(self, conn: Connection) -> Standing:
        """What the row says now; epoch 0 when there is none. Raises psycopg.Error."""
        row = await self._one(
            conn,
            "SELECT epoch, writes, generation,"
            " COALESCE(extract(epoch FROM held_until - clock_timestamp()), 0)::float8,"
            " CASE WHEN peer_dsn IS NULL THEN peer_schema END"
            " FROM {schema}.writer_epoch WHERE partition = %(partition)s",
        )
        if row is None:
            return Standing(0, Writes.HERE, 0, 0.0, None)
        return Standing(row[0], Writes(row[1]), row[2], row[3], row[4])

    async def leave_follower_behind(self, conn: Connection) -> bool:
        """Write here alone from now on; false when that is no more this writer's to say."""
        return await self._changed(conn, "writes = 'both'")

    async def release(self, conn: Connection, standing: Standing) -> bool:
        """Go on after a switch that took too long; false when it did not, or ended meanwhile."""
        return await self._changed(
            conn, "writes = 'held' AND generation = %(generation)s", standing.generation
        )

    async def renew(self, conn: Connection) -> bool:
        """Say that this writer is alive; false when it does not lead here."""
        row = await self._one(
            conn,
            "UPDATE {schema}.writer_epoch SET renewed_at = clock_timestamp()"
            " WHERE partition = %(partition)s AND epoch = %(epoch)s"
            " AND writes IN ('here', 'both', 'held') RETURNING 1",
        )
        return row is not None

    async def _changed(
        self, conn: Connection, condition: LiteralString, generation: int = 0
    ) -> bool:
        row = await self._one(
            conn,
            "UPDATE {schema}.writer_epoch SET writes = 'here', held_until = NULL,"
            " generation = generation + 1"
            " WHERE partition = %(partition)s AND epoch = %(epoch)s AND "
            + condition
            + " RETURNING pg_notify(%(channel)s, 'here')",
            generation,
        )
        return row is not None

    async def _one(
        self, conn: Connection, text: LiteralString, generation: int = 0
    ) -> tuple[Any, ...] | None:
        statement = sql.SQL(text).format(schema=sql.Identifier(self.store.schema))
        values = {
            "partition": self.partition,
            "epoch": self.epoch,
            "generation": generation,
            "channel": f"{self.store.schema}_moves",
        }
        return await (await conn.execute(statement, values)).fetchone()
