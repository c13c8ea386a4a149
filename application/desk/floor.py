"""The rooms a book needs, and no more: orders and markets, kept by events alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from application.desk.markets import Markets
from application.desk.orders import Orders
from domain.events import (
    DomainEvent,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderFillBusted,
    OrderFillCorrected,
    OrderRejected,
)
from domain.order import Order


def nobody(_: UUID) -> int:
    """The owner of every order where owners do not matter."""
    return 0


class TradingFloor:
    """Orders and markets without accounts: what a market data feed follows.

    Events of other rooms are of no concern here. `apply` is the one way anything changes.
    """

    def __init__(
        self, owner_of: Callable[[UUID], int] = nobody, orders: Orders | None = None
    ) -> None:
        self.orders = Orders() if orders is None else orders
        self.markets = Markets(owner_of)
        self._rules: dict[type[Any], Callable[[Any], Any]] = {
            **self.orders.rules,
            **self.markets.rules,
            OrderAccepted: self._order_accepted,
            OrderRejected: self._order_rejected,
            OrderFillBusted: self._fill_revised,
            OrderFillCorrected: self._fill_revised,
            **dict.fromkeys(self.orders.own, self._order_moved),
            OrderCanceled: self._order_canceled,
        }
        # The order's own room moves it last: the others see it as it stood.
        self._moves: dict[type[Any], tuple[Callable[[Order, Any], None], ...]] = {
            kind: (self.markets.beside[kind], own) for kind, own in self.orders.own.items()
        }

        self._beside_accepted: tuple[Callable[[Order, Any], None], ...] = (
            self.markets.beside[OrderAccepted],
        )

    def apply(self, event: DomainEvent) -> Any:
        """Move everything that an event moves; returns the aggregate it belongs to, if any."""
        rule = self._rules.get(type(event))
        return rule(event) if rule is not None else None

    def _order_accepted(self, event: OrderAccepted) -> Order:
        order = self.orders.accepted(event)
        for move in self._beside_accepted:
            move(order, event)
        return order

    def _order_rejected(self, event: OrderRejected) -> Order:
        order: Order = event.mutate(None)
        return order

    def _order_moved(self, event: OrderEvent) -> Order:
        order = self.orders.working[event.originator_id.int]
        for move in self._moves[type(event)]:
            move(order, event)
        return order

    def _order_canceled(self, event: OrderCanceled) -> Order | None:
        if event.originator_id.int in self.orders.working:
            return self._order_moved(event)
        # Filled, and none of its trades stands any more.
        return self.orders.revised(event)

    def _fill_revised(self, event: OrderFillBusted | OrderFillCorrected) -> Order | None:
        self.markets.prints.said(event)
        return self.orders.revised(event)
