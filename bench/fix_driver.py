"""Sends orders over FIX from a process of its own and times the first report of each.

At a rate a message is due by the clock and its latency counts from then; without one as many go
as are answered, with so many under way, and latency counts from sending. One under way is
ping-pong. `flood` sends without reading what it is answered, as long as another is measured.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from time import perf_counter, process_time_ns
from typing import Any
from uuid import UUID

import uvloop

from bench.driving import settle, until_told
from bench.fix_client import FixSession, connected, left
from bench.fix_flow import Asked, messages, refused
from bench.flow import Floor
from bench.report import latencies_of

_TICK_S = 0.001
"""Not less: uvloop rounds to milliseconds, and half of one would spin."""
_MOST_PER_S = 15_000
_FLOOD_AT_ONCE = 50


class Load:
    """Messages that are dealt out to sessions, each timed up to its first answer."""

    def __init__(self, asked: list[Asked], rate: float, seconds: float, under_way: int) -> None:
        self._asked = asked
        self._rate = rate
        self._seconds = seconds
        self._under_way = under_way
        self._wanted = len(asked)
        self._sent = 0
        self._due: dict[bytes, float] = {}
        self._began = 0.0
        self.sessions: list[FixSession] = []
        self.took = 0.0
        self.latencies: list[float] = []
        self.kinds: Counter[str] = Counter()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Start the clock."""
        self._began = perf_counter()
        if self._rate:
            self._tick()
        else:
            self._send(min(self._under_way, self._wanted))

    def _tick(self) -> None:
        self._send(min(self._wanted, int((perf_counter() - self._began) * self._rate) + 1))
        if self._sent < self._wanted:
            asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    def _send(self, up_to: int) -> None:
        now = perf_counter()
        count = len(self.sessions)
        for place, session in enumerate(self.sessions):
            first = self._sent + (place - self._sent) % count
            run = self._asked[first:up_to:count]
            if not run:
                continue
            for number, one in enumerate(run):
                due = self._began + (first + number * count) / self._rate if self._rate else now
                self._due[one.name] = due
            session.send(run)
        self._sent = max(self._sent, up_to)

    def answered(self, kind: bytes, name: bytes) -> None:
        """Note the first answer to a message."""
        due = self._due.pop(name, None)
        if due is None:
            if kind in (b"j", b"3"):
                self.done.set_exception(RuntimeError(f"the venue answered with {kind!r}"))
            return
        now = perf_counter()
        self.latencies.append(now - due)
        self.kinds[kind.decode()] += 1
        if not self._rate:
            if now - self._began >= self._seconds:
                self._wanted = self._sent
            if self._sent - len(self.latencies) <= self._under_way // 2:
                self._send(min(self._wanted, len(self.latencies) + self._under_way))
        if len(self.latencies) == self._wanted and not self.done.done():
            self.took = now - self._began
            self.done.set_result(None)


def asked_of(given: dict[str, Any]) -> list[Asked]:
    """What is sent in a run."""
    rate, seconds = given["rate"], given["seconds"]
    count, prefix = int((rate or _MOST_PER_S) * seconds), given["prefix"]
    if given["kind"] == "refused":
        return refused(8 * count, prefix)
    floor = Floor([UUID(account) for account in given["accounts"]], given["symbols"])
    return messages(floor, count, given["seed"], prefix, cancels=given["kind"] == "flow")


async def drive(given: dict[str, Any]) -> dict[str, Any]:
    """Send for some seconds; rates, latencies and processor as they came out."""
    load = Load(asked_of(given), given["rate"], given["seconds"], given["under_way"])
    for name in given["sessions"]:
        load.sessions.append(await connected(given["port"], name, load.answered))
    settle()
    until_told()
    processor = process_time_ns()
    load.begin()
    await asyncio.wait_for(load.done, given["seconds"] * 5 + 60)
    used = process_time_ns() - processor
    await left(load.sessions)
    return {
        "count": len(load.latencies),
        "answered_per_s": round(len(load.latencies) / load.took),
        **latencies_of(load.latencies),
        "rejected cancels": load.kinds["9"],
        "driver_ns": used,
    }


async def flood(given: dict[str, Any]) -> dict[str, Any]:
    """Send as much as is taken, until the input ends; what comes back is read and dropped."""
    asked = refused(_FLOOD_AT_ONCE, given["prefix"])
    loop = asyncio.get_running_loop()
    if given["sink"]:
        transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", given["port"])
        session = FixSession(given["sessions"][0], lambda kind, name: None)
        session.connection_made(transport)
    else:
        session = await connected(given["port"], given["sessions"][0], lambda kind, name: None)
    print("ready", flush=True)
    ends = loop.run_in_executor(None, sys.stdin.readline)
    sent = 0
    while not ends.done():
        session.send(asked)
        sent += len(asked)
        # At the pace that both sides of a comparison are offered: it floods, and leaves a core.
        await asyncio.sleep(_FLOOD_AT_ONCE / given["rate"])
    return {"sent": sent}


def main() -> None:
    """Read what is wanted from standard input, print the result as one JSON line."""
    given = json.loads(sys.stdin.readline())
    work = flood if given["kind"] == "flood" else drive
    print(json.dumps(uvloop.run(work(given))), flush=True)


if __name__ == "__main__":
    main()
