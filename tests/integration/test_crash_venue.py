"""The whole venue under load while its processes are killed: nothing lost, nothing doubled."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from api.processes.supervisor import Supervisor
from domain.events import OrderAccepted, OrderCanceled
from infrastructure.settings import Settings
from tests.homes import new_home
from tests.log_checks import check_replay, read_log
from tests.order_driver import ADMIN_SECRET, Driver, free_port

pytestmark = pytest.mark.crash

ROUNDS = 20
VICTIMS = (
    "writer",
    "gateway",
    "projector",
    "postgres",
    "standby",
    "standby writer",
    "writer postgres",
)
SEED = 20261121


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the venue's own that the server's user can reach."""
    made = new_home()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def settings(home: Path) -> Settings:
    """A venue of its own, whose snapshots come often enough to be recovered from."""
    return Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
        snapshot_every=20,
        desk_snapshot_every=400,
    )


async def killed_under_load(venue: Supervisor, driver: Driver) -> list[str]:
    """Kill a process, or two at once, whenever orders are acknowledged again."""
    chance = random.Random(driver.seed)
    stop = asyncio.Event()
    trading = asyncio.create_task(driver.run(stop))
    victims = [*VICTIMS, *VICTIMS]
    victims += [chance.choice(VICTIMS[:4]) for _ in range(ROUNDS - len(victims))]
    chance.shuffle(victims)
    for victim in victims:
        await driver.acknowledged_more(trading, 5)
        await asyncio.sleep(chance.random() * 0.3)
        for name in victim.split():
            await asyncio.to_thread(venue.kill, name)
    await driver.acknowledged_more(trading, 50)
    stop.set()
    await asyncio.wait_for(trading, 60)
    return victims


def views_caught_up(venue: Supervisor, position: int) -> None:
    """Wait until every view holds the log to this position."""
    query = sql.SQL("SELECT min(position) FROM {}.projection_tracking WHERE state = 'active'")
    deadline = time.monotonic() + 60
    with psycopg.connect(venue.dsn, autocommit=True) as conn:
        while True:
            row = conn.execute(
                query.format(sql.Identifier(venue.settings.partition_schema))
            ).fetchone()
            if row == (position,):
                return
            assert time.monotonic() < deadline, f"the views stand at {row}, not at {position}"
            time.sleep(0.05)


@pytest.mark.timeout(300)
def test_no_acknowledged_order_is_lost_or_doubled_by_kill_9(settings: Settings) -> None:
    """Twenty kills of writer, standby, gateway, projector and PostgreSQL, alone and together."""
    said: list[str] = []
    with Supervisor(settings, say=said.append, output=subprocess.DEVNULL) as venue:
        driver = Driver(venue, SEED)
        driver.open()
        victims = asyncio.run(killed_under_load(venue, driver))
        assert ROUNDS == len(victims)
        assert [] == driver.wrong
        assert driver.retries, "no kill was felt"

        log = read_log(venue.dsn, settings.partition_schema)
        log.check()
        assert log.check_groups() > 10, "too few groups to tell"
        stored = log.orders_by_client_id()
        assert {} == {key: found for key, found in stored.items() if len(found) != 1}
        assert set(driver.sent) >= set(stored)
        for key, told in driver.orders.items():
            ((position, event),) = stored[key]
            assert isinstance(event, OrderAccepted), (key, position)
            assert told.order_id == str(event.originator_id)
        ended = {str(e.originator_id) for e in log.events if isinstance(e, OrderCanceled)}
        assert driver.canceled <= ended

        check_replay(venue.dsn, settings.partition_schema, settings.bus_socket)
        views_caught_up(venue, len(log.recorded))
        rebuilt = subprocess.run(
            [
                *(sys.executable, "-m", "api.cli.main", "projections", "rebuild"),
                *("--all", "--check", "--json"),
            ],
            env=venue.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == rebuilt.returncode, rebuilt.stdout + rebuilt.stderr
        views = json.loads(rebuilt.stdout.splitlines()[-1])["views"]
        assert {True} == {view["equal"] for view in views}
        assert {len(log.recorded)} == {view["position"] for view in views}
