"""How much of a process strangers have together, and whose turn it is among them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

_STEP_SECONDS = 0.001


class Waiter(Protocol):
    """A connection whose sender has not said who it is."""

    address: str

    def turn_has_come(self) -> None:
        """Go on with what came."""
        ...


class StrangersTurns:
    """So many turns a second for all strangers, and some at once.

    Beyond that addresses have a turn each, one after the other, and of an address whoever came
    last: in a crowd that is too large nobody would have what he wants in time otherwise.
    """

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = at_once
        self._at = 0.0
        self._waiting: OrderedDict[str, dict[Waiter, None]] = OrderedDict()
        self._has_turn: set[Waiter] = set()
        self._serving: asyncio.TimerHandle | None = None

    def may_go_on(self, waiter: Waiter) -> bool:
        """Whether it has a turn now; who has none is told when it comes."""
        if waiter in self._has_turn:
            self._has_turn.discard(waiter)
            return True
        loop = asyncio.get_running_loop()
        if not self._waiting and self._takes(loop.time()):
            return True
        self._waiting.setdefault(waiter.address, {})[waiter] = None
        if self._serving is None:
            self._serving = loop.call_later(_STEP_SECONDS, self._serve, loop)
        return False

    def charge(self, turns: int) -> None:
        """Count what was begun in a turn and costs as much as some more."""
        self._left -= turns

    def leave(self, waiter: Waiter) -> None:
        """Forget a connection that is gone, or is no stranger any more."""
        self._has_turn.discard(waiter)
        of_address = self._waiting.get(waiter.address)
        if of_address is not None and waiter in of_address:
            del of_address[waiter]
            if not of_address:
                del self._waiting[waiter.address]

    def _takes(self, now: float) -> bool:
        passed = max(0.0, now - self._at)
        self._at = now
        self._left = min(self._at_once, self._left + passed * self._per_second)
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._serving = None
        now = loop.time()
        # What has gathered while the loop was busy is not made up for at once.
        for _ in range(2):
            if not self._waiting or not self._takes(now):
                break
            address, of_address = self._waiting.popitem(last=False)
            waiter, _ = of_address.popitem()
            if of_address:
                self._waiting[address] = of_address
            self._has_turn.add(waiter)
            waiter.turn_has_come()
        if self._waiting:
            self._serving = loop.call_later(_STEP_SECONDS, self._serve, loop)
