"""Reads of the writer's own state; like every answer they leave after what they rest on."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from application.commands import ReadOrder, ReadState, Reply
from application.desk.desk import Desk
from application.desk.state import state_hash
from application.orders import OrderView
from application.writer.gathering import refused
from domain.errors import Rejection


def read(desk: Desk, command: ReadOrder | ReadState, waiting: int) -> Reply:
    """Answer a read; `waiting` is how many commands have no answer yet."""
    if isinstance(command, ReadState):
        result: dict[str, Any] = {
            "position": desk.position,
            "last_at": desk.last_at,
            "working_orders": len(desk.orders.working),
            "accounts": len(desk.accounts.by_id),
            "waiting": waiting,
        }
        if command.hashed:
            result["state_hash"] = state_hash(desk).hex()
        return Reply(desk.position, result=result)
    try:
        order = desk.orders.find(command.account_id, command.order_id, command.client_order_id)
    except Rejection as refusal:
        return refused(refusal)
    return by_present_symbol(desk, Reply(desk.position, order=OrderView.of(order)))


def by_present_symbol(desk: Desk, reply: Reply) -> Reply:
    """The reply with its orders under the symbol of today, whatever it was when they came."""
    if reply.order is not None:
        order = _renamed(desk, reply.order)
        # A revision has the symbol of its time: of a group each leg's own.
        legs = tuple(_renamed(desk, leg) for leg in reply.legs)
        return replace(reply, order=order, legs=legs)
    if reply.closing:
        return replace(reply, closing=tuple(_renamed(desk, order) for order in reply.closing))
    return reply


def _renamed(desk: Desk, order: OrderView) -> OrderView:
    market = desk.markets.by_id.get(order.instrument_id.int)
    if market is None or market.instrument.symbol == order.symbol:
        return order
    return replace(order, symbol=market.instrument.symbol)
