"""Execute sequential orders: one leg after the other, each against its book.

What all legs find now within the net price and the constraints trades now, in whole units. When
that is nothing, and the legs behind have time to follow, the first one begins alone, as far as
their prices of this moment let the whole stay within the net price. The legs behind follow it in
ratio, each as far as the one before it has come; when the last has come as far as the first, the
units are complete, and the next may begin. A leg has its turn for so many seconds as the order
says; when it has not followed by then, what is ahead of it is unwound. Net price and constraints
are kept by all units together that are under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from application.deciding.matching import trade
from application.deciding.multileg_ends import end_strategy, rest_reason
from application.deciding.multileg_legs import leg_asks, leg_cost
from application.deciding.unwinding import close_ahead, complete, unwind
from application.desk.legs_in_turn import LegAhead
from domain.identifiers import Instant
from domain.matching.engine import Market, Meeting
from domain.matching.strategy import NOTHING, LegAsk, StrategyPlan, plan_leg, plan_units
from domain.matching.strategy_constraints import Before, Plane, planes_of_leg
from domain.money import QTY_UNIT
from domain.multileg import MultiLegOrder
from domain.strategy_terms import Constraint
from domain.terms import CancelReason, Leg, Liquidity, Phase, Side, TimeInForce

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_FIRST = int(Leg.FIRST)
_OPEN = int(Phase.OPEN)
_FOK = int(TimeInForce.FOK)
_ADDED = int(Liquidity.ADDED)
_REMOVED = int(Liquidity.REMOVED)
_SECOND: Instant = 1_000_000
_COST_UNITS: int = 10**7
"""How many 1e-24 USD a unit of the planner's costs is: every cost is whole ones."""
_NET_UNITS: int = 10**15
"""How many 1e-24 USD a unit of a net price is."""


class Wanted(NamedTuple):
    """What a leg is to trade, in units, and how many are under way in all."""

    units: int
    under_way: int


def go_on(step: Step, parent: MultiLegOrder) -> None:
    """Let the legs trade as far as they can now, or what is to be closed be closed."""
    if not parent.is_working:
        close_ahead(step, parent)
        return
    ahead = step.desk.strategies.in_turn.of(parent)
    while parent.is_working:
        if not ahead[0].fills and not _begin(step, parent):
            break
        _follow(step, parent)
        if not parent.is_working:
            return
        under_way = ahead[0].units
        if ahead[-1].units < under_way:
            break
        complete(step, parent, under_way)
    if parent.is_working:
        _wait(step, parent)


def time_over(step: Step, parent: MultiLegOrder) -> None:
    """Unwind an order of which a leg has had its time, unless it can follow at last."""
    go_on(step, parent)
    if parent.is_working and 0 < parent.due_at <= step.at:
        unwind(step, parent, CancelReason.LEG_INCOMPLETE)


def undone(step: Step, parent: MultiLegOrder) -> None:
    """End an order of which a trade was undone before its unit was complete: its leg has less
    than the others, and no way to get it back.
    """
    if not parent.is_working:
        close_ahead(step, parent)
        return
    working = step.desk.orders.working
    ahead = step.desk.strategies.in_turn.of(parent)
    for leg, traded in zip(parent.strategy, ahead, strict=True):
        order = working.get(leg.order_id.int)
        left = order.leaves if order is not None else 0
        if left + traded.qty != parent.leaves * leg.ratio:
            end_strategy(step, parent, CancelReason.BUSTED)
            return


def begin(step: Step, parent: MultiLegOrder) -> bool:
    """Let one that rests begin, if it may; whether it did."""
    version = parent.version
    go_on(step, parent)
    ahead = step.desk.strategies.in_turn.are_ahead(parent)
    return ahead or parent.version > version


def may_begin(step: Step, parent: MultiLegOrder, owner: int) -> bool:
    """Whether the first leg of an owner's order would begin alone, if there were no constraints
    and all instruments were open.
    """
    if not parent.leg_seconds:
        return False
    units = parent.leaves // QTY_UNIT
    asks = leg_asks(step, parent)
    wanted = Wanted(units, units)
    return _plan(step, parent, asks, 0, wanted, owner, constraints=()).units > 0


def _begin(step: Step, parent: MultiLegOrder) -> bool:
    """Let the next units begin; whether any did."""
    markets = step.desk.markets.by_id
    came = parent.sequence > step.sequence_before
    legs = [markets[leg.instrument_id.int].instrument for leg in parent.strategy]
    if not (came or parent.may_rest) or any(each.phase != _OPEN for each in legs):
        return False
    asks = leg_asks(step, parent)
    units = parent.leaves // QTY_UNIT
    limit = parent.net_price if parent.has_limit else None
    owner = _owner(step, parent)
    plan = plan_units(asks, units, limit, parent.constraints, owner, parent.self_trade)
    whole = parent.time_in_force == _FOK
    if plan.units == units or (plan.units and not whole):
        for place, meetings in enumerate(plan.legs):
            _trade(step, parent, asks[place].market, place, meetings)
        step.follow_up()
        return True
    wanted = Wanted(units, units)
    alone = NOTHING
    if parent.leg_seconds:
        alone = _plan(step, parent, asks, 0, wanted, owner, constraints=parent.constraints)
    if whole and alone.units < units:
        end_strategy(step, parent, CancelReason.FILL_OR_KILL)
        return False
    if alone.units:
        _trade(step, parent, asks[0].market, 0, alone.legs[0])
        step.follow_up()
    return alone.units > 0


