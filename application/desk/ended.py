"""Ended orders, remembered for a while so that late cancels need no look-up; no state."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar
from uuid import UUID

from domain.multileg import MultiLegOrder
from domain.order import Order

KEPT = 25_000
"""How many ended orders stay in memory, some 35 MB: those of two minutes at 200 orders a second."""
Kind = TypeVar("Kind", Order, MultiLegOrder)


class EndedOrders(Generic[Kind]):
    """The newest ended orders, by id, by client order id and by the ids of their revisions."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self.by_id: dict[int, Kind] = {}
        self.by_client: dict[tuple[int, str], Kind] = {}
        self.by_other_id: dict[int, Kind] = {}
        self._other_ids: dict[int, list[int]] = {}
        self._in_order: deque[int] = deque()

    def find(self, order_id: UUID) -> Kind | None:
        """An order by any id that it was known under."""
        return self.by_id.get(order_id.int) or self.by_other_id.get(order_id.int)

    def remember(self, order: Kind) -> None:
        """Keep an order; the oldest is forgotten when there are too many."""
        if not self._kept:
            return
        identifier = order._id.int
        if identifier not in self.by_id:
            # Not by the dict's own order: finding its first key costs all that were taken out.
            self._in_order.append(identifier)
        self.by_id[identifier] = order
        self.by_client[order.account_id.int, order.client_order_id] = order
        if len(self.by_id) > self._kept:
            self._forget(self.by_id.pop(self._in_order.popleft()))

    def name(self, other_id: UUID, order_id: UUID) -> None:
        """Let an order be found by another id as well, as long as it is remembered."""
        order = self.by_id.get(order_id.int)
        if order is not None and other_id.int not in self.by_other_id:
            self.by_other_id[other_id.int] = order
            self._other_ids.setdefault(order_id.int, []).append(other_id.int)

    def _forget(self, order: Kind) -> None:
        self.by_client.pop((order.account_id.int, order.client_order_id), None)
        for other_id in self._other_ids.pop(order.id.int, ()):
            del self.by_other_id[other_id]
