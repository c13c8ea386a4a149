"""How long a commit may wait for company: not at all when little comes in, briefly when much does.

Every commit costs the same few tenths of a millisecond of processor on both sides, however
little it holds. Under load that is time taken from deciding, so commits are spaced out then.
"""

from __future__ import annotations

LONGEST_REST = 0.002
"""Seconds between the starts of two commits under full load."""

FROM_RATE = 1_000
FULL_RATE = 5_000
"""Commands a second from which commits are spaced, and at which they are spaced most."""

_WINDOW = 0.05


class Pacer:
    """Spaces commits by how many commands have come in lately."""

    __slots__ = ("_count", "_rate", "_started", "_window_started")

    def __init__(self) -> None:
        self._started = 0.0
        self._count = 0
        self._rate = 0.0
        self._window_started = 0.0

    def rest(self, now: float) -> float:
        """Seconds that the next commit should still wait at monotonic time `now`."""
        share = (self._rate - FROM_RATE) / (FULL_RATE - FROM_RATE)
        if share <= 0:
            return 0.0
        return self._started + LONGEST_REST * min(share, 1.0) - now

    def began(self, commands: int, now: float) -> None:
        """A commit that holds so many commands begins."""
        self._started = now
        self._count += commands
        passed = now - self._window_started
        if passed >= _WINDOW:
            self._rate = self._count / passed
            self._count = 0
            self._window_started = now