def _follow(step: Step, parent: MultiLegOrder) -> None:
    """Let each leg behind the first follow the one before it."""
    ahead = step.desk.strategies.in_turn.of(parent)
    for place in range(1, len(ahead)):
        behind = ahead[place - 1].units - ahead[place].units
        market = step.desk.markets.by_id[parent.strategy[place].instrument_id.int]
        if behind > 0 and market.instrument.phase == _OPEN:
            asks = leg_asks(step, parent)
            wanted = Wanted(behind, ahead[0].units)
            owner, rules = _owner(step, parent), parent.constraints
            plan = _plan(step, parent, asks, place, wanted, owner, constraints=rules)
            if plan.units:
                _trade(step, parent, market, place, plan.legs[0])
                step.follow_up()
            if not parent.is_working:
                return


def _wait(step: Step, parent: MultiLegOrder) -> None:
    """Give the first leg that is behind its time, or end what may not wait."""
    ahead = step.desk.strategies.in_turn.of(parent)
    if not ahead[0].fills:
        if not parent.may_rest:
            end_strategy(step, parent, rest_reason(parent))
        return
    under_way = ahead[0].units
    turn = _FIRST + next(at for at, leg in enumerate(ahead) if leg.units < under_way)
    if not parent.leg_seconds:
        unwind(step, parent, CancelReason.LEG_INCOMPLETE)
    elif turn != parent.turn:
        due_at = step.at + parent.leg_seconds * _SECOND
        parent.turn_to(step, turn, under_way * QTY_UNIT, due_at)


def _trade(
    step: Step, parent: MultiLegOrder, market: Market, place: int, meetings: Sequence[Meeting]
) -> None:
    order = step.desk.orders.working[parent.strategy[place].order_id.int]
    by_sequence = step.desk.orders.by_sequence
    for meeting in meetings:
        both = order, by_sequence[meeting.sequence]
        trade(step, market, both, meeting.qty, meeting.price, (_REMOVED, _ADDED))


def _owner(step: Step, parent: MultiLegOrder) -> int:
    return step.desk.accounts.owner_number(parent.account_id)


def _plan(
    step: Step,
    parent: MultiLegOrder,
    asks: Sequence[LegAsk],
    place: int,
    wanted: Wanted,
    owner: int,
    *,
    constraints: Sequence[Constraint],
) -> StrategyPlan:
    """What a leg would trade of so many units."""
    ahead = step.desk.strategies.in_turn.of(parent)
    planes: list[Plane] = []
    if constraints:
        others = [_known(*each) for each in zip(asks, ahead, strict=True)]
        planes = planes_of_leg(asks, constraints, place, others)
    if parent.has_limit:
        budget = _budget(step, parent, asks, place, wanted.under_way)
        if budget is None:
            return NOTHING
        weight = asks[place].weight * wanted.under_way
        planes.append(Plane(0, 0, weight, 0, -budget))
    own = _traded(asks[place], ahead[place])
    return plan_leg(asks[place], wanted.units, planes, own, owner, parent.self_trade)


def _budget(
    step: Step, parent: MultiLegOrder, asks: Sequence[LegAsk], place: int, under_way: int
) -> int | None:
    """What all that is under way of a leg may cost, in 1e-17 USD, so that the whole is within the
    net price when the other legs trade what they lack at the prices of this moment.

    None when a price is missing.
    """
    ahead = step.desk.strategies.in_turn.of(parent)
    budget = parent.net_price * parent.multiplier * _NET_UNITS * under_way
    for at, (ask, leg) in enumerate(zip(asks, ahead, strict=True)):
        if at == place:
            continue
        budget -= leg.cost(leg.qty)
        lacking = under_way - leg.units
        if lacking > 0:
            touch = _touch(ask)
            if not touch:
                return None
            budget -= leg_cost(ask.market, ask.side, touch, lacking * ask.ratio * QTY_UNIT)
    return budget // _COST_UNITS


def _touch(ask: LegAsk) -> int:
    """What a leg would trade at now, or last did; 0 when nothing tells."""
    market = ask.market
    best = market.book.best(_SELL if ask.side == _BUY else _BUY)
    return best * market.instrument.tick or market.reference_price


def _known(ask: LegAsk, traded: LegAhead) -> Before | None:
    """What tells a leg's price: what it is ahead, else what it would trade at."""
    if traded.fills:
        return _traded(ask, traded)
    touch = _touch(ask)
    return Before(1, (touch * ask.lots,)) if touch else None


def _traded(ask: LegAsk, traded: LegAhead) -> Before:
    """What a leg is ahead, as the planner takes it."""
    lot = ask.market.instrument.lot
    return Before(traded.units, (traded.price_sum // lot,))
