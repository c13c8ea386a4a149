"""The life of an order as one literal table."""

from __future__ import annotations

from domain.events import (
    DomainEvent,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.terms import OrderStatus

NEW = int(OrderStatus.NEW)
PARTIAL = int(OrderStatus.PARTIALLY_FILLED)
FILLED = int(OrderStatus.FILLED)
CANCELED = int(OrderStatus.CANCELED)
REJECTED = int(OrderStatus.REJECTED)
EXPIRED = int(OrderStatus.EXPIRED)
HELD = int(OrderStatus.HELD)

TRANSITIONS: dict[tuple[int | None, type[DomainEvent]], frozenset[int]] = {
    (None, OrderAccepted): frozenset({NEW, HELD}),
    (None, OrderRejected): frozenset({REJECTED}),
    (HELD, OrderAdjusted): frozenset({HELD, NEW}),
    (HELD, OrderReplaced): frozenset({HELD}),
    (HELD, OrderCanceled): frozenset({CANCELED}),
    (HELD, OrderExpired): frozenset({EXPIRED}),
    (NEW, OrderAdjusted): frozenset({NEW}),
    (NEW, OrderTrailed): frozenset({NEW}),
    (NEW, OrderTriggered): frozenset({NEW}),
    (NEW, OrderReplaced): frozenset({NEW}),
    (NEW, OrderFilled): frozenset({PARTIAL, FILLED}),
    (NEW, OrderCanceled): frozenset({CANCELED}),
    (NEW, OrderExpired): frozenset({EXPIRED}),
    (PARTIAL, OrderAdjusted): frozenset({PARTIAL}),
    (PARTIAL, OrderReplaced): frozenset({PARTIAL}),
    (PARTIAL, OrderFilled): frozenset({PARTIAL, FILLED}),
    (PARTIAL, OrderCanceled): frozenset({CANCELED}),
    (PARTIAL, OrderExpired): frozenset({EXPIRED}),
    (PARTIAL, OrderFillBusted): frozenset({PARTIAL}),
    (PARTIAL, OrderFillCorrected): frozenset({PARTIAL}),
    (FILLED, OrderFillBusted): frozenset({FILLED}),
    # Only when no trade of it stands any more.
    (FILLED, OrderCanceled): frozenset({CANCELED}),
    (FILLED, OrderFillCorrected): frozenset({FILLED}),
    (CANCELED, OrderFillBusted): frozenset({CANCELED}),
    (CANCELED, OrderFillCorrected): frozenset({CANCELED}),
    (EXPIRED, OrderFillBusted): frozenset({EXPIRED}),
    (EXPIRED, OrderFillCorrected): frozenset({EXPIRED}),
}
"""The whole life of an order: (status, event) to the statuses it may lead to."""
