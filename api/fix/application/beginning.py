"""Where in the log an instant is: a drop copy may begin in the past."""

from __future__ import annotations

from application.log.ports import EventReads
from domain.identifiers import Instant


async def position_before(log: EventReads, at: Instant) -> int:
    """The position of the last event before an instant; 0 when there is none.

    The instants of a log only grow: it is found by halving.
    """
    before, beyond = 0, await log.last_position() + 1
    while beyond - before > 1:
        middle = (before + beyond) // 2
        (found,) = await log.read(middle - 1, 1)
        if found.event.at < at:
            before = middle
        else:
            beyond = middle
    return before
