"""Replace: new terms for a working order, and for the other legs of its group."""

from __future__ import annotations

from typing import NamedTuple

from application.commands import ReplaceOrder, Reply
from application.deciding.linked_orders import fit, named, parent
from application.deciding.matching import move_holds, withdraw
from application.deciding.orders import buying_power, exitable, hold_for, refuse
from application.deciding.placing_groups import check_prices
from application.deciding.reactions import react
from application.deciding.steps import elect_stops, run
from application.desk.desk import Desk
from domain import risk
from domain.account import Account
from domain.decision import Decision
from domain.errors import (
    FreeRiding,
    InvalidField,
    LegFixed,
    NothingToReplace,
    Rejection,
    ReplaceQtyTooSmall,
)
from domain.identifiers import MAX_INSTANT, Instant
from domain.money import QTY_SCALE, to_text
from domain.oco import Oco
from domain.order import Order
from domain.terms import Adjustment, Leg, OrderClass, OrderType, TimeInForce

_LIMIT = int(OrderType.LIMIT)
_STOP = int(OrderType.STOP)
_STOP_LIMIT = int(OrderType.STOP_LIMIT)
_DAY = int(TimeInForce.DAY)
_GTC = int(TimeInForce.GTC)
_GTD = int(TimeInForce.GTD)


def replace_order(
    desk: Desk, decision: Decision, cmd: ReplaceOrder, fingerprint: bytes
) -> Reply | None:
    """Give a working order new terms, or record why not; a refused replace changes nothing.

    A group's id stands for its parent.
    """
    account = desk.account(cmd.account_id)
    try:
        group = named(desk, account.id, cmd.order_id)
        if group is not None:
            order = parent(desk, group)
        else:
            order = desk.find_working(account.id, cmd.order_id, "")
        terms = _check_replace(desk, account, order, cmd, decision.at)
    except Rejection as refusal:
        refuse(
            decision,
            account,
            cmd.client_order_id or cmd.request_key,
            fingerprint,
            "replace_order",
            str(cmd.order_id),
            refusal,
        )
        return None
    _replace(desk, decision, account, order, cmd, fingerprint, terms)
    return None


class NewTerms(NamedTuple):
    """What a checked replace leads to."""

    qty: int
    time_in_force: int
    expires_at: int
    limit_price: int
    stop_price: int
    working_price: int
    hold: int
    hold_qty: int
    keeps_priority: bool


