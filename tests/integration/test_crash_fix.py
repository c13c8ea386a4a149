"""FIX sessions while gateway, writer and PostgreSQL are killed -9 with orders in flight."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest

from api.fix.codec import Message
from api.processes.supervisor import Supervisor
from domain.events import OrderAccepted, OrderEvent, OrderFilled
from domain.money import QTY_UNIT
from infrastructure.settings import Settings
from tests.fix_client import Away, FixClient
from tests.fix_settings import CHEAP_HASH, PASSWORD
from tests.fix_trader import FixTrader
from tests.homes import new_home
from tests.log_checks import CheckedLog, read_log
from tests.order_driver import ADMIN_SECRET, SYMBOL, Driver, free_port

pytestmark = pytest.mark.crash

SEED = 20261130
CLIENTS = 2


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the venue's own that the server's user can reach."""
    made = new_home()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def file_of(accounts: Sequence[object]) -> str:
    """A session for each account."""
    said = f'[defaults]\nsender = "NEXUS"\npassword = "{CHEAP_HASH}"\nheartbeat.least = 1\n'
    for number, account in enumerate(accounts):
        said += f'[[session]]\ntarget = "CLIENT-{number}"\naccounts.MAIN = "{account}"\n'
    return said


async def killed_in_flight(
    venue: Supervisor, traders: Sequence[FixTrader], victims: Sequence[str], orders: int
) -> None:
    """Kill with so many orders under way; before the next kill all are answered. At the end
    everything that the log holds for a session has been told to it.
    """
    chance = random.Random(SEED)
    stop = asyncio.Event()
    trading = [asyncio.create_task(one.run(stop)) for one in traders]
    while not all(one.connected for one in traders):
        await asyncio.sleep(0.02)
    for victim in victims:
        for one in traders:
            one.burst(orders // len(traders))
        await asyncio.sleep(chance.random() * 0.1)
        before = [one.logons for one in traders]
        for name in victim.split():
            await asyncio.to_thread(venue.kill, name)
        await asyncio.gather(*(one.answered() for one in traders))
        if "fix" in victim.split():
            # All may have been answered before: the next kill finds them connected again.
            async with asyncio.timeout(60):
                while any(one.logons == had for one, had in zip(traders, before, strict=True)):
                    await asyncio.sleep(0.02)
        else:
            # A heartbeat needs no store and no writer: clients stay while those recover.
            assert before == [one.logons for one in traders]
    log = await asyncio.to_thread(read_log, venue.dsn, venue.settings.partition_schema)
    owed = sum(len(events) for one in traders for events in owed_to(one, log).values())
    async with asyncio.timeout(60):
        while sum(len(one.reports) for one in traders) < owed:
            await asyncio.sleep(0.05)
    stop.set()
    await asyncio.wait_for(asyncio.gather(*trading), 60)
    await told_to_leave(venue)


async def told_to_leave(venue: Supervisor) -> None:
    """A gateway that is asked to leave logs its clients out, and one after it takes them."""
    client = FixClient(venue.fix_port, "CLIENT-0", PASSWORD)
    async with asyncio.timeout(30):
        while not client.connected:
            # Its former connection may still be ending.
            with suppress(Away):
                await client.log_on(reset=True)
    assert await asyncio.to_thread(venue.kill, "fix", signal.SIGTERM)
    await client.until(lambda: [one for one in client.session_messages if one.msg_type == b"5"])
    await client.log_out()
    assert not client.connected and [] == client.memory.wrong


def owed_to(trader: FixTrader, log: CheckedLog) -> dict[str, list[OrderEvent]]:
    """The events of a session's orders, by order and in the order of the log."""
    door = f"fix:NEXUS->{trader.target}"
    found: dict[str, list[OrderEvent]] = {}
    for event in log.events:
        if isinstance(event, OrderAccepted) and event.gateway == door:
            found[str(event.originator_id)] = []
        if isinstance(event, OrderEvent) and str(event.originator_id) in found:
            found[str(event.originator_id)].append(event)
    return found


def play(home: Path, victims: Sequence[str], orders: int) -> None:
    """Kill, and hold what the clients were told against the log."""
    config = home / "fix.toml"
    config.write_text(file_of(["00000000-0000-7000-8000-000000000000"]))
    settings = Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        fix_port=free_port(),
        fix_config=config,
        admin_key=ADMIN_SECRET,
        desk_snapshot_every=2_000,
    )
    said: list[str] = []
    with Supervisor(settings, say=said.append, output=subprocess.DEVNULL) as venue:
        driver = Driver(venue, SEED, clients=CLIENTS)
        driver.open()
        config.write_text(file_of(driver.accounts))
        venue.kill("fix", signal.SIGHUP)
        traders = [
            FixTrader(lambda: venue.fix_port, f"CLIENT-{n}", SYMBOL, SEED + n)
            for n in range(CLIENTS)
        ]
        asyncio.run(killed_in_flight(venue, traders, victims, orders))
        log = read_log(venue.dsn, settings.partition_schema)
        log.check()
    for one in traders:
        assert [] == one.wrong
        assert {} == one.twice()
        owed = owed_to(one, log)
        told: dict[str, list[Message]] = {}
        for message in one.reports:
            told.setdefault((message.get(37) or b"").decode(), []).append(message)
        assert sorted(one.orders) == sorted(reports[0].get(11) or b"" for reports in told.values())
        assert {order_id: len(events) for order_id, events in owed.items()} == {
            order_id: len(reports) for order_id, reports in told.items()
        }
        for order_id, reports in told.items():
            fills = [event for event in owed[order_id] if isinstance(event, OrderFilled)]
            shown = [Decimal((report.get(32) or b"0").decode()) for report in reports]
            assert [fill.qty for fill in fills] == [int(qty * QTY_UNIT) for qty in shown if qty]
            done = [Decimal((report.get(14) or b"0").decode()) for report in reports]
            assert sum(shown) == done[-1] and done == sorted(done)


def test_order_in_flight_over_fix_is_once_there_whatever_is_killed(home: Path) -> None:
    """Clients resume with the numbers they have: nothing is told twice or under two numbers."""
    play(home, ("fix", "writer postgres"), 300)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_two_thousand_orders_in_flight_over_fix_are_once_there(home: Path) -> None:
    """Twenty kills, alone and together, each with 2,000 orders under way."""
    chance = random.Random(SEED)
    victims = [
        *("fix", "writer", "postgres", "fix writer", "fix postgres", "writer postgres"),
        *("projector", "fix writer postgres", "gateway"),
    ]
    victims += [chance.choice(victims) for _ in range(20 - len(victims))]
    play(home, victims, 2_000)
