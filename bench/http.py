"""Durable orders through HTTP, by turns with an empty handler in a process served the same way."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import httpx
import uvloop

from bench.driving import Driver
from bench.flow import Floor
from bench.processor import Meter
from bench.rates import measure
from bench.report import Progress, goal, machine, say
from bench.submit import views_behind
from bench.turns import median_of
from bench.venue import (
    Process,
    environment_of,
    furnished,
    plain_environment,
    server,
    short_home,
    venue_processes,
)

QUICK = {"seconds": 1.0, "turns": 1, "rates": (500,)}
CONNECTIONS = 32
RATES = (500, 1_000, 2_000)
START_SECONDS = 30.0
MIX = "orders only: 86 % resting limits, 14 % marketable (half market, half limit ioc)"
OURS = "saturated"
EMPTY = "an empty handler, saturated"
PROCESSOR = "processor us a request"
_SCHEMA = "bench_http"

BESIDE_EMPTY = 0.25
GATEWAY_TIMES_EMPTY = 4


@contextmanager
def gateway_process(environment: dict[str, str], workers: int) -> Iterator[tuple[str, str, int]]:
    """A gateway on a free port; yields its address, the operator's secret and its id."""
    port = free_port()
    secret = secrets.token_urlsafe(32)
    own = environment | {"NEXUS_ADMIN_KEY": secret, "NEXUS_PORT": str(port)}
    with Process("gateway", own, ("--workers", str(workers))) as process:
        yield f"http://127.0.0.1:{port}", secret, process.pid


@contextmanager
def empty_process() -> Iterator[tuple[str, int]]:
    """An empty handler on a free port; yields its address and its id."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.empty_gateway", "--port", str(port)],
        env=plain_environment(),
        stdout=subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=address, timeout=10) as client:
            _until_ready(client)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def keys_of(address: str, secret: str, accounts: int) -> list[dict[str, str]]:
    """A key for each account of the floor, once the venue is ready."""
    headers = {"APCA-API-KEY-ID": "admin", "APCA-API-SECRET-KEY": secret}
    with httpx.Client(base_url=address, headers=headers, timeout=10) as operator:
        _until_ready(operator)
        keys = []
        for number in range(accounts):
            answer = operator.post("/admin/accounts", json={"name": f"bench {number}"})
            answer.raise_for_status()
            issued = answer.json()
            keys.append({"id": issued["key_id"], "secret": issued["secret_key"]})
        return keys


def _until_ready(client: httpx.Client) -> None:
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            if time.monotonic() > ends:
                raise
        if time.monotonic() > ends:
            raise RuntimeError("the gateway is not ready")
        time.sleep(0.1)


class Requests(NamedTuple):
    """Who sends orders, and with what keys."""

    floor: Floor
    keys: list[dict[str, str]]

    def through(self, address: str, rate: int, seconds: float, seed: int) -> Driver:
        """A driver that sends them; a rate of 0 means as fast as answers come."""
        given = {
            "address": address,
            "accounts": [str(account) for account in self.floor.accounts],
            "symbols": self.floor.symbols,
            "keys": self.keys,
            "rate": rate,
            "seconds": seconds,
            "connections": CONNECTIONS,
            "seed": seed,
        }
        return Driver("bench.http_driver", given)


class Side(NamedTuple):
    """One of the two that are compared: where it listens, and what is read of it."""

    address: str
    meter: Meter
    lag: Callable[[], int]

    def at_rate(self, requests: Requests, rate: int, seconds: float, seed: int) -> dict[str, Any]:
        """Send orders; figures, and the processor of each by process."""
        with requests.through(self.address, rate, seconds, seed) as driver:
            return measure(driver, self.meter, self.lag, PROCESSOR)


def run(
    *,
    seconds: float = 5.0,
    turns: int = 5,
    rates: tuple[int, ...] = RATES,
    workers: int = 1,
    seed: int = 7,
    say: Progress = say,
) -> dict[str, Any]:
    """Measure in a venue of its own: store, writer, projector, gateway and driver."""
    about = machine()
    with server() as store, short_home() as home:
        dsn, postmaster = store.dsn(), store.pid
        assert postmaster is not None
        environment = environment_of(dsn, _SCHEMA, home)
        with (
            venue_processes(dsn, _SCHEMA, home) as processes,
            gateway_process(environment, workers) as (address, secret, gateway),
            empty_process() as (empty_address, empty),
            Meter(dsn, postmaster, {"gateway": gateway, **processes.pids}) as meter,
            Meter(dsn, postmaster, {"gateway": empty}) as empty_meter,
        ):
            floor = uvloop.run(furnished(processes.bus))
            requests = Requests(floor, keys_of(address, secret, len(floor.accounts)))
            ours = Side(address, meter, partial(views_behind, dsn, _SCHEMA))
            bare = Side(empty_address, empty_meter, lambda: 0)
            ours.at_rate(requests, 500, min(2.0, seconds), seed)
            names = {f"at {rate}/s": rate for rate in rates} | {OURS: 0}
            runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (*names, EMPTY)}
            for turn in range(turns):
                for number, (name, rate) in enumerate(names.items(), start=1):
                    say(f"through the gateway, {name}: turn {turn + 1} of {turns}")
                    own_seed = seed + 100 * turn + number
                    runs[name].append(ours.at_rate(requests, rate, seconds, own_seed))
                say(f"{EMPTY}: turn {turn + 1} of {turns}")
                runs[EMPTY].append(bare.at_rate(requests, 0, min(2.0, seconds), seed + turn))
    figures = {name: median_of(of_turns) for name, of_turns in runs.items()}
    return {
        "figures": {"gateway workers": workers, "connections": CONNECTIONS, **figures},
        "machine": about,
        "mix": MIX,
        "turns": f"the median of {turns}",
        "left_out": "TLS and a network; a standby. Gateway, writer, projector, PostgreSQL and"
        " the driver share the cores; the empty handler is served by one process",
        "goals": goals(figures),
    }


def goals(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Judge what a durable order costs by what any request costs."""
    ours, bare = figures[OURS], figures[EMPTY]
    gateway = ours[PROCESSOR]["gateway"] / bare[PROCESSOR]["gateway"]
    return [
        goal(
            "durable orders/s beside an empty handler's answers",
            round(ours["answered_per_s"] / bare["answered_per_s"], 2),
            BESIDE_EMPTY,
        ),
        goal(
            "the gateway's processor, times an empty handler's",
            round(gateway, 1),
            GATEWAY_TIMES_EMPTY,
            at_most=True,
        ),
    ]
