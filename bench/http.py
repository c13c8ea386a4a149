"""Durable orders through HTTP: at fixed rates and as many as go, sent by another process."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.flow import Floor, furnish
from bench.report import goal, machine
from bench.submit import plain_environment, server, venue_processes
from infrastructure.command_bus import UnixSocketBus

CONNECTIONS = 32
GOAL_PER_S = 3_000
RATES = (1_000, 2_000, 3_000)
START_SECONDS = 30.0
MIX = "orders only: 86 % resting limits, 14 % marketable (half market, half limit ioc)"


@contextmanager
def gateway_process(dsn: str, schema: str, home: Path, workers: int) -> Iterator[tuple[str, str]]:
    """A gateway on a free port; yields its address and the operator's secret."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret = secrets.token_urlsafe(32)
    environment = {
        **plain_environment(),
        "NEXUS_DATABASE_URL": dsn,
        "NEXUS_SCHEMA": schema,
        "NEXUS_BUS_PATH": str(home / "bus"),
        "NEXUS_DATA_DIR": str(home / "data"),
        "NEXUS_RUNTIME_DIR": str(home / "run"),
        "NEXUS_ADMIN_KEY": secret,
        "NEXUS_PORT": str(port),
    }
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "api.cli.main",
            "serve",
            "--only",
            "gateway",
            "--workers",
            str(workers),
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}", secret
    finally:
        process.terminate()
        process.wait(30)


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


def _until_ready(operator: httpx.Client) -> None:
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            if operator.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            if time.monotonic() > ends:
                raise
        if time.monotonic() > ends:
            raise RuntimeError("the gateway is not ready")
        time.sleep(0.1)


def drive(
    address: str, floor: Floor, keys: list[dict[str, str]], rate: int, seconds: float, seed: int
) -> dict[str, Any]:
    """Have another process send orders; a rate of 0 means as fast as answers come."""
    given = {
        "address": address,
        "accounts": [str(account) for account in floor.accounts],
        "symbols": floor.symbols,
        "keys": keys,
        "rate": rate,
        "seconds": seconds,
        "connections": CONNECTIONS,
        "seed": seed,
    }
    finished = subprocess.run(
        [sys.executable, "-m", "bench.http_driver"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
        env=plain_environment(),
    )
    if finished.returncode:
        raise RuntimeError(finished.stderr)
    measured: dict[str, Any] = json.loads(finished.stdout)
    return measured


def run(*, seconds: float = 10.0, workers: int = 1, seed: int = 7) -> dict[str, Any]:
    """Measure in a venue of its own: store, writer, projector, gateway and driver."""
    figures: dict[str, Any] = {"gateway_workers": workers, "connections": CONNECTIONS}
    about = machine()
    schema = "bench_http"
    home = Path(tempfile.mkdtemp(prefix="nxhttp-"))
    try:
        with server() as store, venue_processes(store.dsn(), schema, home) as path:
            floor = asyncio.run(_furnish(path))
            with gateway_process(store.dsn(), schema, home, workers) as (address, secret):
                keys = keys_of(address, secret, len(floor.accounts))
                drive(address, floor, keys, RATES[0], 2.0, seed)
                for number, rate in enumerate(RATES, start=1):
                    shown = drive(address, floor, keys, rate, seconds, seed + number)
                    figures |= {f"at_{rate}_{name}": value for name, value in shown.items()}
                shown = drive(address, floor, keys, 0, seconds, seed + 99)
                figures |= {f"saturated_{name}": value for name, value in shown.items()}
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return {
        "figures": figures,
        "machine": about,
        "mix": MIX,
        "left_out": "TLS and a network: all processes share this machine's "
        f"{os.cpu_count()} cores, the driver among them",
        "goals": [
            goal("durable orders/s through HTTP", figures["saturated_answered_per_s"], GOAL_PER_S),
        ],
    }


async def _furnish(path: Path) -> Floor:
    bus = UnixSocketBus(path, timeout=START_SECONDS)
    try:
        return await furnish(bus)
    finally:
        await bus.close()
