"""How much of a process strangers have together, and whose turn it is among them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol

_STEP_SECONDS = 0.001


class Lines:
    """Who waits: each of a group in its line, and the groups by turns."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, dict[Waiter, None]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def join(self, group: str, waiter: Waiter) -> None:
        """Stand in line; who does already keeps its place."""
        self._lines.setdefault(group, {})[waiter] = None

    def leave(self, group: str, waiter: Waiter) -> None:
        """Stand in it no more."""
        line = self._lines.get(group)
        if line is not None and waiter in line:
            del line[waiter]
            if not line:
                del self._lines[group]

    def first(self, group: str) -> Waiter | None:
        """Who of a group waits longest."""
        return next(iter(self._lines.get(group, ())), None)

    def none_but(self, group: str) -> bool:
        """Whether nobody waits who is of another group."""
        return len(self._lines) <= (group in self._lines)

    def next(self, *, newest: bool) -> Waiter:
        """Whose turn it is, of the group whose turn it is."""
        group, line = self._lines.popitem(last=False)
        waiter = next(reversed(line) if newest else iter(line))
        del line[waiter]
        if line:
            self._lines[group] = line
        return waiter


class LoopTurns:
    """So many turns in one turn of the loop, for all who send much, and each key its share."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._lines = Lines()
        self._has_turn: set[Waiter] = set()
        self._serving: asyncio.Handle | None = None

    def may_go_on(self, waiter: Waiter, group: str) -> bool:
        """Whether it has a turn now; who has none is told when it comes."""
        if waiter in self._has_turn:
            self._has_turn.discard(waiter)
            return True
        if self._serving is None:
            self._serving = asyncio.get_running_loop().call_soon(self._serve)
        if not self._lines and self._taken < self._most:
            self._taken += 1
            return True
        self._lines.join(group, waiter)
        return False

    def first(self, group: str) -> Waiter | None:
        """Who of a group waits longest."""
        return self._lines.first(group)

    def none_but(self, group: str) -> bool:
        """Whether nobody waits who is of another group."""
        return self._lines.none_but(group)

    def leave(self, waiter: Waiter, group: str) -> None:
        """Forget a connection that is gone."""
        self._has_turn.discard(waiter)
        self._lines.leave(group, waiter)

    def _serve(self) -> None:
        self._serving, self._taken = None, 0
        while self._lines and self._taken < self._most:
            self._taken += 1
            waiter = self._lines.next(newest=False)
            self._has_turn.add(waiter)
            waiter.turn_has_come()
        if self._taken:
            self._serving = asyncio.get_running_loop().call_soon(self._serve)


class Waiter(Protocol):
    """A connection whose sender has not said who it is."""

    address: str

    def turn_has_come(self) -> None:
        """Go on with what came."""
        ...

    def gives_its_turn_up(self) -> bool:
        """Whether nobody is there any more to go on for."""
        ...


class StrangersTurns:
    """So many turns a second for all strangers, and some saved for a crowd.

    What is saved is given out a few in a millisecond: all of it in one turn of the loop would be
    a pause for who has a key. Beyond that addresses have a turn each, one after the other, and of
    an address whoever came last: in a crowd that is too large nobody would have what he wants in
    time otherwise.
    """

    def __init__(self, per_second: float, saved: float, together: int) -> None:
        self._per_second = per_second
        self._most_saved = saved
        self._left = saved
        self._at = 0.0
        self._together = together
        self._taken = 0
        self._step_ends = 0.0
        self._waiting = Lines()
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
        self._waiting.join(waiter.address, waiter)
        if self._serving is None:
            self._serving = loop.call_later(_STEP_SECONDS, self._serve, loop)
        return False

    def charge(self, turns: int) -> None:
        """Count what was begun in a turn and costs as much as some more."""
        self._left -= turns
        self._taken += turns

    def leave(self, waiter: Waiter) -> None:
        """Forget a connection that is gone, or is no stranger any more."""
        self._has_turn.discard(waiter)
        self._waiting.leave(waiter.address, waiter)

    def _takes(self, now: float) -> bool:
        passed = max(0.0, now - self._at)
        self._at = now
        self._left = min(self._most_saved, self._left + passed * self._per_second)
        # The loop's time stands still while it is busy: what has gathered is not made up for.
        if now >= self._step_ends:
            self._step_ends = now + _STEP_SECONDS
            self._taken = max(0, self._taken - self._together)
        if self._left < 1 or self._taken >= self._together:
            return False
        self._left -= 1
        self._taken += 1
        return True

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        self._serving = None
        now = loop.time()
        while self._waiting and self._takes(now):
            waiter = self._waiting.next(newest=True)
            if waiter.gives_its_turn_up():
                self._left += 1
                self._taken -= 1
                continue
            self._has_turn.add(waiter)
            waiter.turn_has_come()
        if self._waiting:
            self._serving = loop.call_later(_STEP_SECONDS, self._serve, loop)
