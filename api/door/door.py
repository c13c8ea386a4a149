"""The door of a process: its limits, who is there, and what falls due for them."""

from __future__ import annotations

import asyncio

from api.door.acquaintances import Acquaintances, Headers
from api.door.connections import Connections, Visitor
from api.door.limits import Limits
from api.door.refusals import Refusals
from api.door.turns import LoopTurns, StrangersTurns, Waiter


class Door:
    """What all connections of a process share."""

    def __init__(
        self,
        limits: Limits | None = None,
        descriptors: int | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.refusals = refusals or Refusals()
        most = None if descriptors is None else self.limits.within(descriptors)
        self.connections = Connections(self.limits, most)
        self.acquaintances = Acquaintances()
        self.turns = StrangersTurns(
            self.limits.strangers_turns,
            self.limits.strangers_turns_saved,
            self.limits.strangers_turns_together,
        )
        self.frames = LoopTurns(self.limits.frame_parts)
        self.requests = LoopTurns(self.limits.requests_of_a_turn)
        self._unread: dict[Visitor, int] = {}
        self._unread_bytes = 0
        self._ticking: asyncio.TimerHandle | None = None

    def enter(self, visitor: Visitor) -> str:
        """Let a connection in; why there is no room for it, if there is none."""
        refusal = self.connections.enter(visitor)
        if not refusal and self._ticking is None:
            self._tick_later()
        return refusal

    # Who has not said who it is

    def may_go_on(self, stranger: Waiter, head: bytes) -> bool:
        """Whether it is the turn of a stranger whose request begins so; who shows a key that was
        good here lately does not stand in line with the others.
        """
        may = self.acquaintances.knows(head) or self.turns.may_go_on(stranger)
        if may:
            self.acquaintances.leave(stranger)
        else:
            self.acquaintances.wait(stranger, head)
        return may

    def met(self, key_id: str, headers: Headers) -> None:
        """Remember a key that was good, and let go on who waits with the same."""
        for stranger in self.acquaintances.met(key_id, headers):
            self.turns.leave(stranger)
            stranger.turn_has_come()

    def waits_no_more(self, stranger: Waiter) -> None:
        """Forget one that is gone, or is no stranger any more."""
        self.turns.leave(stranger)
        self.acquaintances.leave(stranger)

    # Who leaves too much unread

    def unread_seconds(self, *, known: bool) -> float:
        """How long a client may take for a part of what it leaves unread."""
        limits = self.limits
        return limits.unread_seconds if known else limits.strangers_unread_seconds

    def leave(self, visitor: Visitor) -> None:
        """Forget a connection that is gone."""
        self.connections.leave(visitor)
        self.unblocked(visitor)

    def blocked(self, visitor: Visitor, unread: int) -> None:
        """Count what one leaves unread; where all together leave too much, the first is cut."""
        self.unblocked(visitor)
        self._unread[visitor] = unread
        self._unread_bytes += unread
        while self._unread_bytes > self.limits.unread_bytes:
            longest = next(iter(self._unread))
            self.unblocked(longest)
            longest.cut()

    def unblocked(self, visitor: Visitor) -> None:
        """Count it no more: it has read."""
        self._unread_bytes -= self._unread.pop(visitor, 0)

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
