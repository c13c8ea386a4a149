"""`nexus serve`: everything starts with one command, and nothing stays behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.cli.exit_codes import Exit
from api.processes.environment import SOURCES
from domain.identifiers import command_number
from infrastructure.journal import read_journal
from tests.homes import new_home
from tests.log_checks import read_log
from tests.served import Served
from tests.writer_process import BusClient, Partition, partition, wait_until

pytestmark = pytest.mark.crash


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the venue's own that the server's user can reach."""
    made = new_home()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which somebody listens already."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def test_gateway_whose_port_is_taken_says_so_in_a_line(home: Path, taken_port: int) -> None:
    """By a stranger, between two starts of it; whoever looks after it tries again."""
    assert Exit.OK == ended_with(home, "db", "migrate").returncode
    ended = ended_with(home, "serve", "--only", "gateway", "--port", str(taken_port))
    assert Exit.STORE_UNAVAILABLE == ended.returncode, ended.stderr
    assert [f"gateway cannot listen on port {taken_port}: Address already in use"] == (
        ended.stderr.splitlines()
    )


def test_gateway_alone_serves_no_store_that_was_not_migrated(home: Path) -> None:
    """It would have the owner's rights there: it says so, and what makes a store of it."""
    ended = ended_with(home, "serve", "--only", "gateway")
    assert Exit.MIGRATION == ended.returncode, ended.stderr
    assert "nexus db migrate" in ended.stdout
    assert "gateway is not served with all of the owner's rights" in ended.stdout


def ended_with(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command on a home, as it ended."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NEXUS_")}
    environment |= {"PYTHONPATH": SOURCES, "NEXUS_DATA_DIR": str(home / "data")}
    return subprocess.run(
        [sys.executable, "-m", "api.cli.main", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def answers(url: str) -> bool:
    """Whether the gateway there is well."""
    try:
        return httpx.get(url + "/healthz").status_code == 200
    except httpx.TransportError:
        return False


def test_serve_takes_the_next_free_port_and_closes_with_ctrl_c(home: Path, taken_port: int) -> None:
    """One line for each thing that is ready; the port that is used is named; nothing stays."""
    served = Served(home, taken_port)
    try:
        served.opens()
        assert f"port {taken_port} is taken" in served.said
        url = served.url
        assert not url.endswith(f":{taken_port}")
        assert answers(url)
        for thing in ("store ready", "writer ready", "gateway ready", "admin key"):
            assert 1 == served.said.count(thing), thing
        assert 6 <= len(served.processes())
        served.process.send_signal(signal.SIGINT)
        assert Exit.OK == served.process.wait(60)
        assert "the venue is closed" in served.said
        assert "Traceback" not in served.said
        assert [] == served.processes()
    finally:
        served.process.kill()
        served.process.wait()


@pytest.mark.parametrize("when", ["open", "starting"])
def test_no_process_outlives_a_supervisor_that_is_killed(home: Path, when: str) -> None:
    """kill -9 of the supervisor: its processes leave by themselves, and the last one stops
    PostgreSQL, also when the venue was not open yet.
    """
    served = Served(home, 20_000 + os.getpid() % 20_000)
    try:
        if when == "open":
            served.opens()
        else:
            served.says("store ready")
            wait_until(lambda: len(served.processes()) > 4, "its processes to start")
    finally:
        served.process.kill()
        served.process.wait()
    wait_until(
        lambda: not served.processes(),
        "all of its processes to end",
        seconds=60,
    )


def test_workers_of_a_killed_gateway_are_not_left_behind(home: Path) -> None:
    """The gateway is started again, with as many processes as before."""
    served = Served(home, 20_000 + os.getpid() % 20_000, "--workers", "2")
    try:
        served.opens()
        wait_until(lambda: len(served.processes("multiprocessing.spawn")) == 1, "both workers")
        (gateway,) = served.processes("--only\0gateway")
        (worker,) = served.processes("multiprocessing.spawn")
        os.kill(gateway, signal.SIGKILL)
        wait_until(lambda: worker not in served.processes(), "the worker to be gone")
        wait_until(lambda: len(served.processes("multiprocessing.spawn")) == 1, "a new one")
        url = served.url
        wait_until(lambda: answers(url), "the gateway to answer again")
    finally:
        served.process.send_signal(signal.SIGTERM)
        assert Exit.OK == served.process.wait(60)
    assert [] == served.processes()


def test_record_holds_every_command_of_the_log_through_takeovers(
    schema: Any,
) -> None:
    """Leader and standby record into one file: each event's command is there, once, in order."""

    async def trade(venue: Partition) -> None:
        client = BusClient(venue.bus_path)
        await client.open()
        stop = asyncio.Event()
        trading = asyncio.gather(*[client.trade(stop, f"t{i}") for i in range(4)])
        for number in range(4):
            await client.answered_more(30)
            if number % 2:
                await asyncio.to_thread(venue.end_writers_backend)
            else:
                successor = venue.start("--record", str(record))
                await asyncio.to_thread(successor.says, "standing by")
                leader = await asyncio.to_thread(venue.leader)
                leader.signal(signal.SIGKILL)
        await client.answered_more(30)
        stop.set()
        await trading
        await client.bus.close()

    with partition(schema.dsn, schema.schema) as venue:
        record = venue.home / "commands"
        venue.start("--record", str(record))
        venue.leader()
        asyncio.run(asyncio.wait_for(trade(venue), 90))
        log = read_log(venue.dsn, venue.schema)
        entries = list(read_journal(record))
    assert sorted({entry.number for entry in entries}) == [entry.number for entry in entries]
    recorded = {entry.number: entry for entry in entries}
    of_log = {command_number(event.correlation_id): event for event in log.events}
    assert len(of_log) > 100
    assert set(of_log) <= set(recorded)
    for number, event in of_log.items():
        entry = recorded[number]
        assert (event.at, event.actor, event.gateway) == (entry.at, entry.actor, entry.gateway)
