"""Whether a request came before: what the log has of it may be this very message's doing."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple
from uuid import UUID

from api.fix.application.behind import Behind, Client
from application.requests import Command

REMEMBERED = 20_000
"""How many of its newest names a session is remembered by."""


class RecentNames:
    """The newest names that a session gave its requests since it logged on."""

    def __init__(self) -> None:
        self._names: OrderedDict[tuple[UUID, str], None] = OrderedDict()

    def is_new(self, command: Command) -> bool:
        """Note the name of a request; whether it was not given before."""
        key = command.key()
        if key is None:
            return True
        is_new = key not in self._names
        self._names[key] = None
        self._names.move_to_end(key)
        if len(self._names) > REMEMBERED:
            self._names.popitem(last=False)
        return is_new


class Arrival(NamedTuple):
    """How a request came: up to where its session was told then, and whether its name was new."""

    told: int
    is_new: bool


async def is_repeat(behind: Behind, client: Client, command: Command, arrival: Arrival) -> bool:
    """Whether a request that the log has was asked before this message came.

    On its way to a writer that gives way to another a request is sent twice: what its session is
    still to be told of it is its answer.
    """
    key = command.key()
    if not arrival.is_new or key is None:
        return True
    found = await behind.log.find_key(*key)
    if found is None or found.position <= arrival.told:
        return True
    first = await behind.log.read_at([found.position])
    return not first or first[0].event.gateway != client.door
