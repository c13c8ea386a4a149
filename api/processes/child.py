"""One process of the venue, as its supervisor holds it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Any

from api.cli.exit_codes import Exit
from api.cli.leaving import asked_later
from api.processes.environment import place_of_work
from api.processes.errors import VenueFailed
from infrastructure.working_in import is_stopped

FIRST_BACKOFF = 0.1
LAST_BACKOFF = 2.0
WELL_SECONDS = 10.0
"""A process that ran this long is started again at once when it crashes."""
STOPPED_SECONDS = 4.0
"""How long a process may be stopped by a signal before it is replaced."""
SILENT_SECONDS = 30.0
"""How long a process may be without a pulse: a desk of a million orders takes its time."""

STARTING_SECONDS = 120.0
"""How long it may take to its first beat: where all start at once on a slow machine, long."""

HOPELESS = (Exit.USAGE, Exit.MIGRATION)
"""Ends that another start would only repeat."""


class Child:
    """One process of the venue: started, watched, started again, stopped.

    `environment` gives what it starts with, as it is then; it prints to `output`. What `hold` opens
    it has open for as long as it runs. `started` is told of every process.
    """

    def __init__(
        self,
        role: str,
        arguments: Sequence[str],
        *,
        environment: Callable[[], dict[str, str]],
        output: IO[Any] | int | None,
        say: Callable[[str], object],
        hold: Callable[[], int | None] = lambda: None,
        started: Callable[[str, int], object] = lambda role, pid: None,
    ) -> None:
        self.role = role
        self._arguments = arguments
        self._environment = environment
        self._output = output
        self._say = say
        self._hold = hold
        self._told = started
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline: socket.socket | None = None
        self._started = 0.0
        self._beaten = 0.0
        self._beats = False
        self._stopped: float | None = None
        self._backoff = FIRST_BACKOFF
        self._again_at = 0.0
        self._waits_for_store = False
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def command(self) -> list[str]:
        """What is run."""
        return [
            *(sys.executable, "-P", "-m", "api.cli.main", "serve", "--supervised"),
            *("--only", self.role, *self._arguments),
        ]

    def start(self) -> None:
        """Start the process; it leaves when this one does, however that comes about."""
        ours, theirs = socket.socketpair()
        held = self._hold()
        try:
            with asked_later():
                self._process = subprocess.Popen(
                    self.command(),
                    stdin=theirs.fileno(),
                    stdout=self._output,
                    stderr=self._output,
                    env=self._environment(),
                    cwd=place_of_work(),
                    pass_fds=() if held is None else (held,),
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            if held is not None:
                os.close(held)
        ours.setblocking(False)
        self._lifeline = ours
        self._started = self._beaten = time.monotonic()
        self._beats = False
        self._stopped = None
        self.starts += 1
        self._told(self.role, self._process.pid)

    def look(self) -> None:
        """Start the process again when it has ended, not too soon; end it when it hangs."""
        process = self._process
        now = time.monotonic()
        if process is None:
            if now >= self._again_at:
                self.start()
            return
        code = process.poll()
        if code is None:
            self._feel(process, now)
            return
        self._forget()
        if code in HOPELESS:
            raise VenueFailed(f"{self.role} {_end(code)}", Exit(code))
        if now - self._started >= WELL_SECONDS:
            self._backoff = FIRST_BACKOFF
        self._again_at = now + self._backoff
        self._say_ended(code)
        self._backoff = min(2 * self._backoff, LAST_BACKOFF)

    def _feel(self, process: subprocess.Popen[bytes], now: float) -> None:
        """End a process that is stopped, or whose pulse is gone."""
        assert self._lifeline is not None
        with suppress(OSError):
            while self._lifeline.recv(4096):
                self._beaten, self._beats = now, True
        if not is_stopped(process.pid):
            self._stopped = None
        elif self._stopped is None:
            self._stopped = now
        if self._stopped is not None and now - self._stopped >= STOPPED_SECONDS:
            self._say(f"{self.role} (process {process.pid}) is stopped, and is replaced")
        elif now - self._beaten >= (SILENT_SECONDS if self._beats else STARTING_SECONDS):
            seconds = f"{now - self._beaten:.0f} s"
            self._say(f"{self.role} (process {process.pid}) hangs for {seconds}, and is replaced")
        else:
            return
        _kill_all_of(process.pid)

    def _say_ended(self, code: int) -> None:
        """Say how the process ended; that the store keeps it from starting is said once."""
        waits = code == Exit.STORE_UNAVAILABLE
        if not waits:
            self._say(f"{self.role} {_end(code)}; starting again in {self._backoff:.1f} s")
        elif not self._waits_for_store:
            self._say(f"{self.role} {_end(code)}; it is started again until the store is there")
        self._waits_for_store = waits

    def tell(self, number: signal.Signals) -> bool:
        """Send a signal; false when the process is gone."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    def ask_to_leave(self) -> None:
        """Ask the process to leave, also one that is stopped."""
        self.tell(signal.SIGTERM)
        self.tell(signal.SIGCONT)

    def end(self) -> None:
        """End the process, and what it has started itself, when it has not left."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            self._say(f"{self.role} does not leave and is killed")
            _kill_all_of(process.pid)
            process.wait()
        self._forget()

    def stop(self, seconds: float = 5.0) -> None:
        """Ask the process to leave, and end it when it does not."""
        self.ask_to_leave()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.end()

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # What a killed process started itself, in its group, is not left behind.
            _kill_all_of(process.pid)
        if self._lifeline is not None:
            self._lifeline.close()
            self._lifeline = None


def _kill_all_of(pid: int) -> None:
    """End a process that leads a group, and the group."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _end(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    if code == Exit.FENCED:
        return "was fenced: another writer leads"
    if code == Exit.MIGRATION:
        return "refused the store: its schema or its log is another program's"
    if code == Exit.STORE_UNAVAILABLE:
        return "found no store that it may serve from"
    return f"ended with code {code}"
