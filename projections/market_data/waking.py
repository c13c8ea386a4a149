"""Wakes subscribers that have something to read: one callback of the loop for many of them."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush

from application.ports import Clock
from projections.market_data.fanout import Fanout
from projections.market_data.subscribers import Subscriber

BATCH = 64
"""How many are told in one callback, so that the publisher has its turn between two."""
_SECONDS_OF_MICRO = 1e-6


class Waker:
    """Tells subscribers that were noted by the ring; the throttled ones when they are due.

    The clock is one that never goes back. All throttled subscribers share one timer.
    """

    def __init__(
        self, fanout: Fanout, clock: Clock, loop: asyncio.AbstractEventLoop, *, batch: int = BATCH
    ) -> None:
        self._fanout = fanout
        self._clock = clock
        self._loop = loop
        self._batch = batch
        self._subscribers: dict[int, Subscriber] = {}
        self._due: list[tuple[int, int, int]] = []
        self._waits: dict[int, int] = {}
        self._round = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0
        fanout.wake_by(self._notice)

    def add(self, subscriber: Subscriber) -> None:
        """Tell a subscriber from now on."""
        self._subscribers[subscriber.slot] = subscriber

    def remove(self, subscriber: Subscriber) -> None:
        """Tell a subscriber no more, and have it leave the feed."""
        if self._subscribers.get(subscriber.slot) is subscriber:
            del self._subscribers[subscriber.slot]
            self._waits.pop(subscriber.slot, None)
        subscriber.close()

    def close(self) -> None:
        """Tell nobody any more."""
        self._fanout.wake_by(None)
        self._subscribers.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _notice(self) -> None:
        self._loop.call_soon(self._tell)

    def _tell(self) -> None:
        """Tell the next batch; again in a callback of its own while there is another."""
        now = self._clock.now()
        for slot in self._fanout.take_ready(self._batch):
            subscriber = self._subscribers.get(slot)
            if subscriber is None or slot in self._waits:
                continue
            wait = subscriber.due(now)
            if wait:
                self._tell_later(slot, now + wait)
            else:
                subscriber.ready()
        self._set_timer(now)
        if not self._fanout.rearm():
            self._loop.call_soon(self._tell)

    def _tell_later(self, slot: int, at: int) -> None:
        self._round += 1
        self._waits[slot] = self._round
        heappush(self._due, (at, self._round, slot))

    def _set_timer(self, now: int) -> None:
        """Have the timer go off when the first throttled subscriber is due."""
        if not self._due:
            return
        at = self._due[0][0]
        if self._timer is not None:
            if self._timer_at <= at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._loop.call_later(max(0, at - now) * _SECONDS_OF_MICRO, self._tell_due)

    def _tell_due(self) -> None:
        self._timer = None
        now = self._clock.now()
        told = 0
        while self._due and self._due[0][0] <= now and told < self._batch:
            _, number, slot = heappop(self._due)
            # One that left, or whose slot is another's by now, is passed over.
            if self._waits.get(slot) == number:
                del self._waits[slot]
                self._subscribers[slot].ready()
                told += 1
        self._set_timer(now)
