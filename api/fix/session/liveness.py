"""Whether a client is there: what silence leads to, by a clock that never jumps."""

from __future__ import annotations

TEST_AFTER = 1.2
GONE_AFTER = 2.4
"""Heartbeat intervals without a message after which the client is asked, and given up."""
SUSPECT_SECONDS = 5.0
"""How long a client may be silent that logs on anew while it is connected."""


class Liveness:
    """The silence of one client; without an interval nothing of it is looked at."""

    def __init__(self) -> None:
        self.interval = 0
        self._heard_at = 0.0
        self._tested_at = 0.0
        self._silence_tested = False

    def begin(self, interval: int, now: float) -> None:
        """Measure from now on."""
        self.interval = interval
        self._heard_at = self._tested_at = now

    def heard(self, now: float) -> None:
        """Note that a message came."""
        self._heard_at = now
        self._silence_tested = False

    def suspect(self, now: float) -> None:
        """Give the client a few seconds to show that it is there."""
        silence = GONE_AFTER * self.interval - SUSPECT_SECONDS
        self._heard_at = min(self._heard_at, now - silence)

    def gone(self, now: float) -> bool:
        """Whether it was silent for so long that it is given up."""
        return self.interval > 0 and self.silence(now) >= GONE_AFTER * self.interval

    def silence(self, now: float) -> float:
        """For how many seconds nothing came."""
        return now - self._heard_at

    def tests(self, now: float, *, unconfirmed: bool) -> bool:
        """Whether a TestRequest is due: for silence, or to learn what has arrived; once it is
        said that it is, it is not for a while.
        """
        if not self.interval:
            return False
        silent = self.silence(now) >= TEST_AFTER * self.interval and not self._silence_tested
        learn = unconfirmed and now - self._tested_at >= self.interval
        if silent:
            self._silence_tested = True
        if silent or learn:
            self._tested_at = now
        return silent or learn

    def beats(self, now: float, last_sent: float) -> bool:
        """Whether a Heartbeat is due."""
        return self.interval > 0 and now - last_sent >= self.interval
