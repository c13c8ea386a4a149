"""What a writer looks up in its log, on a connection that never waits for a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from application.keys import KeyOfBefore
from application.log.ports import OutcomeUnknown
from domain.identifiers import NO_ID
from infrastructure.log.reads import EventReads
from infrastructure.log.statements import Ask, EventTable, Query
from infrastructure.log.stores import Stores

_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
"""Answers that say nothing of what was asked."""


class WritersLookUps(EventReads):
    """Reads the log in whichever store it stands, and sets commands aside there."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._reader: psycopg.AsyncConnection[Any] | None = None
        self._events = EventTable(stores.entry.schema)
        self._reading = asyncio.Lock()

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

    async def keys_of_before(self) -> Sequence[KeyOfBefore]:
        """Keys that were stored before keys were events."""
        rows = await self._query(
            "SELECT key_id, account_id, role = 'admin', secret_sha256, revoked_at IS NOT NULL"
            " FROM {schema}.api_keys WHERE version = 0 ORDER BY created_at, key_id",
            {},
        )
        return [(row[0], row[1] or NO_ID, row[2], bytes(row[3]), row[4]) for row in rows]

    async def key_ids(self) -> set[str]:
        """The ids of all keys that are stored."""
        return {row[0] for row in await self._query("SELECT key_id FROM {schema}.api_keys", {})}

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
        return await self._fetch(lambda table: in_schema(table, text, params))

    async def _fetch(self, ask: Ask) -> list[tuple[Any, ...]]:
        """Rows from the reading connection; a broken one is opened again, once.

        Raises OutcomeUnknown when the store is away.
        """
        async with self._reading:
            for attempt in (1, 2):
                try:
                    if self._reader is None or self._reader.closed:
                        self._reader, state = await self._stores.connect("nexus log")
                        self._events = EventTable(state.address.schema, state.layout)
                    query = ask(self._events)
                    cursor = await self._reader.execute(query.text, query.values, binary=True)
                    return await cursor.fetchall()
                except _AWAY as error:
                    if self._reader is not None:
                        await self._reader.close()
                    self._reader = None
                    if attempt == 2:
                        raise OutcomeUnknown(str(error)) from error
        raise AssertionError("unreachable")

    async def _drop_reader(self) -> None:
        async with self._reading:
            if self._reader is not None:
                await self._reader.close()
                self._reader = None


def in_schema(table: EventTable, text: LiteralString, values: dict[str, Any]) -> Query:
    """A statement over the schema of the store that is read."""
    statement = sql.SQL(text).format(schema=sql.Identifier(table.schema))
    return Query(statement.as_string(None), values)
