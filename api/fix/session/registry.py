"""Who is connected: so many at once, and each session once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from api.fix.ports import SessionId


@dataclass(frozen=True, slots=True)
class AcceptorLimits:
    """How much an acceptor takes on."""

    connections: int = 1_000
    unknown: int = 200
    """Connections that have not logged on yet."""
    unknown_of_an_address: int = 150
    of_an_address: int = 500
    logon_seconds: float = 10.0
    tick_seconds: float = 0.1
    """How often is looked at what time asks for; 0 leaves it to the caller of `tick`."""


Who = TypeVar("Who", bound=Hashable)


class Registry(Generic[Who]):
    """The connections of an acceptor, and which of them has which session.

    Where there is no room for another that is not known yet, the one that has been silent longest
    makes room: who wants to log on has said so long before.
    """

    def __init__(self, limits: AcceptorLimits) -> None:
        self._limits = limits
        self._all: dict[Who, str] = {}
        self._of_address: Counter[str] = Counter()
        self._strangers: set[Who] = set()
        self._unknown: Counter[str] = Counter()
        self._silent: dict[str, dict[Who, None]] = {}
        self._sessions: dict[SessionId, Who] = {}

    def enter(self, connection: Who, address: str) -> str:
        """Count a connection; why there is no room for it, if there is none."""
        limits, refusal = self._limits, ""
        if len(self._all) >= limits.connections:
            refusal = f"there are {len(self._all)} connections"
        elif self._of_address[address] >= limits.of_an_address:
            refusal = f"there are {self._of_address[address]} connections of this address"
        elif self._unknown.total() >= limits.unknown:
            refusal = f"{self._unknown.total()} connections have not logged on"
        elif self._unknown[address] >= limits.unknown_of_an_address:
            refusal = f"{self._unknown[address]} connections of this address have not logged on"
        self._all[connection] = address
        self._of_address[address] += 1
        self._strangers.add(connection)
        self._unknown[address] += 1
        self._silent.setdefault(address, {})[connection] = None
        return refusal

    def in_the_way(self, address: str) -> Who | None:
        """Who has to go that another of an address may come; it counts no more among those that
        are not known. None where there is room, or nobody is silent.
        """
        limits, found = self._limits, None
        if self._unknown[address] >= limits.unknown_of_an_address:
            found = next(iter(self._silent.get(address, ())), None)
        elif self._unknown.total() >= limits.unknown or len(self._all) >= limits.connections:
            most = max(self._silent.values(), key=len, default={})
            found = next(iter(most), None)
        if found is not None:
            self.said_something(found)
            self._known(found)
        return found

    def said_something(self, connection: Who) -> None:
        """Note that a connection has said who it wants to be: it is heard to the end."""
        address = self._all[connection]
        silent = self._silent.get(address, {})
        silent.pop(connection, None)
        if not silent:
            self._silent.pop(address, None)

    def claim(self, session_id: SessionId, connection: Who) -> bool:
        """Give a session to a connection; False while another has it."""
        if session_id in self._sessions:
            return False
        self._sessions[session_id] = connection
        self._known(connection)
        return True

    def holder(self, session_id: SessionId) -> Who | None:
        """The connection that has a session."""
        return self._sessions.get(session_id)

    def leave(self, connection: Who, session_id: SessionId | None) -> None:
        """Forget a connection that is closed, and free its session."""
        self.said_something(connection)
        self._known(connection)
        address = self._all.pop(connection)
        if session_id is not None:
            self._sessions.pop(session_id, None)
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def _known(self, connection: Who) -> None:
        """Count a connection no more among those that are not known."""
        if connection not in self._strangers:
            return
        self._strangers.discard(connection)
        address = self._all[connection]
        self._unknown[address] -= 1
        if self._unknown[address] <= 0:
            del self._unknown[address]

    def connections(self) -> tuple[Who, ...]:
        """All connections."""
        return tuple(self._all)

    def sessions(self) -> tuple[SessionId, ...]:
        """The sessions that are connected."""
        return tuple(self._sessions)
