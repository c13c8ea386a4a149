"""Improvement goes to the order that comes: it gets what a resting strategy would have paid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from domain.matching.engine import Meeting
from domain.matching.strategy import StrategyPlan
from domain.money import LARGEST, QTY_UNIT, WIRE_PRICE_SCALE
from domain.multileg import MultiLegOrder
from domain.terms import Side

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)
Legs = Sequence[Sequence[Meeting]]


def improved(step: Step, parent: MultiLegOrder, plan: StrategyPlan) -> Legs:
    """The meetings of a plan, better priced for an order that came in this very step.

    The last unit is the dearest: what it leaves of the net price no other leaves less of. Where
    constraints look at prices they stay as they were planned.
    """
    if parent.constraints or parent.sequence > step.sequence_before:
        return plan.legs
    for place, meetings in enumerate(plan.legs):
        if any(meeting.sequence > step.sequence_before for meeting in meetings):
            return _improved(step, parent, plan, place)
    return plan.legs


def _improved(step: Step, parent: MultiLegOrder, plan: StrategyPlan, place: int) -> Legs:
    leg = parent.strategy[place]
    market = step.desk.markets.by_id[leg.instrument_id.int]
    instrument = market.instrument
    finer = 10 ** (WIRE_PRICE_SCALE - instrument.price_decimals)
    weight = leg.ratio * instrument.multiplier * finer * instrument.tick
    more = _left_of_last_unit(step, parent, plan) // weight * instrument.tick
    if more <= 0:
        return plan.legs
    low, high = (
        market.collar(market.reference_price)
        if market.reference_price
        else (instrument.tick, LARGEST)
    )
    better = []
    for meeting in plan.legs[place]:
        price = meeting.price
        if meeting.sequence > step.sequence_before:
            # Never beyond the collar, but where the order stands there itself.
            if leg.side == _BUY:
                price = max(price, min(price + more, high))
            else:
                price = min(price, max(price - more, low))
        better.append(replace(meeting, price=price))
    return [*plan.legs[:place], better, *plan.legs[place + 1 :]]


def _left_of_last_unit(step: Step, parent: MultiLegOrder, plan: StrategyPlan) -> int:
    """What the last unit leaves of the net price, times the largest multiplier, in 1e-9."""
    markets = step.desk.markets.by_id
    net, largest = 0, 1
    for leg, meetings in zip(parent.strategy, plan.legs, strict=True):
        instrument = markets[leg.instrument_id.int].instrument
        largest = max(largest, instrument.multiplier)
        finer = 10 ** (WIRE_PRICE_SCALE - instrument.price_decimals)
        value = _value_of_last(meetings, leg.ratio * QTY_UNIT) * finer * instrument.multiplier
        net += value if leg.side == _BUY else -value
    left: int = parent.net_price * largest + -net // QTY_UNIT
    return left


def _value_of_last(meetings: Sequence[Meeting], qty: int) -> int:
    """What the last so much of a leg trades for: prices times quantities."""
    value = 0
    for meeting in reversed(meetings):
        took = min(qty, meeting.qty)
        value += took * meeting.price
        qty -= took
        if not qty:
            break
    return value
