"""What follows from a fill or an end for other orders, inside the same decision.

Matching only notes what happened (`Desk.reactions`); when its loop is done, everything noted
is followed up here, in order, until nothing is left.
"""

from __future__ import annotations

from uuid import UUID

from application.deciding import linked_orders
from application.deciding.matching import end, withdraw
from application.desk.desk import Desk
from domain.decision import Decision
from domain.margin import requirement
from domain.matching.engine import Market
from domain.order import Order
from domain.position import Position
from domain.terms import Adjustment, CancelReason, Side


def react(desk: Desk, decision: Decision) -> None:
    """Follow up everything that was noted, and what that leads to in turn.

    All that is noted of one group is followed up at once, and positions only when no group
    waits: each sees numbers that are whole.
    """
    notes = desk.reactions
    if not notes:
        return
    cause, decision.causation = decision.causation, decision.last_position()
    shrunk: dict[UUID, Position] = {}
    while notes or shrunk:
        if not notes:
            _shrink(desk, decision, shrunk.pop(next(iter(shrunk))))
            continue
        subject = notes[0][1]
        if isinstance(subject, Position):
            notes.popleft()
            shrunk[subject.id] = subject
        else:
            _follow_group(desk, decision, subject.group_id)
    decision.causation = cause


def _follow_group(desk: Desk, decision: Decision, group_id: UUID) -> None:
    """Take out what is noted of a group's legs, and let the others follow it."""
    notes = desk.reactions
    filled: dict[UUID, int] = {}
    ended: dict[UUID, int] = {}
    for _ in range(len(notes)):
        kind, subject, qty = note = notes.popleft()
        if isinstance(subject, Position) or subject.group_id != group_id:
            notes.append(note)
        elif kind == "filled":
            filled[subject.id] = filled.get(subject.id, 0) + qty
        else:
            ended[subject.id] = qty
    group = desk.groups.get(group_id)
    # The ends of its legs that the end of a group brings are noted when it is gone.
    if group is not None:
        linked_orders.follow_up(desk, decision, group, filled, ended)


def before_election(
    desk: Desk, decision: Decision, market: Market, order: Order, prices: tuple[int, int]
) -> None:
    """Let a leg's group know that its stop's condition was met, before the stop is live.

    `prices` are the lowest and highest seen in this step.
    """
    linked_orders.stop_met(desk, decision, market, order, prices)
    react(desk, decision)


def _shrink(desk: Desk, decision: Decision, position: Position) -> None:
    """Let exits reserve no more than is held: those of a side no longer held give way first,
    then the newest.

    Exits of a group, and all exits of a cash account, end for what is gone; a margin
    account's own order goes on as an opening one, with margin, unless it may not sell short.
    """
    terms = desk.markets[position.instrument_id].instrument
    held_side = int(Side.SELL) if position.qty > 0 else int(Side.BUY)
    account = desk.accounts[position.account_id]
    exits = [
        order
        for order in desk.account_orders[account.id].values()
        if order.instrument_id == position.instrument_id and order.hold_qty
    ]
    exits.sort(key=lambda order: (order.side != held_side, order.sequence), reverse=True)
    for order in exits:
        held = position.exitable if order.side == held_side else 0
        excess = min(position.reserved - held, order.hold_qty)
        if excess <= 0:
            continue
        if order.leg:
            linked_orders.shrink(desk, decision, order, excess)
        elif account.is_margin and (order.side == Side.BUY or order.locate or terms.shortable):
            _become_opening(desk, decision, position, order, excess)
        else:
            _cut(desk, decision, position, order, excess)


def _become_opening(
    desk: Desk, decision: Decision, position: Position, order: Order, qty: int
) -> None:
    market = desk.markets[order.instrument_id]
    terms = market.instrument
    account = desk.accounts[order.account_id]
    price = max(order.working_price, market.mark)
    more = requirement(price, qty, terms.price_decimals, terms.initial_margin_bps)
    order.adjust(
        decision,
        int(Adjustment.BECAME_OPENING),
        leaves=order.leaves,
        hold=order.hold + more,
        hold_qty=order.hold_qty - qty,
    )
    position.release(decision, order.id, qty)
    account.reserve(decision, order.id, more)


def _cut(desk: Desk, decision: Decision, position: Position, order: Order, qty: int) -> None:
    market = desk.markets[order.instrument_id]
    leaves = order.leaves - qty
    if not leaves:
        withdraw(market, order)
        end(desk, decision, order, CancelReason.POSITION_CLOSED)
        return
    before = order.is_held, order.leaves, order.sequence
    order.adjust(
        decision,
        int(Adjustment.POSITION_SHRANK),
        leaves=leaves,
        hold=order.hold,
        hold_qty=order.hold_qty - qty,
    )
    position.release(decision, order.id, qty)
    desk.adjusted(order, position, before)
    if not order.is_waiting_stop:
        market.book.reduce(order.sequence, leaves // market.instrument.lot)
