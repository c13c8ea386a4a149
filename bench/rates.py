"""A running venue that is offered commands at a rate, and the processor that each of them takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from bench.driving import Driver, DriverFailed
from bench.flow import Floor
from bench.processor import Meter
from bench.saturated import PROCESSOR
from bench.venue import Processes, checkpoint

_CATCH_UP_SECONDS = 120.0
_COMMIT_SECONDS = 1.0


def measure(driver: Driver, meter: Meter, lag: Callable[[], int], unit: str) -> dict[str, Any]:
    """Have a prepared driver run; its figures, and the processor that each command takes.

    What is counted ends when all that follows has followed, so that every process has done
    its work for the same commands.
    """
    meter.until_quiet()
    look = meter.look()
    figures = driver.go()
    answered = time.monotonic()
    while True:
        meter.until_quiet()
        used = meter.since(look)
        followed = time.monotonic() - answered
        # Asked last: the question is a connection of its own, and none of the venue's work.
        if lag() <= 0:
            break
        if followed > _CATCH_UP_SECONDS:
            raise RuntimeError(f"the views are still behind after {_CATCH_UP_SECONDS:g} s")
    count, driving = figures.pop("count"), figures.pop("driver_ns")
    return figures | {
        "followed_after_s": round(followed, 2),
        "cores_busy_elsewhere": used.cores_elsewhere(driving),
        unit: used.each(count) | {"driver beside": round(driving / count / 1e3, 1)},
    }


class MeasuredVenue(NamedTuple):
    """What runs, who trades there, and how many events its views are behind."""

    dsn: str
    processes: Processes
    floor: Floor
    meter: Meter
    lag: Callable[[], int]

    def at_rate(self, rate: int, seconds: float, seed: int) -> dict[str, Any]:
        """Offer commands at a rate, at a rate of 0 as many as go; figures and processor."""
        checkpoint(self.dsn)
        with Driver("bench.driver", self._given(rate, seconds, seed)) as driver:
            try:
                figures = measure(driver, self.meter, self.lag, PROCESSOR)
            except DriverFailed:
                self.processes.check()
                raise
        self.processes.check()
        return figures

    def one_row(self) -> dict[str, Any]:
        """Single rows committed by the same driver while the venue rests."""
        given = {"kind": "commit", "dsn": self.dsn, "seconds": _COMMIT_SECONDS}
        with Driver("bench.driver", given) as driver:
            self.meter.until_quiet()
            return driver.go()

    def _given(self, rate: int, seconds: float, seed: int) -> dict[str, Any]:
        return {
            "kind": "commands",
            "socket": str(self.processes.bus),
            "accounts": [str(account) for account in self.floor.accounts],
            "symbols": self.floor.symbols,
            "rate": rate,
            "seconds": seconds,
            "seed": seed,
        }
