"""Scenes of a market, and what its market data says of each command."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from itertools import groupby

import pytest

from application.desk.following import DeskDiverged
from application.log.ports import Batch, Recorded
from application.log.whole_commands import PAGE
from domain.events import OrderFilled
from domain.terms import Phase, Side, TimeInForce
from infrastructure.log.memory import MemoryLog
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.following import follow_log
from projections.market_data.freshness import Bounded, Freshness, TooOld
from projections.market_data.levels import BUY, SELL, Changed, Resting
from projections.market_data.records import (
    LOG,
    Kind,
    Level,
    Printed,
    Quote,
    Record,
    Status,
    level_of,
    quote_of,
    status_of,
    trade_of,
)
from tests.model.desk_harness import SESSION, DeskHarness, shares
from tests.model.naive_depth import BookClient

CENT = 100


class Watched:
    """A desk with two traders, and the market data of each command."""

    def __init__(self, **terms) -> None:
        self.venue = DeskHarness(checked=False)
        self.data = MarketData()
        self.venue.instrument(**terms)
        self.anna = self.venue.account("anna")
        self.bert = self.venue.account("bert")
        self.venue.hold(self.bert, 100_000)
        self.read()

    def read(self) -> list[Record]:
        """What the commands since led to."""
        events = [Recorded(n, event) for n, event in enumerate(self.venue.log, 1)]
        return [record for records in self.data.commands(events) for record in records]

    def of(self, kind: Kind) -> list[Record]:
        """What the commands since led to of one kind."""
        return [record for record in self.read() if record.kind == kind]

    def buy(self, qty, limit=None, **terms):
        """Anna buys."""
        return self.venue.place(self.anna, Side.BUY, qty, limit, **terms)

    def sell(self, qty, limit=None, **terms):
        """Bert sells."""
        return self.venue.place(self.bert, Side.SELL, qty, limit, **terms)


def levels_in(records: Sequence[Record]) -> list[tuple[int, int, int, int]]:
    """Levels as (side, dollars, shares, orders)."""
    found = [level_of(one) for one in records if one.kind == Kind.LEVEL]
    return [(one.side, one.price // 10_000, one.qty // 10**8, one.orders) for one in found]


def test_market_data_of_an_order_that_rests_is_its_level_and_the_quote():
    """One update of the book with its checksum, and the best prices when they moved."""
    market = Watched()
    market.buy(10, 99)

    level, quote = market.read()

    checksum = zlib.crc32(b"990000:1000000000,|")
    assert Level(BUY, 990_000, shares(10), 1, 0, checksum) == level_of(level)
    assert Quote(990_000, shares(10), 0, 0) == quote_of(quote)
    assert len(market.venue.log) == level.position == quote.position
    assert market.venue.log[-1].at == level.at

    market.buy(5, 98)
    assert [(BUY, 98, 5, 1)] == levels_in(market.read())


def test_market_data_of_a_match_is_told_at_once():
    """An order that sweeps two levels and rests: trades, three levels of one update, one quote."""
    market = Watched()
    market.sell(5, 101)
    market.sell(3, 101)
    market.sell(4, 102)
    market.read()
    market.buy(20, 103)

    records = market.read()

    trades = [trade_of(one) for one in records if one.kind == Kind.TRADE]
    assert [(5, 101), (3, 101), (4, 102)] == [
        (one.qty // 10**8, one.price // 10_000) for one in trades
    ]
    assert {(BUY, Printed.TRADED)} == {(one.side, one.printed) for one in trades}
    assert [(BUY, 103, 8, 1), (SELL, 101, 0, 0), (SELL, 102, 0, 0)] == levels_in(records)
    assert 1 == len({one.sequence for one in records if one.kind == Kind.LEVEL})
    assert [Quote(1_030_000, shares(8), 0, 0)] == [
        quote_of(one) for one in records if one.kind == Kind.QUOTE
    ]
    assert {market.data.position} == {one.position for one in records}
    fills = [event for event in market.venue.log if isinstance(event, OrderFilled)]
    assert {event.trade_id for event in fills} == {one.trade_id for one in trades}


def test_market_data_says_who_took():
    """A seller who meets a bid takes; in an auction nobody does."""
    market = Watched()
    market.buy(5, 100)
    market.sell(2, 100)
    assert [SELL] == [trade_of(one).side for one in market.of(Kind.TRADE)]

    market.venue.halt()
    market.sell(3, 99)
    market.venue.resume()
    records = market.read()

    assert [0] == [trade_of(one).side for one in records if one.kind == Kind.TRADE]
    assert [
        Status(Phase.HALTED, SESSION, 0, 0),
        Status(Phase.OPEN, SESSION, 1_000_000, shares(3)),
    ] == [status_of(one) for one in records if one.kind == Kind.STATUS]


def test_market_data_of_what_never_rests_says_nothing_of_the_book():
    """An order that must fill at once and does not, and a stop that waits, leave no level."""
    market = Watched()
    market.buy(5, 100, tif=TimeInForce.IOC)
    market.buy(5, stop=120)

    assert [] == market.read()


def test_market_data_of_orders_at_one_price_counts_them():
    """One that is replaced by less keeps its level, one that goes takes its own away."""
    market = Watched()
    first = market.buy(10, 99)
    market.buy(5, 99)
    assert [(BUY, 99, 10, 1), (BUY, 99, 15, 2)] == levels_in(market.read())

    assert first.order is not None
    replaced = market.venue.replace(market.anna, first.order.revision_id, qty=4)
    assert [(BUY, 99, 9, 2)] == levels_in(market.read())
    assert replaced.order is not None
    market.venue.cancel(market.anna, replaced.order.revision_id)
    assert [(BUY, 99, 5, 1)] == levels_in(market.read())


def test_market_data_of_a_price_that_is_replaced_is_two_levels_of_one_update():
    """What leaves a level and stands at another is never seen twice, or not at all."""
    market = Watched()
    placed = market.buy(10, 99)
    market.read()
    assert placed.order is not None
    market.venue.replace(market.anna, placed.order.revision_id, limit=98)

    records = market.of(Kind.LEVEL)

    assert [(BUY, 99, 0, 0), (BUY, 98, 10, 1)] == levels_in(records)
    assert [1, 0] == [level_of(one).left for one in records]
    assert [0, market.data.levels(0).checksum] == [level_of(one).checksum for one in records]


def test_market_data_of_a_bust_and_of_a_correction_names_the_trade():
    """The price it has now and had before; the book is as it was."""
    market = Watched()
    market.sell(5, 100)
    market.buy(5, 100)
    (traded,) = [trade_of(one) for one in market.of(Kind.TRADE)]
    market.venue.correct_last(101)
    corrected = market.read()
    market.venue.bust_last()
    busted = market.read()

    (one,) = [trade_of(record) for record in corrected]
    assert (
        traded._replace(printed=Printed.CORRECTED, side=0, price=1_010_000, price_before=1_000_000)
        == one
    )
    (other,) = [trade_of(record) for record in busted]
    assert (traded.trade_id, Printed.BUSTED) == (other.trade_id, other.printed)


def test_market_data_of_a_mark_is_its_price():
    """A price set from outside is an event, and so it is told."""
    market = Watched()
    market.venue.mark("101.5")

    (mark,) = market.read()

    assert (Kind.MARK, 1_015_000) == (mark.kind, mark.price)


def test_market_data_quantities_beyond_64_bits_are_exact():
    """A hundred of the largest orders at one price: the level, the quote and a client's book."""
    market = Watched()
    client = BookClient(0)
    changes = market.data.changes(0, None)
    client.begin(changes.sequence, changes.records)
    largest = 10**17 - 1
    levels = market.data.levels(0)
    for _ in range(100):
        levels.add(BUY, 1_000_000, largest, 1)
        levels.commit()
    market.data._traded[0].at = 1

    update = market.data.changes(0, client.sequence)
    client.update(changes.sequence, update.sequence, update.records)

    assert [(1_000_000, 100 * largest, 100)] == client.side(BUY)
    assert 100 * largest > 2**63


