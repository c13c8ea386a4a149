"""What a process has refused since it began, counted by door and reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

HTTP, SOCKETS, STREAM, MARKET_DATA, FIX = "http", "sockets", "stream", "market_data", "fix"
"""Where something is refused; as sockets count all that are not open yet, or whose frames are too
much, whatever they are for.
"""
UNREAD = "UNREAD"
"""The client left too much unread, or for too long: its connection was cut."""
SLOW_CLIENT = "SLOW_CLIENT"
"""Too many answers or updates waited for it: its socket was closed."""
AUTH_TIMEOUT = "AUTH_TIMEOUT"
"""It never said who it is."""
EMPTY_FRAMES = "EMPTY_FRAMES"
"""It sent too many frames that bring no message."""
TOO_MUCH_UNKNOWN = "TOO_MUCH_UNKNOWN"
"""It sent too much before it was known who it is."""
NO_LOGON = "NO_LOGON"
"""It began with something else."""
LOGON_TIMEOUT = "LOGON_TIMEOUT"
"""Its Logon did not come."""
NOT_ADMITTED = "NOT_ADMITTED"
"""Its Logon was judged, and not good."""
KEPT = "refusals"
"""Under which name the state of an application has them."""


class Refused(NamedTuple):
    """How often something was refused at a door for a reason: a refusal's code, or one of these."""

    door: str
    reason: str
    times: int


class Refusals:
    """Counts what is refused; of nobody it is said who that was."""

    def __init__(self) -> None:
        self._times: Counter[tuple[str, str]] = Counter()

    def count(self, door: str, reason: str) -> None:
        """Count one more."""
        self._times[door, reason] += 1

    def __iter__(self) -> Iterator[Refused]:
        for (door, reason), times in sorted(self._times.items()):
            yield Refused(door, reason, times)


class SinceLast:
    """What was refused since it was asked for last."""

    def __init__(self, refusals: Refusals) -> None:
        self._refusals = refusals
        self._told: dict[tuple[str, str], int] = {}

    def news(self) -> list[Refused]:
        """What there is more of."""
        found = []
        for door, reason, times in self._refusals:
            before = self._told.get((door, reason), 0)
            self._told[door, reason] = times
            if times > before:
                found.append(Refused(door, reason, times - before))
        return found


def refusals_of(app: Any) -> Refusals:
    """Where an application has them counted; nowhere that is looked at, if it does not say."""
    found = getattr(app, "state", {}).get(KEPT)
    return found if isinstance(found, Refusals) else Refusals()
