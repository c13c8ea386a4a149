"""A fair share of a gateway for each key: a rate, and places for what is under way.

What a key asks for beyond its places waits in a line of its own, and the lines are served by
turns: however much one key asks for, another's request waits for the few that are under way, and
for no line. Orders, cancels and reads have places of their own, so that each goes on while the
others wait.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import IntEnum
from math import inf
from time import monotonic
from typing import NamedTuple

from api.refusals import TooManyRequests
from domain.errors import QueueFull, Rejection

IN_A_SECOND = "requests of this key in a second"
AT_ONCE = "requests of this key at once, and those in line wait for too long"
SOCKETS = "sockets of this key"
WAITING_OF_A_KEY = 1_024
"""How many requests of one key wait for its places, of each kind."""
LISTS_PART = 8
"""Which part of its places a key may have under way of what may be long."""
CANCELS_TIMES = 4
"""So many times its places a key may have under way of cancels, which are to be taken at once."""
KEYS_AT_ONCE = 4
"""So many keys can fill all their places before one waits for another's."""
REFUSALS_OF_A_KEY = 10
"""So many refusals of a key are told at once, and so many in a second from then on."""
REFUSALS_A_SECOND, REFUSALS_AT_ONCE = 500, 50
LONGEST_PAUSE = 1.0
"""Seconds that a refusal may wait, as long as it asks whoever is refused to wait."""
LONGEST_PAUSE_OF_STRANGERS = 5.0
GOLDEN = 0.618
"""By which what is told at some time within an interval is spread over it."""
KEYS_COUNTED = 100_000
"""Of so many keys is known how much they asked for lately."""


class Kind(IntEnum):
    """What is asked for; each kind has places of its own."""

    READ = 0
    ORDER = 1
    CANCEL = 2
    """What takes risk away, and what the venue's operators do."""
    LIST = 3
    """What may be long: of these a key has fewer under way."""


class Standing(NamedTuple):
    """How much more a key may ask for: of how many a second, how many now, full in how long."""

    limit: int
    remaining: int
    reset_seconds: int


class Bounds(NamedTuple):
    """What each key may have of one gateway."""

    requests_per_second: int = 2_000
    under_way: int = 16
    sockets: int = 1_024
    oldest_seconds: float = 1.0
    """How long the request that waits longest may have waited for more to be taken into line."""


_Turn = asyncio.Future[Rejection | None]
"""Becomes None when it is a request's turn, and why not when it has waited too long for it."""


