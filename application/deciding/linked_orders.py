"""Groups of linked orders: what one leg's fill, end or election means for the others.

A group has `left` to exit. The take-profit works for it and carries the group's holds; the
stop-loss waits, held, for the same quantity. Where there is no take-profit the stop-loss
carries them. Whatever happens, `follow_up` writes it down on the group and then brings the
legs in line with `left`, or ends what is over, inside the decision that did it.
"""

from __future__ import annotations

from uuid import UUID

from application.deciding.matching import end, held_by, match, move_holds, release, withdraw
from application.desk.desk import Desk
from domain.decision import Decision
from domain.matching.engine import Market
from domain.oco import Oco
from domain.order import Order
from domain.terms import (
    Adjustment,
    CancelReason,
    GroupEnd,
    Leg,
    OrderClass,
    OrderStatus,
    OrderType,
    Phase,
    Side,
)

_ENTRY = int(Leg.ENTRY)
_STOP_LOSS = int(Leg.STOP_LOSS)
_NEW = int(OrderStatus.NEW)
_SELL = int(Side.SELL)
EXPIRED = 0
"""Stands where a CancelReason would, for an order whose time ran out."""

_RAN = frozenset({CancelReason.COLLAR, CancelReason.NO_LIQUIDITY, CancelReason.IOC_REMAINDER})
_ENDS = {
    int(CancelReason.SELF_TRADE): GroupEnd.SELF_TRADE,
    int(CancelReason.POSITION_CLOSED): GroupEnd.POSITION_CLOSED,
    EXPIRED: GroupEnd.EXPIRED,
}


def follow_up(
    desk: Desk, decision: Decision, group: Oco, filled: dict[UUID, int], ended: dict[UUID, int]
) -> None:
    """Follow up what happened to legs: quantities filled, and why which of them ended."""
    for leg, order_id in group.legs:
        if leg != _ENTRY and order_id in filled:
            group.fill_exit(decision, leg, order_id, filled[order_id])
    bought = filled.get(group.entry_id, 0)
    if bought:
        group.fill_entry(decision, bought, _growth(desk, group, bought))
    gone = [ended[i] for leg, i in group.legs if leg != _ENTRY and i in ended]
    if group.is_stopped:
        # Its other legs were ended by the trigger.
        if group.stop_loss_id in ended:
            reason = ended[group.stop_loss_id]
            _finish(desk, decision, group, reason, ran=reason in _RAN)
        elif not group.left:
            _finish(desk, decision, group, int(CancelReason.OTHER_LEG), ran=True)
    elif gone:
        _finish(desk, decision, group, gone[0])
    elif group.left:
        if group.entry_id in ended:
            _let_entry_go(desk, decision, group)
        _align(desk, decision, group, bought)
    elif any(leg != _ENTRY and order_id in filled for leg, order_id in group.legs):
        _finish(desk, decision, group, int(CancelReason.OTHER_LEG), ran=True)
    elif group.entry_id not in desk.orders:
        _without_entry(desk, decision, group, ended)


def _growth(desk: Desk, group: Oco, bought: int) -> int:
    """What of an entry's fill the exits may trade: what the position can give up.

    Nothing when they are done, for they may have traded in the same step, before it.
    """
    if not any(leg != _ENTRY and order_id in desk.orders for leg, order_id in group.legs):
        return 0
    position = desk.positions[group.account_id, group.instrument_id]
    free = position.closable(group.side)
    if free < bought and position.reserved and (position.qty > 0) == (group.side == _SELL):
        # The fill may have turned the position: exits of the other side still have to give way.
        orders = desk.account_orders[group.account_id].values()
        mine = (one for one in orders if one.instrument_id == group.instrument_id)
        reserved = sum(one.hold_qty for one in mine if one.side == group.side)
        free = max(0, position.exitable - reserved)
    return min(bought, free)


def _let_entry_go(desk: Desk, decision: Decision, group: Oco) -> None:
    """The entry ended after a partial fill: the exits stay for what it brought."""
    group.resize(
        decision, int(Adjustment.ENTRY_ENDED), qty=group.entry_filled, exit_qty=group.exit_qty
    )


def _without_entry(desk: Desk, decision: Decision, group: Oco, ended: dict[UUID, int]) -> None:
    """The entry is done and there is nothing to exit."""
    if group.entry_filled:
        _finish(desk, decision, group, int(CancelReason.POSITION_CLOSED))
        return
    reason = ended[group.entry_id]
    if reason == EXPIRED:
        _finish(desk, decision, group, reason)
        return
    over = GroupEnd.CANCELED if reason == CancelReason.CLIENT else GroupEnd.ENTRY_UNFILLED
    end_all(desk, decision, group, over, CancelReason.ENTRY_UNFILLED)


def _finish(desk: Desk, decision: Decision, group: Oco, reason: int, *, ran: bool = False) -> None:
    """End a group because a leg ended for `reason`, or because it `ran`: it did its work."""
    if ran:
        over = GroupEnd.STOP_LOSS if group.is_stopped else GroupEnd.TAKE_PROFIT
    else:
        over = _ENDS.get(reason, GroupEnd.CANCELED)
    if reason == EXPIRED:
        end_all(desk, decision, group, over, None)
    elif reason == CancelReason.CLIENT:
        end_all(desk, decision, group, over, CancelReason.GROUP)
    elif reason == CancelReason.POSITION_CLOSED:
        end_all(desk, decision, group, over, CancelReason.POSITION_CLOSED)
    else:
        end_all(desk, decision, group, over, CancelReason.OTHER_LEG)


