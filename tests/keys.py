"""Keys with their events, as the writer stores them, for tests that need no writer beside them."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from uuid import UUID

import psycopg

from api.auth import KeyRing
from api.key_issuing import NewKey
from api.secrets_of_keys import digest_of, new_secret
from application.keys import EnsureOperator, IssueKey, RevokeKey, RotateKey
from application.log.ports import Batch
from application.writer.beside import rows_beside
from domain.api_key import OF_ACCOUNTS, SCOPES, ApiKey, KeyTerms
from domain.decision import Decision
from domain.identifiers import NO_ID
from infrastructure.log.beside_rows import store_beside
from infrastructure.log.memory import MemoryLog
from infrastructure.log.pool import StorePool
from infrastructure.log.stores import Stores
from infrastructure.log.writing import PostgresEventLog


class KeyWriter:
    """Appends the events of keys to a log, and their rows in the same transaction."""

    def __init__(self, dsn: str, schema: str) -> None:
        self._log = PostgresEventLog(dsn, schema, 0)
        self._keys: dict[str, ApiKey] = {}
        self._number = 0

    async def __aenter__(self) -> KeyWriter:
        await self._log.take_over()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._log.close()

    async def issue(self, account_id: UUID, **terms: Any) -> NewKey:
        """A new key of an account."""
        key_id, secret = f"NX{len(self._keys):018X}", new_secret()
        command = IssueKey(account_id, key_id, digest_of(secret), OF_ACCOUNTS, **terms)
        decision = await self._decision()
        of = KeyTerms(account_id, key_id, OF_ACCOUNTS, command.label, command.expires_at)
        ApiKey.issue(decision, of, command.digest)
        await self._append(command, decision)
        return NewKey(key_id, secret)

    async def operator(self, key_id: str, secret: str) -> None:
        """An operator's key for everything, with this secret."""
        command = EnsureOperator(key_id, digest_of(secret), True)
        decision = await self._decision()
        ApiKey.issue(decision, KeyTerms(NO_ID, key_id, SCOPES), command.digest)
        await self._append(command, decision)

    async def rotate(self, key_id: str) -> NewKey:
        """Another secret for a key."""
        secret, decision = new_secret(), await self._decision()
        command = RotateKey(key_id, digest_of(secret))
        self._keys[key_id].rotate(decision, command.digest, 0)
        await self._append(command, decision)
        return NewKey(key_id, secret)

    async def revoke(self, key_id: str) -> None:
        """The end of a key."""
        decision = await self._decision()
        self._keys[key_id].revoke(decision, "")
        await self._append(RevokeKey(key_id), decision)

    async def _decision(self) -> Decision:
        self._number += 1
        end = await self._log.last_position()
        return Decision(time.time_ns() // 1_000, 0, self._number, "test", "test", end + 1)

    async def _append(self, command: Any, decision: Decision) -> None:
        for event in decision.events:
            key_id = event.key_id  # type: ignore[attr-defined]
            known = self._keys.get(key_id)
            if known is None:
                self._keys[key_id] = ApiKey.begun_by(event)
            elif known.version < event.originator_version:
                known.evolve(event)
        rows = rows_beside(command, decision, self._keys.get)
        await self._log.append(Batch(decision.first_position, decision.events, [], rows))


class Ring(KeyRing):
    """A key ring with somebody at hand who issues keys."""

    def __init__(self, pool: StorePool, writer: KeyWriter, *clocks: Any) -> None:
        super().__init__(pool, *clocks)
        self.writer = writer
        self._pool = pool

    async def issue(self, account_id: UUID, **terms: Any) -> NewKey:
        """A new key of an account."""
        return await self.writer.issue(account_id, **terms)

    async def revoke(self, key_id: str) -> None:
        """The end of a key, as the gateway knows it that was asked for it."""
        await self.writer.revoke(key_id)
        self.changed(key_id)


def pool_of(dsn: str, schema: str) -> StorePool:
    """A pool as gateways have it."""
    return StorePool(Stores(dsn, schema), min_size=1, max_size=8)


def store_keys(dsn: str, schema: str, log: MemoryLog) -> None:
    """Store the rows of the keys of a log whose events were stored without them."""

    async def store() -> None:
        async with await psycopg.AsyncConnection.connect(dsn) as conn:
            await store_beside(conn, schema, log.beside)

    asyncio.run(store())
