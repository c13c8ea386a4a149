"""Bust and correct trades: both sides undone by new postings, nothing ever rewritten."""

from __future__ import annotations

from uuid import UUID

from application.commands import BustTrade, CorrectTrade, Reply
from application.deciding.reactions import react
from application.deciding.steps import elect_stops
from application.desk.desk import Desk
from domain.commission import Kind, bounded
from domain.decision import Decision
from domain.errors import UnknownTrade
from domain.events import OrderFilled
from domain.money import notional
from domain.order import Order
from domain.risk import price_in_units
from domain.settlement import ObligationKey
from domain.terms import Side, TriggerRule


def follow_up(desk: Desk, decision: Decision, instrument_id: UUID) -> None:
    """Exits of what is no longer held give way, which may move the touch that stops watch."""
    react(desk, decision)
    market = desk.markets[instrument_id]
    if market.instrument.trigger_rule == TriggerRule.BID_ASK:
        elect_stops(desk, decision, market)


def bust_trade(desk: Desk, decision: Decision, cmd: BustTrade, _: bytes) -> Reply:
    """Undo a trade, and give its commission back."""
    fills = _live_fills(desk, cmd.trade_id)
    for fill in fills:
        order = _order(desk, fill)
        account = desk.accounts[fill.account_id]
        price, amount = _as_it_stands(desk, fill)[:2]
        charged = _charged(fill, price)
        base, value = order.commission_base - charged, order.value - price * fill.qty
        commission = bounded(account.commission_schedule, base, value, fill.price_decimals)
        # A minimum that came after the trade must not make a bust cost something.
        commission = min(commission, max(order.commission, base))
        back = order.commission - commission
        order.bust_fill(decision, cmd.trade_id, fill.qty, price, (charged, commission))
        _reverse(desk, decision, fill, "bust", price, amount, back)
    desk.busted.add(cmd.trade_id)
    follow_up(desk, decision, fills[0].instrument_id)
    return Reply(decision.last_position(), result={"trade_id": str(cmd.trade_id)})


def correct_trade(desk: Desk, decision: Decision, cmd: CorrectTrade, _: bytes) -> Reply:
    """Give a trade another price: undone at the old one, booked again at the new one.

    A proportional commission follows the price at the rate of the fill.
    """
    fills = _live_fills(desk, cmd.trade_id)
    market = desk.markets[fills[0].instrument_id]
    price = price_in_units(market.instrument, "price", cmd.price)
    fees = {fill.side: _correct_side(desk, decision, fill, price) for fill in fills}
    amount = notional(price, fills[0].qty, fills[0].price_decimals)
    desk.corrected[cmd.trade_id] = (price, amount, fees[Side.BUY], fees[Side.SELL])
    follow_up(desk, decision, market.instrument.id)
    return Reply(decision.last_position(), result={"trade_id": str(cmd.trade_id)})


def _correct_side(desk: Desk, decision: Decision, fill: OrderFilled, price: int) -> int:
    """Correct one side; returns the cents its fill costs now."""
    order = _order(desk, fill)
    account = desk.accounts[fill.account_id]
    old_price, old_amount, old_fee = _as_it_stands(desk, fill)
    amount = notional(price, fill.qty, fill.price_decimals)
    charged = _charged(fill, price)
    base = order.commission_base - _charged(fill, old_price) + charged
    value = order.value + (price - old_price) * fill.qty
    commission = bounded(account.commission_schedule, base, value, fill.price_decimals)
    more = commission - order.commission
    fee = account.charge(more)
    order.correct_fill(
        decision,
        fill.trade_id,
        fill.qty,
        old_price,
        price,
        amount,
        (fee, old_fee + fee),
        (charged, base, commission),
    )
    value_date, unpaid_qty = _reverse(desk, decision, fill, "correct", old_price, old_amount, 0)
    account.book_trade(
        decision,
        (
            fill.instrument_id,
            fill.originator_id,
            fill.trade_id,
            fill.side,
            fill.qty,
            price,
            fill.price_decimals,
            amount,
            fee,
            fill.session_date,
            value_date,
        ),
        0,
        more,
        unpaid_qty,
        again=True,
    )
    desk.owe(
        ObligationKey(account.id, fill.instrument_id, value_date),
        fill.side,
        (fill.qty, amount, fee),
        unpaid_qty,
        decision.at,
    )
    desk.positions[account.id, fill.instrument_id].trade(
        decision,
        fill.originator_id,
        fill.trade_id,
        fill.side,
        fill.qty,
        price,
        fill.price_decimals,
        amount,
        0,
        unpaid_qty,
    )
    return old_fee + fee


def _as_it_stands(desk: Desk, fill: OrderFilled) -> tuple[int, int, int]:
    """A fill's (price, notional, fee) after the corrections so far."""
    found = desk.corrected.get(fill.trade_id)
    if found is None:
        return fill.price, fill.notional, fill.fee
    return found[0], found[1], found[2] if fill.side == Side.BUY else found[3]


def _charged(fill: OrderFilled, price: int) -> int:
    """What the fill's rate asks for at a price: a proportional one is a multiple of it."""
    charged = int(fill.commission)
    return charged // fill.price * price if fill.commission_kind == Kind.BPS else charged


def _live_fills(desk: Desk, trade_id: UUID) -> tuple[OrderFilled, OrderFilled]:
    fills = desk.trades_found.pop(trade_id, None)
    if fills is None or trade_id in desk.busted:
        raise UnknownTrade(str(trade_id))
    return fills


def _order(desk: Desk, fill: OrderFilled) -> Order:
    return desk.orders.get(fill.originator_id) or desk.done[fill.originator_id]


def _reverse(
    desk: Desk,
    decision: Decision,
    fill: OrderFilled,
    reason: str,
    price: int,
    amount: int,
    commission: int,
) -> tuple[int, int]:
    """Undo one side with the exact `commission` given back; returns the (value date, unpaid
    quantity) that a corrected trade is booked with.

    A trade that has settled is undone by a new obligation, due with the trades of today.
    """
    account = desk.accounts[fill.account_id]
    key = ObligationKey(account.id, fill.instrument_id, fill.value_date)
    unpaid_qty = fill.unpaid_qty
    owed = desk.obligations.get(key)
    if owed is None or fill.at < owed.since:
        today = desk.markets[fill.instrument_id].instrument.value_date
        key = key._replace(value_date=max(today, fill.value_date))
        unpaid_qty = 0
    fee = -account.charge(-commission)
    account.reverse_trade(
        decision,
        (
            fill.instrument_id,
            fill.originator_id,
            fill.trade_id,
            reason,
            fill.side,
            fill.qty,
            price,
            fill.price_decimals,
            amount,
            fee,
        ),
        commission,
        key.value_date,
        unpaid_qty,
    )
    desk.owe(key, fill.side, (-fill.qty, -amount, -fee), -unpaid_qty, decision.at)
    position = desk.positions[account.id, fill.instrument_id]
    qty_before = position.qty
    position.reverse(
        decision,
        fill.originator_id,
        fill.trade_id,
        reason,
        fill.side,
        fill.qty,
        amount,
        unpaid_qty,
    )
    if position.overreserved(qty_before):
        desk.reactions.append(("shrank", position, 0))
    return key.value_date, unpaid_qty
