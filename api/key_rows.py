"""The rows of keys, each held against its events: what no event has let in lets nobody in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from api.secrets_of_keys import KEY_ACTOR
from domain.api_key import KeyTerms, fingerprint_of
from domain.events import DomainEvent
from domain.identifiers import NO_ID, Instant, key_stream
from infrastructure.log.beside_rows import OPERATOR, TRADER
from infrastructure.log.codec import recorded
from infrastructure.log.pool import StorePool

_COLUMNS = (
    "key_id, secret_sha256 AS digest, account_id, role, scopes, label, expires_at, version,"
    " position, created_at, revoked_at IS NOT NULL AS revoked"
)
_LOOKS = 2
"""How often a key is looked at that changes between two questions."""


class KnownKey(NamedTuple):
    """A key as it is stored; `expires_at` is 0 where it never does."""

    key_id: str
    digest: bytes
    account_id: UUID | None
    role: str
    scopes: tuple[str, ...]
    label: str
    expires_at: Instant
    version: int
    position: int
    created_at: datetime
    revoked: bool


class KeyRows:
    """Asks the store for keys."""

    def __init__(self, pool: StorePool) -> None:
        self._pool = pool

    async def live(self, key_ids: Sequence[str]) -> dict[str, KnownKey]:
        """Those of some keys that are not revoked and stand as their events say."""
        found: dict[str, KnownKey] = {}
        left: Collection[str] = key_ids
        for _ in range(_LOOKS):
            async with self._pool.connection() as conn:
                rows = await _rows(conn, " WHERE key_id = ANY(%s)", (list(left),))
                lives = await self._lives(conn, [row.key_id for row in rows])
            left = []
            for row in rows:
                life = lives.get(key_stream(row.key_id), ())
                if stands_by_events(row, life):
                    if not row.revoked:
                        found[row.key_id] = row
                elif len(life) > row.version:
                    left.append(row.key_id)
            if not left:
                break
        return found

    async def known(self, key_id: str) -> KnownKey | None:
        """A key, revoked or not, as it is stored."""
        async with self._pool.connection() as conn:
            rows = await _rows(conn, " WHERE key_id = %s", (key_id,))
        return rows[0] if rows else None

    async def terms(self, key_id: str) -> KeyTerms | None:
        """Whose a key is and what for, as its events say, whatever is stored; None of no key."""
        async with self._pool.connection() as conn:
            life = (await self._lives(conn, [key_id])).get(key_stream(key_id), ())
        key = _as_told(life)
        if key is None:
            return None
        return KeyTerms(key.account_id, key.key_id, key.scopes, key.label, key.expires_at)

    async def listed(self) -> list[KnownKey]:
        """Every key that there was, operators' first."""
        async with self._pool.connection() as conn:
            return await _rows(conn, " ORDER BY account_id NULLS FIRST, created_at, key_id", ())

    async def has_key(self, account_id: UUID, at: Instant) -> bool:
        """Whether an account has a live key."""
        async with self._pool.connection() as conn:
            found = await conn.execute(
                "SELECT 1 FROM api_keys WHERE account_id = %s AND revoked_at IS NULL"
                " AND version > 0 AND (expires_at = 0 OR expires_at > %s) LIMIT 1",
                (account_id, at),
            )
            return await found.fetchone() is not None

    async def own_actors(self, account_id: UUID, actors: Collection[str]) -> set[str]:
        """Those of some actors that are keys of an account, live or revoked."""
        keys = {actor.removeprefix(KEY_ACTOR): actor for actor in actors}
        async with self._pool.connection() as conn:
            found = await conn.execute(
                "SELECT key_id FROM api_keys WHERE key_id = ANY(%s) AND account_id = %s",
                (list(keys), account_id),
            )
            return {keys[key_id] for (key_id,) in await found.fetchall()}

    async def _lives(
        self, conn: psycopg.AsyncConnection[Any], key_ids: Iterable[str]
    ) -> Mapping[UUID, Sequence[DomainEvent]]:
        """The events of keys, each by version."""
        query = self._pool.events_of(conn).lives([key_stream(key_id) for key_id in key_ids])
        async with conn.cursor(binary=True) as cursor:
            await cursor.execute(query.text, query.values)
            rows = await cursor.fetchall()
        lives: dict[UUID, list[DomainEvent]] = {}
        for _, event in sorted(recorded(rows)):
            lives.setdefault(event.originator_id, []).append(event)
        return lives


def stands_by_events(row: KnownKey, life: Sequence[DomainEvent]) -> bool:
    """Whether a key is stored as its events say: what was written by hand is nobody's."""
    key = _as_told(life)
    return key is not None and (
        key.key_id == row.key_id
        and key.version == row.version
        and key.fingerprint == fingerprint_of(row.digest)
        and key.account_id == (row.account_id or NO_ID)
        and row.role == (OPERATOR if key.account_id == NO_ID else TRADER)
        and key.scopes == row.scopes
        and key.expires_at == row.expires_at
        and key.revoked == row.revoked
    )


def _as_told(life: Sequence[DomainEvent]) -> Any:
    """The key that its events make; None of none."""
    key: Any = None
    for event in life:
        key = event.mutate(key)
    return key


async def _rows(
    conn: psycopg.AsyncConnection[Any], which: str, values: tuple[Any, ...]
) -> list[KnownKey]:
    async with conn.cursor(row_factory=class_row(_StoredRow)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS} FROM api_keys{which}".encode(), values)
        return [row.known() for row in await cursor.fetchall()]


class _StoredRow(KnownKey):
    """A row as the driver reads it, with its scopes in a list."""

    def known(self) -> KnownKey:
        """The key."""
        return KnownKey(*self)._replace(scopes=tuple(self.scopes), digest=bytes(self.digest))
