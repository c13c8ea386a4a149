"""Groups of linked orders: what one leg's fill, end or election means for the others.

A group has `left` to exit. The take-profit works for it and carries the group's holds; the
stop-loss waits, held, for the same quantity. Where there is no take-profit the stop-loss
carries them. Whatever happens, `follow_up` writes it down on the group and then brings the
legs in line with `left`, or ends what is over, inside the decision that did it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from application.deciding.matching import end, expire, match, move_holds
from application.deciding.notes import EXPIRED
from application.desk.orders import Orders
from domain.oco import Oco
from domain.order import Order
from domain.price_range import PriceRange
from domain.terms import (
    Adjustment,
    CancelReason,
    GroupEnd,
    Leg,
    OrderClass,
    OrderStatus,
    Phase,
    Side,
)
from domain.trade import NO_HOLDS, Holds

if TYPE_CHECKING:
    from application.deciding.step import Step

_ENTRY = int(Leg.ENTRY)
_STOP_LOSS = int(Leg.STOP_LOSS)
_NEW = int(OrderStatus.NEW)
_SELL = int(Side.SELL)
_RAN = frozenset({CancelReason.PROTECTION, CancelReason.COLLAR, CancelReason.NO_LIQUIDITY})
"""What ends a stop that did its work, where what is left does not rest."""
_ASKED_FOR = frozenset({CancelReason.CLIENT, CancelReason.OPERATOR})
_ENDS = {
    int(CancelReason.SELF_TRADE): GroupEnd.SELF_TRADE,
    int(CancelReason.POSITION_CLOSED): GroupEnd.POSITION_CLOSED,
    EXPIRED: GroupEnd.EXPIRED,
}


def follow_up(step: Step, group: Oco, filled: dict[int, int], ended: dict[int, int]) -> None:
    """Follow up what happened to legs: quantities filled, and why which of them ended.

    They are told by their ids' integers.
    """
    working = step.desk.orders.working
    exits = [(leg, order_id) for leg, order_id in group.legs if leg != _ENTRY]
    traded = [(leg, order_id) for leg, order_id in exits if order_id.int in filled]
    for leg, order_id in traded:
        group.fill_exit(step, leg, order_id, filled[order_id.int])
    bought = filled.get(group.entry_id.int, 0)
    if bought:
        group.fill_entry(step, bought, _growth(step, group, bought))
    gone = [ended[order_id.int] for _, order_id in exits if order_id.int in ended]
    if group.is_stopped:
        # Its other legs were ended by the trigger.
        if group.stop_loss_id.int in ended:
            reason = ended[group.stop_loss_id.int]
            _finish(step, group, reason, ran=reason in _RAN)
        elif not group.left:
            _finish(step, group, int(CancelReason.OTHER_LEG), ran=True)
    elif gone:
        _finish(step, group, gone[0])
    elif group.left:
        if group.entry_id.int in ended:
            _let_entry_go(step, group)
        _align(step, group, bought)
    elif traded:
        _finish(step, group, int(CancelReason.OTHER_LEG), ran=True)
    elif group.entry_id.int not in working:
        _without_entry(step, group, ended)


def _growth(step: Step, group: Oco, bought: int) -> int:
    """What of an entry's fill the exits may trade: what the position can give up.

    Nothing when they are done, for they may have traded in the same step, before it.
    """
    desk = step.desk
    working = desk.orders.working
    if not any(leg != _ENTRY and order_id.int in working for leg, order_id in group.legs):
        return 0
    position = desk.accounts.positions[group.account_id.int, group.instrument_id.int]
    free = position.closable(group.side)
    if free < bought and position.reserved and (position.qty > 0) == (group.side == _SELL):
        # The fill may have turned the position: exits of the other side still have to give way.
        orders = desk.orders.of_account(group.account_id)
        mine = (one for one in orders if one.instrument_id == group.instrument_id)
        reserved = sum(one.hold_qty for one in mine if one.side == group.side)
        free = max(0, position.exitable - reserved)
    return min(bought, free)


def _let_entry_go(step: Step, group: Oco) -> None:
    """The entry ended after a partial fill: the exits stay for what it brought."""
    group.resize(step, int(Adjustment.ENTRY_ENDED), qty=group.entry_filled, exit_qty=group.exit_qty)


def _without_entry(step: Step, group: Oco, ended: dict[int, int]) -> None:
    """The entry is done and there is nothing to exit."""
    if group.entry_filled:
        _finish(step, group, int(CancelReason.POSITION_CLOSED))
        return
    reason = ended[group.entry_id.int]
    if reason == EXPIRED:
        _finish(step, group, reason)
        return
    over = GroupEnd.CANCELED if reason in _ASKED_FOR else GroupEnd.ENTRY_UNFILLED
    end_all(step, group, over, CancelReason.ENTRY_UNFILLED)


def _finish(step: Step, group: Oco, reason: int, *, ran: bool = False) -> None:
    """End a group because a leg ended for `reason`, or because it `ran`: it did its work."""
    if ran:
        over = GroupEnd.STOP_LOSS if group.is_stopped else GroupEnd.TAKE_PROFIT
    else:
        over = _ENDS.get(reason, GroupEnd.CANCELED)
    if reason == EXPIRED:
        end_all(step, group, over, None)
    elif reason in _ASKED_FOR:
        end_all(step, group, over, CancelReason.GROUP)
    elif reason == CancelReason.POSITION_CLOSED:
        end_all(step, group, over, CancelReason.POSITION_CLOSED)
    else:
        end_all(step, group, over, CancelReason.OTHER_LEG)


def parent(orders: Orders, group: Oco) -> Order:
    """The first of its legs that works; there always is one."""
    return next(orders.working[i.int] for _, i in group.legs if i.int in orders.working)


def named(orders: Orders, account_id: UUID, order_id: UUID | None) -> Oco | None:
    """The account's living group of this id."""
    group = orders.groups.get(order_id.int) if order_id is not None else None
    return group if group is not None and group.account_id == account_id else None


