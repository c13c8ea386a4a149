"""Holdings valued at the feed's prices, never older than a limit, or else at those of the views.

The price of a holding is the one by which the writer values it. How much is held comes from the
views, which hold the account's last write; where the feed stands before that write it is waited
for. The same holdings at a price of another moment are a value all the same: nothing is counted
twice, and the price's age is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, NamedTuple

from msgspec.structs import replace

from api.refusals import MarksTooOld, ProjectionBehind
from api.view_progress import ViewProgress
from application.log.ports import LogEnd
from application.ports import Clock
from projections.market_data.feed import Feed
from projections.market_data.records import LOG
from projections.pieces import each
from projections.positions import PositionRow

GONE_AFTER = 2_000_000
"""The age, in microseconds, from which on the feed is taken for away: it hangs, or nothing is told
any more.
"""
LOOK_SECONDS = 0.05
"""How often who waits for the feed sees whether it is still there."""
_MILLISECOND = 1_000

Source = Literal["feed", "views"]
WhenOld = Literal["wait", "refuse"]
WhenAway = Literal["views", "refuse"]


class Choice(NamedTuple):
    """The age that a client takes, and what is done beyond it; None is as the venue is set."""

    max_age_ms: int | None = None
    when_old: WhenOld | None = None


class Habits(NamedTuple):
    """What is done for clients that ask for nothing else."""

    max_age_ms: int
    when_old: WhenOld
    when_away: WhenAway
    wait_seconds: float


class Valued(NamedTuple):
    """Holdings at their prices, whose prices these are, and how old; None where nobody can say."""

    held: list[PositionRow]
    source: Source
    age: int | None


def _at_prices(priced: tuple[PositionRow, tuple[int | None, int | None]]) -> PositionRow:
    """A position at the feed's prices. One that the feed does not have is none that it could
    contradict.
    """
    row, (price, underlying) = priced
    if price and underlying:
        return replace(row, feed_price=price, underlying_price=underlying)
    if price:
        return replace(row, feed_price=price)
    return replace(row, underlying_price=underlying) if underlying else row


class MarkCounts:
    """How holdings were valued since the process began."""

    def __init__(self) -> None:
        self.feed = 0
        self.views = 0
        self.waited = 0
        self.refused = 0


class ViewsSeen(NamedTuple):
    """What the views hold: all that was committed at a moment; None where that is not known."""

    as_of: int | None


class Marks:
    """The prices of a gateway process."""

    def __init__(
        self, feed: Feed, log: LogEnd, progress: ViewProgress, clock: Clock, habits: Habits
    ) -> None:
        """`clock` is that of the feed's ages."""
        self.counts = MarkCounts()
        self._feed = feed
        self._log = log
        self._progress = progress
        self._clock = clock
        self._habits = habits

    async def look(self, views: Sequence[str]) -> ViewsSeen:
        """How old the views are that will be read after this, where their prices may be needed."""
        if not self._is_away(self._age()):
            return ViewsSeen(None)
        asked = self._clock.now()
        end = await self._log.last_position()
        reached = await self._progress.ask(views)
        return ViewsSeen(asked if reached >= end else None)

    async def value(
        self, held: Sequence[PositionRow], wanted: int, seen: ViewsSeen, choice: Choice
    ) -> Valued:
        """Value what the views hold, at least at a position of the log. Raises MarksTooOld, or
        ProjectionBehind where the feed has not come so far.
        """
        age = await self._fresh(wanted, choice)
        if age is None:
            return self._by_views(held, seen, choice)
        self.counts.feed += 1
        found, price_of = self._clock.now(), self._feed.valued_at
        # Of one moment: nothing is awaited before all are taken note of.
        prices = [
            (price_of(row.instrument_id), price_of(row.underlying_id) if row.expiry else 0)
            for row in held
        ]
        priced = await each(zip(held, prices, strict=True), _at_prices)
        return Valued(priced, "feed", age + max(0, self._clock.now() - found))

    def _by_views(self, held: Sequence[PositionRow], seen: ViewsSeen, choice: Choice) -> Valued:
        if self._habits.when_away == "refuse":
            self._refuse(self._age(), choice.max_age_ms or self._habits.max_age_ms)
        age = None if seen.as_of is None else max(0, self._clock.now() - seen.as_of)
        limit = choice.max_age_ms
        # Who names a limit means it, whoever's prices they are.
        if limit is not None and (age is None or age > limit * _MILLISECOND):
            self._refuse(age, limit)
        self.counts.views += 1
        return Valued(list(held), "views", age)

    async def _fresh(self, wanted: int, choice: Choice) -> int | None:
        """The age of the feed once it is young enough and has come far enough; None while it is
        away.
        """
        limit = choice.max_age_ms or self._habits.max_age_ms
        refuses = (choice.when_old or self._habits.when_old) == "refuse"
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._habits.wait_seconds
        waited = False
        while not self._is_away(age := self._age()):
            assert age is not None
            young = age <= limit * _MILLISECOND
            if young and (refuses or self._feed.position >= wanted):
                return age
            left = ends - loop.time()
            if refuses or (left <= 0 and not young):
                self._refuse(age, limit)
            if left <= 0:
                raise ProjectionBehind(wanted, self._feed.position)
            if not waited:
                waited = True
                self.counts.waited += 1
            await self._told(min(left, LOOK_SECONDS))
        return None

    async def _told(self, seconds: float) -> None:
        """Wait until the feed says that it has told everything, or for a while."""
        try:
            async with asyncio.timeout(seconds):
                await self._feed.freshness.confirmed()
        except TimeoutError:
            pass

    def _age(self) -> int | None:
        return self._feed.freshness.age(LOG)

    def _is_away(self, age: int | None) -> bool:
        return self._feed.away or age is None or age > GONE_AFTER

    def _refuse(self, age: int | None, limit: int) -> None:
        self.counts.refused += 1
        raise MarksTooOld(None if age is None else -(-age // _MILLISECOND), limit)
