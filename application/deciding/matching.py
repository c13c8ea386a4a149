"""What happens when orders meet: planned on the book, then recorded, which is what changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from domain.account import Account
from domain.commission import bounded, exact
from domain.instrument import Instrument
from domain.matching.engine import Market, Planned
from domain.matching.notional import afforded
from domain.money import cents, exact_value
from domain.order import Order
from domain.order_terms import NO_REQUEST, Request
from domain.terms import CancelReason, Leg, Liquidity, SelfTrade, Side, TimeInForce
from domain.trade import Charged, Holds, Trade, TradeDates

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_ENTRY = int(Leg.ENTRY)
_FOK = int(TimeInForce.FOK)
_CANCEL_OLDEST = int(SelfTrade.CANCEL_OLDEST)
_COLLAR = CancelReason.COLLAR
_PROTECTION = CancelReason.PROTECTION
_NOTIONAL = CancelReason.NOTIONAL
_ADDED = int(Liquidity.ADDED)
_REMOVED = int(Liquidity.REMOVED)
_AUCTION = int(Liquidity.AUCTION)


class Print(msgspec.Struct, frozen=True, gc=False):
    """A trade as both of its sides see it; `value` is exact, `notional` that in cents."""

    id: UUID
    qty: int
    price: int
    value: int
    notional: int
    dates: TradeDates


def run(step: Step, market: Market, order: Order) -> None:
    """Match one live order, and let linked orders follow; nothing may fail."""
    match(step, market, order)
    step.follow_up()


def match(step: Step, market: Market, order: Order) -> None:
    """Match one live order against the book; what is left rests or ends. Nothing may fail."""
    may_rest = order.may_rest
    if may_rest and not market.crosses(order):
        return
    by_sequence = step.desk.orders.by_sequence
    plan = _plan(step, market, order)
    spent = False
    if order.notional:
        plan, spent = afforded(market, plan, order.notional)
    if plan.left and order.time_in_force == _FOK:
        end(step, order, CancelReason.FILL_OR_KILL)
        return
    cut_off = plan.left > 0 and not may_rest
    # Its trades move what the collar is measured from.
    beyond = _COLLAR if cut_off and market.at_collar(order) else _PROTECTION
    for met in plan.met:
        resting = by_sequence[met.sequence]
        if met.trades:
            trade(step, market, (order, resting), met.qty, met.price, (_REMOVED, _ADDED))
        else:
            end(step, resting, CancelReason.SELF_TRADE)
    if plan.ended:
        end(step, order, CancelReason.SELF_TRADE)
    elif cut_off:
        reason = _NOTIONAL if spent else remainder_reason(market, order, beyond)
        end(step, order, reason)


def _plan(step: Step, market: Market, order: Order) -> Planned:
    """What a live order would do. A group's exit of a position does not end because its owner's
    other orders stand in its way: they do, unless they are such exits themselves.
    """
    desk = step.desk
    owner = desk.accounts.owner_number(order.account_id)
    if not _covers(order) or order.self_trade == _CANCEL_OLDEST:
        return market.plan(order, owner, order.self_trade)
    plan = market.plan(order, owner, _CANCEL_OLDEST)
    by_sequence = desk.orders.by_sequence
    if any(not each.trades and _covers(by_sequence[each.sequence]) for each in plan.met):
        return market.plan(order, owner, order.self_trade)
    return plan


def _covers(order: Order) -> bool:
    """Whether it is a group's exit of a position, and does not open one."""
    return order.leg > _ENTRY and order.hold_qty > 0


def remainder_reason(market: Market, order: Order, beyond: CancelReason) -> CancelReason:
    """Why what is left of an order that does not rest ends: `beyond` its price others stand."""
    if order.has_limit:
        return CancelReason.IMMEDIATE_OR_CANCEL
    opposite = _SELL if order.side == _BUY else _BUY
    return beyond if market.book.best(opposite) else CancelReason.NO_LIQUIDITY


def uncross(step: Step, market: Market, price: int) -> None:
    """Trade what crosses at one price; afterwards the book is not crossed.

    What follows from it waits until queued orders have their bounds.
    """
    by_sequence = step.desk.orders.by_sequence
    for buy, sell, qty in market.plan_uncross(price):
        both = by_sequence[buy], by_sequence[sell]
        trade(step, market, both, qty, price, (_AUCTION, _AUCTION))


def trade(
    step: Step,
    market: Market,
    orders: tuple[Order, Order],
    qty: int,
    price: int,
    liquidity: tuple[int, int],
) -> None:
    """Book one trade: both orders, both accounts, both positions, balanced to the cent."""
    terms = market.instrument
    value = exact_value(price, qty * terms.multiplier, terms.price_decimals)
    dates = TradeDates(terms.session_date, terms.value_date)
    made = Print(step.new_id(), qty, price, value, cents(value), dates)
    _fill_side(step, terms, orders[0], made, liquidity[0])
    _fill_side(step, terms, orders[1], made, liquidity[1])


