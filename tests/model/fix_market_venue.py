"""Market data behind FIX sessions in memory: a feed of a venue's log, and a client's book of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from api.fix.application.terms import MarketDataTerms
from api.fix.ports import Body
from application.orders import PlaceOrder
from domain.matching.engine import Market
from domain.terms import OrderType, Side, TimeInForce
from infrastructure.clock import SteadyClock
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.feed import LocalFeed
from projections.market_data.following import follow_log
from projections.market_data.freshness import Freshness
from projections.market_data.levels import BUY, SELL
from projections.market_data.waking import Waker
from tests.model.desk_harness import shares, wire
from tests.model.fix_venue import (
    PATIENCE,
    SESSION_ID,
    FixVenue,
    RecordingLink,
    fix_venue,
    is_fix_44,
)

SUBSCRIBERS = 8
FAST = MarketDataTerms(rate=1_000)
Entry = dict[int, str]
Shown = dict[str, list[tuple[str, str, str]]]
"""Of each side its levels, best first: price, quantity and how many orders, as texts."""


@asynccontextmanager
async def market_venue(
    terms: MarketDataTerms = FAST, records: int = 4_096
) -> AsyncIterator[tuple[FixVenue, LocalFeed]]:
    """A furnished venue with a feed of its log, and a session of account a."""
    async with fix_venue() as venue:
        clock = SteadyClock()
        fanout = Fanout(records=records, instruments=4, subscribers=SUBSCRIBERS)
        waker = Waker(fanout, clock, asyncio.get_running_loop())
        feed = LocalFeed(MarketData(), fanout, waker, Freshness(clock))
        following = asyncio.create_task(follow_log(venue.log, feed.data, fanout, feed.freshness))
        venue.terms[SESSION_ID] = venue.terms[SESSION_ID]._replace(market_data=terms)
        venue.market = feed
        await venue.restart()
        try:
            await caught_up(venue, feed)
            yield venue, feed
        finally:
            await venue.application.stop()
            waker.close()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def caught_up(venue: FixVenue, feed: LocalFeed) -> None:
    """Wait until the feed has told all that is committed."""
    async with asyncio.timeout(PATIENCE):
        while feed.data.position < len(venue.log.rows):
            await asyncio.sleep(0.001)


def asking(
    name: str,
    *symbols: str,
    kind: str = "1",
    depth: str = "0",
    update: str = "1",
    entries: str = "01",
    **more: str,
) -> list[tuple[int, str]]:
    """The fields of a MarketDataRequest; `more` are others by their tags."""
    fields = [(262, name), (263, kind), (264, depth)]
    fields += [(265, update)] if update else []
    fields += [(int(tag[1:]), value) for tag, value in more.items()]
    fields += [(267, str(len(entries))), *((269, one) for one in entries)]
    asked = symbols or ("X",)
    return [*fields, (146, str(len(asked))), *((55, symbol) for symbol in asked)]


def entries_of(body: Body) -> list[Entry]:
    """The entries of a W or X; the message is one of FIX 4.4 by its own dictionary."""
    assert is_fix_44(body)
    first = 269 if body.msg_type == b"W" else 279
    found: list[Entry] = []
    inside = False
    for tag, value in body.fields:
        inside = inside or tag == 268
        if inside and tag == first:
            found.append({})
        if found:
            found[-1][tag] = value.decode()
    return found


class FixBook:
    """The book of one symbol and its trades, as a client has them from W and X alone."""

    def __init__(self, symbol: str = "X") -> None:
        self.symbol = symbol
        self.sides: dict[str, dict[str, tuple[str, str]]] = {"0": {}, "1": {}}
        self.trades: dict[str, str] = {}
        """The price of each trade that stands, by its id."""
        self.begun = 0
        self.refreshed = 0

    def take(self, body: Body) -> None:
        """Take one message in; what contradicts what is known fails."""
        entries = entries_of(body)
        if body.msg_type == b"W":
            if dict(body.fields)[55].decode() == self.symbol:
                self._begin(entries)
            return
        for entry in entries:
            if entry[55] == self.symbol:
                self._update(entry)
        self.refreshed += 1

    def _begin(self, entries: list[Entry]) -> None:
        self.begun += 1
        self.sides = {"0": {}, "1": {}}
        for entry in entries:
            if entry[269] == "2":
                self.trades[entry[58]] = entry[270]
                continue
            side = self.sides[entry[269]]
            assert entry[270] not in side
            side[entry[270]] = (entry[271], entry[346])
            assert entry[290] == str(len(side)), "best first, counted from 1"

    def _update(self, entry: Entry) -> None:
        action, kind = entry[279], entry[269]
        if kind == "2":
            assert (entry[278] in self.trades) == (action != "0"), entry
            if action == "2":
                del self.trades[entry[278]]
            else:
                self.trades[entry[278]] = entry[270]
            return
        side = self.sides[kind]
        assert (entry[270] in side) == (action != "0"), (entry, side)
        if action == "2":
            del side[entry[270]]
        else:
            side[entry[270]] = (entry[271], entry[346])

    def shown(self) -> Shown:
        """The book as it is known."""
        return {
            side: [
                (price, *levels[price]) for price in sorted(levels, key=float, reverse=side == "0")
            ]
            for side, levels in self.sides.items()
        }


def venues_book(feed: LocalFeed, index: int = 0, depth: int = 2**30) -> Shown:
    """The book of the venue itself, written as FIX writes it."""
    return book_of(feed.data.floor.markets.by_id[feed.data.instrument(index).id.int], depth)


def book_of(market: Market, depth: int = 2**30) -> Shown:
    """A market's book, written as FIX writes it."""
    instrument = market.instrument
    places = 10**instrument.price_decimals
    return {
        word: [
            (_plain(ticks * instrument.tick, places), _plain(lots * instrument.lot, 10**8), str(n))
            for ticks, lots, n in market.book.depth(side, depth)
        ]
        for word, side in (("0", BUY), ("1", SELL))
    }


def _plain(units: int, places: int) -> str:
    whole, rest = divmod(units, places)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(places)) - 1}d}".rstrip("0")


Scene = Callable[[FixVenue, LocalFeed, RecordingLink], Awaitable[None]]


def play(scene: Scene, terms: MarketDataTerms = FAST, records: int = 4_096) -> RecordingLink:
    """A scene of one session."""
    link = RecordingLink()

    async def whole() -> None:
        async with market_venue(terms, records) as (venue, feed):
            await venue.log_on(link)
            await scene(venue, feed, link)

    asyncio.run(whole())
    return link


async def until(met: Callable[[], object]) -> None:
    """Wait until something is met."""
    async with asyncio.timeout(PATIENCE):
        while not met():
            await asyncio.sleep(0.001)


async def place(
    venue: FixVenue,
    side: Side,
    price: str,
    qty: int = 10,
    *,
    owner: str = "b",
    symbol: str = "X",
) -> None:
    """A limit order of another client."""
    venue.clock.at += 1_000
    account = venue.a if owner == "a" else venue.b
    limit, gtc = int(OrderType.LIMIT), int(TimeInForce.GTC)
    name = f"m{venue.clock.at}"
    order = PlaceOrder(account, symbol, int(side), limit, gtc, shares(qty), wire(price), 0, name)
    await venue.ask(order)


def heard(link: RecordingLink) -> FixBook:
    """What a client makes of all that it was sent so far."""
    book = FixBook()
    for body in link.answers:
        if body.msg_type in (b"W", b"X"):
            book.take(body)
    return book


def kinds(link: RecordingLink) -> str:
    """The types of messages that were sent."""
    return "".join(body.msg_type.decode() for body in link.answers)
