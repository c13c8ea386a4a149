"""What is told of a symbol out of one cached snapshot, and what that costs the source."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from api.market_documents import LatestQuote, LatestTrade, OrderBook
from api.market_snapshots import MarketSnapshots
from api.refusals import MarketDataUnavailable, NotFound
from application.market_data.tiers import LEADING_SYMBOLS, MILLISECOND, SECOND, Tiers
from projections.market_data.depth import ALL_LEVELS
from projections.market_data.feed import FeedAway, Snapshot
from projections.market_data.levels import Resting, checksum
from tests.market_stage import MarketStage, SetClock


class CountedFeed:
    """The feed of a stage that can go away, and counts the questions for snapshots."""

    def __init__(self, stage: MarketStage) -> None:
        self._feed = stage.feed
        self.asked: Counter[str] = Counter()
        self.is_away = False

    async def snapshot(self, symbol: str, levels: int = ALL_LEVELS) -> Snapshot:
        """What the feed has."""
        self.asked[symbol] += 1
        if self.is_away:
            raise FeedAway("gone")
        return await self._feed.snapshot(symbol, levels)


_ROW = re.compile(r"\| (1: |2 \||3: )")


async def never(_: int) -> None:
    """No calendar opens."""


def snapshots_of(feed: Any, clock: SetClock, **options: Any) -> MarketSnapshots:
    """A gateway's cache in front of a feed."""
    return MarketSnapshots(feed, never, clock, clock, **options)


def test_orderbook_quote_and_trade_come_out_of_one_call_of_the_source() -> None:
    """Asked a hundred times each, in the shapes of the documents."""

    async def ask() -> None:
        stage = MarketStage()
        stage.sell(5, 101)
        stage.buy(2, 101)
        stage.buy(10, 99)
        feed = CountedFeed(stage)
        snapshots = snapshots_of(feed, stage.clock)

        for _ in range(100):
            answer = await snapshots.get("X")
            book = json.loads(answer.value.book(10))
            quote = json.loads(answer.value.quote())
            trade = json.loads(answer.value.trade())

        assert {"X": 1} == feed.asked
        assert [{"p": "99.0000", "s": "10.00000000", "n": 1}] == book["b"]
        assert [{"p": "101.0000", "s": "3.00000000", "n": 1}] == book["a"]
        assert (stage.data.levels(0).sequence, stage.data.levels(0).checksum) == (
            book["sequence"],
            book["checksum"],
        )
        said = [quote["quote"][name] for name in ("bp", "bs", "ap", "as")]
        assert ["99.0000", "10.00000000", "101.0000", "3.00000000"] == said
        told = trade["trade"]
        assert ("101.0000", "2.00000000", "B") == (told["p"], told["s"], told["tks"])
        for model, document in ((OrderBook, book), (LatestQuote, quote), (LatestTrade, trade)):
            model.model_validate_json(json.dumps(document))

    asyncio.run(ask())


def test_orderbook_checksum_can_be_reckoned_from_the_document() -> None:
    """By its strings without the point and the zeros in front; fewer levels have the same one."""

    async def ask() -> None:
        stage = MarketStage()
        for price in range(80, 99):
            stage.buy(price, price)
        stage.sell(7, 101)
        answer = await snapshots_of(stage.feed, stage.clock).get("X")
        book = json.loads(answer.value.book(50))

        def side(levels: list[dict[str, Any]]) -> list[Resting]:
            return [
                Resting(int(level["p"].replace(".", "")), int(level["s"].replace(".", "")), 1)
                for level in levels
            ]

        assert book["checksum"] == checksum(side(book["b"]), side(book["a"]))
        short = json.loads(answer.value.book(3))
        assert [level["p"] for level in short["b"]] == ["98.0000", "97.0000", "96.0000"]
        assert (short["checksum"], len(book["b"])) == (book["checksum"], 19)

    asyncio.run(ask())


def test_orderbook_of_nothing_has_no_prices_and_no_trade() -> None:
    """Empty sides are empty, a quote without a price is null, and a trade that never was is 404."""

    async def ask() -> None:
        stage = MarketStage()
        answer = await snapshots_of(stage.feed, stage.clock).get("X")

        book = json.loads(answer.value.book(10))
        assert ([], []) == (book["b"], book["a"])
        assert book["t"] is not None
        quote = json.loads(answer.value.quote())["quote"]
        assert [None] * 4 == [quote[name] for name in ("bp", "bs", "ap", "as")]
        with pytest.raises(NotFound, match="a trade of X not found"):
            answer.value.trade()

    asyncio.run(ask())


