"""The machine's clock, read in one place of each process."""

from __future__ import annotations

import time

from domain.identifiers import Instant


class SystemClock:
    """Microseconds since 1970 UTC, as the machine has them; it may jump."""

    def now(self) -> Instant:
        """The present instant."""
        return time.time_ns() // 1000


class SteadyClock:
    """Microseconds since some moment, which never go back: for ages and throttles."""

    def now(self) -> Instant:
        """The present moment."""
        return time.monotonic_ns() // 1000
