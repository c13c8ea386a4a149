"""Remembers from which addresses logons failed of late, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable

from api.door.addresses import address_of

REMEMBERED_ADDRESSES = 10_000


class FailedLogons:
    """Failures by address within a rolling window; an IPv6 client has a /64 to come from."""

    def __init__(self, most: int, window_seconds: float, clock: Callable[[], float]) -> None:
        self._most = most
        self._window = window_seconds
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def may_try(self, address: str) -> bool:
        """Whether another logon may come from an address."""
        failed = self._failed.get(address_of(address))
        if failed is None:
            return True
        since = self._clock() - self._window
        while failed and failed[0] <= since:
            failed.popleft()
        return len(failed) < self._most

    def note(self, address: str) -> None:
        """Remember that a logon failed now."""
        network = address_of(address)
        failed = self._failed.setdefault(network, deque(maxlen=self._most))
        failed.append(self._clock())
        self._failed.move_to_end(network)
        while len(self._failed) > REMEMBERED_ADDRESSES:
            self._failed.popitem(last=False)
