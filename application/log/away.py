"""Says that the store is away once, and once that it is back."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

FIRST_BACKOFF = 0.05
LAST_BACKOFF = 1.0


class Away:
    """Whether the store is away, how soon it is to be asked again, and what was said of that."""

    def __init__(
        self, say: Callable[[str], object], elapsed: Callable[[], float] = monotonic
    ) -> None:
        self._say = say
        self._elapsed = elapsed
        self._since: float | None = None
        self._backoff = FIRST_BACKOFF

    @property
    def lasts(self) -> bool:
        """Whether the store went away and has not come back yet."""
        return self._since is not None

    def gone(self, why: object) -> None:
        """The store does not answer, or answers that it cannot."""
        if self._since is None:
            self._since = self._elapsed()
            self._say(f"the store is away, and is asked again until it is back: {_in_a_line(why)}")

    def back(self) -> None:
        """The store has done what it was asked."""
        if self._since is not None:
            took = self._elapsed() - self._since
            self._since = None
            self._backoff = FIRST_BACKOFF
            self._say(f"the store is back after {took:.1f} s")

    def pause(self) -> float:
        """How long to wait before the store is asked again; longer each time."""
        backoff = self._backoff
        self._backoff = min(2 * backoff, LAST_BACKOFF)
        return backoff


def _in_a_line(why: object) -> str:
    return " ".join(str(why).split())
