"""Unwind sequential orders: what legs have traded beyond whole units is closed at the market.

What the books do not give at once is tried again whenever one of them changes, and until then the
order says that it is being unwound. What its client has closed by hand meanwhile is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from application.deciding.checks import check
from application.deciding.matching import end, match
from application.desk.legs_in_turn import LegAhead
from domain.errors import Rejection
from domain.matching.engine import Market
from domain.money import QTY_UNIT
from domain.multileg import MultiLegOrder
from domain.order import Order
from domain.order_terms import IOC, NO_REQUEST, Request, Terms
from domain.strategy_terms import StrategyLeg
from domain.terms import CancelReason, Leg, OrderType, Phase, SelfTrade, Side, TimeInForce

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_FIRST = int(Leg.FIRST)
_MARKET = int(OrderType.MARKET)
_OPEN = int(Phase.OPEN)
_FOK = int(TimeInForce.FOK)
_CANCEL_OLDEST = int(SelfTrade.CANCEL_OLDEST)


def unwind(
    step: Step, parent: MultiLegOrder, reason: CancelReason, request: Request = NO_REQUEST
) -> None:
    """End a sequential order of which legs are ahead: whole units stand, the rest is closed."""
    ahead = step.desk.strategies.in_turn.of(parent)
    units = [leg.units for leg in ahead]
    fewest = min(units)
    whole = 0 if parent.time_in_force == _FOK else fewest
    left = parent.leaves - whole * QTY_UNIT
    parent.begin_unwinding(step, _FIRST + units.index(fewest), int(reason), left, request)
    complete(step, parent, whole)
    for leg in parent.strategy:
        order = step.desk.orders.working.get(leg.order_id.int)
        if order is not None:
            end(step, order, CancelReason.GROUP)
    close_ahead(step, parent)


def complete(step: Step, parent: MultiLegOrder, units: int) -> None:
    """Book whole units that all legs have traded."""
    if units:
        ahead = step.desk.strategies.in_turn.of(parent)
        cost = sum(leg.cost(units * QTY_UNIT * leg.ratio) for leg in ahead)
        parent.execute(step, units * QTY_UNIT, cost)


def close_ahead(step: Step, parent: MultiLegOrder) -> None:
    """Close what legs are ahead, as far as their books give it; when that is all, or when nothing
    is left that could be closed, the order is unwound.
    """
    ahead = step.desk.strategies.in_turn.of(parent)
    for place, leg in enumerate(ahead):
        if leg.fills:
            _close_leg(step, parent, place, leg)
    if not any(
        _closable(step, parent, leg, parent.strategy[place]) for place, leg in enumerate(ahead)
    ):
        parent.end_unwinding(step, sum(leg.qty for leg in ahead))


def _closable(step: Step, parent: MultiLegOrder, ahead: LegAhead, leg: StrategyLeg) -> int:
    """How much of what a leg is ahead is still to be closed: all that had closed something, and
    of what it opened no more than is held. Nothing is of an option that has expired.
    """
    qty = ahead.qty
    terms = step.desk.markets.by_id[leg.instrument_id.int].instrument
    if not qty or terms.phase == Phase.EXPIRED:
        return 0
    key = parent.account_id.int, leg.instrument_id.int
    held = ahead.sign * step.desk.accounts.positions[key].qty
    exits = ahead.exits
    return exits + min(qty - exits, max(held, 0))


def _close_leg(step: Step, parent: MultiLegOrder, place: int, ahead: LegAhead) -> None:
    """Close what a leg is ahead with an order at the market, for what the book gives."""
    leg = parent.strategy[place]
    market = step.desk.markets.by_id[leg.instrument_id.int]
    wanted = _closable(step, parent, ahead, leg)
    if not wanted or market.instrument.phase != _OPEN:
        return
    side = _SELL if ahead.sign > 0 else _BUY
    order = _place(step, parent, market, side, wanted)
    if order is None:
        return
    match(step, market, order)
    if order.filled:
        cost = -ahead.sign * _worth(market, order) + ahead.cost(order.filled)
        parent.close_leg(step, _FIRST + place, order.id, order.filled, cost)
    step.follow_up()


def _worth(market: Market, order: Order) -> int:
    """What an order has traded, in 1e-24 USD."""
    scale: int = 10 ** (16 - market.instrument.price_decimals)
    return order.value * market.instrument.multiplier * scale


def _place(
    step: Step, parent: MultiLegOrder, market: Market, side: int, wanted: int
) -> Order | None:
    """Take the order that closes as much as the book gives now; None when that is nothing, or when
    the account may not.
    """
    desk, account = step.desk, step.desk.accounts.by_id[parent.account_id.int]
    bound = market.protection_price(side)
    owner = desk.accounts.owner_number(account.id)
    if not bound:
        return None
    plan = market.meet(side, bound, wanted, owner, _CANCEL_OLDEST)
    qty = wanted - plan.left
    if not qty:
        return None
    terms = _terms(market, side, qty)
    try:
        admitted = check(desk, account, terms, step.at)
    except Rejection:
        # It is tried again, and the order says meanwhile that it is not unwound.
        return None
    order_id, instrument_id = step.new_id(), market.instrument.id
    request = Request(str(order_id))
    sequence = desk.orders.sequence + 1
    order = Order.accept(step, order_id, account.id, instrument_id, admitted, sequence, request)
    if order.hold:
        account.reserve(step, order_id, order.hold)
    if order.hold_qty:
        position = desk.accounts.positions[account.id.int, instrument_id.int]
        position.reserve(step, order_id, order.hold_qty)
    return order


def _terms(market: Market, side: int, qty: int) -> Terms:
    instrument = market.instrument
    return Terms(
        instrument.symbol,
        side,
        _MARKET,
        IOC,
        qty,
        0,
        0,
        instrument.price_decimals,
        self_trade=_CANCEL_OLDEST,
    )
