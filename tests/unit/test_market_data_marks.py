"""Holdings at the feed's prices: how old they may be, and what is done when they are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from api.marks import GONE_AFTER, Choice, Habits, Marks, Valued
from api.refusals import MarksTooOld, ProjectionBehind
from application.market_data.tiers import MILLISECOND
from domain.terms import TriggerRule
from projections.positions import PositionRow
from tests.market_stage import MarketStage
from tests.virtual_time import VirtualLoop, now

ANY = Choice()
WAITS = Habits(100, "wait", "views", 0.5)


class LoopClock:
    """The running loop's own clock, a thousand seconds on."""

    def now(self) -> int:
        """Microseconds."""
        return now() + 1_000_000_000


class Away:
    """A feed with everything in it, of which it can be said that nobody is there."""

    def __init__(self, stage: MarketStage) -> None:
        self._feed = stage.feed
        self.away = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._feed, name)


class Store:
    """A log that ends somewhere, and views that have come so far."""

    def __init__(self, end: int = 0, reached: int = 0) -> None:
        self.end = end
        self.reached = reached
        self.asked = 0

    async def last_position(self) -> int:
        """Where the log ends."""
        self.asked += 1
        return self.end

    async def ask(self, views: Sequence[str] = ()) -> int:
        """How far the views have come."""
        return self.reached


class Valuing:
    """A stage with one holding of ten shares, which the views say is worth 100 each."""

    def __init__(self, habits: Habits = WAITS, store: Store | None = None, **terms: Any) -> None:
        self.stage = MarketStage(LoopClock(), **terms)
        self.feed = Away(self.stage)
        self.store = store or Store()
        parts: Any = (self.feed, self.store, self.store, self.stage.clock, habits)
        self.marks = Marks(*parts)
        blank: dict[str, Any] = dict.fromkeys(PositionRow.__struct_fields__, 0)
        self.held = PositionRow(
            **{
                **blank,
                "instrument_id": self.stage.data.instrument(0).id,
                "symbol": "X",
                "price_decimals": 4,
                "multiplier": 1,
                "qty": 10 * 10**8,
                "last_price": 100 * 10_000,
            }
        )

    async def value(self, choice: Choice = ANY, wanted: int = 0) -> Valued:
        """What the holding is worth now."""
        seen = await self.marks.look(("positions",))
        return await self.marks.value([self.held], wanted, seen, choice)


