"""Bust and correct trades: both sides undone by new postings, nothing ever rewritten."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from application.commands import BustTrade, CorrectTrade, Reply
from application.deciding import linked_orders, sequential
from application.deciding.matching import end
from application.deciding.recording import done
from application.deciding.step import Step
from domain.account import Account
from domain.commission import Kind, bounded
from domain.errors import InvalidAmount, UnknownTrade
from domain.events import OrderFilled
from domain.money import EXACT_CENT, USD_SCALE, cents, exact_value, notional_up, to_text
from domain.obligation import ObligationKey
from domain.order import Order
from domain.risk import MAX_NOTIONAL, check_not_expired, price_in_units
from domain.terms import CancelReason, Leg, OrderStatus, Side
from domain.trade import Charged, Trade, TradeDates
from domain.units import from_digits

_ENTRY = int(Leg.ENTRY)


class Undoing(NamedTuple):
    """Why a fill is undone, and with how much of its exact commission given back.

    `against`: a purchase comes to be worth less by it, so that its account gets something back,
    and a sale, whose account gives something back.
    """

    reason: str
    commission: int
    against: bool


def bust_trade(step: Step, cmd: BustTrade) -> Reply:
    """Undo a trade, and give its commission back."""
    orders: list[Order] = []
    for fill in _live_fills(step, cmd.trade_id):
        order, account = _order(step, fill), step.desk.accounts.by_id[fill.account_id.int]
        stands = _as_it_stands(step, fill)
        asked = _asked(fill, stands.price)
        base = order.commission_base - asked
        value = (order.value - stands.price * fill.qty) * fill.multiplier
        sale = fill.side == Side.SELL
        total = bounded(account.commission_schedule, base, value, fill.price_decimals, sale=sale)
        # A minimum that came after the trade must not make a bust cost something.
        total = min(total, max(order.commission, base))
        back = order.commission - total
        order.bust_fill(step, stands, Charged(asked=asked, total=total))
        _reverse(step, account, fill, stands, Undoing("bust", back, against=True))
        orders.append(order)
    for order in orders:
        _follow_bust(step, order)
        parent = step.desk.strategies.live.get(order.group_id.int)
        if parent is not None and parent.is_sequential:
            sequential.undone(step, parent)
    step.until_quiet()
    return done(step, {"trade_id": str(cmd.trade_id)})


def _follow_bust(step: Step, order: Order) -> None:
    """Take a filled order back when no trade of it stands any more, and exits of what it bought.

    One that works goes on for what is left, so that no position stands bare; but an entry ends
    with the last of its trades, for its exits cannot wait a second time.
    """
    is_entry = order.leg == _ENTRY
    if not order.filled:
        if order.status == OrderStatus.FILLED:
            order.cancel(step, int(CancelReason.BUSTED))
        elif order.is_working and is_entry:
            end(step, order, CancelReason.BUSTED)
    if is_entry:
        linked_orders.entry_undone(step, order)


def correct_trade(step: Step, cmd: CorrectTrade) -> Reply:
    """Give a trade another price: undone at the old one, booked again at the new one.

    A proportional commission follows the price at the rate of the fill.
    """
    fills = _live_fills(step, cmd.trade_id)
    terms = step.desk.markets.by_id[fills[0].instrument_id.int].instrument
    price = price_in_units(terms, "price", cmd.price)
    if notional_up(price, fills[0].qty * terms.multiplier, terms.price_decimals) > MAX_NOTIONAL:
        why = f"makes the trade worth more than {to_text(MAX_NOTIONAL, USD_SCALE)}"
        raise InvalidAmount("price", to_text(price, terms.price_decimals), why)
    # As both sides stand before either is corrected.
    stand = [_as_it_stands(step, fill) for fill in fills]
    for fill, stands in zip(fills, stand, strict=True):
        _correct_side(step, fill, stands, price)
    step.until_quiet()
    return done(step, {"trade_id": str(cmd.trade_id)})


def _correct_side(step: Step, fill: OrderFilled, stands: Trade, price: int) -> None:
    order, account = _order(step, fill), step.desk.accounts.by_id[fill.account_id.int]
    multiplier = fill.multiplier
    worth = exact_value(price, fill.qty * multiplier, fill.price_decimals)
    asked = _asked(fill, price)
    dearer = asked - _asked(fill, stands.price)
    value = (order.value + (price - stands.price) * fill.qty) * multiplier
    total = bounded(
        account.commission_schedule,
        order.commission_base + dearer,
        value,
        fill.price_decimals,
        sale=fill.side == Side.SELL,
    )
    more = total - order.commission
    again = replace(
        stands, price=price, value=worth, notional=cents(worth), fee=account.charge(more)
    )
    order.correct_fill(step, stands, again, dearer, Charged(asked=asked, total=total))
    undoing = Undoing("correct", 0, against=price < stands.price)
    value_date, unpaid_qty, late = _reverse(step, account, fill, stands, undoing)
    again = replace(again, dates=TradeDates(fill.session_date, value_date))
    account.book_trade(step, again, more, unpaid_qty=unpaid_qty, again=True, late=late)
    position = step.desk.accounts.positions[account.id.int, fill.instrument_id.int]
    position.trade(step, again, 0, unpaid_qty)


def _as_it_stands(step: Step, fill: OrderFilled) -> Trade:
    """A fill after the corrections so far.

    Where its notional was posted, rounded alone, that is what it is worth to its account.
    """
    found = step.desk.trades.corrected.get(fill.trade_id)
    stands = fill if found is None else found
    value = stands.notional * EXACT_CENT
    if stands.exact:
        value = exact_value(stands.price, fill.qty * fill.multiplier, fill.price_decimals)
    made = Trade(
        fill.trade_id,
        fill.instrument_id,
        fill.originator_id,
        fill.side,
        fill.qty,
        price=stands.price,
        price_decimals=fill.price_decimals,
        value=value,
        notional=stands.notional,
        fee=fill.fee,
        dates=TradeDates(fill.session_date, fill.value_date),
        multiplier=fill.multiplier,
    )
    return made if found is None else replace(made, fee=found.fee(fill.side))


def _asked(fill: OrderFilled, price: int) -> int:
    """What the fill's rate asks for at a price: a proportional one is a multiple of it."""
    asked = from_digits(fill.commission)
    return asked // fill.price * price if fill.commission_kind == Kind.BPS else asked


