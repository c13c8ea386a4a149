"""What ties a process to the one that started it: neither outlives the other."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress

STOP_SECONDS = 15.0
"""How long a process may take to leave before it is killed."""


def leave_with_parent() -> None:
    """Ask this process to leave when the supervisor, who holds the other end of its standard
    input, is gone; and make sure that it does.
    """

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