def target_of(orders: Orders, order: Order) -> int:
    """The price that an entry stays inside: where its take-profit stands or will; else 0."""
    group = orders.groups.get(order.group_id.int) if order.leg == _ENTRY else None
    exit_ = orders.working.get(group.take_profit_id.int) if group is not None else None
    return exit_.limit_price if exit_ is not None else 0


def end_all(step: Step, group: Oco, over: GroupEnd, reason: CancelReason | None) -> None:
    """End every leg that works, canceled for `reason` or expired, and then the group."""
    for _, order_id in group.legs:
        order = step.desk.orders.working.get(order_id.int)
        if order is None:
            continue
        if reason is None:
            expire(step, order)
        else:
            end(step, order, reason)
    group.end(step, int(over))


def _align(step: Step, group: Oco, bought: int) -> None:
    """Let both exits be for what is left; the take-profit last, for it may trade at once."""
    working = step.desk.orders.working
    take_profit = working.get(group.take_profit_id.int)
    stop = working.get(group.stop_loss_id.int)
    reason = int(Adjustment.ENTRY_FILLED if bought else Adjustment.OTHER_LEG_FILLED)
    covered = group.order_class != OrderClass.OCO
    for order in (stop, take_profit):
        if order is None:
            continue
        hold_qty = 0
        if order is take_profit or take_profit is None:
            hold_qty = group.left if covered else order.hold_qty
        fit(step, order, reason, group.left, Holds(order.hold, hold_qty))


def fit(step: Step, order: Order, reason: int, leaves: int, holds: Holds) -> None:
    """Let an exit be for `leaves` with these holds, and ready to trade."""
    desk = step.desk
    # Held quantity is what makes a leg work; without it another leg comes first.
    status = _NEW if order.is_held and holds != NO_HOLDS else order.status
    if order.armed and (order.leaves, order.holds, order.status) == (leaves, holds, status):
        return
    requeue = not order.waits and (not order.armed or leaves > order.leaves)
    more = holds.less(order.holds)
    order.adjust(
        step,
        reason,
        leaves=leaves,
        holds=holds,
        status=status,
        armed=True,
        sequence=desk.orders.next_sequence if requeue else order.sequence,
    )
    move_holds(step, order, more)
    if requeue:
        market = desk.markets.by_id[order.instrument_id.int]
        if market.instrument.phase == Phase.OPEN:
            match(step, market, order)


def stop_met(step: Step, order: Order, prices: PriceRange) -> None:
    """The stop's condition was met: the other legs' remainders end before the stop runs."""
    if order.leg != _STOP_LOSS:
        return
    orders = step.desk.orders
    group = orders.groups[order.group_id.int]
    take_profit = orders.working.get(group.take_profit_id.int)
    gap, holds = False, order.holds
    if take_profit is not None:
        target, holds = take_profit.limit_price, take_profit.holds
        gap = prices.high >= target if group.side == _SELL else 0 < prices.low <= target
    group.trigger_stop(step, prices, gap)
    for other in (take_profit, orders.working.get(group.entry_id.int)):
        if other is not None:
            end(step, other, CancelReason.OTHER_LEG)
    if order.is_held:
        order.adjust(
            step,
            int(Adjustment.STOP_TRIGGERED),
            leaves=order.leaves,
            holds=holds,
            status=_NEW,
        )
        move_holds(step, order, holds)


def entry_undone(step: Step, entry: Order) -> None:
    """A trade of an entry was busted: its exits are for no more than what of it still stands."""
    orders = step.desk.orders
    group = orders.groups.get(entry.group_id.int)
    if group is None:
        return
    gone = group.left - max(0, entry.filled - group.filled)
    exits = [orders.working.get(i.int) for leg, i in group.legs if leg != _ENTRY]
    working = [order for order in exits if order is not None]
    if gone > 0 and working:
        # The one that carries what the group has reserved.
        shrink(step, max(working, key=lambda order: order.hold_qty), gone)


def shrink(step: Step, order: Order, qty: int) -> None:
    """The position no longer holds `qty` of what `order` reserves: all exits shrink."""
    orders = step.desk.orders
    group = orders.groups[order.group_id.int]
    leaves = order.leaves - qty
    if not leaves:
        _finish(step, group, int(CancelReason.POSITION_CLOSED))
        return
    reason = int(Adjustment.POSITION_SHRANK)
    hold_qty = order.hold_qty - qty
    group.resize(step, reason, qty=group.qty, exit_qty=group.filled + leaves)
    for leg, order_id in group.legs:
        other = orders.working.get(order_id.int)
        if leg == _ENTRY or other is None:
            continue
        qty_held = hold_qty if other is order else other.hold_qty
        fit(step, other, reason, leaves, Holds(other.hold, qty_held))
