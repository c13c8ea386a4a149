"""Bust and correct trades: both sides undone by new postings, nothing ever rewritten."""

from __future__ import annotations

from uuid import UUID

from application.commands import BustTrade, CorrectTrade, Reply
from application.desk import Desk
from domain.decision import Decision
from domain.errors import UnknownTrade
from domain.events import OrderFilled
from domain.money import notional
from domain.order import Order
from domain.risk import price_in_units


def bust_trade(desk: Desk, decision: Decision, cmd: BustTrade, _: bytes) -> Reply:
    """Undo a trade."""
    for fill in _live_fills(desk, cmd.trade_id):
        order = _order(desk, fill)
        price, amount = desk.corrected.get(cmd.trade_id, (fill.price, fill.notional))
        order.bust_fill(decision, cmd.trade_id, fill.qty, price)
        _reverse(desk, decision, fill, "bust", price, amount)
    desk.busted.add(cmd.trade_id)
    return Reply(decision.last_position(), result={"trade_id": str(cmd.trade_id)})


def correct_trade(desk: Desk, decision: Decision, cmd: CorrectTrade, _: bytes) -> Reply:
    """Give a trade another price: undone at the old one, booked again at the new one."""
    fills = _live_fills(desk, cmd.trade_id)
    market = desk.markets[fills[0].instrument_id]
    price = price_in_units(market.instrument, "price", cmd.price)
    for fill in fills:
        order = _order(desk, fill)
        old_price, old_amount = desk.corrected.get(cmd.trade_id, (fill.price, fill.notional))
        amount = notional(price, fill.qty, fill.price_decimals)
        order.correct_fill(decision, cmd.trade_id, fill.qty, old_price, price, amount)
        _reverse(desk, decision, fill, "correct", old_price, old_amount)
        desk.accounts[fill.account_id].book_trade(
            decision,
            (
                fill.instrument_id,
                fill.originator_id,
                cmd.trade_id,
                fill.side,
                fill.qty,
                price,
                fill.price_decimals,
                amount,
                fill.fee,
                fill.session_date,
                fill.value_date,
            ),
            0,
        )
        desk.positions[fill.account_id, fill.instrument_id].trade(
            decision,
            fill.originator_id,
            cmd.trade_id,
            fill.side,
            fill.qty,
            price,
            fill.price_decimals,
            amount,
            0,
        )
    desk.corrected[cmd.trade_id] = (
        price,
        notional(price, fills[0].qty, fills[0].price_decimals),
    )
    return Reply(decision.last_position(), result={"trade_id": str(cmd.trade_id)})


def _live_fills(desk: Desk, trade_id: UUID) -> tuple[OrderFilled, OrderFilled]:
    fills = desk.trades_found.pop(trade_id, None)
    if fills is None or trade_id in desk.busted:
        raise UnknownTrade(str(trade_id))
    return fills


def _order(desk: Desk, fill: OrderFilled) -> Order:
    return desk.orders.get(fill.originator_id) or desk.done[fill.originator_id]


def _reverse(
    desk: Desk, decision: Decision, fill: OrderFilled, reason: str, price: int, amount: int
) -> None:
    desk.accounts[fill.account_id].reverse_trade(
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
            fill.fee,
        ),
    )
    desk.positions[fill.account_id, fill.instrument_id].reverse(
        decision, fill.originator_id, fill.trade_id, reason, fill.side, fill.qty, amount
    )
