"""Execute multi-leg orders: all legs in ratio in one step, against books or each other.

What the books give and what opposite multi-leg orders want is looked at together, and the better
of the two is taken, until neither is within the order's net price. Nothing may fail here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from application.deciding import sequential
from application.deciding.matching import trade
from application.deciding.multileg_ends import end_strategy, rest_reason
from application.deciding.multileg_improvement import improved
from application.deciding.multileg_legs import leg_asks, leg_cost
from domain.matching.leg_prices import leg_prices, prices_hold
from domain.matching.strategy import StrategyPlan, plan_units
from domain.money import QTY_UNIT
from domain.multileg import MultiLegOrder
from domain.terms import CancelReason, Liquidity, Phase, TimeInForce

if TYPE_CHECKING:
    from application.deciding.step import Step

_OPEN = int(Phase.OPEN)
_FOK = int(TimeInForce.FOK)
_ADDED = int(Liquidity.ADDED)
_REMOVED = int(Liquidity.REMOVED)


NOBODY = -1
"""Owner of no order."""


class Counterpart(NamedTuple):
    """An opposite multi-leg order, its net price as it is to who takes it, and what of it may be
    taken, in units.
    """

    parent: MultiLegOrder
    net: int
    units: int


def execute(step: Step, parent: MultiLegOrder) -> None:
    """Execute what can be of an order that has come, and end what may not rest."""
    if parent.is_sequential:
        sequential.go_on(step, parent)
        return
    if _all_open(step, parent):
        if parent.time_in_force == _FOK and _within_reach(step, parent) < _units(parent):
            end_strategy(step, parent, CancelReason.FILL_OR_KILL)
            return
        _take_all(step, parent)
    if parent.is_live and not parent.may_rest:
        end_strategy(step, parent, rest_reason(parent))


def look_again(step: Step, instrument_number: int) -> None:
    """Execute what a change of an instrument's book lets, of those that rest on it."""
    strategies = step.desk.strategies
    for strategy in strategies.on(instrument_number):
        place = 0
        while place < len(resting := strategies.standing(strategy)):
            parent = resting[place]
            if parent.is_sequential:
                sequential.go_on(step, parent)
                break
            if not _all_open(step, parent):
                break
            if _take_all(step, parent):
                # Who is done has left its place to the next.
                place += parent.is_live
            elif _speaks_for_all(step, parent):
                break
            else:
                place += 1


def _speaks_for_all(step: Step, parent: MultiLegOrder) -> bool:
    """Whether those behind one that did not trade would not either: they pay no more, and nothing
    stood in its way that does not stand in theirs, neither constraints nor its own owner's orders.
    """
    if parent.constraints or _plan(step, parent, parent.net_price, NOBODY).units:
        return False
    opposite = step.desk.strategies.opposite_of(parent)
    return not opposite or -opposite[0].net_price > parent.net_price


def _take_all(step: Step, parent: MultiLegOrder) -> bool:
    """Take the better of books and opposite orders until neither is within the net price; whether
    anything was. At the same price books come first.
    """
    limit = parent.net_price if parent.has_limit else None
    passed: set[int] = set()
    filled = parent.filled
    while parent.is_live:
        other = _counterpart(step, parent, limit, passed)
        if _take_books(step, parent, limit if other is None else other.net):
            continue
        if other is None:
            break
        if not _meet(step, parent, other):
            passed.add(other.parent.id.int)
    return parent.filled > filled


def _counterpart(
    step: Step, parent: MultiLegOrder, limit: int | None, passed: set[int]
) -> Counterpart | None:
    """The best opposite order of another owner within a net price, of those that came before it,
    at whose price the two trade; None when there is none.
    """
    accounts = step.desk.accounts
    owner = accounts.owner_number(parent.account_id)
    for other in step.desk.strategies.opposite_of(parent):
        if limit is not None and -other.net_price > limit:
            return None
        if other.sequence > parent.sequence or other.id.int in passed:
            continue
        if accounts.owner_number(other.account_id) != owner:
            return Counterpart(other, -other.net_price, min(_units(parent), _units(other)))
    return None