def _live_fills(step: Step, trade_id: UUID) -> tuple[OrderFilled, OrderFilled]:
    desk = step.desk
    fills = desk.trades_found.pop(trade_id, None)
    if fills is None or trade_id in desk.trades.busted:
        raise UnknownTrade(str(trade_id))
    # What an option was exercised into stands.
    check_not_expired(desk.markets.by_id[fills[0].instrument_id.int].instrument)
    return fills


def _order(step: Step, fill: OrderFilled) -> Order:
    order = step.desk.orders.remembered(fill.originator_id)
    assert order is not None, "a look-up brings the orders of a trade with it"
    return order


def _reverse(
    step: Step,
    account: Account,
    fill: OrderFilled,
    stands: Trade,
    undoing: Undoing,
) -> tuple[int, int, bool]:
    """Undo one side; returns the (value date, unpaid quantity, whether it is late) that a
    corrected trade is booked with.

    A trade that has settled is undone by a new obligation, due with the trades of today. Where
    that goes against the trade it is late: what a purchase gets back is to be received.
    """
    desk = step.desk
    value_date, unpaid_qty = fill.value_date, fill.unpaid_qty
    owed = desk.accounts.obligations.get(ObligationKey(account.id, fill.instrument_id, value_date))
    late = False
    if owed is None or fill.at < owed.since:
        late = undoing.against
        today = desk.markets.by_id[fill.instrument_id.int].instrument.value_date
        value_date, unpaid_qty = max(today, value_date), 0
    undone = replace(
        stands,
        fee=-account.charge(-undoing.commission),
        dates=TradeDates(fill.session_date, value_date),
    )
    account.reverse_trade(
        step, undone, undoing.reason, undoing.commission, unpaid_qty=unpaid_qty, late=late
    )
    position = desk.accounts.positions[account.id.int, fill.instrument_id.int]
    position.reverse(step, undone, undoing.reason, unpaid_qty)
    return value_date, unpaid_qty, late
