"""Has another process do the driving: it prepares, says so, and starts when it is told to."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from types import TracebackType
from typing import Any

from bench.venue import plain_environment

READY = "ready"
GO = "go"


class DriverFailed(Exception):
    """The driving process ended without a result; the message is what it wrote last."""


class Driver:
    """One run of a driving process: `with Driver(module, given) as driver: driver.go()`.

    What it does before it is ready (starting, making commands) is none of the run.
    """

    def __init__(self, module: str, given: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**plain_environment(), "PGAPPNAME": "bench driver"},
        )
        self._say(json.dumps(given))
        self._hear(READY)

    def go(self) -> dict[str, Any]:
        """Have it run, and return its figures."""
        self._say(GO)
        figures: dict[str, Any] = json.loads(self._hear())
        return figures

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._failed()

    def _hear(self, wanted: str = "") -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line or (wanted and line != wanted):
            self._failed()
        return line

    def _failed(self) -> None:
        _, errors = self._process.communicate()
        raise DriverFailed(errors.strip()[-2000:])

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._process.kill()
        self._process.communicate()


def until_told() -> None:
    """Say that all is prepared, and wait for the word."""
    print(READY, flush=True)
    if sys.stdin.readline().strip() != GO:
        raise SystemExit("nobody wants this run any more")


def settle() -> None:
    """Keep the collector of cycles out of what is timed."""
    gc.collect()
    gc.freeze()
    gc.disable()
