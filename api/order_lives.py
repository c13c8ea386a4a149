"""The lives of orders, folded from the log as their events come: how each stood before and after.

Whoever tells clients of orders tells what the log says at that event, so that no view that is
behind or ahead changes it, and the same is told however often it is asked for again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from application.log.ports import EventStreams, Recorded
from application.orders import OrderView
from domain.events import OrderEvent, OrderReplaced
from domain.order import Order

REMEMBERED_ORDERS = 50_000


class Life(NamedTuple):
    """An order as it stands, and the gateway through which it came."""

    order: Order
    gateway: str


class FirstEvents(Protocol):
    """The log as it is asked how several aggregates began."""

    async def first_events(self, originator_ids: Sequence[UUID]) -> Sequence[Recorded]:
        """The first event of each of these aggregates, in no order."""
        ...


class Step(NamedTuple):
    """What an event did to an order."""

    order: Order
    status_before: int
    name_before: str
    """What the client called it before the event."""
    replaced: OrderView | None
    """The revision that the event put another in the place of."""
    gateway: str
    """Through which the order came, whoever caused the event."""


class OrderLives:
    """Orders as they stand at the events that are read in log order; of those that work the
    newest are remembered.
    """

    def __init__(self, log: EventStreams, remembered: int = REMEMBERED_ORDERS) -> None:
        self._log = log
        self._remembered = remembered
        self._lives: OrderedDict[UUID, Life] = OrderedDict()
        self._gateways: OrderedDict[UUID, str] = OrderedDict()

    def forget(self) -> None:
        """Let go of what is remembered of orders."""
        self._lives.clear()
        self._gateways.clear()

    async def follow(self, event: OrderEvent) -> Step:
        """Take an event of an order in; what came before it is read where it is not remembered."""
        order_id, version = event.originator_id, event.originator_version
        life = self._lives.get(order_id)
        if life is None or life.order.version != version - 1:
            life = await self._load(order_id, version - 1) if version > 1 else None
        if life is None:
            life = Life(Order.blank(order_id, event.at), event.gateway)
        order, gateway = life
        status, name = order.status, order.client_order_id
        replaced = OrderView.of(order) if type(event) is OrderReplaced else None
        event.mutate(order)
        if order.is_working:
            self._lives[order_id] = life
            _trim(self._lives, order_id, self._remembered)
        else:
            # What comes later is rare, as a trade that is undone: it reads the order again.
            self._lives.pop(order_id, None)
        return Step(order, status, name, replaced, gateway)

    async def learn_gateways(self, log: FirstEvents, events: Iterable[OrderEvent]) -> None:
        """Learn through which gateways the orders of these events came, all in one question."""
        unknown: dict[UUID, None] = {}
        for event in events:
            order_id = event.originator_id
            if event.originator_version == 1:
                self._know(order_id, event.gateway)
                unknown.pop(order_id, None)
            elif order_id not in self._gateways:
                unknown[order_id] = None
        if unknown:
            for _, first in await log.first_events(tuple(unknown)):
                self._know(first.originator_id, first.gateway)

    def gateway_known(self, order_id: UUID) -> str | None:
        """Through which gateway an order came, where that was learned."""
        return self._gateways.get(order_id)

    async def before(self, order_id: UUID, position: int) -> Order | None:
        """An order as it stood before a position of the log; None where it was not there yet, and
        of what is none.
        """
        return _folded([one for one in await self._log.stream(order_id) if one.position < position])

    def _know(self, order_id: UUID, gateway: str) -> None:
        self._gateways[order_id] = gateway
        _trim(self._gateways, order_id, self._remembered)

    async def _load(self, order_id: UUID, version: int) -> Life:
        life = await self._log.stream(order_id, 0, version)
        order = _folded(life)
        assert order is not None, f"the log lacks the beginning of order {order_id}"
        return Life(order, life[0].event.gateway)


def _trim(remembered: OrderedDict[UUID, Any], newest: UUID, most: int) -> None:
    remembered.move_to_end(newest)
    while len(remembered) > most:
        remembered.popitem(last=False)


def _folded(life: Sequence[Recorded]) -> Order | None:
    order: Any = None
    for recorded in life:
        order = recorded.event.mutate(order)
    return order if isinstance(order, Order) else None
