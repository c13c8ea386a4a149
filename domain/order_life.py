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
    OrderTriggered,
)
from domain.terms import OrderStatus

_NEW = int(OrderStatus.NEW)
_PARTIAL = int(OrderStatus.PARTIALLY_FILLED)
_FILLED = int(OrderStatus.FILLED)
_CANCELED = int(OrderStatus.CANCELED)
_REJECTED = int(OrderStatus.REJECTED)
_EXPIRED = int(OrderStatus.EXPIRED)
_HELD = int(OrderStatus.HELD)

TRANSITIONS: dict[tuple[int | None, type[DomainEvent]], frozenset[int]] = {
    (None, OrderAccepted): frozenset({_NEW, _HELD}),
    (None, OrderRejected): frozenset({_REJECTED}),
    (_HELD, OrderAdjusted): frozenset({_HELD, _NEW}),
    (_HELD, OrderReplaced): frozenset({_HELD}),
    (_HELD, OrderCanceled): frozenset({_CANCELED}),
    (_HELD, OrderExpired): frozenset({_EXPIRED}),
    (_NEW, OrderAdjusted): frozenset({_NEW}),
    (_NEW, OrderTriggered): frozenset({_NEW}),
    (_NEW, OrderReplaced): frozenset({_NEW}),
    (_NEW, OrderFilled): frozenset({_PARTIAL, _FILLED}),
    (_NEW, OrderCanceled): frozenset({_CANCELED}),
    (_NEW, OrderExpired): frozenset({_EXPIRED}),
    (_PARTIAL, OrderAdjusted): frozenset({_PARTIAL}),
    (_PARTIAL, OrderReplaced): frozenset({_PARTIAL}),
    (_PARTIAL, OrderFilled): frozenset({_PARTIAL, _FILLED}),
    (_PARTIAL, OrderCanceled): frozenset({_CANCELED}),
    (_PARTIAL, OrderExpired): frozenset({_EXPIRED}),
    (_PARTIAL, OrderFillBusted): frozenset({_PARTIAL}),
    (_PARTIAL, OrderFillCorrected): frozenset({_PARTIAL}),
    (_FILLED, OrderFillBusted): frozenset({_FILLED}),
    (_FILLED, OrderFillCorrected): frozenset({_FILLED}),
    (_CANCELED, OrderFillBusted): frozenset({_CANCELED}),
    (_CANCELED, OrderFillCorrected): frozenset({_CANCELED}),
    (_EXPIRED, OrderFillBusted): frozenset({_EXPIRED}),
    (_EXPIRED, OrderFillCorrected): frozenset({_EXPIRED}),
}
"""The whole life of an order: (status, event) to the statuses it may lead to."""