def _check_replace(
    desk: Desk, account: Account, order: Order, cmd: ReplaceOrder, at: Instant
) -> NewTerms:
    market = desk.markets[order.instrument_id]
    instrument = market.instrument
    position = desk.positions[account.id, instrument.id]
    risk.check_account(account, order.side, position.qty)
    group = desk.groups[order.group_id] if order.leg else None
    if not order.is_held or cmd.qty is not None:
        risk.check_phase(instrument, may_queue=False)
    qty = _own_qty(group, order, cmd.qty)
    time_in_force = order.time_in_force if cmd.time_in_force is None else cmd.time_in_force
    if time_in_force not in (_DAY, _GTC, _GTD):
        raise InvalidField("time_in_force", "of a working order is day, gtc or gtd")
    expires_at = order.expires_at if cmd.expires_at is None else cmd.expires_at
    if time_in_force != _GTD:
        expires_at = 0
    elif not at < expires_at <= MAX_INSTANT:
        raise InvalidField("expires_at", "is not in the future")
    if group is not None and (time_in_force, expires_at) != (
        order.time_in_force,
        order.expires_at,
    ):
        raise LegFixed("time_in_force", "is that of the whole group")
    limit, stop, working = order.limit_price, order.stop_price, order.working_price
    if cmd.limit_price is not None:
        if order.order_type not in (_LIMIT, _STOP_LIMIT):
            raise NothingToReplace("this order has no limit_price")
        working = limit = risk.price_in_units(instrument, "limit_price", cmd.limit_price)
    if cmd.stop_price is not None:
        if order.order_type < _STOP or order.triggered_at:
            raise NothingToReplace("this order has no stop_price that still waits")
        stop = risk.price_in_units(instrument, "stop_price", cmd.stop_price)
        if order.order_type == _STOP:
            working = risk.market_price(market, order.side, stop)
    risk.check_qty(instrument, order.qty if cmd.qty is None else cmd.qty)
    if qty <= order.filled:
        raise ReplaceQtyTooSmall(to_text(qty, QTY_SCALE), to_text(order.filled, QTY_SCALE))
    same_terms = (limit, stop, time_in_force, expires_at) == (
        order.limit_price,
        order.stop_price,
        order.time_in_force,
        order.expires_at,
    )
    if same_terms and qty == order.qty and not cmd.client_order_id:
        raise NothingToReplace("the new terms are the old ones")
    if group is not None and (limit, stop) != (order.limit_price, order.stop_price):
        _check_leg_prices(desk, group, order, limit, stop)
    risk.check_size(account, instrument, qty, working)
    if limit != order.limit_price and order.armed and not order.is_waiting_stop:
        risk.check_collar(market, order.side, limit)
        if order.post_only:
            risk.check_post_only(market, order.side, limit)
    if stop != order.stop_price and order.armed:
        risk.check_stop(market, order.side, stop)
    leaves = qty - order.filled
    hold = hold_qty = 0
    holder = _holder(desk, group, order)
    if holder is not None:
        if leaves > holder.leaves:
            risk.check_position_limit(instrument, position, order.side, leaves - holder.leaves)
        # An entry opens, whatever the position has become since: its exits follow its fills.
        if order.leg != Leg.ENTRY:
            hold_qty = min(leaves, holder.hold_qty + exitable(account, position, order.side))
        more = leaves - hold_qty
        if more > holder.opening:
            risk.check_opening(
                account,
                instrument,
                position,
                order.side,
                leaves - holder.hold_qty,
                exits=hold_qty - holder.hold_qty,
                locate=order.locate,
            )
        prices = [working, *(leg.working_price for leg in _other_exits(desk, group, order))]
        hold = max(hold_for(account, market, order.side, more, price) for price in prices)
        if hold > holder.hold:
            risk.check_buying_power(buying_power(desk, account), hold - holder.hold)
            if order.leg == Leg.ENTRY and not account.is_margin:
                _check_settled(account, qty, hold - holder.hold)
    if account.max_orders_per_second:
        second, sent = desk.order_rates.get(account.id, (0, 0))
        risk.check_order_rate(account, sent if second == at // 1_000_000 else 0)
    risk.check_kill_switches(account, desk.venue)
    keeps = same_terms and qty < order.qty and leaves <= order.leaves
    return NewTerms(qty, time_in_force, expires_at, limit, stop, working, hold, hold_qty, keeps)


def _replace(
    desk: Desk,
    decision: Decision,
    account: Account,
    order: Order,
    cmd: ReplaceOrder,
    fingerprint: bytes,
    terms: NewTerms,
) -> None:
    market = desk.markets[order.instrument_id]
    instrument = market.instrument
    position = desk.positions[account.id, instrument.id]
    before = (order.revision_id, order.client_order_id, order.sequence, order.leaves)
    holder = _holder(desk, desk.groups.get(order.group_id), order)
    holds = (terms.hold, terms.hold_qty) if holder is order else (order.hold, order.hold_qty)
    more, more_qty = holds[0] - order.hold, holds[1] - order.hold_qty
    waiting = order.is_waiting_stop
    leaves = terms.qty - order.filled
    if not terms.keeps_priority:
        withdraw(market, order)
    elif order.armed and not waiting and leaves < order.leaves:
        market.book.reduce(order.sequence, leaves // instrument.lot)
    order.replace(
        decision,
        decision.new_id(),
        order.revision_id,
        cmd.client_order_id or cmd.request_key,
        fingerprint,
        cmd.client_order_id or order.client_order_id,
        order.symbol,
        order.side,
        order.order_type,
        terms.time_in_force,
        terms.qty,
        terms.limit_price,
        terms.stop_price,
        order.price_decimals,
        terms.expires_at,
        order.post_only,
        order.filled,
        str(order.value),
        leaves,
        order.sequence if terms.keeps_priority else desk.next_sequence(),
        terms.working_price,
        terms.keeps_priority,
        *holds,
        order.created_at,
        order.filled_at,
        order.triggered_at,
        order.status,
    )
    move_holds(desk, decision, order, more, more_qty)
    desk.replaced(order, position, before)
    desk.note_order(account, decision.at)
    if order.leg:
        _resize_group(desk, decision, order, leaves - before[3], (terms.hold, terms.hold_qty))
    if terms.keeps_priority or not order.armed:
        return
    if waiting:
        market.stops.add(order.side, order.stop_price, order.sequence)
        return
    run(desk, decision, market, order)
    elect_stops(desk, decision, market)


def _own_qty(group: Oco | None, order: Order, qty: int | None) -> int:
    """The order's own total when a new one is asked for.

    On an exit that is the total of its group, whichever leg has traded what of it.
    """
    if group is None or order.leg == Leg.ENTRY:
        return order.qty if qty is None else qty
    if qty is None:
        # Not `order.qty`: what a bust took from its fills is no longer this exit's to trade.
        return order.filled + order.leaves
    if group.order_class != OrderClass.OCO:
        raise LegFixed("qty", "of an exit follows what its entry brings")
    if qty <= group.filled:
        raise ReplaceQtyTooSmall(to_text(qty, QTY_SCALE), to_text(group.filled, QTY_SCALE))
    return order.filled + qty - group.filled


def _holder(desk: Desk, group: Oco | None, order: Order) -> Order | None:
    """The order that carries what this one holds: of a held exit the take-profit."""
    if group is None or not order.is_held:
        return order
    return desk.orders.get(group.take_profit_id) if order.armed else None


def _other_exits(desk: Desk, group: Oco | None, order: Order) -> list[Order]:
    """The exits that an exit's holds stand for as well."""
    if group is None or order.leg == Leg.ENTRY:
        return []
    others = (desk.orders.get(group.take_profit_id), desk.orders.get(group.stop_loss_id))
    return [other for other in others if other is not None and other is not order]


def _check_leg_prices(desk: Desk, group: Oco, order: Order, limit: int, stop: int) -> None:
    """With the new prices the legs that work are still in order; raises LegPriceOrder."""
    prices = {}
    for leg, order_id in group.legs:
        other = desk.orders.get(order_id)
        if other is order:
            prices[leg] = limit, stop
        elif other is not None:
            prices[leg] = other.limit_price, other.stop_price
    if order.triggered_at and order.leg == Leg.STOP_LOSS:
        return
    check_prices(
        group.side,
        prices.get(Leg.TAKE_PROFIT, (0, 0))[0],
        prices.get(Leg.STOP_LOSS, (0, 0))[1],
        prices.get(Leg.ENTRY, (0, 0)),
        order.price_decimals,
    )


def _check_settled(account: Account, qty: int, more: int) -> None:
    """An entry grows by settled funds only: else its exits could not be sold."""
    if more > account.settled_funds:
        text = to_text(qty, QTY_SCALE)
        raise FreeRiding(text, to_text(0, QTY_SCALE), text)


def _resize_group(
    desk: Desk, decision: Decision, order: Order, growth: int, holds: tuple[int, int]
) -> None:
    """Let the other legs follow a replaced one: the same quantity, and the holds for both."""
    group = desk.groups[order.group_id]
    reason = int(Adjustment.GROUP_REPLACED)
    if order.leg == Leg.ENTRY:
        if growth and not group.exit_qty:
            for other in _held_exits(desk, group):
                other.adjust(decision, reason, leaves=other.leaves + growth, hold=0, hold_qty=0)
        exit_qty = group.exit_qty
    else:
        exit_qty = group.exit_qty + growth
        for other in _other_exits(desk, group, order):
            if not other.armed:
                continue
            kept = (other.hold, other.hold_qty) if other.is_held else holds
            fit(desk, decision, other, reason, other.leaves + growth, kept)
    if growth:
        group.resize(decision, reason, qty=group.qty + growth, exit_qty=exit_qty)
    react(desk, decision)


def _held_exits(desk: Desk, group: Oco) -> list[Order]:
    exits = (desk.orders.get(group.take_profit_id), desk.orders.get(group.stop_loss_id))
    return [order for order in exits if order is not None]
