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

from api.door.rates import KEYS_COUNTED, Rates, Standing
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


class Kind(IntEnum):
    """What is asked for; each kind has places of its own."""

    READ = 0
    ORDER = 1
    CANCEL = 2
    """What takes risk away, and what the venue's operators do."""
    LIST = 3
    """What may be long: of these a key has fewer under way."""


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

    __slots__ = ("stands_since", "under_way", "waiting")

    def __init__(self) -> None:
        self.under_way = 0
        self.stands_since: float | None = None
        """Since when it is among the keys that wait for a turn, if it is."""
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

    async def enter(self, key_id: str, waited: float = 0.0) -> None:
        """Return when it is the turn of a request that has waited elsewhere for some seconds;
        raises TooManyRequests when its own key asks for more than is answered in time, and
        QueueFull when all keys together do.
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
        line.waiting[turn] = self._clock() - waited
        self._take_turn(key_id, line)
        ends = loop.call_later(self._oldest - waited, self._pass_over, turn, line)
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

    def too_late(self, key_id: str, *, alone: bool) -> Rejection:
        """Why a request that has waited elsewhere for too long is not taken."""
        line = self._lines.get(key_id)
        if alone or (line is not None and line.under_way >= self._each):
            return TooManyRequests(self._each, AT_ONCE)
        return QueueFull()

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
        line.stands_since = None
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
        if line.waiting and line.stands_since is None and line.under_way < self._each:
            line.stands_since = self._clock()
            self._turns.append(key_id)

    def _forget_idle(self, key_id: str, line: _Line) -> None:
        idle = not line.under_way and not line.waiting and line.stands_since is None
        if idle and self._lines.get(key_id) is line:
            del self._lines[key_id]

    def _refuse_late(self, line: _Line) -> None:
        """Take nothing more into a line that is too long, or where one has waited too long; nor
        where a key waits so long for its turn. That another's own line is long is no reason.
        """
        since = self._clock() - self._oldest
        if len(line.waiting) >= WAITING_OF_A_KEY or line.waits_since() < since:
            raise self._refusal(line)
        if line.under_way < self._each and self._turns:
            stands_since = self._lines[self._turns[0]].stands_since
            if stands_since is not None and stands_since < since:
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

    def too_late(self, key_id: str, kind: Kind, *, alone: bool) -> Rejection:
        """Why a request that waited to be begun for too long is not: its key has all its places
        or waits alone, or all together ask too much.
        """
        return self._places[kind].too_late(key_id, alone=alone)

    async def enter(self, key_id: str, kind: Kind, waited: float = 0.0) -> None:
        """Return when a counted request may go on that has waited to be begun for some seconds;
        raises TooManyRequests or QueueFull.
        """
        if kind is Kind.CANCEL:
            waited = 0.0
        began = self._clock() - waited
        try:
            await self._places[kind].enter(key_id, waited)
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
