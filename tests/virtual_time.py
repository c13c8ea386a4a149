"""An event loop on a clock that only moves when nobody has anything to do: exact and at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class _Selector(selectors.DefaultSelector):
    """Passes the time that it is asked to wait instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready now; without anything, the time passes."""
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nobody for a time"
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Sleeps and timeouts end at their exact instants, whatever the machine does."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._virtual.now

    def microseconds(self) -> int:
        """The same clock in whole microseconds."""
        return round(self._virtual.now * 1_000_000)


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now() -> int:
    """The running loop's microseconds."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop.microseconds()
