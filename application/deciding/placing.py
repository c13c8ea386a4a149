"""Place one order: all checks first, then what is recorded, then whatever follows."""

from __future__ import annotations

from application.commands import PlaceOrder
from application.deciding.checks import check
from application.deciding.matching import run
from application.deciding.notional_checks import check_notional
from application.deciding.recording import open_position, reject
from application.deciding.step import Step
from domain.account import Account
from domain.errors import Rejection
from domain.order import Order
from domain.order_terms import ALONE, CLS, FOR_THE_CLOSE, RefusedOrder, Request, Terms
from domain.terms import Phase

_OPEN = int(Phase.OPEN)


def place_order(step: Step, cmd: PlaceOrder) -> None:
    """Accept and match one order, or record why not."""
    account = step.desk.accounts.account(cmd.account_id)
    place(step, account, cmd.terms, Request(cmd.client_order_id, step.fingerprint))


def place(step: Step, account: Account, terms: Terms, client: Request | None) -> None:
    """Accept and match an order of an account, or record why not.

    One that no `client` named is called by its own id.
    """
    desk, account_id = step.desk, account._id
    order_id = step.new_id()
    if client is None:
        client = Request(str(order_id))
    try:
        judge = check_notional if terms.notional else check
        admitted = judge(desk, account, terms, step.at)
    except Rejection as refusal:
        reject(step, order_id, account_id, RefusedOrder(terms, client, refusal))
        return
    market = desk.markets.by_symbol[terms.symbol]
    instrument = market.instrument
    instrument_id = instrument._id
    position = open_position(step, account_id, instrument_id)
    sequence = desk.orders.sequence + 1
    link = FOR_THE_CLOSE if terms.time_in_force == CLS else ALONE
    order = Order.accept(
        step, order_id, account_id, instrument_id, admitted, sequence, client, link
    )
    if order.hold:
        account.reserve(step, order_id, order.hold)
    if order.hold_qty:
        position.reserve(step, order_id, order.hold_qty)
    if order.armed and not order.waits and instrument.phase == _OPEN:
        run(step, market, order)
    step.until_quiet()
