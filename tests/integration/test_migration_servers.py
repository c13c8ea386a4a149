"""A whole move to another server, step by step as an operator takes them, while orders flow."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from api.processes.supervisor import Supervisor
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, find_truth
from infrastructure.settings import Settings
from tests.conftest import dsn_of
from tests.homes import new_home
from tests.log_checks import read_log
from tests.order_driver import ADMIN_SECRET, Driver, free_port
from tests.repeats import repeat_old_requests

SEED = 20261130
CLIENTS = 4


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Those of a venue with a server of its own."""
    home = new_home()
    yield Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
        desk_snapshot_every=500,
    )
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(params=[Layout.NATIVE, pytest.param(Layout.TIMESCALE, marks=pytest.mark.timescale)])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[tuple[StoreAddress, Layout]]:
    """A store to be, on a server that is not the venue's."""
    store = StoreAddress(dsn_of(request, request.param), f"elsewhere_{uuid.uuid4().hex[:12]}")
    yield store, request.param
    with psycopg.connect(store.dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(store.schema))
        )


class Operator:
    """Takes the steps of a move; each must go through while orders are answered."""

    def __init__(self, venue: Supervisor, driver: Driver, trading: asyncio.Task[None]) -> None:
        self._venue = venue
        self._driver = driver
        self._trading = trading

    async def step(self, *words: str) -> dict[str, Any]:
        """Take a step; what it says. Afterwards everybody goes on."""
        found: dict[str, Any] = await asyncio.to_thread(self._run, words)
        await self._driver.acknowledged_more(self._trading, 20)
        return found

    def _run(self, words: tuple[str, ...]) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "api.cli.main", "timescale", *words, "--json"],
            env=self._venue.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, (words, done.stdout[-2000:], done.stderr[-2000:])
        return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_migration_to_another_server_and_back_loses_nothing_that_was_answered(
    settings: Settings, elsewhere: tuple[StoreAddress, Layout]
) -> None:
    """From the plan to the end: there, back after orders went there, there again, and the old
    store dropped under a venue that goes on. Afterwards the venue is started by its old settings,
    and answers old requests with old keys as it did.
    """
    target, layout = elsewhere
    entry: list[StoreAddress] = []

    async def scene(venue: Supervisor, driver: Driver) -> None:
        stop = asyncio.Event()
        trading = asyncio.create_task(driver.run(stop))
        await driver.acknowledged_more(trading, 100)
        operator = Operator(venue, driver, trading)
        to = ("--target-dsn", target.dsn, "--target-schema", target.schema, "--layout", str(layout))
        await operator.step("plan", *to)
        await operator.step("prepare")
        await operator.step("dual-write")
        await operator.step("backfill")
        assert [] == (await operator.step("verify"))["differences"]
        await operator.step("cutover")
        assert target == find_truth(*entry[0]).address
        await operator.step("rollback")
        assert entry[0] == find_truth(*entry[0]).address
        assert [] == (await operator.step("verify"))["differences"]
        await operator.step("cutover")
        await operator.step("finalize", "--without-export")
        stop.set()
        await trading

    with Supervisor(settings, say=bool, output=subprocess.DEVNULL) as venue:
        entry.append(StoreAddress(venue.dsn, settings.partition_schema))
        driver = Driver(venue, SEED, clients=CLIENTS)
        driver.open()
        asyncio.run(scene(venue, driver))
        _check(driver, entry[0], target)
        repeat_old_requests(venue, driver)
    with Supervisor(settings, say=bool, output=subprocess.DEVNULL) as venue:
        assert target == find_truth(*entry[0]).address
        repeat_old_requests(venue, driver)


def _check(driver: Driver, entry: StoreAddress, target: StoreAddress) -> None:
    """Every order that was answered is in the log of the new server, once; no other is left."""
    assert [] == driver.wrong
    truth = find_truth(*entry)
    assert (target, None) == (truth.address, truth.peer)
    log = read_log(*target)
    log.check()
    stored = log.orders_by_client_id()
    assert {} == {key: found for key, found in stored.items() if len(found) != 1}
    for key, told in driver.orders.items():
        assert told.order_id == str(stored[key][0][1].originator_id)
    with psycopg.connect(entry.dsn) as conn:
        left = conn.execute("SELECT to_regclass(%s)", (f"{entry.schema}.stored_events",)).fetchall()
    assert [(None,)] == left
