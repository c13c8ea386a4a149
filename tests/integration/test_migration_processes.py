"""The log moves to another store while everybody works: nobody reads what is old or mixed."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.processes.supervisor import Supervisor
from domain.events import OrderAccepted, OrderEvent
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, find_truth
from infrastructure.settings import Settings
from migrations.move.finalizing import finalize
from tests.feed_watcher import FeedWatcher
from tests.fix_settings import CHEAP_HASH
from tests.fix_trader import FixTrader
from tests.homes import new_home
from tests.log_checks import CheckedLog, read_log
from tests.model.told_updates import told_of
from tests.moved_by_hand import MovedByHand
from tests.order_driver import ADMIN_SECRET, SYMBOL, Driver, free_port
from tests.repeats import repeat_old_requests
from tests.stream_listener import StreamListener

SEED = 20261130
OTHER_STORE = "moved_0"
CLIENTS = 3
DOCUMENTED = {200, 204, 422, 503}
"""What anybody may be answered while the log moves; a 503 says when to ask again."""


class Reader:
    """Reads over and over what its account has just been told."""

    def __init__(self, venue: Supervisor, headers: dict[str, str], number: int) -> None:
        self._venue = venue
        self._headers = headers
        self._number = number
        self.answers: Counter[int] = Counter()
        self.stale: list[str] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Place an order, then look for it in every way, until told to stop."""
        count = 0
        async with httpx.AsyncClient(
            base_url=self._venue.base_url, headers=self._headers, timeout=30
        ) as http:
            while not stop.is_set():
                count += 1
                await self._once(http, f"r{self._number}-{count}")

    async def _once(self, http: httpx.AsyncClient, key: str) -> None:
        placed = await self._ask(http, "POST", "/v2/orders", json=resting(key))
        order_id = placed.json()["id"]
        for path in (
            f"/v2/orders/{order_id}",
            f"/v2/orders:by_client_order_id?client_order_id={key}",
        ):
            found = await self._ask(http, "GET", path)
            if found.status_code != 200 or found.json()["id"] != order_id:
                self.stale.append(f"{path}: {found.status_code} {found.text}")
        listed = await self._ask(http, "GET", "/v2/orders?limit=500")
        if order_id not in {order["id"] for order in listed.json()}:
            self.stale.append(f"{key} is not among the newest")
        await self._ask(http, "DELETE", f"/v2/orders/{order_id}")
        ended = await self._ask(http, "GET", f"/v2/orders/{order_id}")
        if ended.json()["status"] != "canceled":
            self.stale.append(f"{key} is {ended.json()['status']}")

    async def _ask(
        self, http: httpx.AsyncClient, method: str, path: str, **said: Any
    ) -> httpx.Response:
        while True:
            try:
                answer = await http.request(method, path, **said)
            except httpx.TransportError:
                # The gateway was killed; another one takes the same request.
                await asyncio.sleep(0.02)
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code != 503:
                return answer
            assert answer.headers["Retry-After"], answer.text
            await asyncio.sleep(0.02)


def resting(key: str) -> dict[str, Any]:
    """An order that nobody trades with."""
    return {
        "symbol": SYMBOL,
        "qty": "1",
        "side": "buy",
        "type": "limit",
        "time_in_force": "gtc",
        "limit_price": "90.00",
        "client_order_id": key,
    }


