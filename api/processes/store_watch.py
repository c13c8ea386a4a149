"""Keeps the embedded server running: starts one again that was lost, ends what hangs in it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg

from api.processes.looking import children_of, name_of, runs
from application.log.away import Away
from infrastructure.database import EmbeddedServer, ServerFailed
from infrastructure.working_in import STOPPED_SECONDS, is_stopped

LOOK_SECONDS = 0.5
JOIN_SECONDS = 0.5


class StoreWatch:
    """Looks after one embedded server in a thread of its own: to start it may take long.

    A backend that is killed takes the whole server through its recovery, which it is made for.
    """

    def __init__(self, server: EmbeddedServer, say: Callable[[str], object]) -> None:
        self._server = server
        self._say = say
        self._failing = Away(lambda text: say(f"starting it: {text}"))
        self._stopped_since: dict[int, float] = {}
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="store", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; what is being started is given up."""
        self._leaving.set()
        self._server.give_up.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)

    def _look_on(self) -> None:
        pause = LOOK_SECONDS
        while not self._leaving.wait(pause):
            pause = LOOK_SECONDS
            try:
                self._look()
            except (ServerFailed, psycopg.Error, OSError) as error:
                # Also where there is no room to write down that it was started.
                if not self._leaving.is_set():
                    self._failing.gone(error)
                    pause = max(LOOK_SECONDS, self._failing.pause())
            except Exception as error:
                # Whatever it is, the server still needs somebody who looks after it.
                self._say(f"looking after the store: {error!r}")

    def _look(self) -> None:
        pid = self._server.pid
        if pid is None or not runs(pid):
            if not self._failing.lasts:
                self._say("the store is gone; starting it again")
            self._server.start()
            self._failing.back()
            self._say("store ready again")
            self._stopped_since.clear()
            return
        self._end_stopped((pid, *children_of(pid)))

    def _end_stopped(self, pids: tuple[int, ...]) -> None:
        """End processes of the server that have been stopped for long."""
        now = time.monotonic()
        stopped = [pid for pid in pids if is_stopped(pid)]
        since = {pid: self._stopped_since.get(pid, now) for pid in stopped}
        self._stopped_since = since
        ended = [pid for pid, began in since.items() if now - began >= STOPPED_SECONDS]
        if ended:
            first = f"{ended[0]}, {name_of(ended[0])}"
            others = f", and {len(ended) - 1} others of it" if len(ended) > 1 else ""
            self._say(f"a process of the store is stopped and is ended: {first}{others}")
        for pid in ended:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
