"""How a venue of processes ends: in order, within a time that nothing that hangs can stretch."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from api.processes.child import Child

LOOK_SECONDS = 0.02

STAGES: Sequence[tuple[tuple[str, ...], float]] = (
    (("fix", "gateway", "market-data"), 2.8),
    (("standby",), 0.6),
    (("writer",), 2.2),
    (("mover", "peers-projector", "projector"), 1.0),
)
"""Who takes orders, who might lead, who decides, who reads; and how long each of them has."""
IN_ALL_SECONDS = 8.0
"""When the server is told to end at once too: 10 s less what that takes on a busy machine."""


class Ending:
    """The end of a venue, which `hurry` makes shorter: what is left then is killed at once."""

    def __init__(self) -> None:
        self._hurried = threading.Event()
        self._ends: float | None = None

    def begin(self) -> None:
        """Count from here."""
        if self._ends is None:
            self._ends = time.monotonic() + IN_ALL_SECONDS

    def hurry(self) -> None:
        """Wait for nobody any more."""
        self._hurried.set()

    def left(self) -> float:
        """How many seconds are left."""
        if self._hurried.is_set():
            return 0.0
        return IN_ALL_SECONDS if self._ends is None else self._ends - time.monotonic()

    def end(self, children: Sequence[Child]) -> None:
        """Have all of these leave, stage by stage; who does not is killed."""
        for roles, seconds in STAGES:
            self.end_together([child for child in children if child.role in roles], seconds)

    def end_together(self, children: Sequence[Child], seconds: float) -> None:
        """Have these leave at the same time."""
        for child in children:
            child.ask_to_leave()
        until = time.monotonic() + seconds
        while any(child.pid is not None for child in children):
            if self.left() <= 0 or time.monotonic() >= until:
                break
            self._hurried.wait(LOOK_SECONDS)
        for child in children:
            child.end()