class Everybody:
    """All that goes on in a venue at once, and what each has seen."""

    def __init__(self, venue: Supervisor, driver: Driver) -> None:
        self.driver = driver
        self._stop, self._leave = asyncio.Event(), asyncio.Event()
        url = venue.base_url.replace("http://", "ws://") + "/stream"
        self.listeners = [
            StreamListener(url, headers, SEED + n) for n, headers in enumerate(driver.headers)
        ]
        # The first account is that of the FIX session, whose many orders fill every list.
        self.readers = [Reader(venue, driver.headers[n], n) for n in range(1, CLIENTS)]
        self.feed = FeedWatcher(venue.settings.feed_socket, SYMBOL)
        self.fix = FixTrader(lambda: venue.fix_port, "CLIENT-0", SYMBOL, SEED)
        self._tasks: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Let everybody begin, and wait until all are at work."""
        await self.feed.begin()
        self._listening = [asyncio.create_task(one.listen()) for one in self.listeners]
        self.trading = asyncio.create_task(self.driver.run(self._stop))
        self._tasks = [
            self.trading,
            *(asyncio.create_task(one.run(self._stop)) for one in self.readers),
            asyncio.create_task(self._bursts()),
        ]
        self._session = asyncio.create_task(self.fix.run(self._leave))
        while any(one.begin is None for one in self.listeners) or not self.fix.connected:
            await asyncio.sleep(0.02)

    async def _bursts(self) -> None:
        chance = random.Random(SEED)
        while not self._stop.is_set():
            if self.fix.connected:
                self.fix.burst(5)
            await asyncio.sleep(chance.random() * 0.1)

    async def more(self, count: int = 15) -> None:
        """Wait until everybody has got on."""
        wanted = [sum(one.answers.values()) + 6 for one in self.readers]
        reports = len(self.fix.reports) + 10
        await self.driver.acknowledged_more(self.trading, count)
        async with asyncio.timeout(60):
            while (
                any(
                    sum(one.answers.values()) < least
                    for one, least in zip(self.readers, wanted, strict=True)
                )
                or len(self.fix.reports) < reports
            ):
                for task in (*self._tasks, self._session):
                    if task.done():
                        task.result()
                await asyncio.sleep(0.02)

    async def end(self, read: Callable[[], CheckedLog]) -> CheckedLog:
        """Let everybody finish, and be told of everything that the log holds."""
        self._stop.set()
        async with asyncio.timeout(90):
            await asyncio.gather(*self._tasks)
            await self.fix.answered()
            log = await asyncio.to_thread(read)
            await self.feed.end(log)
            while len(self.fix.reports) < owed_to_fix(log).total():
                await asyncio.sleep(0.02)
            self._leave.set()
            await self._session
            for number, one in enumerate(self.listeners):
                last = told_of(log.recorded, self.driver.accounts[number])[-1]
                while not one.told or one.told[-1] != last:
                    await asyncio.sleep(0.02)
        for task in self._listening:
            task.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)
        return log

    def check(self, log: CheckedLog) -> None:
        """Hold what everybody has seen to the log."""
        assert [] == self.driver.wrong
        for reader in self.readers:
            assert [] == reader.stale
            assert set(reader.answers) <= DOCUMENTED, reader.answers
        for number, one in enumerate(self.listeners):
            assert one.begin is not None
            told = told_of(log.recorded, self.driver.accounts[number])
            assert [t for t in told if t.position > one.begin] == one.told, f"listener {number}"
        assert [] == self.fix.wrong
        assert {} == self.fix.twice()
        assert [] == self.fix.unanswered
        told_by_fix = Counter((report.get(37) or b"").decode() for report in self.fix.reports)
        assert owed_to_fix(log) == told_by_fix
        stored = log.orders_by_client_id()
        assert {} == {key: found for key, found in stored.items() if len(found) != 1}
        for key, told_order in self.driver.orders.items():
            assert told_order.order_id == str(stored[key][0][1].originator_id)


def owed_to_fix(log: CheckedLog) -> Counter[str]:
    """How many reports each order of the session is owed."""
    owed: Counter[str] = Counter()
    mine = set()
    for event in log.events:
        if isinstance(event, OrderAccepted) and event.gateway == "fix:NEXUS->CLIENT-0":
            mine.add(event.originator_id)
        if isinstance(event, OrderEvent) and event.originator_id in mine:
            owed[str(event.originator_id)] += 1
    return owed


class Moving:
    """A venue whose log can be moved."""

    def __init__(self, home: Path) -> None:
        self.config = home / "fix.toml"
        self.config.write_text(_sessions("00000000-0000-7000-8000-000000000000"))
        self.settings = Settings(
            data_dir=home / "data",
            runtime_dir=home / "run",
            port=free_port(),
            fix_port=free_port(),
            fix_config=self.config,
            admin_key=ADMIN_SECRET,
            snapshot_every=20,
            desk_snapshot_every=400,
        )
        self.said: list[str] = []
        self.venue = Supervisor(self.settings, say=self.said.append, output=subprocess.DEVNULL)

    @contextmanager
    def open(self) -> Iterator[tuple[Driver, MovedByHand]]:
        """The venue with clients in it, and a store beside its own that follows."""
        with self.venue:
            driver = Driver(self.venue, SEED, clients=CLIENTS)
            driver.open()
            self.config.write_text(_sessions(driver.accounts[0]))
            self.venue.kill("fix", signal.SIGHUP)
            move = MovedByHand(
                *(self.venue.dsn, self.settings.partition_schema, OTHER_STORE), Layout.NATIVE
            )
            move.prepare()
            # Mover and projector of the other store are started by the supervisor.
            move.wait_for_views()
            yield driver, move

    def read(self) -> CheckedLog:
        """The log, in the store that is the truth now."""
        store = find_truth(self.venue.dsn, self.settings.partition_schema).address
        return read_log(*store)


def _sessions(account: object) -> str:
    return (
        f'[defaults]\nsender = "NEXUS"\npassword = "{CHEAP_HASH}"\nheartbeat.least = 1\n'
        f'[[session]]\ntarget = "CLIENT-0"\naccounts.MAIN = "{account}"\n'
    )


@pytest.fixture
def moving() -> Iterator[Moving]:
    """A venue of a test's own."""
    home = new_home()
    yield Moving(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.mark.crash
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_everybody_goes_on_where_the_log_goes(moving: Moving) -> None:
    """There, back with processes killed in the middle, and there with a gateway that stands still:
    orders, reads of what was just written, streams, a FIX session and the book of the feed go on,
    each update comes once and in order. Who only waits is refused nothing.
    """

    async def scene(driver: Driver, move: MovedByHand) -> CheckedLog:
        everybody = Everybody(moving.venue, driver)
        await everybody.begin()
        await everybody.more()

        await asyncio.to_thread(move.hold)
        await asyncio.sleep(1.0)
        await asyncio.to_thread(move.release)
        await everybody.more()
        assert 0 == await asyncio.to_thread(move.switch), "somebody stayed in the old store"
        await everybody.more()
        assert 0 == driver.retries, "somebody was refused"

        await asyncio.to_thread(move.switch, lambda: kill(moving.venue, "writer fix"))
        await everybody.more()

        await asyncio.to_thread(moving.venue.kill, "gateway", signal.SIGSTOP)
        assert await asyncio.to_thread(move.switch), "nobody held the old store"
        await asyncio.to_thread(moving.venue.kill, "gateway", signal.SIGCONT)
        await everybody.more()
        log = await everybody.end(moving.read)
        everybody.check(log)
        return log

    with moving.open() as (driver, move):
        log = asyncio.run(scene(driver, move))

        assert OTHER_STORE == log.schema
        log.check()
        repeat_old_requests(moving.venue, driver)
        sessions = nexus(moving.venue, "fix", "sessions", "--json")["sessions"]
        assert ["NEXUS->CLIENT-0"] == [session["session"] for session in sessions]


VICTIMS = (
    *("writer", "standby", "gateway", "fix", "projector", "mover", "peers-projector"),
    *("market-data", "writer standby", "gateway writer"),
)


@pytest.mark.crash
@pytest.mark.soak
@pytest.mark.timeout(600)
def test_whoever_is_killed_in_a_switch_goes_on_in_the_new_store(moving: Moving) -> None:
    """Each process, and two at once, between the hold and the commit; then the old store
    is dropped, and the whole venue starts again, named by either.
    """

    async def scene(driver: Driver, move: MovedByHand) -> CheckedLog:
        everybody = Everybody(moving.venue, driver)
        await everybody.begin()
        for victim in VICTIMS:
            await everybody.more()
            await asyncio.to_thread(move.switch, lambda name=victim: kill(moving.venue, name))
        await everybody.more()
        log = await everybody.end(moving.read)
        everybody.check(log)
        return log

    with moving.open() as (driver, move):
        log = asyncio.run(scene(driver, move))
        assert OTHER_STORE == log.schema
        log.check()
        repeat_old_requests(moving.venue, driver)
        checked = nexus(moving.venue, "audit", "verify", "--json")
        assert len(log.recorded) == checked["events"]
        views = nexus(moving.venue, "projections", "status", "--json")["views"]
        assert {0} == {view["lag"] for view in views}
        old = StoreAddress(moving.venue.dsn, moving.settings.partition_schema)
        finalize(old, old._replace(schema=OTHER_STORE), None)
        repeat_old_requests(moving.venue, driver)
        assert moving.venue.child("projector").pid
    for name in (OTHER_STORE, moving.settings.partition_schema):
        settings = moving.settings.model_copy(update={"partition_schema": name})
        with Supervisor(settings, say=moving.said.append, output=subprocess.DEVNULL) as venue:
            repeat_old_requests(venue, driver)
            assert OTHER_STORE == find_truth(venue.dsn, name).address.schema


def kill(venue: Supervisor, names: str) -> None:
    """Kill processes with -9."""
    for name in names.split():
        venue.kill(name)


def nexus(venue: Supervisor, *arguments: str) -> Any:
    """What a command says of the venue, named by the store in which it began."""
    done = subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        env=venue.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return json.loads(done.stdout)
