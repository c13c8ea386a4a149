"""How old what a feed says is: when each source last knew that it had told everything.

A price that nobody has moved for an hour is not old, and one that a stopped feed told a moment ago
may be. So an age is counted from the moment at which the source knew itself at its head: the log's
follower when a page came back with nothing after it (as of when it asked), a feed from outside
with every message or heartbeat. *Bounded staleness* is refusing, or waiting, beyond an age.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, Protocol

from application.ports import Clock
from projections.market_data.records import LOG, Record

DEFAULT_LIMIT = 100_000
"""Microseconds."""
_SECONDS_OF_MICRO = 1e-6


class TooOld(Exception):
    """What is there is older than the reader takes; `age` is None where nobody can say."""

    def __init__(self, age: int | None, limit: int) -> None:
        known = "of an unknown age" if age is None else f"{age} µs old"
        super().__init__(f"market data is {known}, and at most {limit} µs are taken")
        self.age = age
        self.limit = limit


class Latest(Protocol):
    """Who has the newest record of each kind of an instrument."""

    def latest(self, instrument: int, kind: int) -> Record | None:
        """The newest record; None where there was none yet."""
        ...


class Freshness:
    """When each source last knew itself at its head, by a clock that never goes back.

    A clock that went back all the same makes ages unknown until the source confirms again: what
    may be old is not taken for new.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._confirmed: dict[int, int] = {}
        self._waiting: set[asyncio.Future[None]] = set()

    def confirm(self, source: int, at: int) -> None:
        """Note that what a source has told was everything at an instant of the clock."""
        self._confirmed[source] = at
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()

    def at(self, source: int) -> int | None:
        """When a source last had told everything; None before it ever had."""
        return self._confirmed.get(source)

    def confirmations(self) -> Mapping[int, int]:
        """When each source that ever had last had told everything."""
        return self._confirmed

    def age(self, source: int) -> int | None:
        """Microseconds since a source told everything; None where nobody can say."""
        confirmed = self._confirmed.get(source)
        if confirmed is None:
            return None
        age = self.clock.now() - confirmed
        return age if age >= 0 else None

    async def confirmed(self) -> None:
        """Return when some source confirms the next time."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)


class Aged(NamedTuple):
    """The newest record of a kind, None where there was none yet, and how old it may be at most."""

    record: Record | None
    age: int


class Bounded:
    """Reads the newest of each kind, never older than a limit (*bounded staleness*)."""

    def __init__(
        self, latest: Latest, freshness: Freshness, *, limit: int = DEFAULT_LIMIT, source: int = LOG
    ) -> None:
        if limit < 0:
            raise ValueError(f"limit is {limit}, and an age is not negative")
        self.limit = limit
        self.refused = 0
        self._latest = latest
        self._freshness = freshness
        self._source = source

    def read(self, instrument: int, kind: int) -> Aged:
        """The newest record and its age. Raises TooOld."""
        age = self._freshness.age(self._source)
        if age is None or age > self.limit:
            self.refused += 1
            raise TooOld(age, self.limit)
        return Aged(self._latest.latest(instrument, kind), age)

    async def wait(self, instrument: int, kind: int, *, within: int) -> Aged:
        """The newest record once it is fresh, for so many microseconds. Raises TooOld."""
        try:
            async with asyncio.timeout(within * _SECONDS_OF_MICRO):
                while True:
                    age = self._freshness.age(self._source)
                    if age is not None and age <= self.limit:
                        return Aged(self._latest.latest(instrument, kind), age)
                    await self._freshness.confirmed()
        except TimeoutError:
            return self.read(instrument, kind)
