"""Reads of the writer's own state; like every answer they leave after what they rest on."""

from __future__ import annotations

from application.commands import ReadOrder, ReadState, Reply
from application.desk.desk import Desk
from application.desk.state import state_hash
from application.orders import OrderView
from application.writer.gathering import refused
from domain.errors import Rejection


def read(desk: Desk, command: ReadOrder | ReadState, waiting: int) -> Reply:
    """Answer a read; `waiting` is how many commands have no answer yet."""
    if isinstance(command, ReadState):
        result = {
            "position": desk.position,
            "state_hash": state_hash(desk).hex(),
            "working_orders": len(desk.orders.working),
            "accounts": len(desk.accounts.by_id),
            "waiting": waiting,
        }
        return Reply(desk.position, result=result)
    try:
        order = desk.orders.find(command.account_id, command.order_id, command.client_order_id)
    except Rejection as refusal:
        return refused(refusal)
    return Reply(desk.position, order=OrderView.of(order))
