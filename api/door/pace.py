"""How fast a connection may send."""

from __future__ import annotations


class Pace:
    """So many a second, and some more at once.

    What is over it is taken all the same and owed: who sends says when it has been paid.
    """

    __slots__ = ("_at", "_at_once", "_left", "_per_second")

    def __init__(self, per_second: float, at_once: float, now: float) -> None:
        self._per_second = per_second
        self._at_once = at_once
        self._left = at_once
        self._at = now

    def take(self, count: int, now: float) -> float:
        """Take so many; the seconds after which they are within the pace, 0 when they are."""
        passed = max(0.0, now - self._at)
        self._at = now
        self._left = min(self._at_once, self._left + passed * self._per_second) - count
        return 0.0 if self._left >= 0 else -self._left / self._per_second
