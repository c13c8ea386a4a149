"""The door of a process: its limits, who is there, and what falls due for them."""

from __future__ import annotations

import asyncio

from api.door.connections import Connections, Visitor
from api.door.limits import Limits
from api.door.turns import StrangersTurns


class Door:
    """What all connections of a process share."""

    def __init__(self, limits: Limits | None = None, descriptors: int | None = None) -> None:
        self.limits = limits or Limits()
        most = None if descriptors is None else self.limits.within(descriptors)
        self.connections = Connections(self.limits, most)
        self.turns = StrangersTurns(
            self.limits.strangers_turns, self.limits.strangers_turns_at_once
        )
        self._ticking: asyncio.TimerHandle | None = None

    def enter(self, visitor: Visitor) -> str:
        """Let a connection in; why there is no room for it, if there is none."""
        refusal = self.connections.enter(visitor)
        if not refusal and self._ticking is None:
            self._tick_later()
        return refusal

    def _tick_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticking = loop.call_later(self.limits.tick_seconds, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for visitor in self.connections.everybody():
            visitor.look(now)
        self._ticking = None
        if len(self.connections):
            self._tick_later()
