"""Replies rendered from a command's events, the same when it is asked again years later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import msgspec

from application.commands import Refusal, Reply
from application.multileg import StrategyView
from application.orders import OrderView
from domain.events import (
    CashDeposited,
    CashMoved,
    CashWithdrawn,
    CloseAllTaken,
    DomainEvent,
    FeeCharged,
    GroupPlaced,
    MultiLegCanceled,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegUnwinding,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderReplaced,
    PositionOpened,
    PositionTransferred,
    RequestRefused,
    WatchlistChanged,
    WatchlistCreated,
    WatchlistDeleted,
)
from domain.multileg import MultiLegOrder
from domain.order import Order

Finding = Callable[[UUID], Order | None]


class _Told(msgspec.Struct, frozen=True, gc=False):
    """What a command told: its events, and where memory may have the orders they moved."""

    events: Sequence[DomainEvent]
    position: int
    duplicate: bool
    at_hand: Finding | None


def render(
    events: Sequence[DomainEvent],
    last_position: int,
    *,
    duplicate: bool = False,
    at_hand: Finding | None = None,
) -> Reply:
    """The reply that a command's events amount to, the last of them at `last_position`.

    `at_hand` finds an order that stands as these events left it, which spares folding them;
    only who has just decided the command can give it.
    """
    told = _Told(events, last_position, duplicate, at_hand)
    for event in events:
        renderer = _RENDERERS.get(type(event))
        if renderer is not None:
            return renderer(event, told)
        assert type(event) is PositionOpened, f"no reply begins with {event.TOPIC}"
    raise AssertionError("a command without events has no reply")


def _shown(first: OrderAccepted | OrderReplaced, told: _Told) -> OrderView:
    """The order that a command accepted or gave new terms, as the command left it."""
    order = told.at_hand(first.originator_id) if told.at_hand is not None else None
    return OrderView.of(order if order is not None else _folded(first, told.events))


def _folded(first: OrderAccepted | OrderReplaced, events: Sequence[DomainEvent]) -> Order:
    """The order after those events of its command that are its own."""
    order = _standing_after(first) if type(first) is OrderReplaced else Order.begun_by(first)
    for event in events:
        if event.originator_id == order.id and event.originator_version > order.version:
            order.evolve(event)
    return order


def _standing_after(event: OrderReplaced) -> Order:
    """The order as new terms left it, told by their event alone.

    What no client sees of it, as its commission, stays blank.
    """
    order = Order.blank(event.originator_id, event.submitted_at, event.originator_version - 1)
    event.apply_rest(order)
    order.evolve(event)
    return order


def _placed_or_replaced(first: OrderAccepted | OrderReplaced, told: _Told) -> Reply:
    return Reply(told.position, None, _shown(first, told), None, told.duplicate)


def _group_placed(first: GroupPlaced, told: _Told) -> Reply:
    """The parent, and the legs nested in it."""
    parent, *legs = (
        _shown(event, told)
        for event in told.events
        if type(event) is OrderAccepted and event.group_id == first.originator_id
    )
    return Reply(told.position, None, parent, None, told.duplicate, tuple(legs))


def _strategy_placed(first: MultiLegPlaced, told: _Told) -> Reply:
    """The parent, and the orders that its legs are."""
    parent = MultiLegOrder.begun_by(first)
    legs: dict[int, Order] = {}
    for event in told.events:
        if event.originator_id == parent.id and event is not first:
            parent.evolve(event)
        elif type(event) is OrderAccepted and event.group_id == parent.id:
            legs[event.originator_id.int] = Order.begun_by(event)
        elif event.originator_id.int in legs:
            legs[event.originator_id.int].evolve(event)
    views = tuple(OrderView.of(leg) for leg in legs.values())
    return Reply(
        told.position, None, None, None, told.duplicate, views, (), StrategyView.of(parent)
    )


def _strategy_replaced(first: MultiLegReplaced, told: _Told) -> Reply:
    result = {"order_id": str(first.originator_id), "revision_id": str(first.revision_id)}
    return Reply(told.position, None, None, result, told.duplicate)


def _strategy_canceled(first: MultiLegCanceled | MultiLegUnwinding, told: _Told) -> Reply:
    result = {"order_id": str(first.originator_id), "canceled_qty": first.canceled_qty}
    return Reply(told.position, None, None, result, told.duplicate)


def _refused(first: OrderRejected | RequestRefused | MultiLegRejected, told: _Told) -> Reply:
    refusal = Refusal(first.code, first.message, first.details)
    return Reply(told.position, refusal, None, None, told.duplicate)


def _canceled(first: OrderCanceled, told: _Told) -> Reply:
    result = {"order_id": str(first.originator_id), "canceled_qty": first.canceled_qty}
    return Reply(told.position, None, None, result, told.duplicate)


def _closed_all(first: CloseAllTaken, told: _Told) -> Reply:
    """What became of each position, in the order in which they were closed."""
    closed: list[dict[str, Any]] = []
    closing: list[OrderView] = []
    for event in told.events:
        if type(event) is OrderAccepted:
            closing.append(_shown(event, told))
            closed.append({"symbol": event.symbol, "order_id": str(event.originator_id)})
        elif type(event) is OrderRejected:
            order_id = str(event.originator_id)
            closed.append({"symbol": event.symbol, "order_id": order_id, **_why(event)})
        elif type(event) is RequestRefused:
            closed.append({"symbol": event.target_id, **_why(event)})
    result = {
        "closed": closed,
        "canceled": first.canceled,
        "passed": first.passed_after,
        "remaining": first.remaining,
    }
    return Reply(told.position, None, None, result, told.duplicate, closing=tuple(closing))


def _why(event: OrderRejected | RequestRefused) -> dict[str, Any]:
    """The refusal of one position among many."""
    return {"refusal": [event.code, event.message, event.details]}


def _cash(first: CashMoved, told: _Told) -> Reply:
    result = {
        "account_id": str(first.originator_id),
        "amount": first.amount,
        "cash": first.cash_after,
    }
    return Reply(told.position, None, None, result, told.duplicate)


def _transferred(first: PositionTransferred, told: _Told) -> Reply:
    result = {"account_id": str(first.account_id), "qty": first.qty_after}
    return Reply(told.position, None, None, result, told.duplicate)


def _watchlist(first: WatchlistCreated | WatchlistChanged, told: _Told) -> Reply:
    created_at = first.created_at if type(first) is WatchlistChanged else first.at
    result = {
        "watchlist_id": str(first.originator_id),
        "name": first.name,
        "instruments": [str(one) for one in first.instruments],
        "created_at": created_at,
        "updated_at": first.at,
    }
    return Reply(told.position, None, None, result, told.duplicate)


def _watchlist_deleted(first: WatchlistDeleted, told: _Told) -> Reply:
    result = {"watchlist_id": str(first.originator_id)}
    return Reply(told.position, None, None, result, told.duplicate)


_RENDERERS: dict[type[DomainEvent], Callable[[Any, _Told], Reply]] = {
    OrderAccepted: _placed_or_replaced,
    OrderReplaced: _placed_or_replaced,
    GroupPlaced: _group_placed,
    MultiLegPlaced: _strategy_placed,
    MultiLegReplaced: _strategy_replaced,
    MultiLegCanceled: _strategy_canceled,
    MultiLegUnwinding: _strategy_canceled,
    MultiLegRejected: _refused,
    OrderRejected: _refused,
    RequestRefused: _refused,
    OrderCanceled: _canceled,
    CloseAllTaken: _closed_all,
    CashDeposited: _cash,
    CashWithdrawn: _cash,
    FeeCharged: _cash,
    PositionTransferred: _transferred,
    WatchlistCreated: _watchlist,
    WatchlistChanged: _watchlist,
    WatchlistDeleted: _watchlist_deleted,
}
