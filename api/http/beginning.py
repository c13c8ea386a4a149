"""When the requests of a connection are begun: a few in a turn of the loop, each key by turns."""

from __future__ import annotations

from collections.abc import Callable

from api.door.turns import LoopTurns


class Beginning:
    """The next request of one connection, which waits for its turn where others ask as well."""

    __slots__ = ("_begin", "_group", "_turns", "address")

    def __init__(self, turns: LoopTurns) -> None:
        self.address = ""
        self._turns = turns
        self._group = ""
        self._begin: Callable[[], None] | None = None

    def when_it_is_its_turn(self, group: str, begin: Callable[[], None]) -> None:
        """Begin a request of a group: of a key, or of an address where no key was shown yet."""
        if self._turns.may_go_on(self, group):
            begin()
        else:
            self._group, self._begin = group, begin

    def turn_has_come(self) -> None:
        """Begin the request that waits."""
        begin, self._begin = self._begin, None
        if begin is not None and self._turns.may_go_on(self, self._group):
            begin()

    def gives_its_turn_up(self) -> bool:
        """Never: a connection that is gone has left."""
        return False

    def leave(self) -> None:
        """Begin nothing more: the connection is gone."""
        self._begin = None
        self._turns.leave(self, self._group)
