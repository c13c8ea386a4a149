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
from bench.processor import until_idle
from bench.report import Progress
from bench.timescale_backfill import GO_ON, PAUSE
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
        self.bus = bus
        self._floor = floor
        self._seed = seed
        self._drives = 0

    def at(self, rate: int, seconds: float) -> dict[str, Any]:
        """Offer orders at a rate, at 0 as many as go."""
        self._drives += 1
        given = {
            "kind": "commands",
            "socket": str(self.bus),
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
    with Process("writer", environment | NO_SNAPSHOTS) as writer:
        uvloop.run(until_it_leads(home / "bus"))
        # It reads the keys of the past beside its work, which is no part of what is measured.
        until_idle(writer.pid)
        yield Orders(home / "bus", floor, seed)


@contextmanager
def backfilling(pair: Pair, orders: Orders, beside: Beside) -> Iterator[subprocess.Popen[str]]:
    """A backfill as a process of its own that has begun, ended afterwards wherever it is."""
    given = {
        "source": list(pair.source),
        "target": list(pair.target),
        "range_positions": beside.range_positions,
        "latency_ms": beside.latency_ms,
        "bus": str(orders.bus),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.timescale_backfill", json.dumps(given)],
        env=plain_environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()


_QUIET_TURNS = 3
OUTLASTED = "it went on to the end of the turns"
_FINDS_ITS_PACE_SECONDS = 10.0
"""A backfill begins slowly, and goes faster while commits stay quick."""
_COMMITS_WITHIN_SECONDS = 3.0


class Beside(NamedTuple):
    """A backfill beside orders: how many of these a second, and how the backfill goes about it."""

    rate: int
    range_positions: int
    latency_ms: float
    """What a commit, or an answer of the writer, may take until it slows down."""


def saturated(orders: Orders, seconds: float) -> int:
    """Orders a second that are answered when as many are sent as go."""
    orders.at(500, min(1.0, seconds))
    return int(orders.at(0, seconds)["answered_per_s"])


def quiet_p99_ms(source: StoreAddress, orders: Orders, rate: int, offered: Offered) -> float:
    """What orders feel while nothing is copied: the server has written what it was filled with."""
    taken = []
    for _ in range(_QUIET_TURNS):
        checkpoint(source.dsn)
        taken.append(orders.at(rate, offered.seconds)["p99_ms"])
    return float(median(taken))


def by_turns(
    pair: Pair, orders: Orders, beside: Beside, offered: Offered, say: Progress
) -> dict[str, Any]:
    """Each turn without a backfill and with one, which pauses meanwhile; what it brought."""
    without, with_it = [], []
    missing = missing_rows(pair)
    with backfilling(pair, orders, beside) as process:
        orders.at(beside.rate, min(_FINDS_ITS_PACE_SECONDS, 2 * offered.seconds))
        for turn in range(offered.turns):
            say(f"orders without and with a backfill: turn {turn + 1} of {offered.turns}")
            process.send_signal(PAUSE)
            # What it was bringing is committed: stopped in the middle it would hold versions back.
            time.sleep(_COMMITS_WITHIN_SECONDS)
            checkpoint(pair.source.dsn)
            without.append(orders.at(beside.rate, offered.seconds)["p99_ms"])
            checkpoint(pair.source.dsn)
            process.send_signal(GO_ON)
            with_it.append(orders.at(beside.rate, offered.seconds)["p99_ms"])
        outlasted = process.poll() is None
    return {
        "p99_ms without it": round(median(without), 3),
        "p99_ms with it": round(median(with_it), 3),
        "times": round(median(with_it) / median(without), 2),
        "p99_ms of each turn, without and with it": [
            list(turn) for turn in zip(without, with_it, strict=True)
        ],
        "rows brought by the end of the turns": missing - missing_rows(pair),
        OUTLASTED: outlasted,
    }


def until_it_ends(pair: Pair, orders: Orders, beside: Beside) -> dict[str, Any]:
    """Let the backfill end while orders go on; how long it took for how many rows."""
    rows = missing_rows(pair)
    began = time.perf_counter()
    p99s = []
    with backfilling(pair, orders, beside) as process:
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
