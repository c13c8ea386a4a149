"""Replace a multi-leg order: another quantity or net price, for all its legs at once."""

from __future__ import annotations

from msgspec.structs import replace

from application.commands import ReplaceOrder
from application.deciding import executing_multileg
from application.deciding.checks import check_buying_power, exitable
from application.deciding.matching import move_holds
from application.deciding.multileg_checks import check_units
from application.deciding.multileg_holds import LegAsk, strategy_hold
from application.deciding.recording import Asked, refuse
from application.deciding.step import Step
from application.desk.desk import Desk
from domain import risk
from domain.account import Account
from domain.errors import InvalidField, NothingToReplace, OrderNotWorking, Rejection
from domain.money import QTY_SCALE, to_text
from domain.multileg import MultiLegOrder
from domain.multileg_errors import StrategyQtyMismatch
from domain.order import Order
from domain.order_terms import Request
from domain.strategy_terms import StrategyLeg, StrategyTerms
from domain.terms import Adjustment
from domain.trade import Holds

_REPLACED = int(Adjustment.GROUP_REPLACED)


def replace_strategy(
    step: Step, parent: MultiLegOrder, cmd: ReplaceOrder, request: Request
) -> None:
    """Give a multi-leg order new terms, or record why not; a refusal changes nothing."""
    account = step.desk.accounts.account(cmd.account_id)
    try:
        if step.desk.strategies.in_turn.are_ahead(parent):
            raise OrderNotWorking(parent.id, "between its legs")
        terms = _new_terms(parent, cmd)
        holds = _check(step, parent, terms)
    except Rejection as refusal:
        refuse(step, account, Asked("replace_order", str(parent.id), request), refusal)
        return
    # Only a smaller quantity keeps its place.
    kept = terms.net_price == parent.net_price and terms.qty <= parent.qty
    sequence = parent.sequence if kept else step.desk.orders.next_sequence
    growth = terms.qty - parent.qty
    name = cmd.client_order_id or parent.client_order_id
    parent.replace(step, step.new_id(), request, name, terms, sequence)
    working = step.desk.orders.working
    for leg, held in zip(parent.strategy, holds, strict=True):
        order = working[leg.order_id.int]
        more = held.less(order.holds)
        # The first leg's number is the next one after the whole's: none is given twice.
        own = order.sequence if kept else step.desk.orders.next_sequence
        order.adjust(
            step,
            _REPLACED,
            leaves=order.leaves + growth * leg.ratio,
            holds=held,
            sequence=own,
        )
        move_holds(step, order, more)
    executing_multileg.execute(step, parent)
    step.until_quiet()


def _new_terms(parent: MultiLegOrder, cmd: ReplaceOrder) -> StrategyTerms:
    """What it asks for from now on; or why it cannot be had."""
    parent.check_working()
    for field in ("stop_price", "expires_at", "trail"):
        if getattr(cmd, field) is not None:
            raise InvalidField(field, "of a multi-leg order is not replaced")
    if cmd.time_in_force not in (None, parent.time_in_force):
        raise InvalidField("time_in_force", "of a multi-leg order is not replaced")
    if cmd.order_type and cmd.order_type != parent.order_type:
        raise InvalidField("type", "of an order is not replaced")
    terms = parent.terms
    qty = terms.qty if cmd.qty is None else cmd.qty
    net_price = terms.net_price if cmd.limit_price is None else cmd.limit_price
    if cmd.limit_price is not None and not terms.has_limit:
        raise InvalidField("limit_price", "is not taken by market orders")
    new = replace(terms, qty=qty, net_price=net_price)
    check_units(new)
    if new.qty <= parent.filled:
        filled = to_text(parent.filled, QTY_SCALE)
        raise StrategyQtyMismatch(to_text(new.qty, QTY_SCALE), f"{filled} have traded")
    if new == terms and not cmd.client_order_id:
        raise NothingToReplace("the new terms are the old ones")
    return new


def _check(step: Step, parent: MultiLegOrder, terms: StrategyTerms) -> tuple[Holds, ...]:
    """What the legs hold under the new terms; raises what an order of them would be refused for."""
    desk = step.desk
    account = desk.accounts.account(parent.account_id)
    orders = [desk.orders.working[leg.order_id.int] for leg in parent.strategy]
    left = terms.qty - parent.filled
    asks = [
        _check_leg(desk, account, leg, order, left * leg.ratio)
        for leg, order in zip(parent.strategy, orders, strict=True)
    ]
    holds = strategy_hold(desk, account, asks, replace(terms, qty=left))
    more = sum(hold.amount for hold in holds) - sum(order.hold for order in orders)
    if more > 0:
        check_buying_power(desk, account, more)
    risk.check_kill_switches(account, desk.accounts.venue)
    return holds


def _check_leg(desk: Desk, account: Account, leg: StrategyLeg, order: Order, qty: int) -> LegAsk:
    """A leg under other terms of the whole, as an order of its own that is replaced."""
    market = desk.markets.by_id[leg.instrument_id.int]
    position = desk.accounts.positions[account.id.int, leg.instrument_id.int]
    instrument, side = market.instrument, leg.side
    risk.check_account(account, side, position.qty)
    risk.check_qty(instrument, qty)
    if market.mark:
        risk.check_size(account, instrument, qty, market.mark)
    if qty > order.leaves:
        risk.check_position_limit(instrument, position, side, qty - order.leaves)
    exits = min(qty, order.hold_qty + exitable(account, position, side, qty))
    if qty != order.leaves and not account.fractional_trading:
        risk.check_whole(instrument, qty - exits)
    if qty - exits > order.opening:
        risk.check_opening(
            account,
            instrument,
            position,
            side,
            qty - order.hold_qty,
            exits=exits - order.hold_qty,
            locate=False,
            paid_on=desk.accounts.paid_on,
        )
    own = order.leaves - order.hold_qty, order.hold_qty
    return LegAsk(market, side, leg.ratio, qty, exits, *own)
