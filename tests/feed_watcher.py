"""A client of the book that follows the market-data process of a venue, whatever becomes of it."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path

from api.market_data.mirror import Mirror
from infrastructure.clock import SteadyClock
from projections.market_data.depth import MarketData
from projections.market_data.records import LOG, Kind, trade_of
from projections.market_data.subscribers import Conflating
from tests.log_checks import CheckedLog
from tests.model.naive_depth import BookClient

FRESH = 1_000_000
_LEVEL, _TRADE = int(Kind.LEVEL), int(Kind.TRADE)


class FeedWatcher:
    """Knows of one symbol's book what it is told; its count never falls."""

    def __init__(self, socket: Path, symbol: str) -> None:
        self._socket = socket
        self._symbol = symbol
        self.mirror: Mirror
        self.book: BookClient
        self._row = -1
        self._last = 0

    async def begin(self) -> None:
        """Follow the symbol, once there is somebody who tells."""
        self.mirror = Mirror(self._socket, SteadyClock())
        self.mirror.start()
        async with asyncio.timeout(20):
            while self.mirror.away:
                await asyncio.sleep(0.01)
        self._row, _ = await self.mirror.follow(self._symbol)
        self.book = BookClient(self._row)
        self._conflating = Conflating(self.mirror.fanout, self.mirror.books, rate=1_000)
        self._conflating.subscribe(self._row, _LEVEL)
        self.mirror.waker.add(self._conflating)
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await self._conflating.wait()
            for update in self._conflating.take(self.mirror.freshness.clock.now()):
                assert update.sequence >= self._last
                self._last = update.sequence
                if update.whole:
                    self.book.begin(update.sequence, update.records)
                else:
                    self.book.update(update.previous, update.sequence, update.records)

    async def end(self, log: CheckedLog) -> None:
        """Wait to be told of all that a log holds, and hold what was told to it."""
        try:
            async with asyncio.timeout(20):
                while self.mirror.position < len(log.recorded) or self._is_behind():
                    assert not self._looking.done(), self._looking.result()
                    await asyncio.sleep(0.01)
        finally:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
            await self.mirror.stop()
        age = self.mirror.freshness.age(LOG)
        assert age is not None and age < FRESH
        self._compare(log)

    def _is_behind(self) -> bool:
        sequence = self.mirror.books.sequence(self._row, _LEVEL)
        return self.mirror.away or self.mirror.renewing > 0 or self.book.sequence != sequence

    def _compare(self, log: CheckedLog) -> None:
        data, trades = MarketData(), 0
        for _, command in groupby(log.recorded, key=lambda one: one.event.correlation_id):
            for record in data.apply(list(command)):
                if record.kind == _TRADE:
                    trades, last = trades + 1, record
        market = data.floor.markets.listed_as(self._symbol)
        assert market is not None and trades
        assert self.book.is_that_of(market)
        assert self.book.checked > 10
        assert market.mark == self.mirror.valued_at(market.instrument.id)
        told = self.mirror.fanout.latest(self._row, _TRADE)
        assert told is not None
        assert trade_of(last) == trade_of(told)
        assert last.at == told.at
