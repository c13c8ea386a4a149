"""The FIX gateway of a measured venue: its sessions, its process, and what drives them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from argon2 import PasswordHasher

from bench.driving import Driver
from bench.fix_client import PASSWORD, VENUE
from bench.fix_flow import label_of
from bench.flow import Floor
from bench.processor import Meter
from bench.rates import measure
from bench.saturated import PROCESSOR
from bench.venue import Process

START_SECONDS = 30.0
UNDER_WAY = 2_000
_SESSION = """
[[session]]
sender = "{sender}"
target = "{target}"
password = "{password}"
rate.messages = 1_000_000
{accounts}
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_listening(port: int) -> None:
    """Return when somebody listens on a port; raises OSError when nobody does for long."""
    ends = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)
        else:
            return


def names_of(count: int) -> list[str]:
    """The comp ids of so many clients."""
    return [f"BENCH{number:03d}" for number in range(count)]


def _agreed(floor: Floor, names: list[str]) -> str:
    """The file of the sessions: each may use every account. The hash is a cheap one."""
    hashed = PasswordHasher(time_cost=1, memory_cost=7_168, parallelism=1).hash(PASSWORD)
    accounts = "\n".join(
        f'accounts.{label_of(number)} = "{account}"'
        for number, account in enumerate(floor.accounts)
    )
    return "".join(
        _SESSION.format(sender=VENUE.decode(), target=name, password=hashed, accounts=accounts)
        for name in names
    )


@contextmanager
def fix_process(
    environment: dict[str, str], home: Path, floor: Floor, names: list[str]
) -> Iterator[tuple[int, Process]]:
    """The FIX gateway as a process; yields its port, and itself."""
    port = free_port()
    file = home / "fix.toml"
    file.write_text(_agreed(floor, names))
    own = environment | {"NEXUS_FIX_CONFIG": str(file), "NEXUS_FIX_PORT": str(port)}
    with Process("fix", own) as process:
        until_listening(port)
        yield port, process


class FixSide(NamedTuple):
    """Where FIX is spoken, and what is read of who speaks it."""

    port: int
    floor: Floor
    meter: Meter
    lag: Callable[[], int]

    def load(
        self,
        sessions: list[str],
        *,
        kind: str = "flow",
        rate: float = 0,
        seconds: float,
        seed: int,
        under_way: int = UNDER_WAY,
        busy: bool = False,
    ) -> dict[str, Any]:
        """Have sessions send; figures, and the processor of each message by process, unless
        others keep the venue busy.
        """
        given = self._given(sessions, kind, rate, seconds, seed) | {"under_way": under_way}
        with Driver("bench.fix_driver", given) as driver:
            if not busy:
                return measure(driver, self.meter, self.lag, PROCESSOR)
            figures = driver.go()
            del figures["driver_ns"]
            return figures

    def flood(self, session: str, rate: float, *, sink: int = 0) -> Driver:
        """A driver that floods from when it is made until it is told to stop: the gateway, or a
        sink on another port.
        """
        given = self._given([session], "flood", rate, 0, 0) | {"sink": bool(sink)}
        return Driver("bench.fix_driver", given | ({"port": sink} if sink else {}))

    def _given(
        self, sessions: list[str], kind: str, rate: float, seconds: float, seed: int
    ) -> dict[str, Any]:
        return {
            "kind": kind,
            "port": self.port,
            "sessions": sessions,
            "accounts": [str(account) for account in self.floor.accounts],
            "symbols": self.floor.symbols,
            "rate": rate,
            "seconds": seconds,
            "seed": seed,
            "prefix": f"f{sessions[0][-3:]}s{seed}",
        }
