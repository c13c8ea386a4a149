"""Old event shapes, brought to today's when they are read; the stored bytes never change."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from domain.events import DomainEvent, OrderCanceled, OrderEvent
from domain.terms import CancelReason


class OrderCanceledV1(OrderEvent, frozen=True, array_like=True, gc=False):
    """How a cancel was first written: the reason as free text, side and quantities missing."""

    TOPIC: ClassVar[str] = "order.canceled.v1"
    request_key: str
    reason: str


_REASONS = {
    "client": CancelReason.CLIENT,
    "ioc": CancelReason.IMMEDIATE_OR_CANCEL,
    "fok": CancelReason.FILL_OR_KILL,
    "self trade": CancelReason.SELF_TRADE,
    "collar": CancelReason.COLLAR,
}


def order_canceled_v1_to_v2(old: OrderCanceledV1) -> OrderCanceled:
    """Text reasons become codes; what version 1 did not say reads as zero."""
    return OrderCanceled(
        originator_id=old.originator_id,
        originator_version=old.originator_version,
        at=old.at,
        partition=old.partition,
        actor=old.actor,
        gateway=old.gateway,
        correlation_id=old.correlation_id,
        causation_id=old.causation_id,
        account_id=old.account_id,
        instrument_id=old.instrument_id,
        request_key=old.request_key,
        fingerprint=b"",
        reason=int(_REASONS.get(old.reason, CancelReason.OPERATOR)),
        side=0,
        canceled_qty=0,
        filled=0,
    )


UPCASTS: dict[str, tuple[type[DomainEvent], Callable[..., DomainEvent]]] = {
    OrderCanceledV1.TOPIC: (OrderCanceledV1, order_canceled_v1_to_v2),
}
"""Old topic: (the shape it was stored in, how to read it as the next one)."""
