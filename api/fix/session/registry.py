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
    logon_seconds: float = 10.0
    tick_seconds: float = 0.1
    """How often is looked at what time asks for; 0 leaves it to the caller of `tick`."""


Who = TypeVar("Who", bound=Hashable)


class Registry(Generic[Who]):
    """The connections of an acceptor, and which of them has which session."""

    def __init__(self, limits: AcceptorLimits) -> None:
        self._limits = limits
        self._all: dict[Who, str] = {}
        self._unknown: Counter[str] = Counter()
        self._sessions: dict[SessionId, Who] = {}

    def enter(self, connection: Who, address: str) -> str:
        """Count a connection; why there is no room for it, if there is none."""
        refusal = ""
        if len(self._all) >= self._limits.connections:
            refusal = f"there are {len(self._all)} connections"
        elif self._unknown.total() >= self._limits.unknown:
            refusal = f"{self._unknown.total()} connections have not logged on"
        elif self._unknown[address] >= self._limits.unknown_of_an_address:
            refusal = f"{self._unknown[address]} connections of this address have not logged on"
        self._all[connection] = address
        self._unknown[address] += 1
        return refusal

    def claim(self, session_id: SessionId, connection: Who) -> bool:
        """Give a session to a connection; False while another has it."""
        if session_id in self._sessions:
            return False
        self._sessions[session_id] = connection
        self._known(self._all[connection])
        return True

    def holder(self, session_id: SessionId) -> Who | None:
        """The connection that has a session."""
        return self._sessions.get(session_id)

    def leave(self, connection: Who, session_id: SessionId | None) -> None:
        """Forget a connection that is closed, and free its session."""
        address = self._all.pop(connection)
        if session_id is not None:
            self._sessions.pop(session_id, None)
        else:
            self._known(address)

    def _known(self, address: str) -> None:
        self._unknown[address] -= 1
        if self._unknown[address] <= 0:
            del self._unknown[address]

    def connections(self) -> tuple[Who, ...]:
        """All connections."""
        return tuple(self._all)

    def sessions(self) -> tuple[SessionId, ...]:
        """The sessions that are connected."""
        return tuple(self._sessions)
