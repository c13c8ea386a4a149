"""Names of persons: sealed before a command carries them, opened for those who may read them.

The keys stand in a table of their own. Thrown away (`ForgetOwner`), a name reads as forgotten
wherever the log, an archive or a copy of either may lie.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID, uuid4

import psycopg

from domain.sealed_name import subject_of
from infrastructure.log.pool import Pool
from infrastructure.sealing import NotOpened, new_key, open_sealed, seal
from projections import balances

FORGOTTEN = "(forgotten)"
"""What is shown where a name was."""

WhenNotHeld = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Subjects:
    """The keys of persons, as a gateway uses them; none is remembered longer than a request."""

    def __init__(self, pool: Pool, when_not_held: WhenNotHeld) -> None:
        self._pool = pool
        self._when_not_held = when_not_held

    async def sealed(self, name: str, owner: str | None) -> str:
        """What a command says of the owner of an account: sealed, unless it is just the account's
        name again, or stands in the log as it is already.

        One owner has one key, whichever account is opened first, so that orders of his own are
        known for what they are.
        """
        said = owner or name
        found = await self._subject(said)
        if found is None:
            # What looks sealed would be taken for it: it is sealed whatever it is.
            if subject_of(said) is None and (said == name or await self._stands_open(said)):
                return said
            found = await self._when_not_held(lambda: self._new_subject(said))
        return seal(said, *found)

    async def opened(self, owners: Sequence[str]) -> list[str]:
        """The names, in their order; one whose key is gone reads as forgotten."""
        subjects = {owner: subject_of(owner) for owner in owners}
        wanted = [subject for subject in set(subjects.values()) if subject is not None]
        keys: dict[UUID, bytes] = {}
        if wanted:
            async with self._pool.connection() as conn:
                rows = await conn.execute(
                    "SELECT subject, key FROM subjects WHERE subject = ANY(%s) AND key IS NOT NULL",
                    (wanted,),
                )
                keys = {row[0]: bytes(row[1]) for row in await rows.fetchall()}
        return [_opened(owner, subjects[owner], keys) for owner in owners]

    async def _subject(self, name: str) -> tuple[UUID, bytes] | None:
        async with self._pool.connection() as conn:
            return await _find(conn, name)

    async def _new_subject(self, name: str) -> tuple[UUID, bytes]:
        async with self._pool.connection() as conn:
            # Of two gateways that open accounts for one person at once, one key is kept.
            await conn.execute(
                "INSERT INTO subjects (subject, key, name_sha256, created_at)"
                " VALUES (%s, %s, %s, now()) ON CONFLICT (name_sha256) DO NOTHING",
                (uuid4(), new_key(), _hash(name)),
            )
            found = await _find(conn, name)
        if found is None:
            raise psycopg.OperationalError("a person was forgotten this very moment")
        return found

    async def _stands_open(self, owner: str) -> bool:
        """Whether an account of before has this owner, unsealed."""
        async with self._pool.connection() as conn:
            return await balances.has_owner(conn, owner)


async def _find(conn: psycopg.AsyncConnection[Any], name: str) -> tuple[UUID, bytes] | None:
    rows = await conn.execute(
        "SELECT subject, key FROM subjects WHERE name_sha256 = %s", (_hash(name),)
    )
    row = await rows.fetchone()
    return None if row is None else (row[0], bytes(row[1]))


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def _opened(owner: str, subject: UUID | None, keys: dict[UUID, bytes]) -> str:
    if subject is None:
        return owner
    key = keys.get(subject)
    if key is None:
        return FORGOTTEN
    try:
        return open_sealed(owner, key)
    except NotOpened:
        return FORGOTTEN
