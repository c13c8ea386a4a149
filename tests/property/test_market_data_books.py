"""Whatever a venue does: snapshot and updates are its book, and records say what events said."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections.abc import Sequence
from functools import cache
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from application.desk.desk import Desk
from application.desk.following import DeskDiverged, follow
from application.desk.state import dump, load_floor, state_hash
from application.log.ports import DeskSnapshot, Recorded
from domain.events import OrderFillBusted, OrderFillCorrected, OrderFilled
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.levels import BUY, KEPT_GONE, SELL, Levels, Resting, checksum
from projections.market_data.records import (
    Kind,
    Printed,
    Record,
    quote_of,
    status_of,
    trade_of,
)
from projections.market_data.replay import ReplayedRecords, SnapshotFloors
from projections.market_data.subscribers import Conflating, Critical
from tests.model.command_flow import lived
from tests.model.naive_depth import BookClient, naive_checksum, rows_of, updates_in
from tests.property.test_book_keeping import busy

COMMANDS = 500


@cache
def venue_log(seed: int) -> MemoryLog:
    """The log of a lively day."""
    return lived(seed, COMMANDS).log


@cache
def commands_of(seed: int) -> list[list[Recorded]]:
    """A lively day command by command."""
    events = [Recorded(n, event) for n, event in enumerate(venue_log(seed).events(), 1)]
    return [list(group) for _, group in groupby(events, key=lambda one: one.event.correlation_id)]


def market_of(data: MarketData, instrument: int):
    """The floor's market of an index."""
    return data.floor.markets.by_id[data.instrument(instrument).id.int]


@pytest.mark.parametrize("seed", range(4))
def test_market_data_snapshot_and_updates_are_the_book_after_every_command(seed):
    """Clients that came at different times, and one that comes anew now and then, all have it."""
    draw, data = random.Random(seed), MarketData()
    clients: list[BookClient] = []
    compared = 0
    for command in commands_of(seed):
        records = data.apply(command)
        assert {record.position for record in records} <= {command[-1].position}
        for client in clients:
            for update in updates_in(records, client.instrument):
                client.update(update[0].sequence - 1, update[0].sequence, update)
        for index in range(len(data)):
            if draw.random() < 0.02:
                clients.append(BookClient(index))
                changes = data.changes(index, None)
                assert changes.whole
                clients[-1].begin(changes.sequence, changes.records)
        if clients and draw.random() < 0.02:
            clients.pop(draw.randrange(len(clients)))
        for client in clients:
            compared += 1
            assert client.is_that_of(market_of(data, client.instrument))
            assert client.checksum() == data.levels(client.instrument).checksum
    assert compared > COMMANDS


