"""How long a commit may wait for company: not at all when little comes in, briefly when much does.

Every commit costs the same few tenths of a millisecond of processor on both sides, however
little it holds. Under load that is time taken from deciding, so commits are spaced out then.

What counts is company: the commands that a commit held beyond its first, for only they save a
commit. A client that sends one command after the other brings none and never waits, however
fast it is; where many send at once, spacing finds more company, and so grows to its full length.
"""

from __future__ import annotations

LONGEST_REST = 0.002
"""Seconds between the starts of two commits under load."""

FULL_COMPANY = 500
"""How much company a second makes the spacing full; with less it is in proportion."""

WINDOW = 0.05
"""Seconds over which company is counted."""


class Pacer:
    """Spaces commits by how much company their commands have found lately.

    Spacing counts from the start of the last commit, so it neither adds to a commit that takes
    longer, nor drifts, nor holds up what comes after a pause.
    """

    __slots__ = ("_company", "_spacing", "_started", "_window_started")

    def __init__(self) -> None:
        self._started = 0.0
        self._company = 0
        self._spacing = 0.0
        self._window_started = 0.0

    def rest(self, now: float) -> float:
        """Seconds that the next commit should still wait at monotonic time `now`."""
        return self._started + self._spacing - now

    def began(self, commands: int, now: float) -> None:
        """Note that a commit of so many commands begins."""
        if now - self._started >= WINDOW:
            # A pause: what came before it says nothing of what comes now.
            self._company = 0
            self._spacing = 0.0
            self._window_started = now
        self._started = now
        self._company += commands - 1
        passed = now - self._window_started
        if passed >= WINDOW:
            share = self._company / passed / FULL_COMPANY
            self._spacing = LONGEST_REST * min(share, 1.0)
            self._company = 0
            self._window_started = now