def test_market_data_levels_net_of_a_command_that_ends_where_it_began_are_no_update():
    """What is added and taken away within one command was never there for anybody."""
    market = Watched()
    levels = market.data.levels(0)
    before = levels.depth()

    levels.add(BUY, 5, 7, 1)
    levels.add(BUY, 5, -7, -1)

    assert [] == levels.commit()
    assert before == levels.depth()
    levels.add(SELL, 5, 7, 1)
    assert [Changed(SELL, 5, 7, 1)] == levels.commit()
    assert [Resting(5, 7, 1)] == levels.best(SELL, 3)
    with pytest.raises(AssertionError):
        levels.add(SELL, 5, -8, -1)


# -- following the log -----------------------------------------------------------------------


async def _until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


class Moments:
    """A clock that goes on by a microsecond whenever it is read."""

    def __init__(self) -> None:
        self.at = 0

    def now(self) -> int:
        """The next moment."""
        self.at += 1
        return self.at


def test_market_data_follows_the_log_and_knows_when_it_stands_at_its_head():
    """What is committed is published; while the log is away what was told grows old."""
    asyncio.run(_follows())


class LogThatFails(MemoryLog):
    """A log that is away at times."""

    away = False

    async def read(self, after, limit, *, topics=()):
        """Events, or the connection is lost."""
        if self.away:
            raise ConnectionError("the store is away")
        return await super().read(after, limit, topics=topics)

    async def wait(self, timeout):
        """Let others commit."""
        await asyncio.sleep(timeout)


