"""When the projector gathers: while much comes in a view may be a fortieth of a second old.

Every batch is a read, a transaction and a notification, whatever it holds. Under load it pays to
let some commands gather; when little comes, each is applied at once, so that a client that reads
what it has just written need not wait.
"""

from __future__ import annotations

GATHER_SECONDS = 0.025
"""Under load, how long after a batch began the next one does."""

BUSY_COMMANDS_PER_SECOND = 150
"""Who writes and then reads what that did, again and again, sends fewer."""

_BURST = BUSY_COMMANDS_PER_SECOND // 10


class Spacing:
    """A bucket that commands fill and time empties: while it is full, batches are spaced."""

    def __init__(self) -> None:
        self._level = 0.0
        self._at = 0.0

    def pause(self, commands: int, began: float, now: float) -> float:
        """How long to wait after a batch of so many commands that began then."""
        drained = self._level - (now - self._at) * BUSY_COMMANDS_PER_SECOND
        self._at = now
        # Twice full at most: a tenth of a second after a rush all is applied at once again.
        self._level = min(max(drained, 0.0) + commands, 2 * _BURST)
        if self._level < _BURST:
            return 0.0
        return max(0.0, began + GATHER_SECONDS - now)
