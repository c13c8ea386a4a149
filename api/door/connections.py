"""Who is at a door: so many in all, so many of an address, and how many of them are strangers."""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from api.door.limits import Limits


class Visitor(Protocol):
    """A connection at a door."""

    address: str

    def turn_out(self) -> None:
        """Close it: others need its place."""
        ...

    def cut(self) -> None:
        """Close it at once."""
        ...

    def look(self, now: float) -> None:
        """Do what is due by now."""
        ...


class Connections:
    """The connections of a process, counted.

    A stranger is a connection that has not said who it is. Where there is no room for another,
    the stranger that has been there longest makes room: whoever wants something has said who it
    is long before. One that is known is never turned out.
    """

    def __init__(self, limits: Limits, most: int | None = None) -> None:
        self._limits = limits
        self._most = limits.connections if most is None else most
        self._all: dict[Visitor, None] = {}
        self._of_address: Counter[str] = Counter()
        self._strangers: dict[str, dict[Visitor, None]] = {}
        self._strange = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def strangers(self) -> int:
        """How many have not said who they are."""
        return self._strange

    def everybody(self) -> tuple[Visitor, ...]:
        """All who are there."""
        return tuple(self._all)

    def enter(self, visitor: Visitor) -> str:
        """Count one more; why there is no room for it, if there is none."""
        limits, address = self._limits, visitor.address
        of_address = self._strangers.get(address, {})
        if address not in limits.proxies and (
            self._of_address[address] >= limits.of_an_address
            or len(of_address) >= limits.strangers_of_an_address
        ):
            if not of_address:
                return f"{self._of_address[address]} connections of this address"
            self._turn_out(of_address)
        if len(self._all) >= self._most or self._strange >= limits.strangers:
            if not self._strange:
                return f"{len(self._all)} connections"
            self._turn_out(max(self._strangers.values(), key=len))
        self._all[visitor] = None
        self._of_address[address] += 1
        self._strangers.setdefault(address, {})[visitor] = None
        self._strange += 1
        return ""

    def know(self, visitor: Visitor) -> None:
        """Note that a connection has said who it is."""
        of_address = self._strangers.get(visitor.address)
        if of_address is not None and visitor in of_address:
            del of_address[visitor]
            self._strange -= 1
            if not of_address:
                del self._strangers[visitor.address]

    def leave(self, visitor: Visitor) -> None:
        """Forget a connection that is gone."""
        if visitor not in self._all:
            return
        self.know(visitor)
        del self._all[visitor]
        self._of_address[visitor.address] -= 1
        if not self._of_address[visitor.address]:
            del self._of_address[visitor.address]

    def become(self, before: Visitor, after: Visitor) -> None:
        """Let one take the place of another, as a WebSocket that of the request that opened it."""
        if before not in self._all:
            return
        strange = before in self._strangers.get(before.address, {})
        self.leave(before)
        self._all[after] = None
        self._of_address[after.address] += 1
        if strange:
            self._strangers.setdefault(after.address, {})[after] = None
            self._strange += 1

    def _turn_out(self, strangers: dict[Visitor, None]) -> None:
        longest = next(iter(strangers))
        self.leave(longest)
        longest.turn_out()
