"""The market-data process of a venue: killed while orders flow, and nobody misses anything."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest

from api.market_data.mirror import Mirror
from api.processes.supervisor import Supervisor
from infrastructure.clock import SteadyClock
from infrastructure.settings import Settings
from projections.market_data.depth import MarketData
from projections.market_data.records import LOG, Kind
from projections.market_data.subscribers import Conflating
from tests.log_checks import read_log
from tests.model.naive_depth import BookClient
from tests.order_driver import ADMIN_SECRET, SYMBOL, Driver, free_port

pytestmark = pytest.mark.crash
KILLS = ("market-data", "postgres", "market-data", "writer")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the venue's own that the server's user can reach."""
    made = Path(tempfile.mkdtemp(prefix="nexus-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def killed_while_followed(venue: Supervisor, driver: Driver) -> tuple[BookClient, Mirror]:
    """Follow the book as a client does, through kills, until all trading is over."""
    mirror = Mirror(venue.settings.feed_socket, SteadyClock())
    mirror.start()
    try:
        async with asyncio.timeout(10):
            while mirror.away:
                await asyncio.sleep(0.01)
        row, _ = await mirror.follow(SYMBOL)
        client = BookClient(row)
        conflating = Conflating(mirror.fanout, mirror.books, rate=1_000)
        conflating.subscribe(row, Kind.LEVEL)
        mirror.waker.add(conflating)
        last = 0

        async def look() -> None:
            nonlocal last
            while True:
                await conflating.wait()
                for update in conflating.take(mirror.freshness.clock.now()):
                    assert update.sequence >= last
                    last = update.sequence
                    if update.whole:
                        client.begin(update.sequence, update.records)
                    else:
                        client.update(update.previous, update.sequence, update.records)

        looking = asyncio.create_task(look())
        stop = asyncio.Event()
        trading = asyncio.create_task(driver.run(stop))
        for victim in KILLS:
            await driver.acknowledged_more(trading, 40)
            await asyncio.to_thread(venue.kill, victim)
        await driver.acknowledged_more(trading, 40)
        stop.set()
        await asyncio.wait_for(trading, 60)
        log = await asyncio.to_thread(read_log, venue.dsn, venue.settings.partition_schema)
        end = len(log.recorded)
        async with asyncio.timeout(20):
            while mirror.away or mirror.renewing or mirror.position < end:
                assert not looking.done(), looking.result()
                await asyncio.sleep(0.01)
            while client.sequence != mirror.books.sequence(row, Kind.LEVEL):
                await asyncio.sleep(0.01)
        age = mirror.freshness.age(LOG)
        assert age is not None and age < 1_000_000
        looking.cancel()
        return client, mirror
    finally:
        await mirror.stop()


@pytest.mark.timeout(120)
def test_market_data_process_killed_while_orders_flow_harms_nobody(home: Path) -> None:
    """Orders go on; a client of the book, which never fell behind in its count, has the book that
    the whole log gives, and so has everybody the same trades, quotes and values.
    """
    settings = Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
        desk_snapshot_every=200,
    )
    with Supervisor(settings, say=lambda _: None, output=subprocess.DEVNULL) as venue:
        driver = Driver(venue, 7)
        driver.open("REST")
        client, mirror = asyncio.run(killed_while_followed(venue, driver))
        assert [] == driver.wrong
        assert venue.child("market-data").starts > 2

        data = MarketData()
        recorded = read_log(venue.dsn, settings.partition_schema).recorded
        for _, command in groupby(recorded, key=lambda one: one.event.correlation_id):
            data.apply(list(command))
    market = data.floor.markets.listed_as(SYMBOL)
    assert market is not None
    assert client.is_that_of(market)
    assert client.checked > 20
    assert mirror.connections > 2
    assert market.mark == mirror.valued_at(market.instrument.id)
