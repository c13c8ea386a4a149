"""The lives of orders, folded from the log as their events come: how each stood before and after.

Whoever tells clients of orders tells what the log says at that event, so that no view that is
behind or ahead changes it, and the same is told however often it is asked for again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from application.log.ports import EventStreams, Recorded
from application.orders import OrderView
from domain.events import OrderEvent
from domain.order import Order

REMEMBERED_ORDERS = 50_000


class Life(NamedTuple):
    """An order as it stands, and the gateway through which it came."""

    order: Order
    gateway: str


class Step(NamedTuple):
    """What an event did to an order."""

    order: Order
    before: OrderView
    gateway: str
    """Through which the order came, whoever caused the event."""


class OrderLives:
    """Orders as they stand at the events that are read in log order, newest remembered."""

    def __init__(self, log: EventStreams, remembered: int = REMEMBERED_ORDERS) -> None:
        self._log = log
        self._remembered = remembered
        self._lives: OrderedDict[UUID, Life] = OrderedDict()

    def forget(self) -> None:
        """Let go of what is remembered of orders."""
        self._lives.clear()

    async def follow(self, event: OrderEvent) -> Step:
        """Take an event of an order in; what came before it is read where it is not remembered."""
        order_id, version = event.originator_id, event.originator_version
        life = self._lives.get(order_id)
        if life is None or life.order.version != version - 1:
            life = await self._load(order_id, version - 1) if version > 1 else None
        if life is None:
            life = Life(Order.blank(order_id, event.at), event.gateway)
        before = OrderView.of(life.order)
        life = Life(event.mutate(life.order), life.gateway)
        self._remember(order_id, life)
        return Step(life.order, before, life.gateway)

    async def gateway_of(self, event: OrderEvent) -> str:
        """Through which gateway the order of an event came."""
        if event.originator_version == 1:
            return event.gateway
        life = self._lives.get(event.originator_id)
        if life is not None:
            return life.gateway
        first = await self._log.stream(event.originator_id, 0, 1)
        return first[0].event.gateway

    async def before(self, order_id: UUID, position: int) -> Order | None:
        """An order as it stood before a position of the log; None where it was not there yet."""
        return _folded([one for one in await self._log.stream(order_id) if one.position < position])

    def _remember(self, order_id: UUID, life: Life) -> None:
        self._lives[order_id] = life
        self._lives.move_to_end(order_id)
        while len(self._lives) > self._remembered:
            self._lives.popitem(last=False)

    async def _load(self, order_id: UUID, version: int) -> Life:
        life = await self._log.stream(order_id, 0, version)
        order = _folded(life)
        assert order is not None, f"the log lacks the beginning of order {order_id}"
        return Life(order, life[0].event.gateway)


def _folded(life: Sequence[Recorded]) -> Order | None:
    order: Any = None
    for recorded in life:
        order = recorded.event.mutate(order)
    assert order is None or isinstance(order, Order)
    return order
