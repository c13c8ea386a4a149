"""Who is asking: keys and secrets, looked up in the store and remembered briefly."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import psycopg

from api import patience
from api.door.together import Together
from api.key_rows import KeyRows, KnownKey
from api.refusals import NotAuthorized
from api.secrets_of_keys import KEY_ACTOR, digest_of
from domain.errors import VenueUnavailable
from domain.identifiers import Instant
from infrastructure.clock import SystemClock
from infrastructure.log.pool import StorePool

REMEMBERED_SECONDS = 5.0
LEAST_PAUSE = 0.02
"""Seconds between two looks at a key that somebody holds a socket with."""
REMEMBERED_KEYS = 100_000
REMEMBERED_STRANGERS = 10_000
"""Ids that no live key has, remembered apart: however many come, no key is forgotten for them."""
STRANGERS_WAITING = 1_024
"""How many ids that were never found here wait to be looked up; more are refused for now."""
_LONGEST = 256
_NO_SECRET = bytes(32)
HELD_SECONDS = 0.05
"""How soon a change is tried again that a switch of the store holds back."""

Changed = TypeVar("Changed")
_SYSTEM = SystemClock()

log = logging.getLogger("nexus.keys")


class Principal(NamedTuple):
    """The key a request came with: who acts, for which account, in which role, what it is for."""

    key_id: str
    account_id: UUID | None
    role: str
    scopes: tuple[str, ...] = ()
    expires_at: Instant = 0

    @property
    def actor(self) -> str:
        """How the events name who acted."""
        return f"{KEY_ACTOR}{self.key_id}"


class _Change(asyncio.Event):
    """Set once, when a key may have changed."""


class KeyRing:
    """The live keys. One that was revoked stops working everywhere as soon as that is told
    (`changed`), and within seconds where it is not.
    """

    def __init__(
        self,
        pool: StorePool,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], Instant] = _SYSTEM.now,
    ) -> None:
        """`clock` is how long something is remembered by; `now` is what keys expire by."""
        self._rows = rows = KeyRows(pool)
        self._clock = clock
        self._now = now
        self._known: OrderedDict[str, tuple[float, KnownKey]] = OrderedDict()
        self._strangers: OrderedDict[str, float] = OrderedDict()
        self._watched: WeakValueDictionary[str, _Change] = WeakValueDictionary()
        # Two questions at a time and no more, and no known key waits behind a stranger.
        self._of_known = Together(rows.live, self._remember)
        self._of_strangers = Together(rows.live, self._remember, STRANGERS_WAITING)
        self.known = rows.known
        self.terms = rows.terms
        self.listed = rows.listed

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
            stored: KnownKey | None = remembered[1]
        elif remembered is not None:
            stored = await self._of_known.find(key_id)
        elif self._strangers.get(key_id, 0.0) > self._clock():
            stored = None
        else:
            stored = await self._of_strangers.find(key_id)
        expected = _NO_SECRET if stored is None else stored.digest
        fits = hmac.compare_digest(digest_of(secret), expected)
        if stored is None or not fits:
            raise NotAuthorized
        if stored.expires_at and stored.expires_at <= self._now():
            raise NotAuthorized
        return Principal(
            stored.key_id, stored.account_id, stored.role, stored.scopes, stored.expires_at
        )

    async def until_ended(self, key_id: str, secret: str) -> None:
        """Return when a key and its secret let nobody in any more, as soon as that is known.

        While the store is away nobody can tell, and nobody is sent away for it.
        """
        while True:
            change = self._watched.setdefault(key_id, _Change())
            longest = REMEMBERED_SECONDS
            try:
                who = await self.principal(key_id, secret)
                if who.expires_at:
                    longest = min(longest, (who.expires_at - self._now()) / 1e6)
            except NotAuthorized:
                return
            except VenueUnavailable as error:
                log.warning("a key cannot be looked up: %s", error)
            try:
                async with asyncio.timeout(max(longest, LEAST_PAUSE)):
                    await change.wait()
            except TimeoutError:
                continue

    def changed(self, key_id: str | None = None) -> None:
        """Hear that one key, or any, may have changed: it is looked up anew, and whoever came in
        with it is judged again.
        """
        self.forget(key_id)
        ids = [*self._watched.keys()] if key_id is None else [key_id]
        for one in ids:
            change = self._watched.pop(one, None)
            if change is not None:
                change.set()

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

    async def has_key(self, account_id: UUID) -> bool:
        """Whether an account has a live key."""
        return await self._rows.has_key(account_id, self._now())

    async def own_actors(self, account_id: UUID, actors: Collection[str]) -> set[str]:
        """Those of some actors that are keys of an account, live or revoked."""
        return await self._rows.own_actors(account_id, actors)

    def _remember(self, key_id: str, stored: KnownKey | None) -> None:
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


async def when_not_held(change: Callable[[], Awaitable[Changed]]) -> Changed:
    """Change what stands beside the log, again while the store is not written since the log moves.

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
