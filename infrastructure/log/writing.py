"""The writer's log on PostgreSQL: one fenced statement and one commit a batch.

Every batch takes the epoch row FOR SHARE where the epoch is this writer's; the insert reads
from that row, so a writer that was taken over inserts nothing and learns that it is fenced.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, LiteralString
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from application.log.ports import Batch, Fenced, OutcomeUnknown
from infrastructure.log.appending import AppendStatement
from infrastructure.log.reads import EventReads
from infrastructure.log.statements import Ask, EventTable, Query

LEASE_SECONDS = 5.0
"""How long a silent writer keeps its lock before a standby may end it."""


_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""Answers that say nothing of what was asked."""


class PostgresEventLog(EventReads):
    """One partition's log as its writer sees it (`application.log.ports.EventLog`).

    One connection inserts and carries the advisory lock; another reads.
    """

    def __init__(self, dsn: str, schema: str, partition: int) -> None:
        self._events = EventTable(schema)
        self._dsn = dsn
        self._schema = schema
        self._partition = partition
        self._holder = uuid4().hex
        self._epoch = 0
        self._writer: psycopg.AsyncConnection[Any] | None = None
        self._reader: psycopg.AsyncConnection[Any] | None = None
        self._writing = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._statement = AppendStatement(schema, partition)

    def _sql(self, text: LiteralString) -> str:
        """SQL with the schema's quoted name in it."""
        statement = sql.SQL(text)
        return statement.format(schema=sql.Identifier(self._schema)).as_string(None)

    async def try_take_over(self, lease_seconds: float = LEASE_SECONDS) -> int | None:
        """Become the writer: lock, then raise the epoch; None while another one is alive.

        Another writer is ended when it is this object's own former connection, or has been
        silent for longer than the lease. Raises OutcomeUnknown when the store is away.
        """
        async with self._writing:
            await self._drop_writer()
            try:
                conn = await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, application_name=f"nexus writer {self._schema}"
                )
            except psycopg.Error as error:
                raise OutcomeUnknown(str(error)) from error
            epoch = None
            try:
                await self._statement.prepare(conn)
                epoch = await self._lead(conn, lease_seconds)
            except psycopg.Error as error:
                raise OutcomeUnknown(str(error)) from error
            finally:
                if epoch is None:
                    await conn.close()
            if epoch is not None:
                self._writer, self._epoch = conn, epoch
            return epoch

    async def _lead(self, conn: psycopg.AsyncConnection[Any], lease_seconds: float) -> int | None:
        lock = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
        name = (f"nexus writer {self._schema} {self._partition}",)
        for attempt in range(100):
            row = await (await conn.execute(lock, name)).fetchone()
            assert row is not None
            if row[0]:
                break
            if attempt == 0 and not await self._end_former(conn, lease_seconds):
                return None
            await asyncio.sleep(0.05)
        else:
            return None
        row = await (
            await conn.execute(
                self._sql(
                    "INSERT INTO {schema}.writer_epoch"
                    " (partition, epoch, holder, backend_pid, taken_at, renewed_at)"
                    " VALUES (%s, 1, %s, pg_backend_pid(), clock_timestamp(), clock_timestamp())"
                    " ON CONFLICT (partition) DO UPDATE SET epoch = writer_epoch.epoch + 1,"
                    " holder = excluded.holder, backend_pid = excluded.backend_pid,"
                    " taken_at = excluded.taken_at, renewed_at = excluded.renewed_at"
                    " RETURNING epoch"
                ),
                (self._partition, self._holder),
            )
        ).fetchone()
        assert row is not None
        return int(row[0])

    async def _end_former(self, conn: psycopg.AsyncConnection[Any], lease_seconds: float) -> bool:
        """End the backend that holds the lock if it may be ended."""
        row = await (
            await conn.execute(
                self._sql(
                    "SELECT e.holder = %(me)s OR e.renewed_at < clock_timestamp()"
                    " - %(lease)s * interval '1 second', e.backend_pid"
                    " FROM {schema}.writer_epoch e WHERE e.partition = %(partition)s"
                ),
                {"me": self._holder, "lease": lease_seconds, "partition": self._partition},
            )
        ).fetchone()
        if row is None or not row[0]:
            return False
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid = %s AND application_name = %s",
            (row[1], f"nexus writer {self._schema}"),
        )
        return True

    async def leader_is_gone(self, lease_seconds: float = LEASE_SECONDS) -> bool:
        """Whether taking over is worth a try: nobody leads, or its backend is gone or silent."""
        rows = await self._query(
            "SELECT e.renewed_at < clock_timestamp() - %(lease)s * interval '1 second'"
            " OR NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.pid = e.backend_pid"
            " AND a.application_name = %(name)s)"
            " FROM {schema}.writer_epoch e WHERE e.partition = %(partition)s",
            {
                "lease": lease_seconds,
                "name": f"nexus writer {self._schema}",
                "partition": self._partition,
            },
        )
        return not rows or bool(rows[0][0])

    async def take_over(self) -> int:
        """Take the lock again after a failure; raises Fenced when another writer leads."""
        epoch = await self.try_take_over()
        if epoch is None:
            raise Fenced
        return epoch

    async def renew(self) -> None:
        """Say that this writer is alive; raises Fenced or OutcomeUnknown."""
        statement = self._sql(
            "UPDATE {schema}.writer_epoch SET renewed_at = clock_timestamp()"
            " WHERE partition = %s AND epoch = %s"
        )
        async with self._writing:
            try:
                if self._writer is None:
                    raise OutcomeUnknown("not connected")
                cursor = await self._writer.execute(statement, (self._partition, self._epoch))
            except psycopg.Error as error:
                raise OutcomeUnknown(str(error)) from error
            if cursor.rowcount != 1:
                raise Fenced

    async def append(self, batch: Batch) -> None:
        """Commit one batch whole. Raises Fenced, OutcomeUnknown, or ValueError when the
        server refuses the values themselves and so has stored nothing.
        """
        try:
            statements = self._statement.values(self._epoch, batch)
        except (OverflowError, TypeError, struct.error) as error:
            raise ValueError(str(error)) from error
        async with self._writing:
            try:
                if self._writer is None:
                    raise OutcomeUnknown("not connected")
                if len(statements) == 1:
                    stored = await self._statement.run(self._writer, statements[0])
                else:
                    async with self._writer.transaction():
                        for values in statements:
                            stored = await self._statement.run(self._writer, values)
                            if not stored:
                                break
            except (
                psycopg.DataError,
                psycopg.IntegrityError,
                psycopg.errors.ProgramLimitExceeded,
            ) as error:
                raise ValueError(str(error)) from error
            except psycopg.Error as error:
                raise OutcomeUnknown(str(error)) from error
        if not stored:
            raise Fenced

    async def keys_up_to(
        self, position: int, after: tuple[UUID, str] | None = None, limit: int = 10_000
    ) -> Sequence[tuple[UUID, str]]:
        """Keys of the past, by account and key, for the filter that proves new ones new."""
        account_id, key = after or (UUID(int=0), "")
        return await self._query(
            "SELECT account_id, request_key FROM {schema}.request_keys"
            " WHERE (account_id, request_key) > (%(account)s, %(key)s)"
            " AND position <= %(position)s ORDER BY account_id, request_key LIMIT %(limit)s",
            {"position": position, "account": account_id, "key": key, "limit": limit},
        )

    async def quarantine(
        self, correlation_id: UUID, actor: str, gateway: str, command: bytes, error: str
    ) -> None:
        """Set a command aside that broke the writer."""
        await self._query(
            "INSERT INTO {schema}.quarantined_commands"
            " (correlation_id, at, actor, gateway, command, error)"
            " VALUES (%(id)s, clock_timestamp(), %(actor)s, %(gateway)s, %(command)s, %(error)s)"
            " ON CONFLICT DO NOTHING RETURNING 1",
            {
                "id": correlation_id,
                "actor": actor.replace("\0", "\ufffd"),
                "gateway": gateway.replace("\0", "\ufffd"),
                "command": command,
                "error": error.replace("\0", "\ufffd"),
            },
        )

    async def _query(self, text: LiteralString, params: dict[str, Any]) -> list[tuple[Any, ...]]:
        return await self._fetch(lambda _: Query(self._sql(text), params))

    async def _fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """Rows from the reading connection; a broken one is opened again, once.

        Raises OutcomeUnknown when the store is away.
        """
        query = ask(self._events)
        async with self._reading:
            for attempt in (1, 2):
                try:
                    if self._reader is None or self._reader.closed:
                        self._reader = await psycopg.AsyncConnection.connect(
                            self._dsn, autocommit=True
                        )
                    cursor = await self._reader.execute(query.text, query.values, binary=True)
                    return await cursor.fetchall()
                except _AWAY as error:
                    if self._reader is not None:
                        await self._reader.close()
                    self._reader = None
                    if attempt == 2:
                        raise OutcomeUnknown(str(error)) from error
        raise AssertionError("unreachable")

    async def _drop_writer(self) -> None:
        if self._writer is not None:
            with suppress(psycopg.Error, OSError):
                await self._writer.close()
            self._writer = None

    async def close(self) -> None:
        """Leave the store; the lock is free afterwards."""
        async with self._writing:
            await self._drop_writer()
        async with self._reading:
            if self._reader is not None:
                await self._reader.close()
                self._reader = None