def _meet(step: Step, parent: MultiLegOrder, met: Counterpart) -> bool:
    """Trade with an opposite order at its net price; False where no prices of legs make that."""
    other = met.parent
    asks = leg_asks(step, parent)
    prices = leg_prices(asks, met.net)
    if prices is None or not _hold(step, parent, other, prices):
        return False
    qty = met.units * QTY_UNIT
    theirs = {leg.instrument_id.int: leg for leg in other.strategy}
    working = step.desk.orders.working
    cost = 0
    for leg, price in zip(parent.strategy, prices, strict=True):
        market = step.desk.markets.by_id[leg.instrument_id.int]
        both = working[leg.order_id.int], working[theirs[leg.instrument_id.int].order_id.int]
        trade(step, market, both, qty * leg.ratio, price, (_REMOVED, _ADDED))
        cost += leg_cost(market, leg.side, price, qty * leg.ratio)
    parent.execute(step, qty, cost)
    other.execute(step, qty, -cost)
    step.follow_up()
    return True


def _hold(step: Step, parent: MultiLegOrder, other: MultiLegOrder, prices: Sequence[int]) -> bool:
    """Whether the constraints of both are met by the prices at which they would trade."""
    by_instrument = {
        leg.instrument_id.int: price for leg, price in zip(parent.strategy, prices, strict=True)
    }
    theirs = [by_instrument[leg.instrument_id.int] for leg in other.strategy]
    return prices_hold(leg_asks(step, parent), parent.constraints, prices) and prices_hold(
        leg_asks(step, other), other.constraints, theirs
    )


def _take_books(step: Step, parent: MultiLegOrder, limit: int | None) -> bool:
    """Execute what the legs' books give within a net price for each unit; whether any was."""
    plan = _plan(step, parent, limit)
    if not plan.units:
        return False
    step_prices = improved(step, parent, plan) if limit is not None else plan.legs
    working, by_sequence = step.desk.orders.working, step.desk.orders.by_sequence
    cost = 0
    for leg, meetings in zip(parent.strategy, step_prices, strict=True):
        market = step.desk.markets.by_id[leg.instrument_id.int]
        order = working[leg.order_id.int]
        for meeting in meetings:
            resting = by_sequence[meeting.sequence]
            both = order, resting
            trade(step, market, both, meeting.qty, meeting.price, (_REMOVED, _ADDED))
            cost += leg_cost(market, leg.side, meeting.price, meeting.qty)
    parent.execute(step, plan.units * QTY_UNIT, cost)
    step.follow_up()
    return True


def _plan(
    step: Step, parent: MultiLegOrder, limit: int | None, owner: int | None = None
) -> StrategyPlan:
    if owner is None:
        owner = step.desk.accounts.owner_number(parent.account_id)
    return plan_units(
        leg_asks(step, parent),
        _units(parent),
        limit,
        parent.constraints,
        owner,
        parent.self_trade,
    )


def _within_reach(step: Step, parent: MultiLegOrder) -> int:
    """How many units an order could trade now, in books and with opposite orders."""
    limit = parent.net_price if parent.has_limit else None
    units = _plan(step, parent, limit).units
    passed: set[int] = set()
    while (other := _counterpart(step, parent, limit, passed)) is not None:
        passed.add(other.parent.id.int)
        prices = leg_prices(leg_asks(step, parent), other.net)
        if prices is not None and _hold(step, parent, other.parent, prices):
            units += _units(other.parent)
    return units


def _all_open(step: Step, parent: MultiLegOrder) -> bool:
    markets = step.desk.markets.by_id
    return all(markets[leg.instrument_id.int].instrument.phase == _OPEN for leg in parent.strategy)


def _units(parent: MultiLegOrder) -> int:
    units: int = parent.leaves // QTY_UNIT
    return units
