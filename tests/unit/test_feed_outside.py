"""Prices from outside out of a WebSocket, and those that mark instruments by commands."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve

from api.market_data.marking import OLDEST, Marking, MarkLimits
from api.market_data.outside import Outside, follow_outside
from application.log.ports import Recorded
from application.reference_prices import Received, ReferencePrice
from domain.errors import VenueUnavailable
from domain.events import InstrumentMarked
from infrastructure import websocket_prices
from infrastructure.clock import SystemClock
from infrastructure.price_sources import PriceSource
from infrastructure.settings import Settings, SettingsError
from infrastructure.websocket_prices import WebSocketPrices
from projections.market_data.feed import LocalFeed
from projections.market_data.freshness import Bounded, TooOld
from projections.market_data.records import Kind, reference_of
from projections.market_data.references import ReferenceCounts, References
from tests.homes import place
from tests.model.desk_harness import DeskHarness, wire
from tests.model.feed_flow import staged
from tests.model.fix_market_venue import caught_up, market_venue
from tests.model.fix_venue import PATIENCE, FixVenue

REFERENCE = int(Kind.REFERENCE)
QUICK = MarkLimits(every=1_000, bps=1_000)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Play a scene that must not take long."""

    async def within() -> None:
        async with asyncio.timeout(20):
            await scene()

    asyncio.run(within())


async def until(met: Callable[[], object]) -> None:
    """Wait until something is met."""
    async with asyncio.timeout(PATIENCE):
        while not met():
            await asyncio.sleep(0.001)


@pytest.fixture
def socket() -> Iterator[Path]:
    """A short path for a socket."""
    with tempfile.TemporaryDirectory(prefix="nexus-", dir=place()) as folder:
        yield Path(folder) / "feed.sock"


