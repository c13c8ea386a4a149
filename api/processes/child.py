"""One process of the venue, as its supervisor holds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any

from api.cli.exit_codes import Exit
from api.cli.leaving import asked_later
from api.processes.errors import VenueFailed
from api.processes.lifeline import STOP_SECONDS

FIRST_BACKOFF = 0.1
LAST_BACKOFF = 2.0
WELL_SECONDS = 10.0
"""A process that ran this long is started again at once when it crashes."""

HOPELESS = (Exit.USAGE, Exit.MIGRATION)
"""Ends that another start would only repeat."""


class Child:
    """One process of the venue: started, watched, started again, stopped.

    `environment` gives what it starts with, as it is then; it prints to `output`.
    """

    def __init__(
        self,
        role: str,
        arguments: Sequence[str],
        *,
        environment: Callable[[], dict[str, str]],
        output: IO[Any] | int | None,
        say: Callable[[str], object],
    ) -> None:
        self.role = role
        self._arguments = arguments
        self._environment = environment
        self._output = output
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._started = 0.0
        self._backoff = FIRST_BACKOFF
        self._again_at = 0.0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the process; it leaves when this one does, however that comes about."""
        ours, theirs = os.pipe()
        try:
            with asked_later():
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "api.cli.main", "serve", "--supervised"),
                        *("--only", self.role, *self._arguments),
                    ],
                    stdin=ours,
                    stdout=self._output,
                    stderr=self._output,
                    env=self._environment(),
                    start_new_session=True,
                )
        finally:
            os.close(ours)
        self._lifeline = theirs
        self._started = time.monotonic()
        self.starts += 1

    def look(self) -> None:
        """Start the process again when it has ended, not too soon."""
        process = self._process
        now = time.monotonic()
        if process is None:
            if now >= self._again_at:
                self.start()
            return
        code = process.poll()
        if code is None:
            return
        self._forget()
        if code in HOPELESS:
            raise VenueFailed(f"{self.role} {_end(code)}", Exit(code))
        if now - self._started >= WELL_SECONDS:
            self._backoff = FIRST_BACKOFF
        self._again_at = now + self._backoff
        self._say(f"{self.role} {_end(code)}; starting again in {self._backoff:.1f} s")
        self._backoff = min(2 * self._backoff, LAST_BACKOFF)

    def tell(self, number: signal.Signals) -> bool:
        """Send a signal; false when the process is gone."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    def stop(self) -> None:
        """Ask the process to leave, and end it when it does not."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._say(f"{self.role} does not leave and is killed")
                process.kill()
                process.wait()
        self._forget()

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # What a killed process started itself, in its group, is not left behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _end(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    if code == Exit.FENCED:
        return "was fenced: another writer leads"
    if code == Exit.MIGRATION:
        return "refused the store: its schema or its log is another program's"
    return f"ended with code {code}"
