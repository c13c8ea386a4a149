"""What the writer reads from the log because memory no longer holds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from application.commands import BustTrade, CorrectTrade, ReplaceOrder, Reply
from application.desk.desk import Desk
from application.log.ports import EventLog, RequestKey
from application.log.whole_commands import read_command
from application.multileg import StrategyView
from application.orders import OrderView
from application.writer.replies import render
from application.writer.request_keys import RequestKeys
from domain.events import (
    DomainEvent,
    GroupPlaced,
    MultiLegPlaced,
    MultiLegRejected,
    MultiLegReplaced,
    OrderAccepted,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
)
from domain.identifiers import NO_ID, drawn_by
from domain.multileg import MultiLegOrder
from domain.order import Order

_BEGIN = OrderAccepted | OrderRejected | MultiLegPlaced | MultiLegRejected
"""Events with which the life of an order begins, or of a multi-leg order."""
Finding = Callable[[Desk], Awaitable[None]]
"""Finds something for a desk: that of the moment, for a recovery may put another in its place."""


def missing(log: EventLog, desk: Desk, keys: RequestKeys, command: Any) -> Finding | None:
    """Say how to find what a command needs and memory lacks; None when nothing is missing."""
    if isinstance(command, BustTrade | CorrectTrade):
        return lambda desk: find_trade(log, desk, command)
    order_id, name = _looked_for(command)
    if desk.orders.knows(command.account_id, order_id, name):
        return None
    if order_id is not None and desk.strategies.by_any_id(order_id) is not None:
        return None
    if desk.strategies.find(command.account_id, order_id, name) is not None:
        return None
    if order_id is None:
        key = (command.account_id, name)
        if keys.recent(key) is None and not keys.needs_look_up(key):
            return None
    return lambda desk: find_order(log, desk, command)


def _looked_for(command: Any) -> tuple[UUID | None, str]:
    """The id of the order that a command is about, or its name."""
    if isinstance(command, ReplaceOrder):
        return command.known_id, command.name
    return command.order_id, command.client_order_id


async def answered_again(log: EventLog, desk: Callable[[], Desk], key: RequestKey) -> Reply:
    """What a request that was done is answered, however long ago that was.

    An order that it placed or gave new terms is shown as it is now, with the legs of its group, and
    so is each that closes a position; any other result, also a refusal, is the first one.
    """
    events = [recorded.event for recorded in await read_command(log, key.position)]
    first = render(events, key.position + len(events) - 1, duplicate=True)
    if first.strategy is not None:
        return await _strategy_again(log, desk, first, first.strategy)
    shown = first.closing if first.order is None else (first.order, *first.legs)
    if not shown:
        return first
    present = desk()
    orders = [await _as_it_is_now(log, present, one.order_id) for one in shown]
    if present is not desk():
        # Another desk has been put in its place meanwhile, and it is that one's orders that move.
        return await answered_again(log, desk, key)
    position = max(first.position, present.position)
    views = tuple(map(OrderView.of, orders))
    if first.order is None:
        return replace(first, position=position, closing=views)
    return Reply(position, None, views[0], None, True, views[1:])


async def _strategy_again(
    log: EventLog, desk: Callable[[], Desk], first: Reply, shown: StrategyView
) -> Reply:
    """A multi-leg order as it is now, with the orders that its legs are."""
    present = desk()
    parent = present.strategies.remembered(shown.order_id)
    if parent is None:
        for recorded in await log.stream(shown.order_id):
            parent = recorded.event.mutate(parent)
    assert parent is not None, "one that was placed is in memory or in the log"
    legs = [await _as_it_is_now(log, present, leg.order_id) for leg in first.legs]
    if present is not desk():
        return await _strategy_again(log, desk, first, shown)
    return replace(
        first,
        position=max(first.position, present.position),
        legs=tuple(map(OrderView.of, legs)),
        strategy=StrategyView.of(parent),
    )


async def _as_it_is_now(log: EventLog, desk: Desk, order_id: UUID) -> Order:
    """An order that was accepted, from memory or, long ended, from the log."""
    order = desk.orders.remembered(order_id)
    if order is None:
        for recorded in await log.stream(order_id):
            order = recorded.event.mutate(order)
    assert order is not None, "an accepted order is in memory or in the log"
    return order


async def find_order(log: EventLog, desk: Desk, command: Any) -> None:
    """Bring the order a command names, ended long ago, back among the ended ones in memory."""
    order_id, name = _looked_for(command)
    if order_id is None:
        key = await log.find_key(command.account_id, name)
        if key is None:
            return
        for recorded in await log.read(key.position - 1, 3):
            if isinstance(recorded.event, _BEGIN | OrderReplaced | MultiLegReplaced):
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


async def find_revision(log: EventLog, revision_id: UUID) -> UUID | None:
    """The order that was given new terms under this id, which is no aggregate's own.

    An id tells the command that drew it, and the commands of a log are in the order of their
    ids: where its events stand is found by halving.
    """
    command_id = drawn_by(revision_id)
    if command_id is None:
        return None
    before, beyond = 0, await log.last_position() + 1
    while beyond - before > 1:
        middle = (before + beyond) // 2
        (found,) = await log.read(middle - 1, 1)
        if found.event.correlation_id.int < command_id.int:
            before = middle
        else:
            beyond = middle
    for recorded in await read_command(log, beyond):
        event = recorded.event
        if isinstance(event, OrderReplaced | MultiLegReplaced) and event.revision_id == revision_id:
            return event.originator_id
    return None


async def _bring_back(log: EventLog, desk: Desk, order_id: UUID) -> None:
    """Bring an ended order back to memory by any id that it was known under; a group's id stands
    for the group's parent.

    One that memory has is not brought again: the ids of its revisions would lead to its old
    twin, which nothing moves any more.
    """
    if desk.orders.remembered(order_id) is not None:
        return
    if desk.strategies.by_any_id(order_id) is not None:
        return
    life = await log.stream(order_id)
    if not life:
        original = await find_revision(log, order_id)
        if original is not None:
            await _bring_back(log, desk, original)
        return
    first = life[0].event
    if isinstance(first, GroupPlaced):
        parent_id = first.take_profit_id if first.entry_id == NO_ID else first.entry_id
        await _bring_back(log, desk, parent_id)
        desk.orders.ended.name(order_id, parent_id)
    elif isinstance(first, MultiLegPlaced | MultiLegRejected):
        if desk.strategies.remembered(order_id) is None:
            _remember_strategy(desk, [recorded.event for recorded in life])
    # While the log was read, another look-up may have brought it.
    elif (
        isinstance(first, OrderAccepted | OrderRejected)
        and desk.orders.remembered(order_id) is None
    ):
        _remember(desk, [recorded.event for recorded in life])


def _remember_strategy(desk: Desk, life: Sequence[DomainEvent]) -> None:
    parent: MultiLegOrder | None = None
    for event in life:
        parent = event.mutate(parent)
    assert parent is not None
    ended = desk.strategies.ended
    ended.remember(parent)
    for event in life:
        if isinstance(event, MultiLegReplaced):
            ended.name(event.revision_id, parent.id)


def _remember(desk: Desk, life: Sequence[DomainEvent]) -> None:
    order: Order | None = None
    for event in life:
        order = event.mutate(order)
    assert order is not None
    ended = desk.orders.ended
    ended.remember(order)
    for event in life:
        if isinstance(event, OrderReplaced):
            ended.name(event.revision_id, order.id)
