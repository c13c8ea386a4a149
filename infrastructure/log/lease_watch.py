"""How long a leader has been silent, by the steady clock of whoever waits for it.

What the leader writes down of itself is a mark that changes, and no time: the clocks of two
machines, and one clock before and after it was set, say nothing about each other.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

LONGEST_LOOK_AWAY = 1.0
"""How much of the time between two looks counts at most, in seconds: who was stopped meanwhile,
or could not read, has not seen that the leader was silent.
"""


class Beat(NamedTuple):
    """What the leader's row says when it was renewed last."""

    epoch: int
    renewed_at: str


class LeaseWatch:
    """Hears the beats of a leader, look by look."""

    def __init__(self, steady: Callable[[], float] = monotonic) -> None:
        self._steady = steady
        self._heard: Beat | None = None
        self._silent = 0.0
        self._looked_at = 0.0

    def silent(self, beat: Beat) -> float:
        """For how many seconds this has been the last beat."""
        now = self._steady()
        if beat != self._heard:
            self._heard, self._silent = beat, 0.0
        else:
            self._silent += min(max(0.0, now - self._looked_at), LONGEST_LOOK_AWAY)
        self._looked_at = now
        return self._silent