def _fill_side(step: Step, terms: Instrument, order: Order, made: Print, liquidity: int) -> None:
    """Book one side of a trade: order, account and position."""
    accounts = step.desk.accounts
    account = accounts.by_id[order.account_id.int]
    holds = _holds_after(order, made.qty)
    released, unreserved = order.hold - holds.amount, order.hold_qty - holds.qty
    charged = _charged(account, terms, order, made, liquidity)
    commission = charged.total - order.commission
    fee = account.charge(commission) if commission else 0
    unpaid_qty = _unpaid_qty(account, order, made, fee)
    booked = Trade(
        id=made.id,
        instrument_id=order.instrument_id,
        order_id=order._id,
        side=order.side,
        qty=made.qty,
        price=made.price,
        price_decimals=terms.price_decimals,
        value=made.value,
        notional=made.notional,
        fee=fee,
        dates=made.dates,
        multiplier=terms.multiplier,
    )
    order.fill(step, booked, liquidity, holds, charged, unpaid_qty)
    account.book_trade(step, booked, commission, released=released, unpaid_qty=unpaid_qty)
    position = accounts.positions[order.account_id.int, order.instrument_id.int]
    position.trade(step, booked, unreserved, unpaid_qty)


def _holds_after(order: Order, qty: int) -> Holds:
    """What an order holds after a fill: the exit part trades first, and the hold is for what
    opens; the part that trades takes its share of it along. Where nothing opens, as of a leg that
    holds for others, all that trades does.
    """
    reserved = order.hold_qty - qty if qty < order.hold_qty else 0
    opening, opened = order.leaves - qty - reserved, order.leaves - order.hold_qty
    if order.hold and not opened:
        opening, opened = order.leaves - qty, order.leaves
    amount = -(-order.hold * opening // opened) if opening else 0
    return Holds(amount, reserved)


def _charged(
    account: Account, terms: Instrument, order: Order, made: Print, liquidity: int
) -> Charged:
    """What a fill costs by the account's schedule, and the order with it."""
    if not account.schedule and not order.commission:
        return _FREE
    schedule = account.commission_schedule
    if not schedule.kind and not order.commission:
        return _FREE
    decimals = terms.price_decimals
    month_qty = account.month_traded(terms.session_date)
    multiplier = terms.multiplier
    asked = exact(schedule, liquidity, made.qty, made.price * multiplier, decimals, month_qty)
    value = (order.value + made.price * made.qty) * multiplier
    base, sale = order.commission_base + asked, order.side == _SELL
    return Charged(schedule.kind, asked, bounded(schedule, base, value, decimals, sale=sale))


_FREE = Charged()


def _unpaid_qty(account: Account, order: Order, made: Print, fee: int) -> int:
    """What of a purchase unsettled proceeds stand for: all of a fill, or nothing."""
    if order.side != _BUY or account.is_margin:
        return 0
    # Also when the policy was taken back: what it let an order hold stands for its fills.
    if not account.use_unsettled and account.receivable <= 0:
        return 0
    # A group's entry was taken for settled funds alone: what others hold comes after it.
    own = account.held if order.leg == _ENTRY else order.hold
    amount = account.amount_of(_BUY, made.value)
    return made.qty if amount + fee > account.settled_funds + own else 0


def end(step: Step, order: Order, reason: CancelReason, request: Request = NO_REQUEST) -> None:
    """Cancel what is left of an order, and free its holds."""
    held = order.holds
    order.cancel(step, int(reason), request)
    _release(step, order, held)


def expire(step: Step, order: Order) -> None:
    """End an order whose time is over, and free its holds."""
    held = order.holds
    order.expire(step)
    _release(step, order, held)


def _release(step: Step, order: Order, held: Holds) -> None:
    accounts = step.desk.accounts
    if held.amount:
        accounts.by_id[order.account_id.int].release(step, order.id, held.amount)
    if held.qty:
        position = accounts.positions[order.account_id.int, order.instrument_id.int]
        position.release(step, order.id, held.qty)


def move_holds(step: Step, order: Order, more: Holds) -> None:
    """Book what an order holds more, or less where negative."""
    accounts = step.desk.accounts
    account = accounts.by_id[order.account_id.int]
    position = accounts.positions[order.account_id.int, order.instrument_id.int]
    if more.amount > 0:
        account.reserve(step, order.id, more.amount)
    elif more.amount < 0:
        account.release(step, order.id, -more.amount)
    if more.qty > 0:
        position.reserve(step, order.id, more.qty)
    elif more.qty < 0:
        position.release(step, order.id, -more.qty)
