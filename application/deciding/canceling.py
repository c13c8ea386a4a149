"""Cancel one order, a group of them, or all of an account."""

from __future__ import annotations

from application.commands import CancelAll, CancelOrder, Reply
from application.deciding import linked_orders
from application.deciding.matching import end
from application.deciding.multileg_ends import cancel_whole, check_alone, end_strategy
from application.deciding.recording import CHUNK, Asked, done, refuse
from application.deciding.step import Step
from domain.account import Account
from domain.errors import Rejection
from domain.identifiers import NO_ID
from domain.multileg import MultiLegOrder
from domain.order_terms import Request
from domain.terms import CancelReason, GroupEnd, Leg


def cancel_order(step: Step, cmd: CancelOrder) -> None:
    """Cancel one working order, a whole group or a multi-leg order, or record why not.

    The other legs of a group go with the one that is named, but for the exits of an entry
    that has bought something; a leg of a multi-leg order goes with that alone.
    """
    orders = step.desk.orders
    account = step.desk.accounts.account(cmd.account_id)
    request = Request(cmd.request_key, step.fingerprint)
    parent = step.desk.strategies.find(account.id, cmd.order_id, cmd.client_order_id)
    if parent is not None:
        _cancel_strategy(step, account, parent, request)
        return
    group = linked_orders.named(orders, account.id, cmd.order_id)
    found = NO_ID
    try:
        if group is not None:
            order = linked_orders.parent(orders, group)
        else:
            order = orders.find(account.id, cmd.order_id, cmd.client_order_id)
            found = order.id
            order.check_working()
            check_alone(order)
    except Rejection as refusal:
        target = str(cmd.order_id or cmd.client_order_id)
        refuse(step, account, Asked("cancel_order", target, request, found), refusal)
        return
    end(step, order, CancelReason.CLIENT, request)
    if group is not None:
        linked_orders.end_all(step, group, GroupEnd.CANCELED, CancelReason.GROUP)
    step.until_quiet()


def _cancel_strategy(step: Step, account: Account, parent: MultiLegOrder, request: Request) -> None:
    try:
        parent.check_working()
    except Rejection as refusal:
        refuse(step, account, Asked("cancel_order", str(parent.id), request), refusal)
        return
    end_strategy(step, parent, CancelReason.CLIENT, request)
    step.until_quiet()


def cancel_all(step: Step, cmd: CancelAll) -> Reply:
    """Cancel up to 200 working orders of an account; the reply says how many remain."""
    desk = step.desk
    account = desk.accounts.account(cmd.account_id)
    instrument_id = desk.markets.named(cmd.symbol).instrument.id if cmd.symbol else None
    chosen = [
        order
        for order in desk.orders.of_account(account.id)
        if (instrument_id is None or order.instrument_id == instrument_id)
        and (not cmd.side or order.side == cmd.side)
    ]
    reason = CancelReason.OPERATOR if cmd.by_operator else CancelReason.CLIENT
    for order in chosen[:CHUNK]:
        # A leg of a multi-leg order may have gone with another one before it.
        if order.is_working:
            cancel_whole(step, order, reason)
    # Only now, so that every leg of a group ends for what was asked.
    step.until_quiet()
    # A multi-leg order is told once, for all its legs.
    told = dict.fromkeys(
        order.group_id if order.leg >= Leg.FIRST else order.revision_id for order in chosen[:CHUNK]
    )
    canceled = [str(identifier) for identifier in told]
    return done(step, {"canceled": canceled, "remaining": max(0, len(chosen) - CHUNK)})
