"""Who is asking: keys and secrets, looked up in the store and remembered briefly."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

from api import patience
from api.door.together import Together
from api.refusals import NotAuthorized
from domain.errors import VenueUnavailable
from infrastructure.log.stores import Stores
from infrastructure.settings import Settings

SECRET_BYTES = 32
REMEMBERED_SECONDS = 5.0
REMEMBERED_KEYS = 100_000
REMEMBERED_STRANGERS = 10_000
"""Ids that no live key has, remembered apart: however many come, no key is forgotten for them."""
STRANGERS_WAITING = 1_024
"""How many ids that were never found here wait to be looked up; more are refused for now."""
_LONGEST = 256
_NO_SECRET = bytes(32)
HELD_SECONDS = 0.05
"""How soon a change is tried again that a switch of the store holds back."""
LONGEST_HELD_SECONDS = 60.0

Changed = TypeVar("Changed")

KEY_ACTOR = "key:"


class Principal(NamedTuple):
    """The key a request came with: who acts, for which account, in which role."""

    key_id: str
    account_id: UUID | None
    role: str

    @property
    def actor(self) -> str:
        """How the events name who acted."""
        return f"{KEY_ACTOR}{self.key_id}"


class _StoredKey(NamedTuple):
    key_id: str
    secret_sha256: bytes
    account_id: UUID | None
    role: str


class NewKey(NamedTuple):
    """A key just made; the secret exists nowhere else."""

    key_id: str
    secret: str


def digest_of(secret: str) -> bytes:
    """What is stored of a secret. It is 32 random bytes, so a plain hash is enough."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


