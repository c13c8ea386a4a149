"""How often clients are told: all who chose the same pace are told together.

A pace is one subscriber of the feed, however many clients it has, and so are its updates: all of
its clients were told the same before, and are sent the same bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Protocol

from application.ports import Clock
from projections.market_data.feed import Feed
from projections.market_data.records import Kind
from projections.market_data.subscribers import Row, Subscriber

STEPS_MS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)
"""The paces that there are: whoever asks for another is given the next slower one."""
BATCH = 64
"""How many clients are told before others of the process have their turn."""
_MICROS = 1_000
_LEVEL = int(Kind.LEVEL)


def step_at_least(throttle_ms: int) -> int:
    """The pace that is given for one that was asked for, within the bounds of `STEPS_MS`."""
    return next(step for step in STEPS_MS if step >= throttle_ms)


class Listener(Protocol):
    """Somebody who is told at a pace, and never makes others wait."""

    def moved(self, rows: Sequence[Row]) -> None:
        """Take note that there is something new in some rows, its own among them or not."""
        ...


class Pace(Subscriber):
    """Tells its listeners which rows moved, at most once an interval."""

    def __init__(self, feed: Feed, clock: Clock, throttle_ms: int) -> None:
        super().__init__(feed.fanout)
        self._feed = feed
        self.throttle_ms = throttle_ms
        self._interval = throttle_ms * _MICROS
        self._clock = clock
        self._next_at = 0
        self._listeners: dict[Listener, None] = {}
        self._wanted: Counter[Row] = Counter()
        self._seen: dict[Row, int] = {}

    def __len__(self) -> int:
        return len(self._listeners)

    def join(self, listener: Listener, rows: Iterable[Row]) -> None:
        """Tell a listener from now on, and of these rows too."""
        self._listeners[listener] = None
        for row in rows:
            if not self._wanted[row]:
                self.fanout.subscribe(self.slot, *row)
                self._seen[row] = self._count(row)
            self._wanted[row] += 1

    def drop(self, rows: Iterable[Row]) -> None:
        """Be asked for some rows once less."""
        for row in rows:
            self._wanted[row] -= 1
            if not self._wanted[row]:
                del self._wanted[row], self._seen[row]
                if not self.closed:
                    self.fanout.unsubscribe(self.slot, *row)

    def leave(self, listener: Listener, rows: Iterable[Row]) -> None:
        """Tell a listener no more, who was told of these rows."""
        if self._listeners.pop(listener, self) is None:
            self.drop(rows)

    def due(self, now: int) -> int:
        """How many microseconds the interval still lasts."""
        return min(max(0, self._next_at - now), self._interval)

    async def run(self) -> None:
        """Tell of what moves until it is closed."""
        while not self.closed:
            await self.wait()
            now = self._clock.now()
            # Who was told to look before it is due is told again when it is.
            if self.closed or self.due(now):
                continue
            if moved := self._moved():
                self._next_at = now + self._interval
                await self._tell(moved)

    def _moved(self) -> Sequence[Row]:
        moved = []
        for row, seen in self._seen.items():
            count = self._count(row)
            if count != seen:
                self._seen[row] = count
                moved.append(row)
        return moved

    def _count(self, row: Row) -> int:
        # A book that was begun anew may have told of no level.
        return self._feed.books.sequence(*row) if row[1] == _LEVEL else self.fanout.count(*row)

    async def _tell(self, rows: Sequence[Row]) -> None:
        for place, listener in enumerate([*self._listeners], 1):
            listener.moved(rows)
            if place % BATCH == 0:
                await asyncio.sleep(0)
