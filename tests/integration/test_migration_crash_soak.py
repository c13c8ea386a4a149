"""A whole move of a venue under orders while everything that takes part in it is killed with -9."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from api.processes.supervisor import Supervisor
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, find_truth
from infrastructure.settings import Settings
from tests.conftest import dsn_of
from tests.homes import new_home
from tests.log_checks import check_replay
from tests.moved_under_orders import Orders, check_orders
from tests.order_driver import ADMIN_SECRET, free_port

pytestmark = [pytest.mark.soak, pytest.mark.crash]

SEED = int(os.environ.get("SOAK_SEED", "20261130"))
ROUND_TRIPS = 3
ORDERS_A_SECOND = 300
VICTIMS = ("writer", "standby", "mover", "projector", "peers-projector", "postgres", "gateway")
PATIENCE_SECONDS = 180


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory of the venue's own that the server's user can reach."""
    made = new_home()
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Target(NamedTuple):
    """A store to be: its layout, its schema, and its server where that is another."""

    layout: Layout
    schema: str
    dsn: str | None

    def words(self) -> list[str]:
        """What the plan is told of it."""
        server = [] if self.dsn is None else ["--target-dsn", self.dsn]
        return [*server, "--target-schema", self.schema, "--layout", str(self.layout)]


class Operator:
    """Takes the steps of a move, each of which is killed, or something beside it, once or more."""

    def __init__(self, venue: Supervisor, orders: Orders, told: Path) -> None:
        self._venue = venue
        self._orders = orders
        self._told = told
        self._chance = random.Random(SEED)
        self.killed: list[str] = []

    def step(self, *words: str, kills: int, takes: float = 1.0) -> None:
        """Take a step until it is taken, with kills in the midst of it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        left = kills
        while True:
            runner = self._begin(*words)
            if left:
                self._kill_something(runner, words[0], takes)
                left -= 1
            out, err = runner.communicate(timeout=PATIENCE_SECONDS)
            if runner.returncode == 0 and not left:
                break
            self._judge(words[0], out)
            assert time.monotonic() < deadline, (words, out, err, self.killed[-5:])
            time.sleep(0.2)
        self._go_on()

    def _go_on(self) -> None:
        """Wait until orders are answered again; otherwise say how everything stands."""
        try:
            self._orders.go_on(ORDERS_A_SECOND // 10, seconds=PATIENCE_SECONDS)
        except AssertionError as missing:
            told = self._told.read_text(errors="replace").splitlines()[-60:]
            with psycopg.connect(self._venue.dsn) as conn:
                sessions = conn.execute(
                    "SELECT application_name, state, wait_event, now() - xact_start,"
                    " left(query, 120) FROM pg_stat_activity WHERE application_name LIKE 'nexus%'"
                ).fetchall()
            said = [f"{missing}, killed {self.killed[-5:]}", *map(str, sessions), *told]
            raise AssertionError("\n".join(said)) from missing

    def _begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "api.cli.main", "timescale", *words, "--json"],
            env=self._venue.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _kill_something(self, runner: subprocess.Popen[str], word: str, takes: float) -> None:
        # Half of the time it is the runner itself, somewhere in its work and not in its imports.
        victim = self._chance.choice(("runner", self._chance.choice(VICTIMS)))
        with suppress(subprocess.TimeoutExpired):
            runner.wait(0.4 + takes * self._chance.random())
        if victim == "runner":
            runner.kill()
        else:
            try:
                self._venue.kill(victim)
            except StopIteration:
                # There is no follower yet, or no more.
                victim = "writer"
                self._venue.kill(victim)
        self.killed.append(f"{victim} in {word}")

    def _judge(self, word: str, out: str) -> None:
        """A step may be refused for a moment, but nothing is ever found unequal."""
        if word == "verify" and out.strip():
            found = json.loads(out)
            assert [] == found["differences"], (found, self.killed[-5:])


def query(store: StoreAddress, text: str) -> Sequence[tuple[object, ...]]:
    """Rows of a store."""
    with psycopg.connect(store.dsn) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(store.schema)))
        return conn.execute(text.encode()).fetchall()


@pytest.fixture(params=[Layout.NATIVE, pytest.param(Layout.TIMESCALE, marks=pytest.mark.timescale)])
def to(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Where the log moves to: beside where it is, or to a server that nobody kills."""
    if request.param is Layout.NATIVE:
        yield Target(request.param, "partition_0_in_parts", None)
        return
    target = Target(
        request.param, f"killed_{uuid.uuid4().hex[:12]}", dsn_of(request, request.param)
    )
    yield target
    assert target.dsn is not None
    with psycopg.connect(target.dsn, autocommit=True) as conn:
        conn.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(target.schema))
        )


@pytest.mark.timeout(1800)
def test_nothing_is_lost_doubled_or_out_of_order_in_a_move_that_is_killed(
    home: Path, to: Target
) -> None:
    """Thirty kills of writer, standby, mover, projectors, the venue's PostgreSQL and the steps
    themselves, from the plan to the end, with three hundred orders a second and more.
    """
    settings = Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
        desk_snapshot_every=2000,
    )
    told = home / "venue.log"
    with (
        told.open("w") as output,
        Supervisor(settings, say=lambda text: print(text, file=output), output=output) as venue,
    ):
        entry = StoreAddress(venue.dsn, settings.partition_schema)
        with Orders(settings.bus_socket, clients=16) as orders:
            operator = Operator(venue, orders, told)
            began = time.monotonic()
            orders.go_on(2000, seconds=PATIENCE_SECONDS)
            operator.step("plan", *to.words(), kills=1)
            operator.step("prepare", kills=3)
            operator.step("dual-write", kills=3)
            operator.step("backfill", "--range", "1000", "--rate", "2000", kills=4, takes=4)
            operator.step("verify", kills=2, takes=3)
            for _ in range(ROUND_TRIPS):
                operator.step("cutover", kills=3, takes=1.5)
                operator.step("rollback", kills=2, takes=1.5)
                operator.step("verify", kills=1, takes=3)
            operator.step("cutover", kills=2, takes=1.5)
            operator.step("finalize", "--without-export", kills=2)
            orders.go_on(500, seconds=PATIENCE_SECONDS)
            rate = orders.answers / (time.monotonic() - began)
        truth = find_truth(*entry)
        assert (to.schema, None) == (truth.address.schema, truth.peer)
        check_orders(orders, truth.address)
        check_replay(*truth.address, settings.bus_socket)
        heads = query(
            truth.address,
            "SELECT originator_id, count(*), max(originator_version) FROM stored_events"
            " GROUP BY 1 EXCEPT SELECT originator_id, version, version FROM stream_heads",
        )
        assert [] == heads
    print(f"{len(operator.killed)} kills, {rate:.0f} answers/s: {operator.killed}")
    assert 30 <= len(operator.killed)
    assert ORDERS_A_SECOND <= rate
