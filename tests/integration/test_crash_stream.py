"""The stream while processes and connections are killed: every update once, in order."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence

import psycopg
import pytest

from api.processes.supervisor import Supervisor
from application.log.ports import Recorded
from infrastructure.settings import Settings
from tests.homes import new_home
from tests.log_checks import read_log
from tests.model.told_updates import told_of
from tests.order_driver import ADMIN_SECRET, Driver, free_port
from tests.stream_listener import StreamListener, StreamTrader

pytestmark = [pytest.mark.crash, pytest.mark.slow]

SEED = 20261129
OTHER = "STRM"
CAUGHT_UP_WITHIN = 60
RETRYABLE = {200, 429, 503}
"""What an order over the stream may be answered, whatever is killed."""


def _backends(venue: Supervisor) -> list[int]:
    with psycopg.connect(venue.dsn, autocommit=True) as conn:
        query = (
            "SELECT pid FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return [pid for (pid,) in conn.execute(query)]


def end_connections(venue: Supervisor) -> None:
    """End every connection to the store, as a failing network would."""
    pids = _backends(venue)
    with psycopg.connect(venue.dsn, autocommit=True) as conn:
        for pid in pids:
            conn.execute("SELECT pg_terminate_backend(%s)", (pid,))


def kill_backend(venue: Supervisor) -> None:
    """Kill one backend with -9: the server ends all others and recovers."""
    pids = _backends(venue)
    if pids:
        os.kill(random.Random(SEED).choice(pids), signal.SIGKILL)


VICTIMS: dict[str, Callable[[Supervisor], object]] = {
    "gateway": lambda venue: venue.kill("gateway"),
    "connections": end_connections,
    "writer": lambda venue: venue.kill("writer"),
    "postgres": lambda venue: venue.kill("postgres"),
    "backend": kill_backend,
    "projector": lambda venue: venue.kill("projector"),
}


@pytest.fixture
def venue() -> Iterator[Supervisor]:
    """A venue of processes of its own."""
    home = new_home()
    settings = Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
        snapshot_every=20,
        desk_snapshot_every=400,
    )
    said: list[str] = []
    try:
        with Supervisor(settings, say=said.append, output=subprocess.DEVNULL) as made:
            yield made
    finally:
        shutil.rmtree(home, ignore_errors=True)


def listeners_of(url: str, driver: Driver) -> list[tuple[int, StreamListener]]:
    """For each client one that reads at once; and a slow one and a restless one for the first."""
    made = [(n, StreamListener(url, key, SEED + n)) for n, key in enumerate(driver.headers)]
    first = driver.headers[0]
    return [
        *made,
        (0, StreamListener(url, first, SEED + 10, pause=0.01)),
        (0, StreamListener(url, first, SEED + 11, restless=0.05)),
    ]


async def killed_while_listened_to(
    venue: Supervisor, driver: Driver, victims: Sequence[str]
) -> tuple[list[tuple[int, StreamListener]], StreamTrader, list[Recorded]]:
    """Trade and listen while this is killed; then wait until all are told of all."""
    url = venue.base_url.replace("http://", "ws://") + "/stream"
    listeners = listeners_of(url, driver)
    trader = StreamTrader(url, driver.headers[1], OTHER)
    listening = [asyncio.create_task(one.listen()) for _, one in listeners]
    while any(one.begin is None for _, one in listeners):
        await asyncio.sleep(0.01)
    stop = asyncio.Event()
    trading = asyncio.create_task(driver.run(stop))
    streaming = asyncio.create_task(trader.trade(stop))
    chance = random.Random(SEED)
    for victim in victims:
        await driver.acknowledged_more(trading, 10)
        await asyncio.sleep(chance.random() * 0.3)
        await asyncio.to_thread(VICTIMS[victim], venue)
    await driver.acknowledged_more(trading, 30)
    stop.set()
    await asyncio.gather(trading, streaming)

    log = await asyncio.to_thread(_whole_log, venue)
    async with asyncio.timeout(CAUGHT_UP_WITHIN):
        for number, one in listeners:
            last = told_of(log, driver.accounts[number])[-1]
            while not one.told or one.told[-1] != last:
                assert not any(task.done() for task in listening), "a listener gave up"
                await asyncio.sleep(0.02)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    return listeners, trader, log


def _whole_log(venue: Supervisor) -> list[Recorded]:
    return list(read_log(venue.dsn, venue.settings.partition_schema).recorded)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.timeout(400)
def test_every_update_is_told_once_whatever_is_killed(venue: Supervisor, kills: int) -> None:
    """Writer, gateway, projector, PostgreSQL and its connections; slow and restless listeners."""
    driver = Driver(venue, SEED)
    driver.open(OTHER)
    names = list(VICTIMS)
    victims = [names[n % len(names)] for n in range(kills)]

    listeners, trader, log = asyncio.run(killed_while_listened_to(venue, driver, victims))

    assert [] == driver.wrong
    for number, one in listeners:
        assert one.begin is not None
        wanted = [t for t in told_of(log, driver.accounts[number]) if t.position > one.begin]
        assert wanted == one.told, f"listener of client {number}"
        assert one.connections > 1, "no kill was felt"
        assert 1011 not in one.closed
    assert trader.taken > kills
    assert set(trader.answers) <= RETRYABLE
    assert 1011 not in trader.closed
