"""Has the writer answer, from a thread that waits for it: what orders wait can be measured so."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from application.commands import ReadState
from domain.errors import VenueUnavailable
from infrastructure.command_bus import UnixSocketBus

_WITHIN_SECONDS = 2.0
"""An answer that takes longer is none; the writer may be on another machine, or away."""


class WritersAnswers:
    """The writer of a venue on this machine, asked for what costs it nothing.

    Its answer leaves after all that was decided before it is committed, as an order's does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.new_event_loop()
        self._bus = UnixSocketBus(path, timeout=_WITHIN_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._loop.run_until_complete(self._bus.close())
        self._loop.close()

    def ask(self) -> bool:
        """Wait for an answer; False when nobody gives one."""
        if not self._path.exists():
            return False
        try:
            self._loop.run_until_complete(self._bus.send(ReadState(), "backfill", "backfill"))
        except VenueUnavailable:
            return False
        return True
