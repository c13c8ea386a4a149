"""What processes hold is what is open, and memory of a length that is said."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from api.order_lives import OrderLives
from application.audit.second_books.findings import Findings
from application.audit.second_books.instruments import InstrumentBooks
from application.audit.second_books.market import FEW, MarketBooks
from application.audit.second_books.money import MoneyBooks
from application.audit.snapshots import AggregateSnapshot
from application.audit.verify import Audit, StoredRow, verify
from application.commands import (
    CancelOrder,
    Deposit,
    ListInstrument,
    OpenAccount,
    OpenInstrument,
    PlaceOrder,
    ReplaceOrder,
)
from application.desk.desk import Desk
from application.desk.ended import EndedOrders
from application.desk.floor import TradingFloor
from application.desk.kept_orders import KeptOrders
from application.log.ports import DeskSnapshot, Recorded, Taken
from application.log.snapshots import (
    DAYS_KEPT,
    HOURS_KEPT,
    NEWEST_KEPT,
    SnapshotTaker,
    kept_of,
)
from application.requests import Command
from application.writer.request_keys import RequestKeys, key_of_event
from domain.events import OrderEvent
from domain.identifiers import NO_ID, Instant
from domain.matching.book import Book
from domain.terms import Side, TimeInForce
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.memory import MemoryLog, MemorySnapshots
from tests.model.desk_harness import NOON, SESSION, VALUE_DATE, shares, wire
from tests.model.group_desk import GroupDesk
from tests.model.memory_audit import MemoryAuditSource
from tests.model.memory_writer import MemoryWriter, on_a_writer

HOUR = 3_600_000_000
DAY = 24 * HOUR
FAR = NOON + 365 * DAY


# Desk snapshots


def hourly(days: float, every: Instant) -> list[Taken]:
    """Snapshots that were all kept."""
    return [Taken(n + 1, NOON + n * every) for n in range(int(days * DAY / every))]


def test_snapshots_are_thinned_to_hours_and_days() -> None:
    """Of one every ten minutes for forty days: the newest three, the last of each hour of a day,
    the last of each day of a month.
    """
    taken = hourly(40, HOUR // 6)
    kept = kept_of(taken)
    newest = taken[-1]
    by_day = {one.at // DAY: one for one in taken}
    by_hour = {one.at // HOUR: one for one in taken}
    due = {one.position for one in taken[-NEWEST_KEPT:]}
    due |= {one.position for one in by_day.values() if newest.at - one.at < DAYS_KEPT * DAY}
    due |= {one.position for one in by_hour.values() if newest.at - one.at < HOURS_KEPT * HOUR}
    assert due == kept
    assert len(kept) <= NEWEST_KEPT + HOURS_KEPT + DAYS_KEPT + 1


def test_snapshots_that_are_thinned_again_and_again_are_those_thinned_once() -> None:
    """What is dropped at one time would not have been kept at a later one."""
    kept: list[Taken] = []
    taken = hourly(33, HOUR // 2)
    for one in taken:
        kept.append(one)
        positions = kept_of(kept)
        kept = [each for each in kept if each.position in positions]
    assert kept_of(taken) == {one.position for one in kept}


def test_newest_snapshots_stay_whatever_their_times_are() -> None:
    """Many in one hour, and a log whose time jumped by years."""
    quick = [Taken(n, NOON + n) for n in range(1, 100)]
    assert {97, 98, 99} == kept_of(quick)
    jumped = [*quick, Taken(100, NOON + 3_650 * DAY)]
    assert {98, 99, 100} == kept_of(jumped)
    assert set() == kept_of([])


# What the desk holds


def containers(thing: object, path: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    """The length of every container that an object leads to, by where it stands."""
    if id(thing) in seen or callable(thing) or isinstance(thing, Book | EndedOrders | type):
        return
    seen.add(id(thing))
    if isinstance(thing, dict):
        yield path, len(thing)
        for key, value in thing.items():
            yield from containers(value, f"{path}[{type(key).__name__}]", seen)
    elif isinstance(thing, list | set | tuple | frozenset) or type(thing).__name__ == "deque":
        yield path, len(thing)
        for value in thing:
            yield from containers(value, path + "[]", seen)
    elif type(thing).__module__.split(".")[0] in ("application", "domain"):
        slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
        for name in [*slots, *getattr(thing, "__dict__", ())]:
            yield from containers(getattr(thing, name, None), f"{path}.{name}", seen)


def held(desk: Desk | Audit) -> Counter[str]:
    """How much stands in which container of a desk or an audit, without what remembers ended
    orders.
    """
    counted: Counter[str] = Counter()
    for path, length in containers(desk, "desk", set()):
        counted[path] += length
    return counted


def day_of_orders(venue: GroupDesk, seller: UUID, buyer: UUID, turn: int) -> None:
    """Orders of many kinds that all end: canceled, filled, replaced, expired, in groups."""
    far = FAR + turn
    for number in range(4):
        order = venue.place(buyer, Side.BUY, 1, 90, tif=TimeInForce.GTD, expires_at=far + number)
        assert order.order is not None
        again = venue.replace(buyer, order.order.order_id, expires_at=far + 100 + number)
        assert again.refusal is None
        venue.cancel(buyer, order.order.order_id)
    soon = venue.place(buyer, Side.BUY, 1, 91, tif=TimeInForce.GTD, expires_at=venue.at + 5)
    assert soon.refusal is None
    stop = venue.place(buyer, Side.BUY, 1, stop=150)
    trailing = venue.place(seller, Side.SELL, 1, trail=20)
    for reply, whose in ((stop, buyer), (trailing, seller)):
        assert reply.order is not None
        venue.cancel(whose, reply.order.order_id)
    legs = venue.legs(venue.oco(seller, Side.SELL, 1, 110, 80))
    venue.cancel(seller, legs.take_profit)
    venue.place(seller, Side.SELL, 1, 100)
    venue.place(buyer, Side.BUY, 1, 100)
    venue.place(buyer, Side.SELL, 1, 100)
    venue.place(seller, Side.BUY, 1, 100)
    venue.at += 10
    venue.expire()


def test_desk_holds_no_more_after_a_thousand_orders_than_after_fifty() -> None:
    """Every container of every room is as long as before, but for what remembers ended orders:
    also for orders good till a date that were canceled long before it.
    """
    venue = GroupDesk(checked=False)
    venue.instrument()
    seller, buyer = venue.account("seller"), venue.account("buyer")
    venue.hold(seller, 100)
    for turn in range(4):
        day_of_orders(venue, seller, buyer, turn)
    assert not venue.desk.orders.working
    before = held(venue.desk)
    for turn in range(4, 84):
        day_of_orders(venue, seller, buyer, turn)
    grown = {path: n - before[path] for path, n in held(venue.desk).items() if n > before[path]}
    assert {} == grown
    assert held(venue.follower) == held(venue.desk)


def test_ended_orders_and_request_keys_are_remembered_up_to_a_number() -> None:
    """The oldest goes when one too many is there, under every name that it had."""
    venue = GroupDesk(checked=False)
    venue.desk.orders.ended = EndedOrders(10)
    venue.instrument()
    seller, buyer = venue.account("seller"), venue.account("buyer")
    venue.hold(seller, 100)
    for turn in range(10):
        day_of_orders(venue, seller, buyer, turn)
    ended = venue.desk.orders.ended
    assert (10, 10) == (len(ended.by_id), len(ended.by_client))
    assert len(ended.by_other_id) <= 10
    keys = RequestKeys(10)
    for number in range(1_000):
        keys.add((UUID(int=7), f"k{number}"), b"", number)
    assert 10 == len(keys)
    assert keys.needs_look_up((UUID(int=7), "k3"))


# What nobody frees


async def scene(writer: MemoryWriter, turns: int, first: int) -> None:
    """Orders, fills, repeats, refusals and look-ups through the writer's door."""
    accounts = []
    for name in ("a", "b"):
        reply = await writer.send(OpenAccount(f"{name}{first}", "", 1))
        assert reply.result is not None
        accounts.append(UUID(reply.result["account_id"]))
        await writer.send(Deposit(accounts[-1], 10**12, f"cash-{first}"))
    for turn in range(first, first + turns):
        buyer, seller = accounts if turn % 2 else reversed(accounts)
        for commands in _turn(buyer, seller, str(turn)):
            replies = await asyncio.gather(*[writer.begin(one) for one in commands])
            assert len(commands) == len(replies)


