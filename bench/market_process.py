"""A market-data process without a log: a desk of its own trades, and gateways are told of it."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from threading import Thread

import uvloop

from api.market_data.server import Counts, FeedServer
from application.log.ports import Recorded
from application.requests import Command
from bench.deciding import Decided, DeskAlone
from bench.flow import commands, furnish
from infrastructure.clock import SteadyClock
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.feed import LocalFeed
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG
from projections.market_data.waking import Waker

SYMBOLS = 8
COMING = 3
"""How often as many commands come afterwards as stood before anybody asked."""
TICK_SECONDS = 0.005
PER_TICK = 5
"""A thousand commands a second; the feed knows itself at the head after each tick."""


class TradingMarket(DeskAlone):
    """Decides commands, and its feed is told what came of each."""

    def __init__(self) -> None:
        super().__init__()
        self._clock = SteadyClock()
        self._data = MarketData()
        fanout = Fanout(records=65_536, instruments=64, subscribers=16)
        waker = Waker(fanout, self._clock, asyncio.get_running_loop())
        self.feed = LocalFeed(self._data, fanout, waker, Freshness(self._clock))

    def decide(self, command: Command, actor: str = "bench", gateway: str = "bench") -> Decided:
        """Decide the next command, and tell of it."""
        decided = self.decide_only(command, actor, gateway)
        first = self._data.position + 1
        events = [Recorded(first + number, event) for number, event in enumerate(decided.events)]
        for records in self._data.commands(events):
            self.feed.fanout.publish_all(records)
        return decided

    async def trade(self, standing: int) -> None:
        """List instruments and fill their books by so many commands."""
        floor = await furnish(self, symbols=SYMBOLS)
        flow = commands(floor, (1 + COMING) * standing, 1, "market")
        for command in flow[:standing]:
            self.decide(command)
        self._coming = flow[standing:]
        self.confirm()

    def confirm(self) -> None:
        """Let the feed know itself at the head of the log."""
        self.feed.freshness.confirm(LOG, self._clock.now())

    async def go_on(self) -> None:
        """Trade for as long as somebody listens."""
        coming = iter(self._coming)
        while True:
            for command, _ in zip(coming, range(PER_TICK), strict=False):
                self.decide(command)
            self.confirm()
            await asyncio.sleep(TICK_SECONDS)


async def serve(path: Path, standing: int) -> None:
    """Tell gateways at a socket, until standard input ends."""
    market = TradingMarket()
    await market.trade(standing)
    server = FeedServer(path, market.feed, Counts())
    await server.open()
    gc.collect()
    gc.freeze()
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    Thread(target=wait_for_the_end, daemon=True).start()
    trading = asyncio.create_task(market.go_on())
    print("ready", flush=True)
    await ended.wait()
    trading.cancel()
    await asyncio.gather(trading, return_exceptions=True)
    await server.close()
    market.feed.waker.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