@pytest.mark.parametrize("seed", range(4))
def test_market_data_of_conflating_clients_is_the_book_whenever_they_look(seed):
    """However much went by between two looks, and through every resubscription."""
    draw, data = random.Random(seed), MarketData()
    fanout = Fanout(records=64, instruments=4, subscribers=8)
    clients: list[tuple[Conflating, BookClient]] = []
    now = looked = 0
    for command in commands_of(seed):
        fanout.publish_all(data.apply(command))
        now += 1_000
        if len(data) == 2 and len(clients) < 6:
            subscriber = Conflating(fanout, data, rate=1_000 // (1 + len(clients)))
            subscriber.subscribe(len(clients) % 2, Kind.LEVEL)
            clients.append((subscriber, BookClient(len(clients) % 2)))
        for subscriber, client in clients:
            if draw.random() < 0.01:
                subscriber.subscribe(client.instrument, Kind.LEVEL)
            if draw.random() < 0.3:
                due = not subscriber.due(now)
                for update in subscriber.take(now):
                    if update.whole:
                        client.begin(update.sequence, update.records)
                    else:
                        client.update(update.previous, update.sequence, update.records)
                if due:
                    looked += 1
                    assert client.is_that_of(market_of(data, client.instrument))
    assert looked > 200
    assert all(subscriber.skipped for subscriber, _ in clients)


@pytest.mark.parametrize("seed", range(4))
def test_market_data_counts_every_kind_without_a_gap(seed):
    """One by one, from the position on at which the feed began; never above where it stands."""
    data = MarketData()
    told: dict[tuple[int, int], int] = {}
    for command in commands_of(seed):
        for record in data.apply(command):
            row = record.instrument, record.kind
            if record.kind == Kind.LEVEL and told.get(row) == record.sequence:
                continue
            if row in told:
                assert record.sequence == told[row] + 1
            told[row] = record.sequence
            assert record.sequence <= record.position
            assert data.sequence(*row) >= record.sequence
    assert {kind for _, kind in told} >= {Kind.LEVEL, Kind.TRADE, Kind.QUOTE, Kind.STATUS}


@pytest.mark.parametrize("seed", range(4))
def test_market_data_tells_every_trade_once_and_what_became_of_it(seed):
    """As many prints, busts and corrections as buyers have events of, with their prices."""
    data = MarketData()
    expected, said = [], []
    for command in commands_of(seed):
        for _, event in command:
            if isinstance(event, OrderFilled) and event.side == BUY:
                expected.append((event.trade_id, Printed.TRADED, event.price, event.qty, 0))
            elif isinstance(event, OrderFillBusted) and event.side == BUY:
                expected.append((event.trade_id, Printed.BUSTED, event.price, event.qty, 0))
            elif isinstance(event, OrderFillCorrected) and event.side == BUY:
                row = (event.trade_id, Printed.CORRECTED, event.price, event.qty, event.old_price)
                expected.append(row)
        for record in data.apply(command):
            if record.kind == Kind.TRADE:
                trade = trade_of(record)
                row = (trade.trade_id, trade.printed, trade.price, trade.qty, trade.price_before)
                said.append(row)
    assert expected == said
    assert {row[1] for row in said} == set(Printed)


@pytest.mark.parametrize("seed", range(4))
def test_market_data_quotes_are_the_best_prices_after_every_command(seed):
    """The newest quote is the top of the book, and there is none that says the same again."""
    data = MarketData()
    quotes: dict[int, tuple[int, ...]] = {}
    for command in commands_of(seed):
        for record in data.apply(command):
            if record.kind == Kind.QUOTE:
                assert quotes.get(record.instrument, (0, 0, 0, 0)) != quote_of(record)
                quotes[record.instrument] = quote_of(record)
        for index in range(len(data)):
            market = market_of(data, index)
            bids, asks = rows_of(market, BUY), rows_of(market, SELL)
            best = (*(bids[0][:2] if bids else (0, 0)), *(asks[0][:2] if asks else (0, 0)))
            assert best == quotes.get(index, (0, 0, 0, 0))


@hypothesis_settings(max_examples=15)
@given(st.integers(0, 10**6))
def test_market_data_of_lots_of_every_size_is_the_book(seed):
    """From one unit to a whole share a lot, with busts and corrections in between."""
    data, client = MarketData(), BookClient(0)
    for _, command in groupby(
        (Recorded(n, event) for n, event in enumerate(busy(seed, 40, checked=False).log, 1)),
        key=lambda one: one.event.correlation_id,
    ):
        for update in updates_in(data.apply(list(command)), 0):
            if client.sequence is None:
                client.sequence = update[0].sequence - 1
            client.update(update[0].sequence - 1, update[0].sequence, update)
    assert client.is_that_of(market_of(data, 0))


@pytest.mark.parametrize("seed", range(3))
def test_market_data_from_a_snapshot_goes_on_as_from_the_beginning(seed):
    """The same levels, checksums, quotes and trades; counts that are no lower than they were."""
    commands = commands_of(seed)
    for cut in (len(commands) // 3, len(commands) // 2):
        desk, whole = Desk(), MarketData()
        for command in commands[:cut]:
            follow(desk, command)
            whole.apply(command)
        data = MarketData(*load_floor(dump(desk)))
        for command in commands[cut:]:
            expected, records = whole.apply(command), data.apply(command)
            assert [one._replace(sequence=0) for one in expected] == [
                one._replace(sequence=0) for one in records
            ]
            assert all(
                mine.sequence >= old.sequence for mine, old in zip(records, expected, strict=True)
            )
        for index in range(len(whole)):
            assert whole.levels(index).depth()[1:] == data.levels(index).depth()[1:]


@pytest.mark.parametrize("seed", range(3))
def test_feed_critical_subscriber_is_given_every_record_whatever_the_ring_has_lost(seed):
    """One that keeps up, one that stops now and then for ten rings, one that begins late and one
    that begins at a position of long ago: each has all the records above where it began, once.
    """
    assert commands_of(seed)
    asyncio.run(_critical(seed))


class GrowingLog:
    """A log of which more is committed than the feed has published, by some commands."""

    def __init__(self, seed: int) -> None:
        self._log = venue_log(seed)
        self._ends = [command[-1].position for command in commands_of(seed)]
        self.committed = 0

    async def read(
        self, after: int, limit: int, *, topics: Sequence[str] = ()
    ) -> Sequence[Recorded]:
        """Committed events, at most so many."""
        end = self._ends[min(self.committed, len(self._ends) - 1)]
        return await self._log.read(after, min(limit, max(0, end - after)), topics=topics)


async def _critical(seed: int) -> None:
    draw, log, data = random.Random(seed), GrowingLog(seed), MarketData()
    snapshots = MemorySnapshots()
    fanout = Fanout(records=16, instruments=4, subscribers=8)
    told: list[Record] = []
    followers: list[tuple[Critical, float, int, list[Record]]] = []

    def join(position: int, share: float, page: int, *, live: bool) -> None:
        replayed = ReplayedRecords(log, SnapshotFloors(snapshots), page=page)
        critical = Critical(fanout, replayed, position)
        for instrument in range(2):
            for kind in Kind:
                known = live and instrument < len(data) and kind != Kind.REFERENCE
                sequence = data.sequence(instrument, kind) if known else -1
                critical.subscribe(instrument, kind, sequence)
        followers.append((critical, share, position, []))

    join(0, 1.0, 1_000, live=False)
    join(0, 0.02, 7, live=False)
    desk = Desk()
    for number, command in enumerate(commands_of(seed)):
        log.committed = max(log.committed, number + draw.randint(0, 3))
        records = data.apply(command)
        fanout.publish_all(records)
        told += records
        follow(desk, command)
        if number == 200:
            await snapshots.save(DeskSnapshot(desk.position, state_hash(desk), dump(desk)), 0)
            join(data.position, 0.02, 30, live=True)
            join(commands_of(seed)[100][-1].position, 0.02, 30, live=False)
        for critical, share, _, read in followers:
            if draw.random() < share:
                while page := await critical.read(draw.randint(1, 9)):
                    read.extend(page)
    for number, (critical, _, begun, read) in enumerate(followers):
        while page := await critical.read():
            read.extend(page)
        expected = [one for one in told if one.position > begun]
        assert [_plain(one) for one in expected] == [_plain(one) for one in read]
        if number < 3:
            assert [one.sequence for one in expected] == [one.sequence for one in read]
        # One that keeps up needs the log only where a command is larger than the ring.
        assert critical.from_log > 0 if number else critical.from_log < len(read) // 2


@pytest.mark.parametrize("seed", range(2))
def test_feed_that_began_from_a_snapshot_gives_a_critical_subscriber_what_came_before(seed):
    """It stands below where the ring began, which has lapped nothing: the log has what it lacks."""
    assert commands_of(seed)
    asyncio.run(_begun_late(seed))


async def _begun_late(seed: int) -> None:
    commands, whole, desk = commands_of(seed), MarketData(), Desk()
    told: list[Record] = []
    for command in commands[:300]:
        told += whole.apply(command)
        follow(desk, command)
    fanout = Fanout(records=4_096, instruments=4, subscribers=2)
    data = MarketData(*load_floor(dump(desk)))
    fanout.begin(data.position)
    fanout.publish_all(data.standing())
    log = GrowingLog(seed)
    log.committed = len(commands)
    subscribers = [
        Critical(fanout, ReplayedRecords(log, SnapshotFloors(MemorySnapshots()), page=9), begun)
        for begun in (commands[100][-1].position, data.position)
    ]
    for subscriber in subscribers:
        for instrument in range(2):
            for kind in Kind:
                subscriber.subscribe(instrument, kind)
    for command in commands[300:]:
        told += whole.apply(command)
        fanout.publish_all(data.apply(command))
    for subscriber in subscribers:
        begun, read = subscriber.position, []
        while page := await subscriber.read():
            read.extend(page)
        expected = [one for one in told if one.position > begun]
        assert [_plain(one) for one in expected] == [_plain(one) for one in read]
    assert 0 == subscribers[1].from_log < subscribers[0].from_log


@pytest.mark.parametrize("seed", range(2))
def test_market_data_that_begins_anew_says_what_stands(seed):
    """The latest phase, mark, quote and trade of each instrument are those of a feed that never
    ended.
    """
    live, desk = MarketData(), Desk()
    old, new = (Fanout(records=16, instruments=4, subscribers=1) for _ in range(2))
    for command in commands_of(seed):
        old.publish_all(live.apply(command))
        follow(desk, command)
    data = MarketData(*load_floor(dump(desk)))
    new.publish_all(data.standing())

    for index in range(len(live)):
        for kind in (Kind.STATUS, Kind.MARK, Kind.QUOTE, Kind.TRADE):
            was, stands = old.latest(index, kind), new.latest(index, kind)
            if kind == Kind.STATUS:
                assert was is not None and stands is not None
                assert status_of(was)[:2] == status_of(stands)[:2]
            elif was is None:
                assert stands is None
            else:
                assert stands is None or was[7:13] == stands[7:13]
                assert stands is not None or not any(was[7:13])
            assert stands is None or stands.sequence == data.sequence(index, kind)
            if kind == Kind.TRADE and was is not None:
                assert stands is not None
                assert (was.at, was.side) == (stands.at, stands.side)
            elif stands is not None:
                assert (desk.position, desk.last_at) == (stands.position, stands.at)


def _plain(record: Record) -> Record:
    return record._replace(number=0, ordinal=0, sequence=0)


def test_market_data_stops_at_a_missing_position():
    """A command left out is not passed over, and one that was applied already is."""
    data, commands = MarketData(), commands_of(0)
    data.apply(commands[0])

    assert [] == data.apply(commands[0])
    with pytest.raises(DeskDiverged, match="follows"):
        data.apply(commands[2])


LEVELS = st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 40), st.integers(1, 5))


