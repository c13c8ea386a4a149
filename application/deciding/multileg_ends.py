"""How multi-leg orders end: the parent first, and with it every leg that works, in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from application.deciding.matching import end, expire
from application.deciding.notes import EXPIRED
from application.deciding.unwinding import unwind
from domain.multileg import MultiLegOrder
from domain.multileg_errors import LegOfStrategy
from domain.order import Order
from domain.order_terms import NO_REQUEST, Request
from domain.terms import CancelReason, Leg

if TYPE_CHECKING:
    from application.deciding.step import Step

_FIRST = int(Leg.FIRST)


def end_strategy(
    step: Step, parent: MultiLegOrder, reason: CancelReason, request: Request = NO_REQUEST
) -> None:
    """Cancel what is left of a multi-leg order, and all its legs with it; what a leg has traded
    ahead of the others is closed again.
    """
    if step.desk.strategies.in_turn.are_ahead(parent):
        unwind(step, parent, reason, request)
        return
    parent.cancel(step, int(reason), request)
    for leg in parent.strategy:
        order = step.desk.orders.working.get(leg.order_id.int)
        if order is not None:
            end(step, order, CancelReason.GROUP)


def expire_strategy(step: Step, parent: MultiLegOrder) -> None:
    """End a multi-leg order whose time is over, and all its legs with it; what a leg has traded
    ahead of the others is closed again.
    """
    if step.desk.strategies.in_turn.are_ahead(parent):
        unwind(step, parent, CancelReason.LEG_INCOMPLETE)
        return
    parent.expire(step)
    for leg in parent.strategy:
        order = step.desk.orders.working.get(leg.order_id.int)
        if order is not None:
            expire(step, order)


def rest_reason(parent: MultiLegOrder) -> CancelReason:
    """Why what is left of one that may not rest ends."""
    return CancelReason.IMMEDIATE_OR_CANCEL if parent.has_limit else CancelReason.NO_LIQUIDITY


def cancel_whole(step: Step, order: Order, reason: CancelReason) -> None:
    """Cancel an order, or the multi-leg order that it is a leg of."""
    parent = step.desk.strategies.live.get(order.group_id.int) if order.leg >= _FIRST else None
    if parent is None:
        end(step, order, reason)
    else:
        end_strategy(step, parent, reason)


def expire_whole(step: Step, order: Order) -> None:
    """End an order whose time is over, or the multi-leg order that it is a leg of."""
    parent = step.desk.strategies.live.get(order.group_id.int) if order.leg >= _FIRST else None
    if parent is None:
        expire(step, order)
    else:
        expire_strategy(step, parent)


def check_alone(order: Order) -> None:
    """Raises LegOfStrategy for a leg of a multi-leg order, which ends and changes with it."""
    if order.leg >= _FIRST:
        raise LegOfStrategy(str(order.id), str(order.group_id))


def follow_up(step: Step, parent_id: UUID, ended: dict[int, int]) -> None:
    """Let a multi-leg order follow a leg that was ended by itself, and its other legs it."""
    parent = step.desk.strategies.live.get(parent_id.int)
    # One that is being closed again has ended its legs itself.
    if parent is None or not parent.is_working or not ended:
        return
    reason = next(iter(ended.values()))
    if reason == EXPIRED:
        expire_strategy(step, parent)
    else:
        end_strategy(step, parent, CancelReason(reason))
