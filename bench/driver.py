"""Offers commands to a writer at a steady rate from a process of its own, and times each answer.

The load is open: a command is sent when its time has come, whether or not others were
answered, and its latency counts from that moment, not from when it could be sent.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import UUID

import msgspec
import uvloop

from application.commands import encode_command
from bench.flow import Floor, commands
from bench.report import percentile
from infrastructure.command_bus import _Framed

_ANY_ROWS = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
_TICK_S = 0.001
"""Not less: uvloop rounds to milliseconds, and half of one would spin."""


class Load(_Framed):
    """One connection that sends by the clock."""

    def __init__(self, bodies: list[bytes], rate: float) -> None:
        super().__init__()
        self._bodies = bodies
        self._rate = rate
        self._sent = 0
        self._started = 0.0
        self.latencies: list[float] = []
        self.refused: dict[str, int] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Start the clock."""
        self._started = perf_counter()
        self._tick()

    def _tick(self) -> None:
        due = min(len(self._bodies), int((perf_counter() - self._started) * self._rate) + 1)
        for number in range(self._sent, due):
            self.put((number, "bench", "bench", self._bodies[number]))
        self._sent = due
        if due < len(self._bodies):
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def frame(self, frame: memoryview) -> None:
        """Time the answers in a frame."""
        now = perf_counter() - self._started
        for number, reply in _ANY_ROWS.decode(frame):
            self.latencies.append(now - number / self._rate)
            if b"QUEUE_FULL" in bytes(reply):
                self.refused["QUEUE_FULL"] = self.refused.get("QUEUE_FULL", 0) + 1
        if len(self.latencies) == len(self._bodies) and not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the writer went away"))


async def drive(path: Path, floor: Floor, rate: float, seconds: float, seed: int) -> dict[str, Any]:
    """Offer `rate` commands a second for `seconds`; rates and latencies as they came out."""
    made = commands(floor, int(rate * seconds), seed, f"r{int(rate)}s{seed}")
    bodies = [encode_command(command) for command in made]
    loop = asyncio.get_running_loop()
    _, load = await loop.create_unix_connection(lambda: Load(bodies, rate), str(path))
    gc.collect()
    gc.freeze()
    gc.disable()
    load.begin()
    started = perf_counter()
    await asyncio.wait_for(load.done, seconds * 3 + 30)
    took = perf_counter() - started
    latencies = sorted(load.latencies)
    return {
        "offered_per_s": rate,
        "answered_per_s": round(len(bodies) / took),
        "p50_ms": round(percentile(latencies, 0.5) * 1e3, 3),
        "p99_ms": round(percentile(latencies, 0.99) * 1e3, 3),
        "p999_ms": round(percentile(latencies, 0.999) * 1e3, 3),
        "max_ms": round(latencies[-1] * 1e3, 3),
        "refused": load.refused,
    }


def main() -> None:
    """Read the floor from standard input, print the result as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    args = parser.parse_args()
    given = json.loads(sys.stdin.read())
    floor = Floor([UUID(account) for account in given["accounts"]], given["symbols"])
    print(json.dumps(uvloop.run(drive(args.socket, floor, args.rate, args.seconds, args.seed))))


if __name__ == "__main__":
    main()
