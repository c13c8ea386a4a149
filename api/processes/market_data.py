"""The market-data process: follows the log, and tells gateways of books, trades and quotes.

Nothing is lost with it: it begins from a snapshot and the log's tail, and tells nobody anything
before it stands at the head of the log.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress

import uvloop

from api.cli import leaving
from api.market_data.outside import Outside, follow_outside
from api.market_data.server import Counts, FeedServer
from api.processes.lifeline import beat_in_loop
from api.processes.standby import Say
from api.processes.tidying import collect_little_at_a_time
from application.desk.following import DeskDiverged
from application.log.away import Away
from application.log.patience import persist
from application.ports import CommandBus
from infrastructure.clock import SteadyClock, VenueClock
from infrastructure.command_bus import UnixSocketBus
from infrastructure.database import open_database
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.source import PostgresEventSource
from infrastructure.log_lines import say as say_line
from infrastructure.scheduling import give_way
from infrastructure.settings import Settings
from projections.market_data.fanout import Fanout
from projections.market_data.feed import LocalFeed
from projections.market_data.following import FollowedLog, follow_log, warmed
from projections.market_data.freshness import Freshness
from projections.market_data.replay import Floors, SnapshotFloors
from projections.market_data.waking import Waker

RECORDS = 65_536
INSTRUMENTS = 1_024
GATEWAYS = 256
NEWEST = 2**62
"""At or below which position a floor is to stand: any."""
FIRST_BACKOFF = 0.1
LAST_BACKOFF = 2.0
WELL_SECONDS = 10.0
"""A feed that ran this long begins anew at once."""


def say_on_stdout(text: str) -> None:
    """Print one line at once; a reader that went away is no reason to stop."""
    with suppress(OSError, ValueError):
        say_line(f"market-data {text}")


def run_market_data(settings: Settings, *, say: Say = say_on_stdout) -> None:
    """Tell gateways of the market until SIGTERM or SIGINT."""
    # Next to nothing of what is built to start with is garbage.
    gc.disable()
    with open_database(settings, on_message=say, process="market-data") as database:
        # Only now: a server started by this process takes its turns as any.
        give_way()
        uvloop.run(_serve(settings, database.dsn, say))


async def _serve(settings: Settings, dsn: str, say: Say) -> None:
    beat_in_loop()
    schema = settings.partition_schema
    async with PostgresEventSource(dsn, schema) as source:
        bus = UnixSocketBus(settings.bus_socket)
        process = MarketDataProcess(
            *(settings, source, SnapshotFloors(PostgresSnapshots(dsn, schema), say), bus, say),
            on_warm=collect_little_at_a_time,
        )
        running = asyncio.ensure_future(process.run())
        leaving.call_in_loop(asyncio.get_running_loop(), running.cancel)
        with suppress(asyncio.CancelledError):
            await running
        await bus.close()


class MarketDataProcess:
    """Begins, and begins anew whenever the log does not follow from what was read of it."""

    def __init__(
        self,
        settings: Settings,
        source: FollowedLog,
        floors: Floors,
        bus: CommandBus,
        say: Say,
        *,
        on_warm: Callable[[], object] = bool,
    ) -> None:
        """The bus is for prices from outside that mark, and for nothing else."""
        self._settings = settings
        self._source = source
        self._floors = floors
        self._bus = bus
        self._say = say
        self._on_warm = on_warm
        self._counts = Counts()

    async def run(self) -> None:
        """Tell of the market for ever."""
        backoff = FIRST_BACKOFF
        while True:
            began = time.monotonic()
            try:
                await self._tell()
            except DeskDiverged as error:
                self._say(f"begins anew: {error}")
            self._counts.begun_anew += 1
            if time.monotonic() - began >= WELL_SECONDS:
                backoff = FIRST_BACKOFF
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, LAST_BACKOFF)

    async def _tell(self) -> None:
        """Warm up, and tell of what follows until it does not. Raises DeskDiverged."""
        began = time.monotonic()
        begun = await persist(lambda: self._floors.at_most(NEWEST), Away(self._say))
        data = await warmed(self._source, begun)
        took = time.monotonic() - began
        clock = SteadyClock()
        fanout = Fanout(records=RECORDS, instruments=INSTRUMENTS, subscribers=GATEWAYS)
        waker = Waker(fanout, clock, asyncio.get_running_loop())
        feed = LocalFeed(data, fanout, waker, Freshness(clock))
        self._on_warm()
        following = asyncio.ensure_future(follow_log(self._source, data, fanout, feed.freshness))
        beside = Outside(feed, self._bus, VenueClock.of(self._settings, self._say), self._say)
        outside = asyncio.ensure_future(follow_outside(self._settings.reference_prices, beside))
        server = FeedServer(self._settings.feed_socket, feed, self._counts)
        try:
            await server.open()
            self._say(
                f"stands at position {data.position:,}, from a snapshot at"
                f" {begun.position:,}, after {took:.2f} s"
            )
            await following
        finally:
            following.cancel()
            outside.cancel()
            await asyncio.gather(following, outside, return_exceptions=True)
            await server.close()
            waker.close()
