"""How orders stand: one that is asked for, or all that work."""

from __future__ import annotations

from api.fix.application import answers
from api.fix.application import tags as t
from api.fix.application.behind import Behind, Client
from api.fix.application.fields import account_in, name_in, text_in
from api.fix.application.multileg_reports import strategy_as_it_is
from api.fix.application.orders_in import order_id_in
from api.fix.application.reports import Fields
from api.fix.application.vocabulary import SIDES, BusinessReason
from api.fix.ports import Received
from application.multileg import StrategyView
from application.orders import ReadOrder
from domain.order import Order

OF_A_SECURITY, OF_ALL = b"1", b"7"
"""MassStatusReqType(585)."""


async def order_status(behind: Behind, client: Client, message: Received) -> None:
    """OrderStatusRequest: as the writer has it, behind what was asked before."""
    account_id = account_in(message, client.terms)
    asked = _said_again(message, t.ORD_STATUS_REQ_ID)
    order_id, name = order_id_in(message), name_in(message, t.CL_ORD_ID)
    found = await behind.send(client, ReadOrder(account_id, order_id, name))
    if found.order is not None:
        order = await behind.order(found.order.order_id)
    else:
        # It may be a name that the order had, or that a request about it has.
        order = await behind.named(account_id, name)
    now = behind.clock.now()
    if order is None:
        strategy = await behind.strategy_named(account_id, name)
        if strategy is not None:
            label = client.terms.label_of(account_id)
            client.link.answer(strategy_as_it_is(strategy, label, asked, now))
            return
        client.link.answer(answers.no_status(message, asked, "no such order", now))
        return
    label = client.terms.label_of(account_id)
    client.link.answer(answers.order_status(order, label, asked, now))


async def mass_status(behind: Behind, client: Client, message: Received) -> None:
    """OrderMassStatusRequest: every working order of the account, or of all of the session's."""
    request = name_in(message, t.MASS_STATUS_REQ_ID)
    kind = message.get(t.MASS_STATUS_REQ_TYPE)
    if kind not in (OF_A_SECURITY, OF_ALL):
        said = f"{t.named(t.MASS_STATUS_REQ_TYPE)} may only be 1 or 7"
        client.link.refuse(message, BusinessReason.OTHER, said, tag=t.MASS_STATUS_REQ_TYPE)
        return
    symbol = name_in(message, t.SYMBOL) if kind == OF_A_SECURITY else ""
    side = message.get(t.SIDE)
    accounts = list(client.terms.accounts.values())
    if text_in(message, t.ACCOUNT):
        accounts = [account_in(message, client.terms)]
    found: list[Order | StrategyView] = []
    for account_id in accounts:
        if not symbol and side is None:
            # They have neither.
            for strategy_id in await behind.views.working_strategies(account_id):
                strategy = await behind.strategy(strategy_id)
                if strategy is not None and not strategy.ended_at and strategy.leaves:
                    found.append(strategy)
        for order_id in await behind.views.working_orders(account_id):
            order = await behind.order(order_id)
            if order is None or not order.is_working:
                continue
            if symbol in ("", order.symbol) and side in (None, SIDES[order.side]):
                found.append(order)
    _answer(behind, client, message, request, found)


def _answer(
    behind: Behind,
    client: Client,
    message: Received,
    request: str,
    found: list[Order | StrategyView],
) -> None:
    now = behind.clock.now()
    asked: Fields = [
        (t.MASS_STATUS_REQ_ID, request.encode()),
        (t.TOT_NUM_REPORTS, b"%d" % len(found)),
    ]
    if not found:
        asked.append((t.LAST_RPT_REQUESTED, b"Y"))
        client.link.answer(answers.no_statuses(message, asked, now))
    for number, order in enumerate(found, 1):
        last = (t.LAST_RPT_REQUESTED, b"Y" if number == len(found) else b"N")
        label = client.terms.label_of(order.account_id)
        if isinstance(order, StrategyView):
            client.link.answer(strategy_as_it_is(order, label, [*asked, last], now))
        else:
            client.link.answer(answers.order_status(order, label, [*asked, last], now))


def _said_again(message: Received, tag: int) -> Fields:
    value = message.get(tag)
    return [] if value is None else [(tag, value)]
