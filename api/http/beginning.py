"""When the requests of a connection are begun: a few in a turn of the loop, each key by turns.

A stranger's had its turn when it was read.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from api.door.acquaintances import Acquaintances
from api.door.turns import LoopTurns
from api.http.kinds import Scope
from api.http.late import WAITED, Waited, may_be_refused


class Beginning:
    """The next request of one connection, which waits for its turn where others ask as well."""

    __slots__ = (
        "_acquaintances",
        "_begin",
        "_key_id",
        "_oldest",
        "_scope",
        "_turns",
        "address",
        "since",
    )

    def __init__(
        self, turns: LoopTurns, acquaintances: Acquaintances, oldest_seconds: float
    ) -> None:
        """`oldest_seconds`: when the first of a key's line waits for longer, what comes after it
        is begun at once, to be refused.
        """
        self.address = ""
        self.since = 0.0
        """When the request came that waits."""
        self._turns = turns
        self._acquaintances = acquaintances
        self._oldest = oldest_seconds
        self._key_id = ""
        self._scope: Scope = {}
        self._begin: Callable[[], None] | None = None

    def when_it_is_its_turn(self, key_id: str, scope: Scope, begin: Callable[[], None]) -> None:
        """Begin a request of the key that it shows, or that the one before it had."""
        key_id = self._acquaintances.key_of(scope["headers"]) or key_id
        if not key_id or self._turns.may_go_on(self, key_id):
            begin()
            return
        self.since = now = monotonic()
        first = self._turns.first(key_id)
        waited = now - first.since if isinstance(first, Beginning) else 0.0
        if self._is_late(waited, scope):
            self._turns.leave(self, key_id)
            self._note(key_id, waited, scope)
            begin()
        else:
            self._key_id, self._scope, self._begin = key_id, scope, begin

    def turn_has_come(self) -> None:
        """Begin the request that waits."""
        begin, self._begin = self._begin, None
        if begin is not None and self._turns.may_go_on(self, self._key_id):
            self._note(self._key_id, monotonic() - self.since, self._scope)
            begin()

    def _is_late(self, waited: float, scope: Scope) -> bool:
        return waited > self._oldest and may_be_refused(scope)

    def _note(self, key_id: str, waited: float, scope: Scope) -> None:
        late, alone = self._is_late(waited, scope), self._turns.none_but(key_id)
        scope[WAITED] = Waited(key_id, waited, late, alone)

    def gives_its_turn_up(self) -> bool:
        """Never: a connection that is gone has left."""
        return False

    def leave(self) -> None:
        """Begin nothing more: the connection is gone."""
        self._begin = None
        self._turns.leave(self, self._key_id)