def test_orderbook_answers_tell_a_bust_and_a_correction_of_the_latest_trade() -> None:
    """The trade stands there with what became of it, and nobody takes it for a new one."""

    async def ask() -> None:
        stage = MarketStage()
        stage.sell(5, 101)
        stage.buy(5, 101)
        seen = []
        for change in (lambda: stage.venue.correct_last(100), stage.venue.bust_last):
            change()
            stage.tell()
            answer = await snapshots_of(stage.feed, stage.clock).get("X")
            seen.append(json.loads(answer.value.trade())["trade"])

        assert ["corrected", "canceled"] == [trade["u"] for trade in seen]
        assert "100.0000" == seen[0]["p"]
        assert 1 == len({trade["i"] for trade in seen})

    asyncio.run(ask())


def test_orderbook_of_an_unknown_symbol_is_not_found_and_asked_for_once() -> None:
    """However often somebody asks."""

    async def ask() -> None:
        stage = MarketStage()
        feed = CountedFeed(stage)
        snapshots = snapshots_of(feed, stage.clock)
        for _ in range(50):
            with pytest.raises(NotFound):
                await snapshots.get("NOPE")
        assert {"NOPE": 1} == feed.asked

    asyncio.run(ask())


def test_orderbook_of_a_feed_that_is_away_is_stale_with_a_warning_and_then_refused() -> None:
    """Within the tier's bound the old answer with its age and why; beyond it 503 with a reason."""

    async def ask() -> None:
        stage = MarketStage()
        feed = CountedFeed(stage)
        snapshots = snapshots_of(feed, stage.clock)
        fresh = await snapshots.get("X")
        assert (0, 3, None) == (fresh.age, fresh.tier, fresh.warning)

        feed.is_away = True
        stage.clock.at += 4_000 * MILLISECOND
        stale = await snapshots.get("X")
        assert (4_000 * MILLISECOND, "its source failed") == (stale.age, stale.warning)

        stage.clock.at += 30_000 * MILLISECOND
        with pytest.raises(MarketDataUnavailable, match="no market data of X that is young"):
            await snapshots.get("X")
        assert (1, 1) == (
            snapshots.cache.metrics.warned,
            snapshots.cache.metrics.refused_away,
        )

    asyncio.run(ask())


def test_orderbook_of_a_feed_that_was_never_at_the_head_is_refused() -> None:
    """While the feed begins nobody knows how old it is, and nothing is passed off as new."""

    async def ask() -> None:
        stage = MarketStage()
        stage.freshness._confirmed.clear()
        with pytest.raises(MarketDataUnavailable):
            await snapshots_of(stage.feed, stage.clock).get("X")

    asyncio.run(ask())


def test_orderbook_symbols_that_nobody_asks_for_any_more_are_cooled() -> None:
    """The process looks each second: no request is needed for it."""

    async def ask() -> None:
        stage = MarketStage()
        snapshots = snapshots_of(stage.feed, stage.clock, tiers=Tiers(symbols={}))
        for _ in range(3_000):
            await snapshots.get("X")
        assert 1 == snapshots.cache.tier_of("X").number
        snapshots.start()
        stage.clock.at += 3_600_000 * MILLISECOND
        async with asyncio.timeout(10):
            while snapshots.cache.hot.raised():
                await asyncio.sleep(0.05)
        await snapshots.stop()
        assert (1, 3) == (snapshots.cache.hot.demoted, snapshots.cache.tier_of("X").number)

    asyncio.run(ask())


def test_market_data_document_tells_the_tiers_as_they_are() -> None:
    """The table of the document has the bounds that the cache keeps, and the leading symbols."""
    document = (Path(__file__).parents[2] / "docs" / "market-data.md").read_text()
    rows = [
        line.split(" | ") for line in document.splitlines() if re.match(r"\| [123]: | \| 2 ", line)
    ]
    rows = [line.strip("| ").split(" | ") for line in document.splitlines() if _ROW.match(line)]

    def said(time: int) -> str:
        return f"{time // SECOND} s" if time % SECOND == 0 else f"{time // MILLISECOND} ms"

    assert [
        [said(tier.ttl), said(tier.served_until), said(tier.failing_until)]
        for tier in Tiers().tiers
    ] == [row[1:] for row in rows]
    assert f"1: {', '.join(LEADING_SYMBOLS)}" == rows[0][0]
