"""What waited for an auction: orders for the close enter it, what one leaves goes on or ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.deciding import linked_orders
from application.deciding.matching import end, remainder_reason, run, uncross
from domain.matching.engine import Market
from domain.order import Order
from domain.order_terms import CLS
from domain.terms import Adjustment, CancelReason, Phase, Remainder, Side

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
_OPEN = int(Phase.OPEN)
_CANCEL = int(Remainder.CANCEL)
_PROTECTED = int(Adjustment.PROTECTED)
_CLOSING = int(Adjustment.CLOSING)


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


def of_auction(step: Step, market: Market, time_in_force: int) -> list[Order]:
    """The orders that are for one auction alone, in their order."""
    orders = step.desk.orders.of_instrument(market.instrument.id)
    found = [order for order in orders if order.time_in_force == time_in_force]
    found.sort(key=lambda order: order.sequence)
    return found


def end_rest(step: Step, orders: list[Order], reason: CancelReason) -> None:
    """End what an auction has left of the orders that were for it alone."""
    for order in orders:
        if order.is_working:
            end(step, order, reason)


def hold_closing_auction(step: Step, market: Market) -> None:
    """Trade at one price what crosses once the orders for the close stand in the book, behind who
    stood there at their price, and end what is left of them.

    A halted instrument has no auction. What follows from it is followed up before the close:
    exits that come to work are of the session that ends, and meet nobody any more.
    """
    orders = of_auction(step, market, CLS)
    if not orders:
        return
    if market.instrument.phase == _OPEN:
        for order in orders:
            _enter(step, market, order)
        auction = market.auction()
        market.instrument.begin_closing(step, auction)
        if auction.price:
            step.causation = step.last_position()
            uncross(step, market, auction.price)
            step.causation = 0
    end_rest(step, orders, CancelReason.CLOSING_AUCTION)
    step.follow_up()


def _enter(step: Step, market: Market, order: Order) -> None:
    """Let an order for the close into the book; one at the market is bound by the collar of now,
    and a buy that opens stays within what it holds.
    """
    price = 0
    if not order.has_limit:
        low, high = market.collar(market.reference_price)
        price = high if order.side == _BUY else low
        if order.side == _BUY and order.opening:
            price = min(price, order.working_price)
    order.adjust(
        step,
        _CLOSING,
        leaves=order.leaves,
        holds=order.holds,
        armed=True,
        sequence=step.desk.orders.next_sequence,
        protection_price=price,
    )


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