def _turn(buyer: UUID, seller: UUID, name: str) -> Iterator[list[Command]]:
    buy = PlaceOrder(buyer, "X", 1, 2, 1, shares(1), wire(100), 0, "b" + name, 0)
    yield [buy, PlaceOrder(seller, "X", 2, 2, 1, shares(1), wire(100), 0, "s" + name, 0)]
    yield [buy, PlaceOrder(buyer, "NONE", 1, 2, 1, shares(1), wire(100), 0, "n" + name, 0)]
    yield [PlaceOrder(buyer, "X", 1, 2, 1, shares(2), wire(100), 0, "b" + name, 0)]
    yield [PlaceOrder(buyer, "X", 1, 2, 1, shares(1), wire(90), 0, "c" + name, 0)]
    yield [ReplaceOrder(buyer, NO_ID, "", "r" + name, shares(2), name="c" + name)]
    yield [CancelOrder(buyer, None, "c" + name, "x" + name)]
    yield [CancelOrder(buyer, None, "c" + name, "y" + name)]
    yield [CancelOrder(buyer, UUID(int=99), "", "z" + name)]


def test_writer_leaves_no_cycles_behind() -> None:
    """Its collector is off: whatever refers to itself would stay for ever. After hundreds of
    commands, refused and repeated ones too, hardly anything does.
    """
    found: list[int] = []

    async def play(writer: MemoryWriter) -> None:
        listed = ListInstrument("X", "X", "us_equity", "24/7", 4, wire("0.01"), shares(1))
        await writer.send(listed)
        await writer.send(OpenInstrument("X", SESSION, VALUE_DATE, NOON, NOON + DAY))
        await scene(writer, 10, 0)
        for first in (100, 1_000):
            gc.collect()
            gc.disable()
            try:
                await scene(writer, 50, first)
                found.append(gc.collect())
            finally:
                gc.enable()

    on_a_writer(MemoryLog(), play)
    assert max(found) <= 10, f"{found} objects of 50 turns of 10 commands were cycles"


