"""Orders while a backfill runs beside them: by turns without and with it, and until its end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import uvloop

from bench.driving import Driver
from bench.flow import Floor
from bench.report import Progress
from bench.timescale_stores import Pair, missing_rows
from bench.venue import (
    NO_SNAPSHOTS,
    Process,
    checkpoint,
    environment_of,
    plain_environment,
    until_it_leads,
)
from infrastructure.log.stores import StoreAddress

_WAITS_SECONDS = 3_600.0


class Offered(NamedTuple):
    """How long each turn is, and how many there are."""

    turns: int = 5
    seconds: float = 4.0


class Orders:
    """A writer that leads a store, and who offers it orders."""

    def __init__(self, bus: Path, floor: Floor, seed: int) -> None:
        self._bus = bus
        self._floor = floor
        self._seed = seed
        self._drives = 0

    def at(self, rate: int, seconds: float) -> dict[str, Any]:
        """Offer orders at a rate, at 0 as many as go."""
        self._drives += 1
        given = {
            "kind": "commands",
            "socket": str(self._bus),
            "accounts": [str(account) for account in self._floor.accounts],
            "symbols": self._floor.symbols,
            "rate": rate,
            "seconds": seconds,
            "seed": self._seed + self._drives,
        }
        with Driver("bench.driver", given) as driver:
            return driver.go()


@contextmanager
def trading(source: StoreAddress, home: Path, floor: Floor, seed: int) -> Iterator[Orders]:
    """A writer that leads a store."""
    environment = environment_of(source.dsn, source.schema, home)
    with Process("writer", environment | NO_SNAPSHOTS):
        uvloop.run(until_it_leads(home / "bus"))
        yield Orders(home / "bus", floor, seed)


@contextmanager
def backfilling(pair: Pair, beside: Beside) -> Iterator[subprocess.Popen[str]]:
    """A backfill as a process of its own, ended afterwards wherever it is."""
    given = {
        "source": list(pair.source),
        "target": list(pair.target),
        "range_positions": beside.range_positions,
        "latency_ms": beside.latency_ms,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.timescale_backfill", json.dumps(given)],
        env=plain_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


_SMALL_RANGE = 2_000
"""In the turns, which end in the midst: a range that is not whole then was copied for nothing."""


class Beside(NamedTuple):
    """A backfill beside orders: how many of these a second, and how the backfill goes about it."""

    rate: int
    range_positions: int
    latency_ms: float
    """What a commit may take until it slows down."""


def saturated(orders: Orders, seconds: float) -> int:
    """Orders a second that are answered when as many are sent as go."""
    orders.at(500, min(1.0, seconds))
    return int(orders.at(0, seconds)["answered_per_s"])


def by_turns(
    pair: Pair, orders: Orders, beside: Beside, offered: Offered, say: Progress
) -> dict[str, Any]:
    """Each turn without a backfill and with one; what it brought meanwhile."""
    without, with_it = [], []
    missing = missing_rows(pair)
    for turn in range(offered.turns):
        say(f"orders without and with a backfill: turn {turn + 1} of {offered.turns}")
        checkpoint(pair.source.dsn)
        without.append(orders.at(beside.rate, offered.seconds)["p99_ms"])
        checkpoint(pair.source.dsn)
        with backfilling(pair, beside._replace(range_positions=_SMALL_RANGE)):
            with_it.append(orders.at(beside.rate, offered.seconds)["p99_ms"])
    return {
        "p99_ms without it": round(median(without), 3),
        "p99_ms with it": round(median(with_it), 3),
        "times": round(median(with_it) / median(without), 2),
        "rows brought in the turns": missing - missing_rows(pair),
    }


def until_it_ends(pair: Pair, orders: Orders, beside: Beside) -> dict[str, Any]:
    """Let the backfill end while orders go on; how long it took for how many rows."""
    rows = missing_rows(pair)
    began = time.perf_counter()
    p99s = []
    with backfilling(pair, beside) as process:
        while process.poll() is None:
            p99s.append(orders.at(beside.rate, 2.0)["p99_ms"])
            if time.perf_counter() - began > _WAITS_SECONDS:
                raise RuntimeError("the backfill does not end")
    seconds = time.perf_counter() - began
    return {
        "ended": missing_rows(pair) == 0,
        "rows": rows,
        "seconds": round(seconds, 1),
        "rows/s": round(rows / seconds),
        "p99_ms": round(median(p99s), 3) if p99s else 0.0,
    }