async def _follows() -> None:
    venue = DeskHarness(checked=False)
    for number in range(5):
        venue.instrument(f"S{number}")
    anna = venue.account("anna")
    venue.place(anna, Side.BUY, 3, 50, symbol="S4")
    log, data, clock = LogThatFails(), MarketData(), Moments()
    fanout, freshness = Fanout(records=256, instruments=1, subscribers=2), Freshness(clock)
    bounded = Bounded(fanout, freshness, limit=1_000)
    log.load([Recorded(n, event) for n, event in enumerate(venue.log, 1)], [])

    following = asyncio.create_task(follow_log(log, data, fanout, freshness, wait_seconds=0.001))
    await _until(lambda: data.position == len(venue.log) and freshness.age(LOG) is not None)
    quote = bounded.read(4, Kind.QUOTE).record
    assert quote is not None
    assert (500_000, shares(3)) == quote_of(quote)[:2]

    before = len(venue.log)
    venue.place(anna, Side.BUY, 2, 51, symbol="S4")
    await log.append(Batch(before + 1, venue.log[before:], []))
    await _until(lambda: quote_of(fanout.latest(4, Kind.QUOTE)).bid == 510_000)

    log.away = True
    with pytest.raises(ConnectionError):
        await following
    clock.at += 1_001
    with pytest.raises(TooOld):
        bounded.read(4, Kind.QUOTE)


def test_market_data_that_lags_behind_the_log_does_not_pass_for_fresh():
    """A page that others follow says nothing of the head, even where the next cannot be read."""
    asyncio.run(_lags())


class LogOfOnePage(MemoryLog):
    """A log whose first page can be read and no other."""

    async def read(self, after, limit, *, topics=()):
        """The first events, or the connection is lost."""
        if after:
            raise ConnectionError("the store is away")
        return await super().read(after, limit, topics=topics)


async def _lags() -> None:
    venue = DeskHarness(checked=False)
    venue.instrument()
    for _ in range(PAGE):
        venue.mark(100)
    log, data, freshness = LogOfOnePage(), MarketData(), Freshness(Moments())
    log.load([Recorded(n, event) for n, event in enumerate(venue.log, 1)], [])
    fanout = Fanout(records=16, instruments=1, subscribers=1)

    with pytest.raises(ConnectionError):
        await follow_log(log, data, fanout, freshness)

    assert 0 < data.position < len(venue.log)
    assert freshness.age(LOG) is None


def test_market_data_that_begins_late_says_what_stands_and_where_it_begins():
    """Before anything new is committed; what was before is as if the ring had lost it."""
    market = Watched()
    market.buy(5, 99)
    market.read()
    fanout = Fanout(records=64, instruments=1, subscribers=1)
    log = LogThatFails()
    log.away = True

    with pytest.raises(ConnectionError):
        asyncio.run(follow_log(log, market.data, fanout, Freshness(Moments())))

    latest = fanout.latest(0, Kind.QUOTE)
    assert latest is not None
    assert Quote(990_000, shares(5), 0, 0) == quote_of(latest)
    assert market.data.position == fanout.lost_position == latest.position


def test_market_data_of_a_damaged_log_stops():
    """An event of an order that nobody placed does not fit, and nothing of its command is told."""
    market = Watched()
    market.buy(5, 99)
    events = [Recorded(n, event) for n, event in enumerate(market.venue.log, 1)]
    commands = [
        list(group) for _, group in groupby(events, key=lambda one: one.event.correlation_id)
    ]
    damaged = [
        Recorded(position, event)
        for position, (_, event) in enumerate(commands[-1], commands[-1][0].position)
    ]
    data = MarketData()
    for command in commands[:-1]:
        data.apply(command)
    data.apply(damaged)

    again = [Recorded(position + len(damaged), event) for position, event in damaged]
    with pytest.raises(DeskDiverged, match=r"order\.accepted"):
        data.apply(again)