# What an audit holds


def test_heaps_of_the_second_books_are_swept() -> None:
    """Entries of orders that left deep in a book, where nobody looks, go all the same."""

    class Stands:
        def __init__(self, sequence: int, bound: int) -> None:
            self.instrument_id, self.side = UUID(int=5), 1
            self.bound, self.leaves, self.sequence, self.waiting = bound, 1, sequence, False

    books: Any = MarketBooks(Findings(), Bare(), InstrumentBooks())
    best = Stands(1, 1_000_000)
    books.stands(UUID(int=1), best)
    for number in range(2, 10_000):
        order = Stands(number, number % 100)
        books.stands(UUID(int=number), order)
        if number % 100:
            books.left(UUID(int=number), order)
        assert 1_000_000 == books.first(UUID(int=5), 1)
    standing = len(books.standing(UUID(int=5), 1))
    (queue,) = books._queues.values()
    assert 100 == standing
    assert len(queue) <= max(FEW, 2 * standing) + 1


class Bare(MoneyBooks):
    """Nobody has any money."""

    def __init__(self) -> None:
        """Nothing is needed."""


class CountingSource(MemoryAuditSource):
    """Notes how much an audit has asked for at once."""

    def __init__(self, log: MemoryLog) -> None:
        super().__init__(log)
        self.lives: list[int] = []
        self.desks_out = 0

    def stream(
        self, originator_id: UUID, after_version: int = 0, limit: int | None = None
    ) -> list[StoredRow]:
        rows = [*super().stream(originator_id, after_version, limit)]
        self.lives.append(len(rows))
        return rows

    def desk_snapshots(self) -> Iterator[DeskSnapshot]:
        for one in super().desk_snapshots():
            self.desks_out += 1
            yield one


