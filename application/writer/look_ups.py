"""What the writer reads from the log because memory no longer holds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from application.commands import BustTrade, CorrectTrade, Reply
from application.desk.desk import Desk
from application.log.ports import EventLog, RequestKey
from application.log.whole_commands import read_command
from application.writer.replies import render
from application.writer.request_keys import RequestKeys
from domain.events import (
    GroupPlaced,
    OrderAccepted,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
)
from domain.identifiers import NO_ID
from domain.order import Order

Finding = Callable[[], Awaitable[None]]


def missing(
    log: EventLog, desk: Callable[[], Desk], keys: RequestKeys, command: Any
) -> Finding | None:
    """Say how to find what a command needs and memory lacks; None when nothing is missing.

    `desk` tells the desk of the moment: a recovery may have put another in its place.
    """
    if isinstance(command, BustTrade | CorrectTrade):
        return lambda: find_trade(log, desk(), command)
    if desk().orders.knows(command.account_id, command.order_id, command.client_order_id):
        return None
    if command.order_id is None:
        key = (command.account_id, command.client_order_id)
        if keys.recent(key) is None and not keys.needs_look_up(key):
            return None
    return lambda: find_order(log, desk(), command)


async def first_result(log: EventLog, key: RequestKey) -> Reply:
    """The reply that a request's events give, however long ago they were committed."""
    events = [recorded.event for recorded in await read_command(log, key.position)]
    return render(events, key.position + len(events) - 1, duplicate=True)


async def find_order(log: EventLog, desk: Desk, command: Any) -> None:
    """Bring the order a command names, ended long ago, back among the ended ones in memory."""
    order_id = command.order_id
    if order_id is None:
        key = await log.find_key(command.account_id, command.client_order_id)
        if key is None:
            return
        for recorded in await log.read(key.position - 1, 3):
            if isinstance(recorded.event, OrderAccepted | OrderRejected | OrderReplaced):
                order_id = recorded.event.originator_id
                break
    if order_id is not None:
        await _bring_back(log, desk, order_id)


async def find_trade(log: EventLog, desk: Desk, command: BustTrade | CorrectTrade) -> None:
    """Bring both fills of a trade, and the orders they filled, for the command to undo."""
    near = await log.read(max(0, command.position - 9), 18)
    fills = [
        recorded.event
        for recorded in near
        if isinstance(recorded.event, OrderFilled) and recorded.event.trade_id == command.trade_id
    ]
    if len(fills) != 2:
        return
    for fill in fills:
        await _bring_back(log, desk, fill.originator_id)
    desk.trades_found[command.trade_id] = (fills[0], fills[1])


async def _bring_back(log: EventLog, desk: Desk, order_id: Any) -> None:
    """Bring an ended order back to memory; a group's id stands for the group's parent.

    One that memory has is not brought again: the ids of its revisions would lead to its old
    twin, which nothing moves any more.
    """
    if desk.orders.remembered(order_id) is not None:
        return
    order: Order | None = None
    for recorded in await log.stream(order_id):
        placed = recorded.event
        if isinstance(placed, GroupPlaced):
            parent_id = placed.take_profit_id if placed.entry_id == NO_ID else placed.entry_id
            await _bring_back(log, desk, parent_id)
            desk.orders.ended.name(order_id, parent_id)
            return
        if order is None and not isinstance(placed, OrderAccepted | OrderRejected):
            return
        order = placed.mutate(order)
    # While the log was read, another look-up may have brought it.
    if order is not None and desk.orders.remembered(order.id) is None:
        desk.orders.ended.remember(order)
