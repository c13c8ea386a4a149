"""What strangers can do to a client that behaves: each attack, by turns with a mere listener.

An attack on a listener that only reads costs this machine what it costs anywhere; what the same
attack on the venue does beyond that is the venue's own.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any, NamedTuple

import uvloop

from bench.driving import Driver
from bench.fix_sink import sink_process
from bench.fix_venue import fix_process, names_of
from bench.http import gateway_process, keys_of
from bench.processor import processor_ns
from bench.report import Progress, goal, machine, say
from bench.siege_assault import as_given
from bench.siege_attacks import FIX, HTTP, Attack, all_of
from bench.turns import median_of
from bench.venue import environment_of, furnished, server, short_home, venue_processes

QUICK = {"seconds": 1.0, "turns": 1}
RATE = 50
TIMES = 5
MOST_MEGABYTES = 200
KEPT_MEGABYTES = 50
"""How much more a process may have afterwards than before: what Python and the C library keep."""
LEFT_SECONDS = 8.0
"""How long after an attack its connections may be there still."""
NOISE_MS = 5.0
"""Below this a client's slowest requests are those of this machine."""
MIX = f"GET /v2/account {RATE} times a second over four kept connections, or a FIX TestRequest"
_SCHEMA = "bench_siege"
_LISTENS = "0A"


class Target(NamedTuple):
    """A process that is attacked."""

    port: int
    pid: int

    @property
    def megabytes(self) -> float:
        """The memory it has."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1_024
        return 0.0

    @property
    def connections(self) -> int:
        """How many descriptors it has of connections to its port, whatever became of them."""
        of_port = set()
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if int(local.rpartition(":")[2], 16) == self.port and state != _LISTENS:
                of_port.add(f"socket:[{inode}]")
        found = 0
        for file in Path(f"/proc/{self.pid}/fd").iterdir():
            with suppress(OSError):
                found += os.readlink(file) in of_port
        return found


class Siege(NamedTuple):
    """Who is attacked, who listens instead, and who behaves meanwhile."""

    targets: dict[str, Target]
    sink: int
    key: dict[str, str]
    session: str
    seconds: float
    turns: int

    def measure(self, attack: Attack) -> dict[str, Any]:
        """What a client that behaves has of it, beside the listener and at the venue."""
        target = self.targets[attack.door]
        before = target.megabytes
        calms, hurts, used = [], [], []
        with _highest(target) as highest:
            for _ in range(self.turns):
                calms.append(self._turn(attack, self.sink))
                spent = processor_ns(target.pid) or 0
                hurts.append(self._turn(attack, target.port))
                used.append(((processor_ns(target.pid) or 0) - spent) / 1e9)
        left = _left(target)
        calm, hurt = median_of(calms), median_of(hurts)
        # Below what this machine does by itself nothing is told apart.
        times = max(hurt["p99_ms"], NOISE_MS) / max(calm["p99_ms"], NOISE_MS)
        return {
            "p99_ms beside a listener": calm["p99_ms"],
            "p99_ms": hurt["p99_ms"],
            "times": round(times, 2),
            "max_ms": max(turn["max_ms"] for turn in hurts),
            "not answered": sum(turn["asked"] - turn["answered"] for turn in hurts),
            "cores of the venue used": round(median(used) / self.seconds, 2),
            "megabytes more": round(highest[0] - before, 1),
            "megabytes kept": round(target.megabytes - before, 1),
            "descriptors left": left,
            "connections": hurt["opened"],
        }

    def _turn(self, attack: Attack, port: int) -> dict[str, Any]:
        """One run of the client while others attack a port."""
        client: dict[str, Any] = {
            "port": self.targets[attack.door].port,
            "rate": RATE,
            "seconds": self.seconds,
        }
        client |= {"session": self.session} if attack.door == FIX else {"key": self.key}
        given = {
            "attack": as_given(attack),
            "ports": {attack.door: port},
            "seconds": self.seconds + 0.5,
        }
        with (
            Driver("bench.siege_assault", given) as assault,
            Driver("bench.siege_client", client) as behaving,
        ):
            done: list[dict[str, Any]] = []
            thread = Thread(target=lambda: done.append(assault.go()))
            thread.start()
            figures = behaving.go()
            thread.join()
        return figures | (done[0] if done else {"opened": 0})


@contextmanager
def _highest(target: Target) -> Iterator[list[float]]:
    """The most memory that a process had while the block ran."""
    highest, over = [target.megabytes], Event()

    def look() -> None:
        while not over.wait(0.02):
            highest[0] = max(highest[0], target.megabytes)

    thread = Thread(target=look)
    thread.start()
    try:
        yield highest
    finally:
        over.set()
        thread.join()


def _left(target: Target) -> int:
    """How many connections are still there when time has passed."""
    ends = time.monotonic() + LEFT_SECONDS
    while (left := target.connections) > 0 and time.monotonic() < ends:
        time.sleep(0.1)
    return left


def run(
    *, seconds: float = 3.0, turns: int = 3, only: Sequence[str] = (), say: Progress = say
) -> dict[str, Any]:
    """Attack a venue of its own; `only` names attacks by what their names begin with."""
    about = machine()
    figures: dict[str, dict[str, Any]] = {}
    with server() as store, short_home() as home:
        dsn = store.dsn()
        environment = environment_of(dsn, _SCHEMA, home)
        with (
            venue_processes(dsn, _SCHEMA, home) as processes,
            gateway_process(environment, 1) as (address, secret, gateway),
            sink_process() as sink,
        ):
            floor = uvloop.run(furnished(processes.bus))
            names = names_of(1)
            with fix_process(environment, home, floor, names) as (fix_port, fix):
                keys = keys_of(address, secret, 2)
                targets = {
                    HTTP: Target(int(address.rpartition(":")[2]), gateway),
                    FIX: Target(fix_port, fix.pid),
                }
                siege = Siege(targets, sink, keys[0], names[0], seconds, turns)
                for attack in all_of(keys[1]):
                    if not only or attack.name.startswith(tuple(only)):
                        say(f"{attack.name}")
                        figures[attack.name] = siege.measure(attack)
    return {
        "figures": figures,
        "machine": about,
        "mix": MIX,
        "turns": f"the median of {turns}",
        "left_out": "TLS and a network; several addresses. Attackers, client and venue share the"
        " cores, beside the listener as at the venue",
        "goals": goals(figures),
    }


def goals(figures: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Judge the worst of all attacks."""

    def worst(what: str) -> float:
        return max((of_attack[what] for of_attack in figures.values()), default=0)

    return [
        goal("times_a_listeners_p99", worst("times"), TIMES, at_most=True),
        goal("requests_not_answered", worst("not answered"), 0, at_most=True),
        goal("megabytes_more", worst("megabytes more"), MOST_MEGABYTES, at_most=True),
        goal("megabytes_kept", worst("megabytes kept"), KEPT_MEGABYTES, at_most=True),
        goal("descriptors_left", worst("descriptors left"), 0, at_most=True),
    ]