class Source:
    """Another's WebSocket: says what it is given to whoever is connected."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self._server: Server | None = None
        self.port = 0

    async def open(self) -> None:
        """Listen, on the port that it had before."""
        self._server = await serve(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Be away."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        self.connections.clear()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with contextlib.suppress(Exception):
            await connection.wait_closed()

    async def say(self, *messages: str | bytes) -> None:
        """Send messages to the newest connection, once there is one."""
        await until(lambda: self.connections)
        for message in messages:
            await self.connections[-1].send(message)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://user:word@127.0.0.1:{self.port}/prices?token=secret"


@asynccontextmanager
async def source(*, opened: bool = True) -> AsyncIterator[Source]:
    """A source until the block ends."""
    one = Source()
    await one.open()
    if not opened:
        await one.close()
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[tuple[WebSocketPrices, list[str]]]:
    """A reader, and what it said."""
    said: list[str] = []
    prices = WebSocketPrices(url, say=said.append)
    try:
        yield prices, said
    finally:
        await prices.close()


def test_feed_reads_prices_of_a_websocket_as_those_of_a_file() -> None:
    """Lines of JSON, several in a message or one, as text or bytes; a heartbeat has no price."""

    async def scene() -> None:
        async with source() as outside, reading(outside.url) as (prices, said):
            receiving = asyncio.create_task(prices.receive())
            await outside.say(
                '{"symbol":"X","price":1.5,"at":7}\n{"symbol":"Y","price":"2","bid":1}\n',
                b'{"symbol":"X","price":3}',
                '{"heartbeat":true,"at":9}',
            )
            first, second, beat = [await receiving, *[await prices.receive() for _ in range(2)]]
            assert [
                ReferencePrice("X", wire("1.5"), quoted_at=7),
                ReferencePrice("Y", wire(2), bid=wire(1)),
            ] == first.prices
            assert ([ReferencePrice("X", wire(3))], True) == second[:2]
            assert Received([], True, 9) == beat
            assert [] == said

    run(scene)


def test_feed_of_a_websocket_is_connected_again_whenever_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Away at first, gone in between: what comes afterwards is read, and why it waited is said;
    no secret of the address is.
    """
    monkeypatch.setattr(websocket_prices, "FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(websocket_prices, "SAY_SECONDS", 0.0)

    async def scene() -> None:
        async with source(opened=False) as outside, reading(outside.url) as (prices, said):
            receiving = asyncio.create_task(prices.receive())
            await until(lambda: said)
            await outside.open()
            await outside.say('{"symbol":"X","price":1}')
            assert [wire(1)] == [one.price for one in (await receiving).prices]
            await outside.close()
            await outside.open()
            receiving = asyncio.create_task(prices.receive())
            await outside.say('{"symbol":"X","price":2}')
            assert [wire(2)] == [one.price for one in (await receiving).prices]
            assert 2 == prices.connections
            assert "cannot be reached" in said[0]
            assert any("ended" in one for one in said)
            assert not [one for one in said if "secret" in one or "word" in one]

    run(scene)


def test_feed_passes_over_what_is_wrong_in_a_websocket_and_names_it_now_and_then() -> None:
    """Each is counted; of a flood the first is said, and later how many there were."""

    async def scene() -> None:
        async with source() as outside, reading(outside.url) as (prices, said):
            receiving = asyncio.create_task(prices.receive())
            await outside.say(*(['{"symbol":"X","price":-1}', b"\xff", "[1]"] * 50))
            await outside.say('{"symbol":"X","price":1}')
            await receiving
            assert (150, 1) == (prices.refused, len(said))
            assert "line 1 says a price that is not above 0" in said[0]
            prices._said_at -= 2 * websocket_prices.SAY_SECONDS
            receiving = asyncio.create_task(prices.receive())
            await outside.say("{}", '{"symbol":"X","price":1}')
            await receiving
            assert "line 152 says no symbol" in said[1]
            assert "(and 149 before that)" in said[1]

    run(scene)


def test_feed_of_a_websocket_survives_a_message_that_is_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The connection ends, and another is made: no memory is taken for it."""
    monkeypatch.setattr(websocket_prices, "FIRST_BACKOFF", 0.01)

    async def scene() -> None:
        async with source() as outside, reading(outside.url) as (prices, _):
            receiving = asyncio.create_task(prices.receive())
            await outside.say("x" * (websocket_prices.LARGEST_MESSAGE + 1))
            await until(lambda: len(outside.connections) == 2)
            await outside.say('{"symbol":"X","price":1}')
            assert 1 == len((await receiving).prices)

    run(scene)


# What is published of it


@asynccontextmanager
async def followed(
    *sources: PriceSource, venue: FixVenue, feed: LocalFeed
) -> AsyncIterator[list[str]]:
    """Sources that are followed until the block ends, and what was said of them."""
    said: list[str] = []
    outside = Outside(feed, venue.bus, SystemClock(), said.append)  # type: ignore[arg-type]
    task = asyncio.create_task(follow_outside(sources, outside))
    try:
        yield said
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_feed_has_prices_of_several_sources_each_as_old_as_it_says(tmp_path: Path) -> None:
    """A file and a WebSocket in one ring; a heartbeat says that what was told is all there is, and
    of a source that was never heard nobody knows an age.
    """
    path = tmp_path / "prices.jsonl"
    path.write_text('{"symbol":"X","price":5}\n')

    async def scene() -> None:
        async with market_venue() as (venue, feed), source() as outside:
            sources = PriceSource(place=str(path)), PriceSource(place=outside.url)
            async with followed(*sources, venue=venue, feed=feed):
                await until(lambda: feed.fanout.latest(0, REFERENCE))
                with pytest.raises(TooOld, match="unknown age"):
                    Bounded(feed.fanout, feed.freshness, source=1).read(0, REFERENCE)
                with pytest.raises(TooOld, match="unknown age"):
                    Bounded(feed.fanout, feed.freshness, source=2).read(0, REFERENCE)
                await outside.say('{"symbol":"X","price":100.25}')
                await until(lambda: feed.fanout.latest(0, REFERENCE).source == 2)
                record = feed.fanout.latest(0, REFERENCE)
                assert record is not None
                assert 1_002_500 == reference_of(record).price
                told = feed.freshness.at(2)
                await outside.say('{"heartbeat":true}')
                await until(lambda: feed.freshness.at(2) != told)
                assert 0 == sum(isinstance(e, InstrumentMarked) for e in venue.log.events())

    run(scene)


def test_feed_in_a_mirror_has_the_prices_of_every_source_in_one_count(socket: Path) -> None:
    """None is taken for one that was told before, whichever source began first."""

    async def scene() -> None:
        venue = DeskHarness(checked=False)
        venue.instrument("X")
        async with staged(socket) as (stage, mirror):
            events = [Recorded(n, event) for n, event in enumerate(venue.log, 1)]
            for _, command in groupby(events, key=lambda one: one.event.correlation_id):
                stage.apply(list(command))
            await stage.told(mirror)
            row, _ = await mirror.follow("X")
            clock, feed = SystemClock(), stage.feed
            counts, seen = ReferenceCounts(clock), []
            where = feed.data, feed.fanout, feed.freshness, clock, counts
            for number, price in ((1, 100), (2, 101), (1, 102), (2, 103)):
                References(number, *where).publish(now(price))
                seen.append(price * 10_000)
                await until(
                    lambda: (
                        (found := mirror.fanout.latest(row, REFERENCE)) is not None
                        and found.price == seen[-1]
                    )
                )
            assert 4 == mirror.fanout.count(row, REFERENCE)

    run(scene)


def marks(venue: FixVenue) -> list[int]:
    """The prices at which X was marked, at its four places."""
    return [one.price for one in venue.log.events() if isinstance(one, InstrumentMarked)]


def test_feed_marks_by_a_price_from_outside_once_for_each_change(tmp_path: Path) -> None:
    """Rounded to the instrument's places; it comes back as the mark of the log, and what says the
    same again, or is of old, is no command.
    """
    path = tmp_path / "prices.jsonl"
    path.write_text('{"symbol":"X","price":55}\n')

    async def scene() -> None:
        async with market_venue() as (venue, feed):
            one = PriceSource(place=str(path), marks=True, mark_ms=10)
            async with followed(one, venue=venue, feed=feed):
                for price in ("100.25", "100.2500", "100.25004", "101", "101", "100.25"):
                    await asyncio.sleep(0.03)
                    with path.open("a") as file:
                        file.write(f'{{"symbol":"X","price":{price}}}\n')
                    await asyncio.sleep(0.03)
                await until(lambda: len(marks(venue)) == 3)
                await asyncio.sleep(0.05)
            assert [1_002_500, 1_010_000, 1_002_500] == marks(venue)
            mark = feed.mark(feed.data.instrument(0).id)
            assert mark is not None
            assert 1_002_500 == mark.price

    run(scene)


@asynccontextmanager
async def marking(
    venue: FixVenue, feed: LocalFeed, limits: MarkLimits = QUICK
) -> AsyncIterator[tuple[Marking, list[str]]]:
    """The marks of a source, sent until the block ends; what was said of them."""
    said: list[str] = []
    clock, steady = SystemClock(), feed.freshness.clock
    one = Marking(
        feed.data,
        venue.bus,
        clock,
        steady,
        limits=limits,
        say=said.append,  # type: ignore[arg-type]
    )
    task = asyncio.create_task(one.run())
    try:
        yield one, said
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def now(*prices: str | int, at: int = 0) -> Received:
    """Prices of X that came now."""
    return Received([ReferencePrice("X", wire(one), quoted_at=at) for one in prices], True)


def test_feed_marks_at_the_newest_price_and_not_more_often_than_is_set() -> None:
    """However many come: of those within the time between two marks the last one counts."""

    async def scene() -> None:
        async with market_venue() as (venue, feed):
            limits = MarkLimits(every=300_000, bps=10_000)
            async with marking(venue, feed, limits) as (marks_of, _):
                marks_of.take(now(100))
                await until(lambda: len(marks(venue)) == 1)
                for price in range(101, 150):
                    marks_of.take(now(price))
                    await asyncio.sleep(0.001)
                assert 1 == len(marks(venue))
                await until(lambda: len(marks(venue)) == 2)
            assert [1_000_000, 1_490_000] == marks(venue)

    run(scene)


def test_feed_marks_by_no_price_that_is_old_or_of_an_unknown_age_or_symbol() -> None:
    """By its own time, or as it stood in a file before; and a price of nothing marks nothing."""

    async def scene() -> None:
        async with market_venue() as (venue, feed), marking(venue, feed) as (marks_of, _):
            clock = SystemClock()
            marks_of.take(now(100, at=clock.now() - OLDEST - 1))
            marks_of.take(Received([ReferencePrice("X", wire(100))], False))
            marks_of.take(Received([ReferencePrice("NONE", wire(100))], True))
            marks_of.take(Received([ReferencePrice("X", 1)], True))
            await asyncio.sleep(0.02)
            assert [] == marks(venue)
            marks_of.take(now(100, at=clock.now() - 1_000_000))
            await until(lambda: [1_000_000] == marks(venue))

    run(scene)


def test_feed_marks_no_further_from_the_mark_than_is_set() -> None:
    """A slip of another's finger elects no stop; it is said once, and a price within is taken."""

    async def scene() -> None:
        async with market_venue() as (venue, feed), marking(venue, feed) as (marks_of, said):
            marks_of.take(now(100))
            await until(lambda: [1_000_000] == marks(venue))
            await caught_up(venue, feed)
            for price in (1, 111, 10**9, "0.0001", 89):
                marks_of.take(now(price))
            await asyncio.sleep(0.02)
            assert [1_000_000] == marks(venue)
            marks_of.take(now(110))
            await until(lambda: [1_000_000, 1_100_000] == marks(venue))
            assert 1 == len(said)
            assert "X is not marked at 1.0000" in said[0]

    run(scene)


class AwayBus:
    """A bus whose venue answers nothing, though it may have decided."""

    def __init__(self, bus: object) -> None:
        self.bus = bus
        self.asked = 0
        self.decides = True

    async def send(self, *asked: object) -> object:
        """Have it decided, and do not say so."""
        self.asked += 1
        if self.decides:
            await self.bus.send(*asked)  # type: ignore[attr-defined]
        raise VenueUnavailable("nobody answers")


def test_feed_marks_once_where_the_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the log has is not sent again; what it has not is, until it is too old."""
    monkeypatch.setattr("api.market_data.marking.AGAIN_SECONDS", 0.02)

    async def scene() -> None:
        async with market_venue() as (venue, feed):
            away = AwayBus(venue.bus)
            venue.bus = away  # type: ignore[assignment]
            async with marking(venue, feed) as (marks_of, _):
                marks_of.take(now(100))
                await until(lambda: [1_000_000] == marks(venue))
                await asyncio.sleep(0.1)
                assert ([1_000_000], 1) == (marks(venue), away.asked)
                away.decides = False
                marks_of.take(now(101))
                await until(lambda: away.asked > 3)
                away.decides = True
                await until(lambda: [1_000_000, 1_010_000] == marks(venue))

    run(scene)


# How sources are named


def test_feed_sources_are_read_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON: a place alone, or with what it may do."""
    said = '["/data/a.csv", {"from": "wss://host/feed?key=1", "marks": true, "mark_ms": 50}]'
    monkeypatch.setenv("NEXUS_REFERENCE_PRICES", said)
    one, two = Settings.load().reference_prices

    assert ("/data/a.csv", False, False) == (one.place, one.marks, one.is_websocket)
    assert ("wss://host/feed?key=1", True, 50, True) == (
        two.place, two.marks, two.mark_ms, two.is_websocket
    )  # fmt: skip


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('["prices.txt"]', "ends in .csv or .jsonl"),
        ('["ws://user:secret@"]', "no address of a WebSocket"),
        ('["ws://secret:x@host:0/"]', "no address of a WebSocket"),
        ('["https://host/secret"]', "ends in .csv or .jsonl"),
        ('[{"from": "a.csv", "marks": "secret"}]', "boolean"),
        ('[{"from": "a.csv", "mark_ms": 1}]', "greater than or equal to 10"),
        ('[{"from": "a.csv", "often": 1}]', "not permitted"),
        ("{}", "valid tuple"),
        ("secret.csv", "not JSON"),
    ],
)
def test_feed_source_that_cannot_be_read_is_refused_by_the_variable(
    monkeypatch: pytest.MonkeyPatch, said: str, why: str
) -> None:
    """When the venue starts, without repeating what may be a secret."""
    monkeypatch.setenv("NEXUS_REFERENCE_PRICES", said)
    with pytest.raises(SettingsError) as refused:
        Settings.load()

    assert "NEXUS_REFERENCE_PRICES" in str(refused.value)
    assert why in str(refused.value)
    assert "secret" not in str(refused.value)
