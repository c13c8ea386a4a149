"""Place a multi-leg order: every leg passes every check, or nothing of it is accepted."""

from __future__ import annotations

from application.commands import PlaceMultiLeg
from application.deciding import executing_multileg
from application.deciding.multileg_checks import AdmittedLeg, AdmittedStrategy, check_multileg
from application.deciding.recording import open_position
from application.deciding.step import Step
from domain.account import Account
from domain.errors import Rejection
from domain.multileg import MultiLegOrder, RefusedStrategy
from domain.order import Order
from domain.order_terms import Admitted, Bound, Link, Request, Terms
from domain.strategy_terms import StrategyLeg, StrategyTerms
from domain.terms import Leg, OrderType

_FIRST = int(Leg.FIRST)
_MARKET = int(OrderType.MARKET)


def place_multileg(step: Step, cmd: PlaceMultiLeg) -> None:
    """Accept a multi-leg order and execute it, or record why not."""
    account = step.desk.accounts.account(cmd.account_id)
    parent_id = step.new_id()
    client = Request(cmd.client_order_id, step.fingerprint)
    terms, asked = cmd.terms, cmd.asked
    try:
        admitted = check_multileg(step.desk, account, terms, asked)
    except Rejection as refusal:
        refused = RefusedStrategy(terms, asked[:4], client, refusal)
        MultiLegOrder.reject(step, parent_id, account.id, refused)
        return
    legs = tuple(
        StrategyLeg(
            step.new_id(),
            leg.market.instrument.id,
            leg.market.instrument.symbol,
            leg.asked.side,
            leg.asked.ratio,
            leg.asked.position_intent,
        )
        for leg in admitted.legs
    )
    sequence = step.desk.orders.next_sequence
    multiplier = max(leg.market.instrument.multiplier for leg in admitted.legs)
    parent = MultiLegOrder.place(
        step, parent_id, account.id, terms, legs, client, sequence, multiplier=multiplier
    )
    _accept_legs(step, account, parent, admitted)
    executing_multileg.execute(step, parent)
    step.until_quiet()


def _accept_legs(
    step: Step, account: Account, parent: MultiLegOrder, admitted: AdmittedStrategy
) -> None:
    """Record each leg as an order of its own, and what it sets aside."""
    rows = zip(parent.strategy, admitted.legs, admitted.holds, strict=True)
    for place, (leg, found, holds) in enumerate(rows):
        position = open_position(step, account.id, leg.instrument_id)
        Order.accept(
            step,
            leg.order_id,
            account.id,
            leg.instrument_id,
            Admitted(_terms(parent.terms, found), Bound(0), holds),
            step.desk.orders.next_sequence,
            Request(str(leg.order_id)),
            Link(parent.id, _FIRST + place, armed=False),
        )
        if holds.amount:
            account.reserve(step, leg.order_id, holds.amount)
        if holds.qty:
            position.reserve(step, leg.order_id, holds.qty)


def _terms(terms: StrategyTerms, leg: AdmittedLeg) -> Terms:
    """A leg as an order at the market: what bounds it is the price of the whole."""
    instrument = leg.market.instrument
    return Terms(
        instrument.symbol,
        leg.asked.side,
        _MARKET,
        terms.time_in_force,
        leg.qty,
        0,
        0,
        instrument.price_decimals,
        self_trade=terms.self_trade,
    )
