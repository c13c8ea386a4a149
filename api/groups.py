"""What the log says of a group of linked orders when it was placed, which never changes."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

from application.log.ports import EventStreams
from domain.events import GroupPlaced

REMEMBERED_GROUPS = 50_000


class Groups:
    """The class of each group, looked up once: orders carry only their group's id."""

    def __init__(self, log: EventStreams) -> None:
        self._log = log
        self._classes: OrderedDict[UUID, int] = OrderedDict()

    def asking(self, log: EventStreams) -> Groups:
        """The same knowledge, with another log to ask for what it lacks."""
        other = Groups(log)
        other._classes = self._classes
        return other

    def remember(self, group_id: UUID, order_class: int) -> None:
        """Note what a group was placed as."""
        self._classes[group_id] = order_class
        self._classes.move_to_end(group_id)
        while len(self._classes) > REMEMBERED_GROUPS:
            self._classes.popitem(last=False)

    async def order_class(self, group_id: UUID) -> int:
        """What the group was placed as; 0 for an order that is in none."""
        if not group_id.int:
            return 0
        known = self._classes.get(group_id)
        if known is None:
            first = await self._log.stream(group_id, 0, 1)
            assert first, f"the log lacks the beginning of group {group_id}"
            placed = first[0].event
            assert isinstance(placed, GroupPlaced)
            known = placed.order_class
            self.remember(group_id, known)
        return known
