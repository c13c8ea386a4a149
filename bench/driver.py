"""Offers commands to a writer from a process of its own, and times each answer.

At a rate the load is open: a command is sent when its time has come, whether or not others
were answered, and its latency counts from that moment, not from when it could be sent. At a
rate of 0 as many go as are answered, with so many under way, and latency counts from sending.
The same process also commits single rows, to have what a commit takes here beside it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter, process_time_ns
from typing import Any
from uuid import UUID

import msgspec
import uvloop

from application.commands import encode_command
from bench.driving import settle, until_told
from bench.flow import Floor, commands
from bench.one_row import OneRow
from bench.report import latencies_of
from infrastructure.command_bus import _Framed

_ANY_ROWS = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]])
_TICK_S = 0.001
"""Not less: uvloop rounds to milliseconds, and half of one would spin."""
_MOST_PER_S = 30_000
_UNDER_WAY = 2_000


class Load(_Framed):
    """One connection that sends by the clock, or by the answers when there is no rate."""

    def __init__(self, bodies: list[bytes], rate: float, seconds: float) -> None:
        super().__init__()
        self._bodies = bodies
        self._rate = rate
        self._seconds = seconds
        self._wanted = len(bodies)
        self._sent = 0
        self._sent_at: list[float] = []
        self._started = 0.0
        self.took = 0.0
        self.latencies: list[float] = []
        self.refused = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Start the clock."""
        self._started = perf_counter()
        if self._rate:
            self._tick()
        else:
            self._send(min(_UNDER_WAY, self._wanted))

    def _tick(self) -> None:
        self._send(min(self._wanted, int((perf_counter() - self._started) * self._rate) + 1))
        if self._sent < self._wanted:
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _send(self, up_to: int) -> None:
        now = perf_counter() - self._started
        for number in range(self._sent, up_to):
            self.put((number, "bench", "bench", self._bodies[number]))
            self._sent_at.append(number / self._rate if self._rate else now)
        self._sent = max(self._sent, up_to)

    def frame(self, frame: memoryview) -> None:
        """Time the answers in a frame."""
        now = perf_counter() - self._started
        for number, reply in _ANY_ROWS.decode(frame):
            self.latencies.append(now - self._sent_at[number])
            if b"QUEUE_FULL" in bytes(reply):
                self.refused += 1
        if not self._rate:
            if now >= self._seconds:
                self._wanted = self._sent
            self._send(min(self._wanted, len(self.latencies) + _UNDER_WAY))
        if len(self.latencies) == self._wanted and not self.done.done():
            self.took = now
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the writer went away"))


async def drive(given: dict[str, Any]) -> dict[str, Any]:
    """Offer commands for some seconds; rates, latencies and processor as they came out."""
    floor = Floor([UUID(account) for account in given["accounts"]], given["symbols"])
    rate, seconds, seed = given["rate"], given["seconds"], given["seed"]
    made = commands(floor, int((rate or _MOST_PER_S) * seconds), seed, f"r{int(rate)}s{seed}")
    bodies = [encode_command(command) for command in made]
    loop = asyncio.get_running_loop()
    path = str(Path(given["socket"]))
    _, load = await loop.create_unix_connection(lambda: Load(bodies, rate, seconds), path)
    settle()
    until_told()
    processor = process_time_ns()
    load.begin()
    await asyncio.wait_for(load.done, seconds * 3 + 30)
    # What was refused for want of room cost next to nothing, and is not what was asked for.
    decided = len(load.latencies) - load.refused
    return {
        "count": decided,
        "answered_per_s": round(decided / load.took),
        **latencies_of(load.latencies),
        "refused": load.refused,
        "driver_ns": process_time_ns() - processor,
    }


async def commit(given: dict[str, Any]) -> dict[str, Any]:
    """Commit single rows one after another for some seconds."""
    async with OneRow(given["dsn"]) as one_row:
        await one_row.run(0.2)
        settle()
        until_told()
        taken = await one_row.run(given["seconds"])
    return {"count": len(taken), **latencies_of(taken)}


def main() -> None:
    """Read what is wanted from standard input, print the result as one JSON line."""
    given = json.loads(sys.stdin.readline())
    work = commit if given["kind"] == "commit" else drive
    print(json.dumps(uvloop.run(work(given))), flush=True)


if __name__ == "__main__":
    main()
