"""How fast a client may send."""

from __future__ import annotations

from collections import deque

from api.fix.ports import Rate


class RollingRate:
    """Lets so many messages through in any window of so many seconds."""

    def __init__(self, rate: Rate) -> None:
        self._seconds = rate.seconds
        self._taken: deque[float] = deque(maxlen=rate.messages)
        self._messages = rate.messages

    def takes(self, now: float) -> bool:
        """Whether one more message is within the rate; what is over it does not count."""
        taken = self._taken
        if len(taken) == self._messages and (self._messages == 0 or now - taken[0] < self._seconds):
            return False
        taken.append(now)
        return True
