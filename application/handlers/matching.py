"""What happens when orders meet: trades booked on both sides, stops elected, orders ended."""

from __future__ import annotations

from heapq import heappop, heappush
from uuid import UUID

from application.desk import Desk
from domain.decision import Decision
from domain.matching.engine import Market
from domain.money import notional as notional_of
from domain.money import notional_up
from domain.order import Order
from domain.risk import market_price
from domain.terms import CancelReason, Liquidity, OrderType, Phase, Side, TimeInForce

_BUY = int(Side.BUY)
_FILL = 0
_ADDED = int(Liquidity.ADDED)
_REMOVED = int(Liquidity.REMOVED)
_AUCTION = int(Liquidity.AUCTION)


def run(desk: Desk, decision: Decision, market: Market, order: Order) -> None:
    """Match one live order against the book; what is left rests or ends. Nothing may fail."""
    instrument = market.instrument
    book = market.book
    lot, tick = instrument.lot, instrument.tick
    owner = desk.accounts[order.account_id].owner_number
    ticks, lots = order.working_price // tick, order.leaves // lot
    rests = market.rests(order)
    if order.time_in_force == TimeInForce.FOK:
        fillable = book.preview(order.side, ticks, lots, owner, order.self_trade)[0]
        if fillable < lots:
            end(desk, decision, order, CancelReason.FOK_UNFILLABLE)
            return
    rows = book.execute(order.sequence, order.side, ticks, lots, owner, order.self_trade, rests)
    remainder, stopped = book.last_remainder, book.last_incoming_cancelled
    for kind, sequence, traded_lots, traded_ticks, _ in rows:
        resting = desk.by_sequence[sequence]
        if kind == _FILL:
            price = traded_ticks * tick
            trade(desk, decision, market, order, resting, traded_lots * lot, price, _REMOVED)
        else:
            end(desk, decision, resting, CancelReason.SELF_TRADE)
    if stopped:
        end(desk, decision, order, CancelReason.SELF_TRADE)
    elif remainder and not rests:
        end(desk, decision, order, _remainder_reason(market, order))


def _remainder_reason(market: Market, order: Order) -> CancelReason:
    if order.order_type in (OrderType.LIMIT, OrderType.STOP_LIMIT):
        return CancelReason.IOC_REMAINDER
    opposite = 2 if order.side == _BUY else 1
    return CancelReason.COLLAR if market.book.best(opposite) else CancelReason.NO_LIQUIDITY


def trade(
    desk: Desk,
    decision: Decision,
    market: Market,
    incoming: Order,
    resting: Order,
    qty: int,
    price: int,
    liquidity: int,
) -> None:
    """Book one trade: both orders, both accounts, both positions, balanced to the cent."""
    instrument = market.instrument
    amount = notional_of(price, qty, instrument.price_decimals)
    trade_id = decision.new_id()
    market.traded(price)
    _fill_side(desk, decision, market, incoming, trade_id, qty, price, amount, liquidity)
    other = _AUCTION if liquidity == _AUCTION else _ADDED
    _fill_side(desk, decision, market, resting, trade_id, qty, price, amount, other)


def _fill_side(
    desk: Desk,
    decision: Decision,
    market: Market,
    order: Order,
    trade_id: UUID,
    qty: int,
    price: int,
    amount: int,
    liquidity: int,
) -> None:
    instrument = market.instrument
    decimals = instrument.price_decimals
    leaves = order.leaves - qty
    hold_before, reserved_before = order.hold, order.hold_qty
    if order.side == _BUY:
        hold = notional_up(order.working_price, leaves, decimals) if leaves else 0
        reserved = 0
    else:
        hold = 0
        reserved = reserved_before - qty
    dates = instrument.session_date, instrument.value_date
    order.fill(decision, trade_id, qty, price, (amount, 0), liquidity, dates, (hold, reserved))
    account_id = order.account_id
    position = desk.positions[account_id, order.instrument_id]
    desk.accounts[account_id].book_trade(
        decision,
        (
            order.instrument_id,
            order.id,
            trade_id,
            order.side,
            qty,
            price,
            decimals,
            amount,
            0,
            dates[0],
            dates[1],
        ),
        hold_before - hold,
    )
    position.trade(
        decision,
        order.id,
        trade_id,
        order.side,
        qty,
        price,
        decimals,
        amount,
        reserved_before - reserved,
    )
    if order.side == _BUY:
        position.working_buys -= qty
    if not leaves:
        desk.ended(order, position, 0)


def end(
    desk: Desk,
    decision: Decision,
    order: Order,
    reason: CancelReason,
    key: str = "",
    fingerprint: bytes = b"",
) -> None:
    """Cancel what is left of an order that is in no book any more, and free its holds."""
    leaves, hold, reserved = order.leaves, order.hold, order.hold_qty
    order.cancel(decision, int(reason), key, fingerprint)
    release(desk, decision, order, leaves, hold, reserved)


def release(
    desk: Desk, decision: Decision, order: Order, leaves: int, hold: int, reserved: int
) -> None:
    """Free the holds of an order that just ended, and take it out of the indexes."""
    position = desk.positions[order.account_id, order.instrument_id]
    if hold:
        desk.accounts[order.account_id].release(decision, order.id, hold)
    if reserved:
        position.release(decision, order.id, reserved)
    desk.ended(order, position, leaves)


def withdraw(market: Market, order: Order) -> None:
    """Take a working order out of the book, or out of the waiting stops."""
    if order.is_waiting_stop:
        market.stops.remove(order.side, order.stop_price, order.sequence)
    else:
        market.book.cancel(order.sequence)


def elect_stops(desk: Desk, decision: Decision, market: Market) -> None:
    """Elect the stops that the prices seen have reached, in order of acceptance, one by one.

    What an elected stop trades may elect more; they join the queue at their own place.
    """
    if not len(market.stops):
        market.low = market.high = 0
        return
    if market.instrument.phase != Phase.OPEN:
        return
    waiting: list[tuple[int, int, int]] = []
    while True:
        newest = decision.last_position() if decision.events else 0
        for sequence, price in market.stops.take(*market.trigger_prices()):
            heappush(waiting, (sequence, price, newest))
        if not waiting:
            break
        old_sequence, seen, cause = heappop(waiting)
        order = desk.by_sequence[old_sequence]
        decision.causation = cause
        order.elect(
            decision,
            market.instrument.trigger_rule,
            seen,
            desk.next_sequence(),
            _elected_price(market, order, seen),
        )
        desk.resequence(order, old_sequence)
        run(desk, decision, market, order)
    decision.causation = 0
    market.low = market.high = 0


def _elected_price(market: Market, order: Order, seen: int) -> int:
    """A stop-limit trades to its limit, a stop to the collar around the price that elected it;
    a buy never beyond what it holds.
    """
    if order.order_type == OrderType.STOP_LIMIT:
        return order.working_price
    price = market_price(market, order.side, seen)
    return min(price, order.working_price) if order.side == _BUY else price


def uncross(desk: Desk, decision: Decision, market: Market, price_ticks: int) -> None:
    """Trade what crosses at one price; afterwards the book is not crossed."""
    instrument = market.instrument
    for buy, sell, lots, _, _ in market.book.uncross(price_ticks):
        trade(
            desk,
            decision,
            market,
            desk.by_sequence[buy],
            desk.by_sequence[sell],
            lots * instrument.lot,
            price_ticks * instrument.tick,
            _AUCTION,
        )