class _Line:
    """What one key has under way, and what of it waits."""

    __slots__ = ("in_turn", "under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.in_turn = False
        self.waiting: OrderedDict[_Turn, float] = OrderedDict()

    def waits_since(self) -> float:
        """When the request came that waits longest; never, where none does."""
        return next(iter(self.waiting.values()), inf)


class Places:
    """The places of one kind of request: so many for each key, and so many in all."""

    def __init__(self, each: int, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._each = each
        self._all = each * KEYS_AT_ONCE
        self._oldest = bounds.oldest_seconds
        self._clock = clock
        self._under_way = 0
        self._lines: dict[str, _Line] = {}
        self._turns: deque[str] = deque()
        """Keys of which something waits and which have a place left, whose turn it is first."""

    async def enter(self, key_id: str) -> None:
        """Return when it is this request's turn; raises TooManyRequests when its own key asks for
        more than is answered in time, and QueueFull when all keys together do.
        """
        line = self._lines.setdefault(key_id, _Line())
        if not line.waiting and line.under_way < self._each and self._under_way < self._all:
            self._take_place(line)
            return
        try:
            self._refuse_late(line)
        except Rejection:
            self._forget_idle(key_id, line)
            raise
        loop = asyncio.get_running_loop()
        turn: _Turn = loop.create_future()
        line.waiting[turn] = self._clock()
        self._take_turn(key_id, line)
        ends = loop.call_later(self._oldest, self._pass_over, turn, line)
        try:
            refusal = await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.result() is None:
                self.leave(key_id)
            else:
                self._forget(key_id, line, turn)
            raise
        finally:
            ends.cancel()
        if refusal is not None:
            self._forget(key_id, line, turn)
            raise refusal

    def _forget(self, key_id: str, line: _Line, turn: _Turn) -> None:
        line.waiting.pop(turn, None)
        self._forget_idle(key_id, line)

    def leave(self, key_id: str) -> None:
        """Give a place back."""
        line = self._lines[key_id]
        line.under_way -= 1
        self._under_way -= 1
        self._take_turn(key_id, line)
        while self._turns and self._under_way < self._all:
            self._let_in(self._turns.popleft())
        self._forget_idle(key_id, line)

    def _let_in(self, key_id: str) -> None:
        line = self._lines[key_id]
        line.in_turn = False
        while line.waiting:
            turn, _ = line.waiting.popitem(last=False)
            if not turn.done():
                self._take_place(line)
                turn.set_result(None)
                break
        self._take_turn(key_id, line)
        self._forget_idle(key_id, line)

    def _take_place(self, line: _Line) -> None:
        line.under_way += 1
        self._under_way += 1

    def _take_turn(self, key_id: str, line: _Line) -> None:
        """Stand at the end of the keys that wait, where this one has something to wait with."""
        if line.waiting and not line.in_turn and line.under_way < self._each:
            line.in_turn = True
            self._turns.append(key_id)

    def _forget_idle(self, key_id: str, line: _Line) -> None:
        idle = not line.under_way and not line.waiting and not line.in_turn
        if idle and self._lines.get(key_id) is line:
            del self._lines[key_id]

    def _refuse_late(self, line: _Line) -> None:
        """Take nothing more into a line that is too long, or where one has waited too long."""
        since = self._clock() - self._oldest
        if line.under_way >= self._each:
            if len(line.waiting) >= WAITING_OF_A_KEY or line.waits_since() < since:
                raise self._refusal(line)
        elif self._turns and self._lines[self._turns[0]].waits_since() < since:
            raise self._refusal(line)

    def _pass_over(self, turn: _Turn, line: _Line) -> None:
        # Now: of a crowd that is passed over at once the last would find places that are free.
        if not turn.done():
            turn.set_result(self._refusal(line))

    def _refusal(self, line: _Line) -> Rejection:
        """Why one may not wait: its own key asks too much, or all together do."""
        if line.under_way >= self._each:
            return TooManyRequests(self._each, AT_ONCE)
        return QueueFull()


class Rates:
    """How much each key asked for lately: as much at once as in a second, and then by the rate."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key_id: str) -> tuple[bool, Standing]:
        """Count a request, unless it is one too many; says which, and where the key stands."""
        now, limit = self._clock(), self._per_second
        left, since = self._left.pop(key_id, (float(limit), now))
        left = min(float(limit), left + max(0.0, now - since) * limit)
        taken = left >= 1.0
        if taken:
            left -= 1.0
        self._left[key_id] = (left, now)
        if len(self._left) > KEYS_COUNTED:
            self._left.popitem(last=False)
        return taken, Standing(limit, int(left), -int(-(limit - left) // limit))


class Pace:
    """How soon refusals are told: some at once, the rest by a rate, so that whoever asks again
    without waiting is answered the later, and not the more often.
    """

    def __init__(
        self, per_second: float, at_once: int, longest: float, clock: Callable[[], float]
    ) -> None:
        self._each = 1 / per_second
        self._ahead = at_once / per_second
        self._longest = longest
        self._clock = clock
        self._next = 0.0
        self._place = 0.0

    def pause(self) -> float:
        """Seconds after which the next one is told."""
        now = self._clock()
        told = max(self._next, now - self._ahead) + self._each
        if told > now + self._longest:
            # So many at once are told one by one all the same.
            self._place = (self._place + GOLDEN) % 1
            return self._longest * (1 + self._place) / 2
        self._next = told
        return max(0.0, told - now)


class Fairness:
    """What each key has asked of this gateway, through whichever door."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float] = monotonic) -> None:
        self.bounds = bounds
        each = dict.fromkeys(Kind, bounds.under_way)
        each[Kind.LIST] = max(1, bounds.under_way // LISTS_PART)
        each[Kind.CANCEL] *= CANCELS_TIMES
        self._places = {kind: Places(each[kind], bounds, clock) for kind in Kind}
        self._rates = Rates(bounds.requests_per_second, clock)
        self._sockets: Counter[str] = Counter()
        each_second, at_once = REFUSALS_A_SECOND, REFUSALS_AT_ONCE
        self._refusals = Pace(each_second, at_once, LONGEST_PAUSE, clock)
        self._of_key: OrderedDict[str, Pace] = OrderedDict()
        self._of_strangers = Pace(each_second, at_once, LONGEST_PAUSE_OF_STRANGERS, clock)
        self._clock = clock

    def count(self, key_id: str) -> tuple[bool, Standing]:
        """Count a request of a key, unless it is one too many; and where the key stands then."""
        return self._rates.take(key_id)

    async def enter(self, key_id: str, kind: Kind) -> None:
        """Return when a counted request may go on; raises TooManyRequests or QueueFull."""
        began = self._clock()
        try:
            await self._places[kind].enter(key_id)
        except Rejection:
            if self._clock() - began < self.bounds.oldest_seconds:
                await self.before_refusal(key_id)
            else:
                await asyncio.sleep(self._refusals.pause())
            raise

    async def before_refusal(self, key_id: str) -> None:
        """Return when a request of a key may be told that it is one too many."""
        pace = self._of_key.pop(key_id, None)
        if pace is None:
            pace = Pace(REFUSALS_OF_A_KEY, REFUSALS_OF_A_KEY, LONGEST_PAUSE, self._clock)
        self._of_key[key_id] = pace
        if len(self._of_key) > KEYS_COUNTED:
            self._of_key.popitem(last=False)
        await asyncio.sleep(max(pace.pause(), self._refusals.pause()))

    async def before_turning_away(self) -> None:
        """Return when somebody who has no key may be told so."""
        await asyncio.sleep(self._of_strangers.pause())

    def leave(self, key_id: str, kind: Kind) -> None:
        """Say that a request which has entered is answered."""
        self._places[kind].leave(key_id)

    @asynccontextmanager
    async def turn(self, key_id: str, kind: Kind) -> AsyncIterator[None]:
        """Count a request and wait for its turn; raises TooManyRequests or QueueFull."""
        taken, standing = self.count(key_id)
        if not taken:
            await self.before_refusal(key_id)
            raise TooManyRequests(standing.limit, IN_A_SECOND)
        await self.enter(key_id, kind)
        try:
            yield
        finally:
            self.leave(key_id, kind)

    async def read_on(self, key_id: str) -> None:
        """Return when the next message of a key's socket may be read: at once within its rate."""
        taken, _ = self.count(key_id)
        if not taken:
            await self.before_refusal(key_id)

    def open_socket(self, key_id: str) -> None:
        """Count a socket of a key; raises TooManyRequests."""
        if self._sockets[key_id] >= self.bounds.sockets:
            raise TooManyRequests(self.bounds.sockets, SOCKETS)
        self._sockets[key_id] += 1

    def close_socket(self, key_id: str) -> None:
        """Count a socket no more."""
        self._sockets[key_id] -= 1
        if not self._sockets[key_id]:
            del self._sockets[key_id]
