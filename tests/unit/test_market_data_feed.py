"""What a door asks of market data where the feed itself runs."""

from __future__ import annotations

import asyncio

import pytest

from application.commands import ChangeInstrument
from domain.identifiers import uuid7
from domain.terms import Side, TriggerRule
from projections.market_data.feed import NotListed
from projections.market_data.levels import checksum
from projections.market_data.records import level_of
from tests.market_stage import MarketStage


def test_market_data_snapshot_has_the_best_levels_and_the_checksum_of_the_whole_book() -> None:
    """Fewer levels than there are: bids and then asks, best first, and one update all the same."""

    async def look() -> None:
        stage = MarketStage()
        for price in (95, 97, 96):
            stage.buy(10, price)
        for price in (103, 101, 102):
            stage.sell(10, price)

        whole = await stage.feed.snapshot(stage.symbol)
        best = await stage.feed.snapshot(stage.symbol, 2)

        levels = [level_of(record) for record in best.book.records]
        assert [97, 96, 101, 102] == [level.price // 10_000 for level in levels]
        assert [3, 2, 1, 0] == [level.left for level in levels]
        assert 6 == len(whole.book.records)
        book = stage.data.levels(0)
        told = checksum(book.best(Side.BUY, 10), book.best(Side.SELL, 10))
        assert {told} == {best.checksum, levels[-1].checksum, whole.checksum}
        assert (best.book.sequence, best.position) == (whole.book.sequence, stage.feed.position)

    asyncio.run(look())


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [(TriggerRule.LAST_TRADE, (100, 90, 101)), (TriggerRule.MARK, (100, 90, 90))],
)
def test_market_data_values_a_holding_as_the_writer_does(
    rule: TriggerRule, wanted: tuple[int, ...]
) -> None:
    """At the reference, then a mark, and at the last trade but where marks move stops."""

    async def look() -> None:
        stage = MarketStage(trigger_rule=rule)
        identifier = stage.data.instrument(0).id

        seen = [stage.feed.valued_at(identifier)]
        stage.venue.mark(90)
        stage.tell()
        seen.append(stage.feed.valued_at(identifier))
        stage.sell(5, 101)
        stage.buy(5, 101)
        seen.append(stage.feed.valued_at(identifier))

        assert stage.venue.desk.markets.by_id[identifier.int].mark == seen[-1]
        assert list(wanted) == [(price or 0) // 10_000 for price in seen]

    asyncio.run(look())


def test_market_data_is_found_by_a_former_symbol_until_another_takes_it() -> None:
    """As everywhere: what is told is the symbol of today."""

    async def look() -> None:
        stage = MarketStage()
        stage.venue.ok(ChangeInstrument("X", new_symbol="NEW"))
        stage.tell()
        told = [(await stage.feed.snapshot(name)).instrument for name in ("X", "NEW")]
        assert {("NEW", stage.data.instrument(0).id)} == {(t.symbol, t.instrument_id) for t in told}

        stage.venue.instrument("X")
        stage.tell()
        told = [(await stage.feed.snapshot(name)).instrument for name in ("X", "NEW")]
        assert ["X", "NEW"] == [one.symbol for one in told]

    asyncio.run(look())


def test_market_data_of_what_is_not_listed_is_refused() -> None:
    """By its name; an unknown id has no price, and that is not a price of nothing."""

    async def look() -> None:
        stage = MarketStage()
        with pytest.raises(NotListed, match="there is no instrument NOPE"):
            await stage.feed.snapshot("NOPE")
        assert stage.feed.valued_at(uuid7(1, 0, 1, 99)) is None

    asyncio.run(look())