@given(st.lists(st.lists(LEVELS, max_size=6), max_size=60), st.randoms(use_true_random=False))
def test_market_data_levels_are_told_to_whoever_asks_since_any_update(updates, draw):
    """What changed since a sequence, put on what stood there, is what stands now."""
    levels = Levels(7)
    resting: dict[tuple[int, int], tuple[int, int]] = {}
    seen = {7: dict(resting)}
    for update in updates:
        before = dict(resting)
        for side, price, qty in update:
            have = resting.get((side, price), (0, 0))
            if have[0] and draw.random() < 0.5:
                levels.add(side, price, -have[0], -have[1])
                del resting[side, price]
            else:
                levels.add(side, price, qty, 1)
                resting[side, price] = have[0] + qty, have[1] + 1
        changed = levels.commit()
        assert bool(changed) == (before != resting)
        seen[levels.sequence] = dict(resting)
    for sequence, stood in seen.items():
        changes = levels.since(sequence)
        assert changes is not None
        assert len({change[:2] for change in changes}) == len(changes)
        for side, price, qty, orders in changes:
            stood.pop((side, price), None)
            if qty:
                stood[side, price] = qty, orders
        assert stood == resting
    rows = {
        side: [
            (price, *resting[side, price])
            for price in sorted((p for s, p in resting if s == side), reverse=side == BUY)
        ]
        for side in (BUY, SELL)
    }
    assert (rows[BUY], rows[SELL]) == tuple(map(list, levels.depth()[1:3]))
    assert naive_checksum(rows[BUY], rows[SELL]) == levels.checksum


def test_market_data_remembers_so_many_levels_that_are_gone_and_no_more():
    """Who was told before what is forgotten is given the whole book; who knows later, the rest."""
    levels = Levels(0, [Resting(5, 1, 1)])
    for price in range(10, 10 + 6 * KEPT_GONE):
        levels.add(SELL, price, 1, 1)
        levels.commit()
        levels.add(SELL, price, -1, -1)
        levels.commit()

    assert levels.since(0) is None
    assert levels.since(levels.sequence + 1) is None
    assert [] == levels.since(levels.sequence)
    recent = levels.since(levels.sequence - 2 * KEPT_GONE + 2)
    assert recent is not None and KEPT_GONE - 1 == len(recent)
    assert len(levels._changed) <= 2 * KEPT_GONE + 2


def test_market_data_checksum_is_that_of_the_document():
    """The example that `checksum` gives, and an empty book."""
    assert zlib.crc32(b"995000:1000000000,|") == checksum([Resting(995_000, 10**9, 3)], [])
    assert zlib.crc32(b"|") == checksum([], []) == Levels(0).checksum
    many = [Resting(price, 1, 1) for price in range(30, 0, -1)]
    assert checksum(many, []) == checksum(many[:10], [])