def test_audit_reads_lives_in_pages_and_snapshots_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An account's life may be most of the log, and a desk as large as what is open."""
    monkeypatch.setattr("application.audit.verify.LIFE_PAGE", 20)
    log, kept = MemoryLog(), Kept()

    async def play(writer: MemoryWriter) -> None:
        listed = ListInstrument("X", "X", "us_equity", "24/7", 4, wire("0.01"), shares(1))
        await writer.send(listed)
        await writer.send(OpenInstrument("X", SESSION, VALUE_DATE, NOON, NOON + DAY))
        taker = SnapshotTaker(kept, desk_every=1, aggregate_every=7)
        seen = 0
        for first in range(5):
            await scene(writer, 20, first * 100)
            events = await log.read(seen, 100_000)
            seen = events[-1].position
            taker.observe(events)
            taker.take(writer.sequencer.desk)
            await taker.finish()

    on_a_writer(log, play)
    source = CountingSource(log)
    source.aggregates = [*kept.aggregates]
    source.desks = [*kept.desks]
    assert source.aggregates and len(source.desks) == 5
    report = verify(source, StoredCodec())
    assert [] == list(report.violations)
    assert source.lives and max(source.lives) <= 20
    assert 5 == source.desks_out


class Kept(MemorySnapshots):
    """Snapshots of desks and of aggregates, all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.desks: list[DeskSnapshot] = []
        self.aggregates: list[Any] = []

    async def save(self, snapshot: DeskSnapshot, at: Instant) -> None:
        self.desks.append(snapshot)

    async def save_aggregates(self, rows: Any) -> None:
        self.aggregates += [AggregateSnapshot(*row) for row in rows]

    async def taken(self) -> list[Taken]:
        return []

    async def drop(self, positions: Any) -> None:
        assert not positions


def test_floor_of_market_data_remembers_no_order_that_has_ended() -> None:
    """Nobody asks it for one: only what rests, and the books, stay there."""
    venue = GroupDesk(checked=False)
    venue.instrument()
    seller, buyer = venue.account("seller"), venue.account("buyer")
    venue.hold(seller, 100)
    for turn in range(3):
        day_of_orders(venue, seller, buyer, turn)
    floor = TradingFloor(orders=KeptOrders())
    for event in venue.log:
        floor.apply(event)
    assert {} == floor.orders.working
    assert {} == floor.orders.ended.by_id == floor.orders.ended.by_client
    assert {} == floor.orders.ended.by_other_id


def test_audit_holds_no_more_after_a_thousand_orders_than_after_fifty() -> None:
    """No book of the second bookkeeper grows with what has ended, nor do the versions it knows."""
    log = MemoryLog()
    venue = GroupDesk(checked=False)
    venue.instrument()
    seller, buyer = venue.account("seller"), venue.account("buyer")
    venue.hold(seller, 100)
    ends = []
    for turn in range(60):
        day_of_orders(venue, seller, buyer, turn)
        ends.append(len(venue.log))
    recorded = [Recorded(n, event) for n, event in enumerate(venue.log, 1)]
    log.load(recorded, [key for row in recorded if (key := key_of_event(row.event, row.position))])
    source = MemoryAuditSource(log)
    rows = sorted(source.rows)
    audit = Audit(source, StoredCodec())
    audit.page(rows[: ends[4]])
    before = held(audit)
    audit.page(rows[ends[4] :])
    after = held(audit)
    assert {} == {path: n - before[path] for path, n in after.items() if n > before[path]}


def test_who_tells_of_orders_remembers_those_that_work() -> None:
    """A stream that has told of hundreds of orders that ended holds none of them."""
    venue = GroupDesk(checked=False)
    venue.instrument()
    seller, buyer = venue.account("seller"), venue.account("buyer")
    venue.hold(seller, 100)
    for turn in range(5):
        day_of_orders(venue, seller, buyer, turn)
    venue.place(buyer, Side.BUY, 1, 90)
    lives = OrderLives(MemoryLog())

    async def tell() -> None:
        for event in venue.log:
            if isinstance(event, OrderEvent):
                await lives.follow(event)

    asyncio.run(tell())
    assert 1 == len(lives._lives)
