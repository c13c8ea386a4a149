"""What follows from a fill or an end for other orders, inside the same decision.

A step notes what its events lead to; when a loop of matching is done, everything noted is
followed up here, in order, until nothing is left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from application.deciding import linked_orders, multileg_ends
from application.deciding.matching import end
from application.deciding.notes import LegFilled, Shrank
from application.deciding.option_holds import Ask, family_hold
from domain.account import Account
from domain.instrument import Instrument
from domain.margin import requirement
from domain.order import Order
from domain.position import Position
from domain.terms import Adjustment, CancelReason, Leg, Side
from domain.trade import Holds

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_FIRST = int(Leg.FIRST)


def react(step: Step) -> None:
    """Follow up everything that was noted, and what that leads to in turn.

    All that is noted of one group is followed up at once, and positions only when no group
    waits: each sees numbers that are whole.
    """
    notes = step.notes
    cause, step.causation = step.causation, step.last_position()
    shrunk: dict[int, Position] = {}
    while notes or shrunk:
        if not notes:
            _shrink(step, shrunk.pop(next(iter(shrunk))))
            continue
        note = notes[0]
        if isinstance(note, Shrank):
            notes.pop(0)
            shrunk[note.position.id.int] = note.position
        else:
            _follow_group(step, note.order.group_id, note.order.leg)
    step.causation = cause


def _follow_group(step: Step, group_id: UUID, leg: int) -> None:
    """Take out what is noted of a group's legs, and let the others follow it."""
    notes = step.notes
    group_number = group_id.int
    filled: dict[int, int] = {}
    ended: dict[int, int] = {}
    for _ in range(len(notes)):
        note = notes.pop(0)
        if isinstance(note, Shrank) or note.order.group_id.int != group_number:
            notes.append(note)
        elif isinstance(note, LegFilled):
            number = note.order.id.int
            filled[number] = filled.get(number, 0) + note.qty
        else:
            ended[note.order.id.int] = note.reason
    if leg >= _FIRST:
        multileg_ends.follow_up(step, group_id, ended)
        return
    group = step.desk.orders.groups.get(group_number)
    # The ends of its legs that the end of a group brings are noted when it is gone.
    if group is not None:
        linked_orders.follow_up(step, group, filled, ended)


def _shrink(step: Step, position: Position) -> None:
    """Let exits reserve no more than is held: those of a side no longer held give way first,
    then the newest.

    Exits of a group, and all exits of a cash account, end for what is gone; a margin
    account's own order goes on as an opening one, with margin, unless it may not sell short.
    """
    desk = step.desk
    terms = desk.markets.by_id[position.instrument_id.int].instrument
    held_side = _SELL if position.qty > 0 else _BUY
    account = desk.accounts.by_id[position.account_id.int]
    exits = [
        order
        for order in desk.orders.of_account(account.id)
        if order.instrument_id == position.instrument_id and order.hold_qty
    ]
    exits.sort(key=lambda order: (order.side != held_side, order.sequence), reverse=True)
    for order in exits:
        held = position.exitable if order.side == held_side else 0
        excess = min(position.reserved - held, order.hold_qty)
        if excess <= 0:
            continue
        if order.leg >= _FIRST:
            end(step, order, CancelReason.POSITION_CLOSED)
        elif order.leg:
            linked_orders.shrink(step, order, excess)
        elif account.is_margin and (order.side == _BUY or _may_short(account, terms, order)):
            _become_opening(step, position, order, excess)
        else:
            _cut(step, position, order, excess)


def _may_short(account: Account, terms: Instrument, order: Order) -> bool:
    return not account.no_shorting and (order.locate or terms.shortable)


def _become_opening(step: Step, position: Position, order: Order, qty: int) -> None:
    desk = step.desk
    market = desk.markets.by_id[order.instrument_id.int]
    terms = market.instrument
    price = max(order.working_price, market.mark)
    account = desk.accounts.by_id[order.account_id.int]
    initial_bps = account.initial_bps(terms.initial_margin_bps)
    if market.family:
        more = family_hold(desk, account, market, Ask(order.side, qty, 0, price))
    else:
        more = requirement(price, qty * terms.multiplier, terms.price_decimals, initial_bps)
    order.adjust(
        step,
        int(Adjustment.BECAME_OPENING),
        leaves=order.leaves,
        holds=Holds(order.hold + more, order.hold_qty - qty),
    )
    position.release(step, order.id, qty)
    account.reserve(step, order.id, more)


def _cut(step: Step, position: Position, order: Order, qty: int) -> None:
    leaves = order.leaves - qty
    if not leaves:
        end(step, order, CancelReason.POSITION_CLOSED)
        return
    order.adjust(
        step,
        int(Adjustment.POSITION_SHRANK),
        leaves=leaves,
        holds=Holds(order.hold, order.hold_qty - qty),
    )
    position.release(step, order.id, qty)
