"""Trade updates: what was committed about an account's orders, told to those who listen.

The log is followed only while somebody listens. Each update carries the order as it stood
after its event, folded from the order's own events, so that a view that is behind changes
nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from api.groups import Groups
from api.orders import order_document
from api.rendering import quantity
from application.log.ports import EventSource, Recorded, UnreadableEvent
from application.log.whole_commands import follow
from application.orders import OrderView
from domain.events import (
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
    PositionTraded,
)
from domain.identifiers import iso
from domain.money import to_text
from domain.order import Order
from domain.terms import OrderStatus

READ_AT_ONCE = 2_000
REMEMBERED_ORDERS = 50_000

_NAMES: dict[type[OrderEvent], str] = {
    OrderAccepted: "new",
    OrderAdjusted: "restated",
    OrderRejected: "rejected",
    OrderTriggered: "triggered",
    OrderCanceled: "canceled",
    OrderExpired: "expired",
    OrderReplaced: "replaced",
    OrderFilled: "partial_fill",
    OrderFillBusted: "trade_bust",
    OrderFillCorrected: "trade_correct",
}
TOPICS = tuple(sorted({*(kind.TOPIC for kind in _NAMES), PositionTraded.TOPIC}))
_FILLED = int(OrderStatus.FILLED)
_HELD = int(OrderStatus.HELD)

log = logging.getLogger("nexus.stream")


class Listener(Protocol):
    """Somebody who is told of an account's updates and never makes others wait."""

    def tell(self, update: dict[str, Any]) -> None:
        """Take one update; a listener that cannot must end itself."""
        ...

    def end(self) -> None:
        """Take no more: there will be none."""
        ...


class TradeUpdates:
    """Follows the log for all listeners of this process."""

    def __init__(
        self,
        source: EventSource,
        asset_class: Callable[[UUID], Awaitable[str | None]],
        groups: Groups,
    ) -> None:
        self._source = source
        self._asset_class = asset_class
        # For what is told the store is waited for; who asks for an order is not kept so long.
        self._groups = groups.asking(source)
        self._listeners: dict[UUID, set[Listener]] = {}
        self._orders: OrderedDict[UUID, Order] = OrderedDict()
        self._follower: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def listen(self, account_id: UUID, listener: Listener) -> None:
        """Tell the listener of everything committed from now on."""
        async with self._starting:
            if self._follower is None or self._follower.done():
                after = await self._source.last_position()
                self._follower = asyncio.create_task(self._follow(after), name="trade-updates")
            self._listeners.setdefault(account_id, set()).add(listener)

    async def leave(self, account_id: UUID, listener: Listener) -> None:
        """Tell the listener nothing more; without any, the log is followed no further."""
        async with self._starting:
            listeners = self._listeners.get(account_id, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(account_id, None)
            if not self._listeners:
                await self._stop()

    async def stop(self) -> None:
        """Follow no further."""
        async with self._starting:
            self._listeners.clear()
            await self._stop()

    async def _stop(self) -> None:
        follower, self._follower = self._follower, None
        self._orders.clear()
        if follower is not None:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower

    async def _follow(self, after: int) -> None:
        try:
            async for events in follow(self._source, after, limit=READ_AT_ONCE, topics=TOPICS):
                await self._tell_all(events)
        except UnreadableEvent as error:
            # Later updates rest on it: better none than wrong ones.
            log.error("no more trade updates: %s", error)
            for listener in [one for some in self._listeners.values() for one in some]:
                listener.end()

    async def _tell_all(self, batch: Sequence[Recorded]) -> None:
        holdings = {
            (e.trade_id, e.order_id): e.qty_after for _, e in batch if type(e) is PositionTraded
        }
        for position, event in batch:
            if isinstance(event, OrderEvent) and event.account_id in self._listeners:
                for update in await self._updates(position, event, holdings):
                    for listener in tuple(self._listeners.get(event.account_id, ())):
                        listener.tell(update)

    async def _updates(
        self, position: int, event: OrderEvent, holdings: dict[tuple[UUID, UUID], int]
    ) -> list[dict[str, Any]]:
        """The messages one event makes: a replacement ends a revision and begins another."""
        update: dict[str, Any] = {
            "event": _NAMES[type(event)],
            "timestamp": iso(event.at),
            "position": position,
        }
        order, before = await self._order_after(event)
        view = OrderView.of(order)
        if isinstance(event, OrderRejected):
            update["reason"] = event.code
            return [await self._with_order(update, view, event.order_class)]
        if isinstance(event, OrderAccepted) and order.is_held:
            update["event"] = "held"
        if isinstance(event, OrderAdjusted):
            if before.status == _HELD and not order.is_held:
                update["event"] = "new"
            elif (before.qty, before.status) == (view.qty, view.status):
                # What is held for it, or whether it is armed, is the venue's own affair.
                return []
        if isinstance(event, OrderReplaced):
            old = before.replaced(event.revision_id, event.at)
            new = {**update, "event": "new"}
            return [await self._with_order(update, old), await self._with_order(new, view)]
        if isinstance(event, OrderFilled):
            if event.status_after == _FILLED:
                update["event"] = "fill"
            held = holdings.get((event.trade_id, event.originator_id))
            update["position_qty"] = None if held is None else quantity(held)
        if isinstance(event, OrderFilled | OrderFillBusted | OrderFillCorrected):
            update["execution_id"] = str(event.trade_id)
            update["price"] = to_text(event.price, event.price_decimals)
            update["qty"] = quantity(event.qty)
        return [await self._with_order(update, view)]

    async def _with_order(
        self,
        update: dict[str, Any],
        view: OrderView,
        order_class: int | None = None,
    ) -> dict[str, Any]:
        asset_class = await self._asset_class(view.instrument_id)
        if order_class is None:
            order_class = await self._groups.order_class(view.group_id)
        document = order_document(view, asset_class, order_class=order_class)
        return {**update, "order": document}

    async def _order_after(self, event: OrderEvent) -> tuple[Order, OrderView]:
        """The order with this event applied, and how it stood before."""
        order = self._orders.get(event.originator_id)
        version = event.originator_version
        if order is None or order.version != version - 1:
            order = await self._load(event.originator_id, version - 1) if version > 1 else None
        if order is None:
            order = Order.blank(event.originator_id, event.at)
        before = OrderView.of(order)
        order = event.mutate(order)
        self._orders[event.originator_id] = order
        self._orders.move_to_end(event.originator_id)
        while len(self._orders) > REMEMBERED_ORDERS:
            self._orders.popitem(last=False)
        return order, before

    async def _load(self, order_id: UUID, version: int) -> Order:
        order: Any = None
        for recorded in await self._source.stream(order_id, 0, version):
            order = recorded.event.mutate(order)
        assert isinstance(order, Order), f"the log lacks the beginning of order {order_id}"
        return order
