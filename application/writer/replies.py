"""Replies rendered from a command's events, the same when it is asked again years later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from application.commands import OrderView, Refusal, Reply
from domain.events import (
    CashDeposited,
    CashMoved,
    CashWithdrawn,
    DomainEvent,
    FeeCharged,
    GroupPlaced,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    PositionOpened,
    PositionTransferred,
    RequestRefused,
)
from domain.order import Order
from domain.terms import OrderStatus
from domain.units import to_digits


def render(events: Sequence[DomainEvent], last_position: int, *, duplicate: bool = False) -> Reply:
    """The reply that a command's events amount to, the last of them at `last_position`."""
    for event in events:
        renderer = _RENDERERS.get(type(event))
        if renderer is not None:
            return renderer(event, events, last_position, duplicate)
        assert type(event) is PositionOpened, f"no reply begins with {event.TOPIC}"
    raise AssertionError("a command without events has no reply")


def _accepted(
    first: OrderAccepted, events: Sequence[DomainEvent], position: int, duplicate: bool
) -> Reply:
    return Reply(position, None, _new(first, events), None, duplicate)


def _new(first: OrderAccepted, events: Sequence[DomainEvent]) -> OrderView:
    return _progress(
        first,
        events,
        first.revision_id,
        first.client_order_id,
        0,
        "0",
        first.status,
        first.at,
        0,
        None,
        (0, 0),
    )


def _group_placed(
    first: GroupPlaced, events: Sequence[DomainEvent], position: int, duplicate: bool
) -> Reply:
    """The parent, and the legs nested in it."""
    orders = [_new(event, events) for event in events if type(event) is OrderAccepted]
    legs = tuple(order for order in orders if order.group_id == first.originator_id)
    return Reply(position, None, legs[0], None, duplicate, legs[1:])


def _replaced(
    first: OrderReplaced, events: Sequence[DomainEvent], position: int, duplicate: bool
) -> Reply:
    status = OrderStatus.PARTIALLY_FILLED if first.filled else OrderStatus.NEW
    # A bust may leave nothing filled; a row from before the field was there reads as zero.
    status_after = max(int(status), first.status_after)
    return Reply(
        position,
        None,
        _progress(
            first,
            events,
            first.revision_id,
            first.client_order_id,
            first.filled,
            first.value,
            status_after,
            first.submitted_at,
            first.at,
            first.replaces,
            (first.filled_at, first.triggered_at),
        ),
        None,
        duplicate,
    )


def _progress(
    first: Any,
    events: Sequence[DomainEvent],
    revision_id: Any,
    client_order_id: str,
    filled: int,
    value: str,
    status: int,
    submitted_at: int,
    replaced_at: int,
    replaces: Any,
    earlier: tuple[int, int],
) -> OrderView:
    """The order after the events of its command that are its own.

    `earlier` is when it was last filled and when elected, before this command.
    """
    order_id = first.originator_id
    filled_at, triggered_at = earlier
    ended_at = 0
    qty = first.qty
    if len(events) > 2:
        event: Any
        for event in events:
            if event.originator_id != order_id:
                continue
            kind = type(event)
            if kind is OrderFilled:
                filled, value, status = event.filled_after, event.value_after, event.status_after
                filled_at = event.at
            elif kind is OrderAdjusted:
                qty, status = event.qty, event.status_after
            elif kind is OrderCanceled:
                status, ended_at = int(OrderStatus.CANCELED), event.at
            elif kind is OrderExpired:
                status, ended_at = int(OrderStatus.EXPIRED), event.at
    return OrderView(
        order_id,
        revision_id,
        first.account_id,
        first.instrument_id,
        first.symbol,
        client_order_id,
        first.side,
        first.order_type,
        first.time_in_force,
        qty,
        filled,
        value,
        first.limit_price,
        first.stop_price,
        first.price_decimals,
        first.expires_at,
        first.post_only,
        status,
        submitted_at,
        first.at,
        filled_at,
        ended_at,
        triggered_at,
        replaced_at,
        replaces,
        first.group_id,
        first.leg,
    )


def view(order: Order) -> OrderView:
    """An order as the writer has it now."""
    return OrderView(
        order.id,
        order.revision_id,
        order.account_id,
        order.instrument_id,
        order.symbol,
        order.client_order_id,
        order.side,
        order.order_type,
        order.time_in_force,
        order.qty,
        order.filled,
        to_digits(order.value),
        order.limit_price,
        order.stop_price,
        order.price_decimals,
        order.expires_at,
        order.post_only,
        order.status,
        order.created_at,
        order.modified_at,
        order.filled_at,
        order.ended_at,
        order.triggered_at,
        order.replaced_at,
        order.replaces if order.replaced_at else None,
        order.group_id,
        order.leg,
    )


def _rejected(
    first: OrderRejected, _: Sequence[DomainEvent], position: int, duplicate: bool
) -> Reply:
    return Reply(position, Refusal(first.code, first.message, first.details), None, None, duplicate)


def _refused(
    first: RequestRefused, _: Sequence[DomainEvent], position: int, duplicate: bool
) -> Reply:
    return Reply(position, Refusal(first.code, first.message, first.details), None, None, duplicate)


def _canceled(
    first: OrderCanceled, _: Sequence[DomainEvent], position: int, duplicate: bool
) -> Reply:
    result = {"order_id": str(first.originator_id), "canceled_qty": first.canceled_qty}
    return Reply(position, None, None, result, duplicate)


def _cash(first: CashMoved, _: Sequence[DomainEvent], position: int, duplicate: bool) -> Reply:
    result = {
        "account_id": str(first.originator_id),
        "amount": first.amount,
        "cash": first.cash_after,
    }
    return Reply(position, None, None, result, duplicate)


def _transferred(
    first: PositionTransferred, _: Sequence[DomainEvent], position: int, duplicate: bool
) -> Reply:
    result = {"account_id": str(first.account_id), "qty": first.qty_after}
    return Reply(position, None, None, result, duplicate)


_RENDERERS: dict[type[DomainEvent], Callable[[Any, Sequence[DomainEvent], int, bool], Reply]] = {
    OrderAccepted: _accepted,
    GroupPlaced: _group_placed,
    OrderRejected: _rejected,
    OrderReplaced: _replaced,
    OrderCanceled: _canceled,
    RequestRefused: _refused,
    CashDeposited: _cash,
    CashWithdrawn: _cash,
    FeeCharged: _cash,
    PositionTransferred: _transferred,
}
