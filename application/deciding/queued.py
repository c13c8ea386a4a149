"""Market orders that were queued for an auction, once it is over: what did not trade in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.deciding import linked_orders
from application.deciding.matching import end, remainder_reason, run
from domain.matching.engine import Market
from domain.order import Order
from domain.terms import Adjustment, CancelReason, Remainder, Side

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
_CANCEL = int(Remainder.CANCEL)
_PROTECTED = int(Adjustment.PROTECTED)


def let_queued_work(step: Step, market: Market) -> None:
    """Give what is left of queued market orders its protection price, in their order, or end it.

    All are bounded anew before anything follows from the auction: the exits that it has armed
    must not meet their own entry, nor anybody, at the price of an auction that is over.
    """
    orders = step.desk.orders.of_instrument(market.instrument.id)
    queued = [order for order in orders if order.is_queued and order.armed]
    queued.sort(key=lambda order: order.sequence)
    for order in queued:
        if market.instrument.remainder == _CANCEL:
            end(step, order, remainder_reason(market, order, CancelReason.COLLAR))
        else:
            _protect(step, market, order)
    step.follow_up()
    for order in queued:
        # What was let loose before it may have ended it.
        if order.is_working:
            run(step, market, order)


def _protect(step: Step, market: Market, order: Order) -> None:
    """Let an order work at its protection price; a buy that opens stays within what it holds."""
    target = linked_orders.target_of(step.desk.orders, order)
    price = market.protection_price(order.side, target) or order.working_price
    if order.side == _BUY and order.opening:
        price = min(price, order.working_price)
    moves = price != order.working_price
    order.adjust(
        step,
        _PROTECTED,
        leaves=order.leaves,
        holds=order.holds,
        sequence=step.desk.orders.next_sequence if moves else order.sequence,
        protection_price=price,
    )
