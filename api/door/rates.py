"""How much each key asked for lately."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

KEYS_COUNTED = 100_000
"""Of so many keys is known how much they asked for lately."""


class Standing(NamedTuple):
    """How much more a key may ask for: of how many a second, how many now, full in how long."""

    limit: int
    remaining: int
    reset_seconds: int


class Rates:
    """How much each key asked for lately: as much at once as in a second, and then by the rate."""

    def __init__(self, per_second: int, clock: Callable[[], float]) -> None:
        self._per_second = per_second
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key_id: str) -> tuple[bool, Standing]:
        """Count a request, unless it is one too many; says which, and where the key stands."""
        now, limit = self._clock(), self._per_second
        left, since = self._left.pop(key_id, (float(limit), now))
        left = min(float(limit), left + max(0.0, now - since) * limit)
        taken = left >= 1.0
        if taken:
            left -= 1.0
        self._left[key_id] = (left, now)
        if len(self._left) > KEYS_COUNTED:
            self._left.popitem(last=False)
        return taken, Standing(limit, int(left), -int(-(limit - left) // limit))
