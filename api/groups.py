"""What the log says of a group of linked orders when it was placed, which never changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from domain.events import GroupPlaced
from infrastructure.log.codec import decode_event

REMEMBERED_GROUPS = 50_000


class Groups:
    """The class of each group, looked up once: orders carry only their group's id."""

    def __init__(self, pool: AsyncConnectionPool[psycopg.AsyncConnection[Any]]) -> None:
        self._pool = pool
        self._classes: OrderedDict[UUID, int] = OrderedDict()

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
            async with self._pool.connection() as conn:
                cursor = await conn.execute(
                    "SELECT topic, state FROM stored_events"
                    " WHERE originator_id = %s AND originator_version = 1",
                    (group_id,),
                )
                row = await cursor.fetchone()
            assert row is not None, f"the log lacks the beginning of group {group_id}"
            placed = decode_event(*row)
            assert isinstance(placed, GroupPlaced)
            known = placed.order_class
            self.remember(group_id, known)
        return known
