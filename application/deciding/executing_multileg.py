"""Execute multi-leg orders: all legs in ratio in one step, against books or each other.

What the books give and what opposite multi-leg orders want is looked at together, and the better
of the two is taken, until neither is within the order's net price. Nothing may fail here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from application.deciding import sequential
from application.deciding.multileg_ends import end_strategy, rest_reason
from application.deciding.multileg_improvement import improved
from application.deciding.multileg_legs import leg_asks
from application.deciding.multileg_trades import trade_with_books, trade_with_other
from domain.matching.leg_prices import leg_prices, prices_hold
from domain.matching.strategy import NOTHING, StrategyPlan, plan_units
from domain.money import QTY_UNIT
from domain.multileg import MultiLegOrder
from domain.terms import CancelReason, Phase, TimeInForce

if TYPE_CHECKING:
    from application.deciding.step import Step

_OPEN = int(Phase.OPEN)
_FOK = int(TimeInForce.FOK)
NOBODY = -1
"""Owner of no order."""
MOST_PASSED = 100
"""So many of one strategy that constraints, or their owner's other orders, keep from trading are
looked at after a change of a book, or by one that comes; who stands behind them waits."""


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
        if parent.time_in_force != _FOK:
            _take_all(step, parent)
        elif not _take_whole(step, parent):
            end_strategy(step, parent, CancelReason.FILL_OR_KILL)
    if parent.is_live and not parent.may_rest:
        end_strategy(step, parent, rest_reason(parent))


def look_again(step: Step, instrument_number: int) -> None:
    """Execute what a change of an instrument's book lets, of those that rest on it."""
    strategies = step.desk.strategies
    for parent in strategies.in_turn.ahead_on(instrument_number):
        if strategies.in_turn.are_ahead(parent):
            sequential.go_on(step, parent)
    for strategy in strategies.on(instrument_number):
        place = passed = 0
        while passed < MOST_PASSED and place < len(resting := strategies.standing(strategy)):
            parent = resting[place]
            if strategies.in_turn.are_ahead(parent):
                place += 1
            elif not _all_open(step, parent):
                break
            elif (
                sequential.begin(step, parent) if parent.is_sequential else _take_all(step, parent)
            ):
                # Who is done has left its place to the next.
                place += parent.is_live
            elif _speaks_for_all(step, parent):
                break
            else:
                place, passed = place + 1, passed + 1


def _speaks_for_all(step: Step, parent: MultiLegOrder) -> bool:
    """Whether those behind one that did not trade would not either: they pay no more, and not even
    a unit is to be had for that, whatever its constraints and its own owner's orders are.
    """
    asks = leg_asks(step, parent)
    if plan_units(asks, 1, parent.net_price, (), NOBODY, parent.self_trade).units:
        return False
    if parent.is_sequential:
        return not sequential.may_begin(step, parent, NOBODY)
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
    if len(passed) == MOST_PASSED:
        return None
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
    prices = _prices(step, parent, met)
    if prices is None:
        return False
    trade_with_other(step, parent, met.parent, met.units, prices)
    step.follow_up()
    return True


def _prices(step: Step, parent: MultiLegOrder, met: Counterpart) -> tuple[int, ...] | None:
    """The legs' prices at which two may trade; None when there are none."""
    prices = leg_prices(leg_asks(step, parent), met.net)
    return prices if prices is not None and _hold(step, parent, met.parent, prices) else None


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
    legs = improved(step, parent, plan) if limit is not None else plan.legs
    trade_with_books(step, parent, plan.units, legs)
    step.follow_up()
    return True


def _plan(step: Step, parent: MultiLegOrder, limit: int | None, units: int = 0) -> StrategyPlan:
    """What the books would give of so many units, or of all that are left."""
    owner = step.desk.accounts.owner_number(parent.account_id)
    return plan_units(
        leg_asks(step, parent),
        units or _units(parent),
        limit,
        parent.constraints,
        owner,
        parent.self_trade,
    )


def _take_whole(step: Step, parent: MultiLegOrder) -> bool:
    """Trade all units with opposite orders and books, or with books alone; False when neither
    gives all of them, and then nothing has traded.

    All is planned before any of it is recorded: what trades with an opposite order leaves the
    books as they are.
    """
    limit = parent.net_price if parent.has_limit else None
    left = _units(parent)
    meetings: list[tuple[Counterpart, tuple[int, ...]]] = []
    passed: set[int] = set()
    while left and (other := _counterpart(step, parent, limit, passed)) is not None:
        passed.add(other.parent.id.int)
        prices = _prices(step, parent, other)
        if prices is not None:
            part = other._replace(units=min(left, other.units))
            meetings.append((part, prices))
            left -= part.units
    plan = _plan(step, parent, limit, units=left) if left else NOTHING
    if plan.units < left:
        meetings, left = [], _units(parent)
        plan = _plan(step, parent, limit)
    if plan.units < left:
        return False
    for part, prices in meetings:
        trade_with_other(step, parent, part.parent, part.units, prices)
    if left:
        trade_with_books(step, parent, left, plan.legs)
    step.follow_up()
    return True


def _all_open(step: Step, parent: MultiLegOrder) -> bool:
    markets = step.desk.markets.by_id
    return all(markets[leg.instrument_id.int].instrument.phase == _OPEN for leg in parent.strategy)


def _units(parent: MultiLegOrder) -> int:
    units: int = parent.leaves // QTY_UNIT
    return units
