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
from domain import risk
from domain.errors import InvalidField, Rejection
from domain.money import QTY_SCALE, to_text
from domain.multileg import MultiLegOrder
from domain.multileg_errors import StrategyQtyMismatch
from domain.order_terms import Request
from domain.strategy_terms import StrategyTerms
from domain.terms import Adjustment
from domain.trade import Holds

_REPLACED = int(Adjustment.GROUP_REPLACED)


def replace_strategy(
    step: Step, parent: MultiLegOrder, cmd: ReplaceOrder, request: Request
) -> None:
    """Give a multi-leg order new terms, or record why not; a refusal changes nothing."""
    account = step.desk.accounts.account(cmd.account_id)
    try:
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
    """What it asks for from now on; raises InvalidField, StrategyQtyMismatch or OrderNotWorking."""
    parent.check_working()
    for field in ("stop_price", "time_in_force", "expires_at", "trail"):
        if getattr(cmd, field) is not None:
            raise InvalidField(field, "of a multi-leg order is not replaced")
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
    return new


def _check(step: Step, parent: MultiLegOrder, terms: StrategyTerms) -> tuple[Holds, ...]:
    """What the legs hold under the new terms; raises what an order of them would be refused for."""
    desk = step.desk
    account = desk.accounts.account(parent.account_id)
    asks = []
    before = 0
    for leg in parent.strategy:
        order = desk.orders.working[leg.order_id.int]
        market = desk.markets.by_id[leg.instrument_id.int]
        position = desk.accounts.positions[account.id.int, leg.instrument_id.int]
        qty = (terms.qty - parent.filled) * leg.ratio
        grown = max(0, qty - order.leaves)
        risk.check_qty(market.instrument, qty)
        if grown:
            risk.check_position_limit(market.instrument, position, leg.side, grown)
            if market.mark:
                risk.check_size(account, market.instrument, qty, market.mark)
        exits = min(qty, order.hold_qty + exitable(account, position, leg.side, grown))
        own = order.leaves - order.hold_qty, order.hold_qty
        asks.append(LegAsk(market, leg.side, leg.ratio, qty, exits, *own))
        before += order.hold
    holds = strategy_hold(desk, account, asks, replace(terms, qty=terms.qty - parent.filled))
    more = sum(hold.amount for hold in holds) - before
    if more > 0:
        check_buying_power(desk, account, more)
    risk.check_kill_switches(account, desk.accounts.venue)
    return holds
