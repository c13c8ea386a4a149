"""A gateway's quote channel alone in a process: a feed that quotes a thousand times a second."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from socket import create_server
from typing import NamedTuple
from uuid import UUID

import uvicorn
from litestar import Litestar

from api.auth import Principal
from api.cli.gateway import server_config
from api.decimals import ExactWebSocket
from api.ws.market_data.hub import Hub, Manners
from api.ws.market_data.routes import HANDLERS
from application.commands import ListInstrument
from application.log.ports import Recorded
from bench.deciding import DeskAlone
from domain.money import QTY_UNIT
from infrastructure.clock import SteadyClock, SystemClock
from infrastructure.settings import Settings
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.feed import LocalFeed
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG, Kind, Record
from projections.market_data.waking import Waker

TICK = 10**7
QUOTES_A_SECOND = 1_000
SYMBOL = "QUOTED"
THROTTLE_MS = 100
_QUOTE = int(Kind.QUOTE)


class Spent(NamedTuple):
    """What the process has done and how long it has worked: seconds, and counts."""

    at: float
    cpu: float
    published: int
    frames: int
    made: int


class EveryKey:
    """Keys that are all good: the store is left out."""

    async def principal(self, key_id: str | None, secret: str | None) -> Principal:
        """Who holds a key."""
        return Principal(key_id or "", UUID(int=1), "trader", ("read",))

    async def until_ended(self, key_id: str, secret: str) -> None:
        """Wait for ever: no key ends here."""
        await asyncio.Event().wait()


class ChannelAlone:
    """What the routes ask of a gateway, and who publishes."""

    def __init__(self) -> None:
        data, clock = MarketData(), SteadyClock()
        listing = ListInstrument(
            *(SYMBOL, SYMBOL, "us_equity", "manual", 4, TICK, QTY_UNIT),
            reference_price=100 * 10**9,
        )
        events = DeskAlone().decide(listing).events
        data.apply([Recorded(number, event) for number, event in enumerate(events, 1)])
        self.fanout = Fanout(records=65_536, instruments=16, subscribers=64)
        self.freshness = Freshness(clock)
        waker = Waker(self.fanout, clock, asyncio.get_running_loop())
        feed = LocalFeed(data, self.fanout, waker, self.freshness)
        self.keys, self.fairness = EveryKey(), None
        self.channels = Hub(feed, clock, SystemClock(), Manners(throttle_ms=THROTTLE_MS))
        self.published = 0

    async def quote(self) -> None:
        """Publish each quote when it is due, for ever."""
        begun = time.perf_counter()
        while True:
            due = int((time.perf_counter() - begun) * QUOTES_A_SECOND)
            while self.published < due:
                self.published += 1
                number, at = self.published, time.time_ns() // 1_000
                words = 1_000_000 + number % 100, 500, 0, 1_010_000, 700
                self.fanout.publish(Record(LOG, 0, _QUOTE, 0, number, at, number, *words))
            self.freshness.confirm(LOG, self.freshness.clock.now())
            await asyncio.sleep(1 / QUOTES_A_SECOND)

    def spent(self) -> Spent:
        """What was done until now."""
        counts = self.channels.counts
        times = time.perf_counter(), time.process_time()
        return Spent(*times, self.published, counts.frames, counts.made)


def serve(parent: Connection, core: int | None) -> None:
    """Serve on a free port, on one core where there are several, and tell what was done whenever
    it is asked; stop when there is nobody to tell.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        alone = ChannelAlone()
        app.state["gateway"] = alone
        alone.channels.start()
        quoting = asyncio.create_task(alone.quote())

        def answer() -> None:
            try:
                parent.recv()
                parent.send(alone.spent())
            except (EOFError, OSError):
                server.should_exit = True

        loop = asyncio.get_running_loop()
        loop.add_reader(parent.fileno(), answer)
        try:
            yield
        finally:
            loop.remove_reader(parent.fileno())
            quoting.cancel()
            await asyncio.gather(quoting, return_exceptions=True)
            await alone.channels.stop()

    app = Litestar(
        route_handlers=HANDLERS,
        lifespan=[lifespan],
        websocket_class=ExactWebSocket,
        openapi_config=None,
        logging_config=None,
    )
    with create_server(("127.0.0.1", 0), backlog=2_048) as listening:
        parent.send(listening.getsockname()[1])
        server = uvicorn.Server(server_config(app, Settings()))
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        server.run(sockets=[listening])