def run(work: Any) -> None:
    """Run on a clock that moves only when everybody waits."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())


def test_feed_values_a_holding_and_says_how_old_its_price_is() -> None:
    """At the last trade that was told, which the views may not have yet."""

    async def look() -> None:
        valuing = Valuing()
        valuing.stage.sell(5, 105)
        valuing.stage.buy(5, 105)
        await asyncio.sleep(0.040)

        valued = await valuing.value()

        assert ("feed", 40 * MILLISECOND) == (valued.source, valued.age)
        assert [1_050_00] == [row.market_value for row in valued.held]
        assert (1, 0, 0) == (
            valuing.marks.counts.feed,
            valuing.marks.counts.views,
            valuing.store.asked,
        )

    run(look)


def test_feed_marks_value_what_marks_move() -> None:
    """Where a mark elects stops it values holdings as well, as in the writer."""

    async def look() -> None:
        valuing = Valuing(trigger_rule=TriggerRule.MARK)
        valuing.stage.venue.mark(90)
        valuing.stage.tell()
        assert [900_00] == [row.market_value for row in (await valuing.value()).held]

    run(look)


def test_feed_that_is_too_old_is_refused_or_waited_for_as_the_client_chooses() -> None:
    """Waiting ends with the next that is told; a feed that stays silent is refused in the end."""

    async def look() -> None:
        valuing = Valuing()
        await asyncio.sleep(0.101)
        with pytest.raises(MarksTooOld, match=r"max_age_ms is 100, and .* are 101 ms old"):
            await valuing.value(Choice(when_old="refuse"))
        assert "feed" == (await valuing.value(Choice(200, "refuse"))).source

        waiting = asyncio.create_task(valuing.value())
        await asyncio.sleep(0.030)
        assert not waiting.done()
        valuing.stage.confirm()
        assert ("feed", 0) == (await waiting)[1:]

        await asyncio.sleep(0.101)
        began = now()
        with pytest.raises(MarksTooOld):
            await valuing.value()
        assert 500 * MILLISECOND == now() - began
        counts = valuing.marks.counts
        assert (2, 2, 2) == (counts.feed, counts.waited, counts.refused)

    run(look)


@pytest.mark.parametrize(("older", "wanted"), [(0, "feed"), (1, "refused")])
def test_feed_is_taken_up_to_the_limit_and_not_beyond(older: int, wanted: str) -> None:
    """A hundred milliseconds are taken, one microsecond more is not."""

    async def look() -> None:
        valuing = Valuing()
        await asyncio.sleep(0.1 + older / 1_000_000)
        try:
            seen = (await valuing.value(Choice(when_old="refuse"))).source
        except MarksTooOld:
            seen = "refused"
        assert wanted == seen

    run(look)


def test_feed_is_waited_for_until_it_holds_the_accounts_own_last_write() -> None:
    """Who has just traded is valued at that trade, though the feed is young enough without it."""

    async def look() -> None:
        valuing = Valuing()
        own = valuing.stage.feed.position + 2

        async def trade() -> None:
            await asyncio.sleep(0.020)
            valuing.stage.sell(5, 105)
            valuing.stage.buy(5, 105)

        trading = asyncio.create_task(trade())
        valued = await valuing.value(wanted=own)
        await trading
        assert [1_050_00] == [row.market_value for row in valued.held]
        assert 1 == valuing.marks.counts.waited

    run(look)


def test_feed_that_never_comes_so_far_is_said_to_be_behind() -> None:
    """With both positions, after the time that a read waits."""

    async def look() -> None:
        valuing = Valuing()

        async def confirm() -> None:
            while True:
                await asyncio.sleep(0.030)
                valuing.stage.confirm()

        confirming = asyncio.create_task(confirm())
        with pytest.raises(ProjectionBehind, match="your last write at 1000"):
            await valuing.value(wanted=1_000)
        confirming.cancel()

    run(look)


def test_feed_that_is_away_leaves_the_prices_to_the_views() -> None:
    """They are said to be the views', and as old as the views are, where that is known."""

    async def look() -> None:
        valuing = Valuing(store=Store(end=7, reached=7))
        valuing.feed.away = True
        seen = await valuing.marks.look(("positions",))
        await asyncio.sleep(0.003)
        valued = await valuing.marks.value([valuing.held], 0, seen, Choice())
        assert ("views", 3 * MILLISECOND) == (valued.source, valued.age)
        assert [1_000_00] == [row.market_value for row in valued.held]

        valuing.store.end = 8
        assert ("views", None) == (await valuing.value())[1:]
        assert 2 == valuing.marks.counts.views

    run(look)


def test_feed_that_tells_nothing_for_long_is_taken_for_away() -> None:
    """A process that hangs leaves nobody without the value of what he has."""

    async def look() -> None:
        valuing = Valuing()
        await asyncio.sleep((GONE_AFTER + 1) / 1_000_000)
        assert "views" == (await valuing.value()).source

    run(look)


def test_feed_that_goes_away_while_it_is_waited_for_leaves_the_prices_to_the_views() -> None:
    """Their age is not known then: nobody looked before they were read."""

    async def look() -> None:
        valuing = Valuing()
        await asyncio.sleep(0.150)
        waiting = asyncio.create_task(valuing.value())
        await asyncio.sleep(0.010)
        valuing.feed.away = True
        assert ("views", None) == (await waiting)[1:]

    run(look)


def test_feed_that_is_away_is_refused_where_the_venue_or_the_client_wants_no_other() -> None:
    """By the setting always; by a client's own limit where the views may be older."""

    async def look() -> None:
        strict = Valuing(WAITS._replace(when_away="refuse"))
        strict.feed.away = True
        with pytest.raises(MarksTooOld, match="max_age_ms is 100"):
            await strict.value()

        valuing = Valuing(store=Store(end=8, reached=7))
        valuing.feed.away = True
        with pytest.raises(MarksTooOld, match=r"max_age_ms is 50, and .* of an unknown age"):
            await valuing.value(Choice(50))
        valuing.store.reached = 8
        assert "views" == (await valuing.value(Choice(50))).source

    run(look)


def test_feed_without_a_price_leaves_that_of_the_views() -> None:
    """Of an instrument that it does not know, as of one in which nothing was ever said."""

    async def look() -> None:
        valuing = Valuing(reference_price=0)
        valued = await valuing.value()
        assert ("feed", [1_000_00]) == (valued.source, [row.market_value for row in valued.held])

    run(look)