class KeyRing:
    """The live keys. A revoked key stops working here at once and elsewhere within seconds."""

    def __init__(
        self,
        pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, _StoredKey]] = OrderedDict()
        self._strangers: OrderedDict[str, float] = OrderedDict()
        # Two questions at a time and no more, and no known key waits behind a stranger.
        self._of_known = Together(self._look_up, self._remember)
        self._of_strangers = Together(self._look_up, self._remember, STRANGERS_WAITING)

    async def principal(self, key_id: str | None, secret: str | None) -> Principal:
        """Who holds this key and secret; raises NotAuthorized, or VenueUnavailable when the store
        is away for longer than one waits, or for a key that was never found here when too many
        of those are asked for.
        """
        if not key_id or not secret or len(key_id) > _LONGEST or len(secret) > _LONGEST:
            raise NotAuthorized
        if not key_id.isascii() or not key_id.isprintable():
            raise NotAuthorized
        remembered = self._known.get(key_id)
        if remembered is not None and remembered[0] > self._clock():
            stored: _StoredKey | None = remembered[1]
        elif remembered is not None:
            stored = await self._of_known.find(key_id)
        elif self._strangers.get(key_id, 0.0) > self._clock():
            stored = None
        else:
            stored = await self._of_strangers.find(key_id)
        expected = _NO_SECRET if stored is None else stored.secret_sha256
        fits = hmac.compare_digest(digest_of(secret), expected)
        if stored is None or not fits:
            raise NotAuthorized
        return Principal(stored.key_id, stored.account_id, stored.role)

    def forget(self, key_id: str | None = None) -> None:
        """Look one key, or every key, up again on its next use."""
        if key_id is None:
            self._known.clear()
            self._strangers.clear()
        else:
            self._known.pop(key_id, None)
            self._strangers.pop(key_id, None)
            self._of_known.forget(key_id)
            self._of_strangers.forget(key_id)

    async def issue(self, account_id: UUID) -> NewKey:
        """Make a key for an account."""
        key = NewKey("NX" + secrets.token_hex(9).upper(), secrets.token_urlsafe(SECRET_BYTES))

        async def insert() -> None:
            async with self._pool.connection() as conn:
                await conn.execute(
                    "INSERT INTO api_keys (key_id, secret_sha256, account_id, role, created_at)"
                    " VALUES (%s, %s, %s, 'trader', now())",
                    (key.key_id, digest_of(key.secret), account_id),
                )

        await _when_not_held(insert)
        self.forget(key.key_id)
        return key

    async def has_key(self, account_id: UUID) -> bool:
        """Whether an account has a live key."""
        async with self._pool.connection() as conn:
            found = await conn.execute(
                "SELECT 1 FROM api_keys WHERE account_id = %s AND revoked_at IS NULL LIMIT 1",
                (account_id,),
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

    async def revoke(self, account_id: UUID, key_id: str | None = None) -> int:
        """End one key of an account, or all of them; returns how many ended."""

        async def end() -> list[tuple[str]]:
            async with self._pool.connection() as conn:
                cursor = await conn.execute(
                    "UPDATE api_keys SET revoked_at = now()"
                    " WHERE account_id = %s AND revoked_at IS NULL"
                    " AND (%s::text IS NULL OR key_id = %s) RETURNING key_id",
                    (account_id, key_id, key_id),
                )
                return await cursor.fetchall()

        ended = await _when_not_held(end)
        for row in ended:
            self.forget(row[0])
        return len(ended)

    async def _look_up(self, key_ids: tuple[str, ...]) -> dict[str, _StoredKey]:
        async with self._pool.connection() as conn:
            async with conn.cursor(row_factory=class_row(_StoredKey)) as cursor:
                await cursor.execute(
                    "SELECT key_id, secret_sha256, account_id, role FROM api_keys"
                    " WHERE key_id = ANY(%s) AND revoked_at IS NULL",
                    (list(key_ids),),
                )
                return {stored.key_id: stored for stored in await cursor.fetchall()}

    def _remember(self, key_id: str, stored: _StoredKey | None) -> None:
        """Know for a while what the store said; of too many the longest known are forgotten."""
        until = self._clock() + REMEMBERED_SECONDS
        self._known.pop(key_id, None)
        self._strangers.pop(key_id, None)
        if stored is None:
            self._strangers[key_id] = until
            if len(self._strangers) > REMEMBERED_STRANGERS:
                self._strangers.popitem(last=False)
        else:
            self._known[key_id] = (until, stored)
            if len(self._known) > REMEMBERED_KEYS:
                self._known.popitem(last=False)


async def _when_not_held(change: Callable[[], Awaitable[Changed]]) -> Changed:
    """Change the keys, again while the store is not written since the log moves to another.

    Raises VenueUnavailable when that takes longer than one waits; nothing is changed then.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + patience.PATIENCE_SECONDS
    while True:
        try:
            return await change()
        except psycopg.errors.ObjectNotInPrerequisiteState as held:
            if loop.time() >= ends:
                raise VenueUnavailable(patience.STORE_AWAY) from held
        await asyncio.sleep(HELD_SECONDS)


ADMIN_KEY_ID = "admin"


def make_admin_key(stores: Stores, settings: Settings) -> tuple[str, str | None]:
    """See that the venue has an admin key, in the store that is the truth, once it is written."""
    ends = time.monotonic() + LONGEST_HELD_SECONDS
    while True:
        conn, _ = stores.connect_now("nexus keys", names=True)
        with conn:
            try:
                return ensure_admin_key(conn, settings)
            except psycopg.errors.ObjectNotInPrerequisiteState:
                if time.monotonic() >= ends:
                    raise
        time.sleep(HELD_SECONDS)


def ensure_admin_key(conn: psycopg.Connection[Any], settings: Settings) -> tuple[str, str | None]:
    """Make sure the venue has an admin key; returns its id, and the secret when it is new.

    NEXUS_ADMIN_KEY is the secret of the key `admin`, and replaces the one before; without it
    a secret is drawn when there is no admin key yet. The connection's search_path is the
    partition's schema.
    """
    given = settings.admin_key
    if given is not None:
        conn.execute(
            "INSERT INTO api_keys (key_id, secret_sha256, account_id, role, created_at)"
            " VALUES (%s, %s, NULL, 'admin', now()) ON CONFLICT (key_id) DO UPDATE"
            " SET secret_sha256 = EXCLUDED.secret_sha256, revoked_at = NULL"
            " WHERE api_keys.secret_sha256 <> EXCLUDED.secret_sha256"
            " OR api_keys.revoked_at IS NOT NULL",
            (ADMIN_KEY_ID, digest_of(given.get_secret_value())),
        )
        return ADMIN_KEY_ID, None
    secret = secrets.token_urlsafe(SECRET_BYTES)
    inserted = conn.execute(
        "INSERT INTO api_keys (key_id, secret_sha256, account_id, role, created_at)"
        " VALUES (%s, %s, NULL, 'admin', now()) ON CONFLICT (key_id) DO NOTHING",
        (ADMIN_KEY_ID, digest_of(secret)),
    )
    return ADMIN_KEY_ID, secret if inserted.rowcount else None
