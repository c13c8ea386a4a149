"""Replace: new terms for a working order, and for the other legs of its group."""

from __future__ import annotations

from msgspec.structs import replace

from application.commands import ReplaceOrder
from application.deciding.linked_orders import fit, named, parent
from application.deciding.matching import move_holds, run
from application.deciding.multileg_ends import check_alone
from application.deciding.recording import Asked, refuse
from application.deciding.replace_checks import (
    NewTerms,
    Replacement,
    check_replace,
    exits_of,
    holder_of,
    other_exits,
    replacement,
)
from application.deciding.replacing_multileg import replace_strategy
from application.deciding.step import Step
from domain.errors import Rejection
from domain.identifiers import NO_ID
from domain.order_terms import Request
from domain.terms import Adjustment, Leg, Phase
from domain.trade import NO_HOLDS, Holds

_ENTRY = int(Leg.ENTRY)
_GROUP_REPLACED = int(Adjustment.GROUP_REPLACED)


def replace_order(step: Step, cmd: ReplaceOrder) -> None:
    """Give a working order new terms, or record why not; a refused replace changes nothing.

    A group's id stands for its parent.
    """
    desk = step.desk
    account = desk.accounts.account(cmd.account_id)
    request = Request(cmd.client_order_id or cmd.request_key, step.fingerprint)
    order_id, found = cmd.known_id, NO_ID
    strategy = desk.strategies.find(account.id, order_id, cmd.name)
    if strategy is not None:
        replace_strategy(step, strategy, cmd, request)
        return
    try:
        group = named(desk.orders, account.id, order_id)
        if group is not None:
            order = parent(desk.orders, group)
        else:
            order = desk.orders.find(account.id, order_id, cmd.name)
        found = order.id
        order.check_working()
        check_alone(order)
        one = replacement(desk, account, order)
        terms = check_replace(desk, one, cmd, step.at)
    except Rejection as refusal:
        target = str(order_id or cmd.name)
        refuse(step, account, Asked("replace_order", target, request, found), refusal)
        return
    _record(step, one, terms, request, cmd.client_order_id)
    step.until_quiet()


def _record(
    step: Step, one: Replacement, new: NewTerms, request: Request, client_order_id: str
) -> None:
    orders, order = step.desk.orders, one.order
    leaves_before = order.leaves
    carries = holder_of(orders, orders.groups.get(order.group_id.int), order) is order
    admitted = new.admitted if carries else replace(new.admitted, holds=order.holds)
    more = admitted.holds.less(order.holds)
    order.replace(
        step,
        step.new_id(),
        request,
        client_order_id or order.client_order_id,
        admitted,
        order.sequence if new.keeps_priority else orders.next_sequence,
    )
    move_holds(step, order, more)
    if order.leg:
        _resize_group(step, one, order.leaves - leaves_before, new.admitted.holds)
    live = order.is_working and order.armed and not order.waits
    if live and not new.keeps_priority and one.market.instrument.phase == Phase.OPEN:
        run(step, one.market, order)


def _resize_group(step: Step, one: Replacement, growth: int, holds: Holds) -> None:
    """Let the other legs follow a replaced one: the same quantity, and the holds for both."""
    orders, order = step.desk.orders, one.order
    group = orders.groups[order.group_id.int]
    if order.leg == _ENTRY:
        if growth and not group.exit_qty:
            for other in exits_of(orders, group):
                leaves = other.leaves + growth
                other.adjust(step, _GROUP_REPLACED, leaves=leaves, holds=NO_HOLDS)
        exit_qty = group.exit_qty
    else:
        exit_qty = group.exit_qty + growth
        for other in other_exits(orders, group, order):
            if other.armed:
                kept = other.holds if other.is_held else holds
                fit(step, other, _GROUP_REPLACED, other.leaves + growth, kept)
    if growth:
        group.resize(step, _GROUP_REPLACED, qty=group.qty + growth, exit_qty=exit_qty)
    step.follow_up()
