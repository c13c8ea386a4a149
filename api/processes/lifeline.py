"""What ties a process to the one that started it: neither outlives the other.

Standard input of a supervised process is a pair of sockets. Its end says that the supervisor is
gone; what the process writes into it says that it is alive. While it starts a thread does so, and
from then on its event loop: one that stands still is as dead as one that is stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

STOP_SECONDS = 8.0
"""How long a process may take to leave once its supervisor is gone."""
BEAT_SECONDS = 0.5


class Pulse:
    """The beats of this process; `beat` tells whoever looks after it of one."""

    def __init__(self, beat: Callable[[], object]) -> None:
        self._beat = beat
        self._in_loop = False
        threading.Thread(target=self._until_in_loop, name="pulse", daemon=True).start()

    def move_into_loop(self) -> None:
        """From now on beat with the running event loop alone."""
        self._in_loop = True
        self._beat_in(asyncio.get_running_loop())

    def _beat_in(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat()
        loop.call_later(BEAT_SECONDS, self._beat_in, loop)

    def _until_in_loop(self) -> None:
        while not self._in_loop:
            self._beat()
            time.sleep(BEAT_SECONDS)


_pulses: list[Pulse] = []
"""That of this process, when somebody feels it."""


def beat_with(beat: Callable[[], object]) -> None:
    """Let this process beat for whoever started it."""
    _pulses.append(Pulse(beat))


def beat_in_loop() -> None:
    """Have whoever looks after this process, if anybody does, know by its loop that it lives."""
    for pulse in _pulses:
        pulse.move_into_loop()


def leave_with_parent(seconds: float = STOP_SECONDS) -> threading.Event:
    """Ask this process to leave when the supervisor, who holds the other end of its standard
    input, is gone, and make sure that it does; beat for it meanwhile. What is answered is set when
    he is.
    """
    gone = threading.Event()

    def beat() -> None:
        # A supervisor that reads nothing, or is gone, is no reason to wait.
        with suppress(OSError):
            ours.send(b".", socket.MSG_DONTWAIT)

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        gone.set()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
    # Whoever looks on without a supervisor feels no pulse.
    with suppress(OSError):
        ours = socket.socket(fileno=os.dup(0))
        beat_with(beat)
    return gone