def parent(desk: Desk, group: Oco) -> Order:
    """The first of its legs that works; there always is one."""
    return next(desk.orders[i] for _, i in group.legs if i in desk.orders)


def named(desk: Desk, account_id: UUID, order_id: UUID | None) -> Oco | None:
    """The account's living group of this id."""
    group = desk.groups.get(order_id) if order_id is not None else None
    return group if group is not None and group.account_id == account_id else None


def end_all(
    desk: Desk, decision: Decision, group: Oco, over: GroupEnd, reason: CancelReason | None
) -> None:
    """End every leg that works, canceled for `reason` or expired, and then the group."""
    market = desk.markets[group.instrument_id]
    for _, order_id in group.legs:
        order = desk.orders.get(order_id)
        if order is None:
            continue
        withdraw(market, order)
        if reason is None:
            freed = held_by(order)
            order.expire(decision)
            release(desk, decision, order, freed)
        else:
            end(desk, decision, order, reason)
    group.end(decision, int(over))
    del desk.groups[group.id]


def _align(desk: Desk, decision: Decision, group: Oco, bought: int) -> None:
    """Let both exits be for what is left; the take-profit last, for it may trade at once."""
    take_profit = desk.orders.get(group.take_profit_id)
    stop = desk.orders.get(group.stop_loss_id)
    reason = int(Adjustment.ENTRY_FILLED if bought else Adjustment.OTHER_LEG_FILLED)
    covered = group.order_class != OrderClass.OCO
    for order in (stop, take_profit):
        if order is None:
            continue
        hold_qty = 0
        if order is take_profit or take_profit is None:
            hold_qty = group.left if covered else order.hold_qty
        fit(desk, decision, order, reason, group.left, (order.hold, hold_qty))


def fit(
    desk: Desk,
    decision: Decision,
    order: Order,
    reason: int,
    leaves: int,
    holds: tuple[int, int],
) -> None:
    """Let an exit be for `leaves` with these (hold, quantity reserved), and ready to trade."""
    market = desk.markets[order.instrument_id]
    position = desk.positions[order.account_id, order.instrument_id]
    armed, before = order.armed, (order.is_held, order.leaves, order.sequence)
    # Held quantity is what makes a leg work; without it another leg comes first.
    status = _NEW if order.is_held and any(holds) else order.status
    if (armed, order.leaves, order.hold, order.hold_qty, order.status) == (
        True,
        leaves,
        *holds,
        status,
    ):
        return
    waits = order.order_type >= OrderType.STOP and not order.triggered_at
    requeue = not waits and (not armed or leaves > order.leaves)
    if requeue:
        withdraw(market, order)
    more, more_qty = holds[0] - order.hold, holds[1] - order.hold_qty
    order.adjust(
        decision,
        reason,
        leaves=leaves,
        hold=holds[0],
        hold_qty=holds[1],
        status=status,
        armed=True,
        sequence=desk.next_sequence() if requeue else order.sequence,
    )
    move_holds(desk, decision, order, more, more_qty)
    desk.adjusted(order, position, before)
    if waits:
        if not armed:
            market.arm(order)
    elif not requeue:
        if leaves < before[1]:
            market.book.reduce(order.sequence, leaves // market.instrument.lot)
    elif market.instrument.phase == Phase.OPEN:
        match(desk, decision, market, order)
    else:
        market.add(order, desk.accounts[order.account_id].owner_number)


def stop_met(
    desk: Desk,
    decision: Decision,
    market: Market,
    order: Order,
    prices: tuple[int, int],
) -> None:
    """The stop's condition was met: the other legs' remainders end before the stop runs."""
    if order.leg != _STOP_LOSS:
        return
    group = desk.groups[order.group_id]
    take_profit = desk.orders.get(group.take_profit_id)
    gap, holds = False, (order.hold, order.hold_qty)
    if take_profit is not None:
        target, holds = take_profit.limit_price, (take_profit.hold, take_profit.hold_qty)
        gap = prices[1] >= target if group.side == _SELL else 0 < prices[0] <= target
    group.trigger_stop(decision, prices, gap)
    for other in (take_profit, desk.orders.get(group.entry_id)):
        if other is not None:
            withdraw(market, other)
            end(desk, decision, other, CancelReason.OTHER_LEG)
    if order.is_held:
        position = desk.positions[order.account_id, order.instrument_id]
        before = order.is_held, order.leaves, order.sequence
        order.adjust(
            decision,
            int(Adjustment.STOP_TRIGGERED),
            leaves=order.leaves,
            hold=holds[0],
            hold_qty=holds[1],
            status=_NEW,
        )
        move_holds(desk, decision, order, *holds)
        desk.adjusted(order, position, before)


def shrink(desk: Desk, decision: Decision, order: Order, qty: int) -> None:
    """The position no longer holds `qty` of what `order` reserves: all exits shrink."""
    group = desk.groups[order.group_id]
    leaves = order.leaves - qty
    if not leaves:
        _finish(desk, decision, group, int(CancelReason.POSITION_CLOSED))
        return
    reason = int(Adjustment.POSITION_SHRANK)
    hold_qty = order.hold_qty - qty
    group.resize(decision, reason, qty=group.qty, exit_qty=group.filled + leaves)
    for leg, order_id in group.legs:
        other = desk.orders.get(order_id)
        if leg == _ENTRY or other is None:
            continue
        holds = (other.hold, hold_qty if other is order else other.hold_qty)
        fit(desk, decision, other, reason, leaves, holds)
