"""What happens when orders meet: trades booked on both sides, and orders ended."""

from __future__ import annotations

from uuid import UUID

from application.desk.desk import Desk, count_working
from domain.commission import bounded, exact
from domain.decision import Decision
from domain.matching.engine import Market
from domain.money import notional as notional_of
from domain.order import Order
from domain.settlement import ObligationKey
from domain.terms import CancelReason, Leg, Liquidity, OrderType, Side, TimeInForce

_BUY = int(Side.BUY)
_ENTRY = int(Leg.ENTRY)
_FILL = 0
_ADDED = int(Liquidity.ADDED)
_REMOVED = int(Liquidity.REMOVED)
_AUCTION = int(Liquidity.AUCTION)


def match(desk: Desk, decision: Decision, market: Market, order: Order) -> None:
    """Match one live order against the book; what is left rests or ends. Nothing may fail.

    What it leads to for other orders waits in `desk.reactions`.
    """
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
    side = order.side
    account = desk.accounts[order.account_id]
    leaves = order.leaves - qty
    hold_before, reserved_before = order.hold, order.hold_qty
    reserved = reserved_before - qty if qty < reserved_before else 0
    # The hold is for what opens; the part that trades takes its share of it along.
    opening, opening_before = leaves - reserved, order.leaves - reserved_before
    hold = -(-hold_before * opening // opening_before) if opening else 0
    dates = instrument.session_date, instrument.value_date
    schedule = account.commission_schedule
    charged = commission = fee = 0
    if schedule.kind or order.commission:
        charged = exact(schedule, liquidity, qty, price, decimals, account.month_traded(dates[0]))
        commission = bounded(
            schedule, order.commission_base + charged, order.value + price * qty, decimals
        )
        fee = account.charge(commission - order.commission)
    extra = commission - order.commission
    unpaid_qty = 0
    # Also when the policy was taken back: what it let an order hold stands for its fills.
    on_proceeds = account.use_unsettled or account.receivable > 0
    if on_proceeds and side == _BUY and not account.is_margin:
        # A group's entry was taken for settled funds alone: what others hold comes after it.
        own = account.held if order.leg == _ENTRY else hold_before
        unpaid_qty = qty if amount + fee > account.settled_funds + own else 0
    order.fill(
        decision,
        trade_id,
        qty,
        price,
        (amount, fee),
        liquidity,
        dates,
        (hold, reserved),
        (schedule.kind, charged, commission),
        unpaid_qty,
    )
    position = desk.positions[account.id, order.instrument_id]
    qty_before = position.qty
    account.book_trade(
        decision,
        (
            order.instrument_id,
            order.id,
            trade_id,
            side,
            qty,
            price,
            decimals,
            amount,
            fee,
            dates[0],
            dates[1],
        ),
        hold_before - hold,
        extra,
        unpaid_qty,
    )
    desk.owe(
        ObligationKey(account.id, order.instrument_id, dates[1]),
        side,
        (qty, amount, fee),
        unpaid_qty,
        decision.at,
    )
    position.trade(
        decision,
        order.id,
        trade_id,
        side,
        qty,
        price,
        decimals,
        amount,
        reserved_before - reserved,
        unpaid_qty,
    )
    count_working(position, side, -qty)
    if order.leg:
        desk.reactions.append(("filled", order, qty))
    if position.overreserved(qty_before):
        desk.reactions.append(("shrank", position, 0))
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
    freed = held_by(order)
    order.cancel(decision, int(reason), key, fingerprint)
    release(desk, decision, order, freed, int(reason))


def held_by(order: Order) -> tuple[int, int, int]:
    """What an order gives back when it ends: (working quantity, hold, reserved quantity)."""
    return 0 if order.is_held else order.leaves, order.hold, order.hold_qty


def release(
    desk: Desk,
    decision: Decision,
    order: Order,
    freed: tuple[int, int, int],
    reason: int = 0,
) -> None:
    """Free the holds of an order that just ended, and take it out of the indexes.

    `reason` is why it was canceled, 0 when its time ran out.
    """
    counted, hold, reserved = freed
    position = desk.positions[order.account_id, order.instrument_id]
    if hold:
        desk.accounts[order.account_id].release(decision, order.id, hold)
    if reserved:
        position.release(decision, order.id, reserved)
    desk.ended(order, position, counted)
    if order.leg:
        desk.reactions.append(("ended", order, reason))


def move_holds(desk: Desk, decision: Decision, order: Order, more: int, more_qty: int) -> None:
    """Book what an order holds more, or less when negative, in cents and in quantity."""
    account = desk.accounts[order.account_id]
    position = desk.positions[order.account_id, order.instrument_id]
    if more > 0:
        account.reserve(decision, order.id, more)
    elif more < 0:
        account.release(decision, order.id, -more)
    if more_qty > 0:
        position.reserve(decision, order.id, more_qty)
    elif more_qty < 0:
        position.release(decision, order.id, -more_qty)


def withdraw(market: Market, order: Order) -> None:
    """Take a working order out of the book, or out of the waiting stops."""
    if order.is_waiting_stop:
        market.stops.discard(order.side, order.stop_price, order.sequence)
    elif order.armed:
        market.book.cancel(order.sequence)
