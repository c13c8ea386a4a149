"""The market-data process of a venue: killed while orders flow, and nobody misses anything."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.processes.supervisor import Supervisor
from infrastructure.settings import Settings
from tests.feed_watcher import FeedWatcher
from tests.homes import new_home
from tests.log_checks import read_log
from tests.order_driver import ADMIN_SECRET, SYMBOL, Driver, free_port

pytestmark = pytest.mark.crash
KILLS = ("market-data", "postgres", "market-data")


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the venue's own that the server's user can reach."""
    made = new_home()
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def killed_while_followed(venue: Supervisor, driver: Driver) -> FeedWatcher:
    """Follow the book as a client does, through kills, until all trading is over."""
    watcher = FeedWatcher(venue.settings.feed_socket, SYMBOL)
    await watcher.begin()
    stop = asyncio.Event()
    trading = asyncio.create_task(driver.run(stop))
    followed = 0
    for victim in KILLS:
        await driver.acknowledged_more(trading, 40)
        if victim == "market-data":
            # Each that is killed was followed: orders may be quicker than a process starts.
            async with asyncio.timeout(30):
                while watcher.mirror.connections == followed:
                    await asyncio.sleep(0.01)
            followed = watcher.mirror.connections
        await asyncio.to_thread(venue.kill, victim)
    await driver.acknowledged_more(trading, 40)
    stop.set()
    await asyncio.wait_for(trading, 60)
    log = await asyncio.to_thread(read_log, venue.dsn, venue.settings.partition_schema)
    await watcher.end(log)
    return watcher


@pytest.mark.timeout(120)
def test_market_data_process_killed_while_orders_flow_harms_nobody(home: Path) -> None:
    """Orders go on; a client of the book, whose count never falls, has the book that the whole log
    gives, the last trade and the value.
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
        watcher = asyncio.run(killed_while_followed(venue, driver))
        assert [] == driver.wrong
        assert venue.child("market-data").starts > 2
    assert watcher.mirror.connections > 2
