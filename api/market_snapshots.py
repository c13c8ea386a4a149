"""Market data for requests: one cached snapshot of a symbol, in front of the feed's process.

Each gateway process has a cache of its own: a hit costs microseconds, and a cache that all of a
machine shared would be one more process to ask over a socket, as the feed's process already is
(docs/market-data.md has the figures).
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from api.market_documents import book_document, quote_document, trade_document
from api.refusals import MarketDataUnavailable, NotFound
from application.market_data.cache import (
    Answer,
    Fetched,
    SnapshotCache,
    SourceAway,
    UnknownSymbol,
)
from application.market_data.hot_symbols import HotLimits
from application.market_data.tiers import Tiers
from application.market_data.warm_up import NextOpen, keep_warm
from application.ports import Clock
from projections.market_data.feed import Feed, FeedAway, NotListed, Snapshot

MOST_LEVELS = 1_000
"""How many levels of each side are kept of a book, and may be asked for."""
COOL_SECONDS = 1.0
"""How often symbols that are asked for less are lowered to the tier they have earned."""

_encode = msgspec.json.Encoder().encode

log = logging.getLogger("nexus.market_data")


class Shown:
    """A snapshot and what was already made of it: bodies are the same for all who ask."""

    __slots__ = ("_books", "_quote", "_trade", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._books: dict[int, bytes] = {}
        self._quote: bytes | None = None
        self._trade: bytes | None = None

    def book(self, depth: int) -> bytes:
        """The body of the order book."""
        body = self._books.get(depth)
        if body is None:
            body = self._books[depth] = _encode(book_document(self.snapshot, depth))
            if len(self._books) > _DEPTHS_KEPT:
                del self._books[next(iter(self._books))]
        return body

    def quote(self) -> bytes:
        """The body of the latest quote."""
        if self._quote is None:
            self._quote = _encode(quote_document(self.snapshot))
        return self._quote

    def trade(self) -> bytes:
        """The body of the latest trade; raises NotFound before there was one."""
        if self._trade is None:
            document = trade_document(self.snapshot)
            if document is None:
                raise NotFound(f"a trade of {self.snapshot.instrument.symbol}", "symbol")
            self._trade = _encode(document)
        return self._trade


_DEPTHS_KEPT = 4
"""Of how many depths a book's body is kept: clients may ask for a thousand."""


class MarketSnapshots:
    """The cache of this process, its warming and its cooling; used in one event loop."""

    def __init__(
        self,
        feed: Feed,
        next_open: NextOpen,
        clock: Clock,
        wall: Clock,
        *,
        tiers: Tiers | None = None,
        hot: HotLimits | None = None,
    ) -> None:
        """`clock` never goes back and is the feed's, `wall` is the calendars'."""
        self._feed = feed
        self._next_open = next_open
        self._clock = clock
        self._wall = wall
        self.tasks: list[asyncio.Task[None]] = []
        """What is done without being asked for."""
        self.cache: SnapshotCache[Shown] = SnapshotCache(
            self._fetch, clock.now, tiers=tiers, hot=hot
        )

    async def get(self, symbol: str) -> Answer[Shown]:
        """The newest snapshot that may be served; raises NotFound or MarketDataUnavailable."""
        try:
            return await self.cache.get(symbol)
        except UnknownSymbol:
            raise NotFound("symbol", "symbol") from None
        except SourceAway as error:
            raise MarketDataUnavailable(symbol, error.why) from None

    def start(self) -> None:
        """Warm before opens and cool what is asked for less from now on."""
        for name, work in {
            "warming of market data": keep_warm(self.cache, self._next_open, self._wall.now),
            "cooling of hot symbols": self._cool(),
        }.items():
            task = asyncio.create_task(work, name=name)
            task.add_done_callback(_ended)
            self.tasks.append(task)

    async def stop(self) -> None:
        """Give up what is under way."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.cache.stop()

    async def _fetch(self, symbol: str) -> Fetched[Shown]:
        try:
            snapshot = await self._feed.snapshot(symbol, MOST_LEVELS)
        except NotListed as error:
            raise UnknownSymbol(error.symbol) from None
        if snapshot.as_of is None:
            raise FeedAway("it has not reached the end of the log yet")
        return Fetched(Shown(snapshot), snapshot.as_of)

    async def _cool(self) -> None:
        while True:
            await asyncio.sleep(COOL_SECONDS)
            self.cache.hot.cool(self._clock.now())


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended", task.get_name(), exc_info=error)
