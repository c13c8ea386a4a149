"""Where snapshots are kept: desks whole in compressed parts, aggregates one row each."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from application.log.ports import DeskSnapshot, OutcomeUnknown, Taken
from domain.identifiers import Instant, datetime_of
from infrastructure.log.stores import Stores

PART_BYTES = 8_000_000
FORMAT = 1


class PostgresSnapshots:
    """Snapshots of one partition (`application.log.ports.DeskSnapshots`)."""

    def __init__(self, dsn: str, schema: str) -> None:
        self._stores = Stores(dsn, schema)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        """A transaction in the store that is the truth, whose names need no schema."""
        conn, _ = await self._stores.connect("nexus snapshots", names=True)
        async with conn, conn.transaction():
            yield conn

    async def latest(self, up_to: int | None = None) -> DeskSnapshot | None:
        """The newest whole desk snapshot, at or below a position when one is given."""
        try:
            async with self._connected() as conn:
                rows = await self._fetch(
                    conn,
                    "SELECT position, state_hash, state FROM desk_snapshots"
                    " WHERE position = (SELECT max(position) FROM desk_snapshots"
                    " WHERE %(up_to)s::bigint IS NULL OR position <= %(up_to)s) ORDER BY part",
                    {"up_to": up_to},
                )
        except psycopg.OperationalError as error:
            raise OutcomeUnknown(str(error)) from error
        if not rows:
            return None
        try:
            state = zlib.decompress(b"".join(bytes(row[2]) for row in rows))
        except zlib.error:
            state = b""  # fits no hash: whoever loads it passes it over
        return DeskSnapshot(rows[0][0], bytes(rows[0][1]), state)

    async def save(self, snapshot: DeskSnapshot, at: Instant) -> None:
        """Keep a desk snapshot; one that exists stays as it is."""
        packed = await asyncio.to_thread(zlib.compress, snapshot.state, 1)
        parts = [packed[i : i + PART_BYTES] for i in range(0, len(packed), PART_BYTES)]
        try:
            async with self._connected() as conn:
                for part, data in enumerate(parts):
                    await conn.execute(
                        "INSERT INTO desk_snapshots"
                        " (position, part, taken_at, format, state_hash, state)"
                        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                        (
                            snapshot.position,
                            part,
                            datetime_of(at),
                            FORMAT,
                            snapshot.state_hash,
                            data,
                        ),
                    )
        except psycopg.OperationalError as error:
            raise OutcomeUnknown(str(error)) from error

    async def taken(self) -> Sequence[Taken]:
        """Every desk snapshot, in no order."""
        try:
            async with self._connected() as conn:
                rows = await self._fetch(
                    conn,
                    "SELECT position, (extract(epoch FROM min(taken_at)) * 1000000)::bigint"
                    " FROM desk_snapshots GROUP BY position",
                    {},
                )
        except psycopg.OperationalError as error:
            raise OutcomeUnknown(str(error)) from error
        return [Taken(*row) for row in rows]

    async def drop(self, positions: Sequence[int]) -> None:
        """Let the desk snapshots at these positions go."""
        if not positions:
            return
        try:
            async with self._connected() as conn:
                await conn.execute(
                    "DELETE FROM desk_snapshots WHERE position = ANY(%s)", (list(positions),)
                )
        except psycopg.OperationalError as error:
            raise OutcomeUnknown(str(error)) from error

    async def save_aggregates(self, rows: Sequence[tuple[UUID, int, str, bytes]]) -> None:
        """Keep aggregate snapshots as (id, version, topic, state); those there stay."""
        try:
            async with self._connected() as conn:
                async with conn.cursor() as cursor:
                    await cursor.executemany(
                        "INSERT INTO snapshots (originator_id, originator_version, topic, state)"
                        " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                        rows,
                    )
        except psycopg.OperationalError as error:
            raise OutcomeUnknown(str(error)) from error

    async def _fetch(
        self, conn: psycopg.AsyncConnection[Any], text: LiteralString, params: dict[str, Any]
    ) -> list[tuple[Any, ...]]:
        return await (await conn.execute(text, params, binary=True)).fetchall()
