"""Record what multi-leg orders trade: the legs' trades, and the execution that counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from application.deciding.matching import trade
from application.deciding.multileg_legs import leg_cost
from domain.matching.engine import Meeting
from domain.money import QTY_UNIT
from domain.multileg import MultiLegOrder
from domain.terms import Liquidity

if TYPE_CHECKING:
    from application.deciding.step import Step

_SIDES = int(Liquidity.REMOVED), int(Liquidity.ADDED)


def trade_with_books(
    step: Step, parent: MultiLegOrder, units: int, legs: Sequence[Sequence[Meeting]]
) -> None:
    """Trade so many units with the orders that each leg meets."""
    working, by_sequence = step.desk.orders.working, step.desk.orders.by_sequence
    cost = 0
    for leg, meetings in zip(parent.strategy, legs, strict=True):
        market = step.desk.markets.by_id[leg.instrument_id.int]
        order = working[leg.order_id.int]
        for meeting in meetings:
            both = order, by_sequence[meeting.sequence]
            trade(step, market, both, meeting.qty, meeting.price, _SIDES)
            cost += leg_cost(market, leg.side, meeting.price, meeting.qty)
    parent.execute(step, units * QTY_UNIT, cost)


def trade_with_other(
    step: Step, parent: MultiLegOrder, other: MultiLegOrder, units: int, prices: Sequence[int]
) -> None:
    """Trade so many units with an opposite order that rests, at the legs' prices."""
    qty = units * QTY_UNIT
    theirs = {leg.instrument_id.int: leg for leg in other.strategy}
    working = step.desk.orders.working
    cost = 0
    for leg, price in zip(parent.strategy, prices, strict=True):
        market = step.desk.markets.by_id[leg.instrument_id.int]
        both = working[leg.order_id.int], working[theirs[leg.instrument_id.int].order_id.int]
        trade(step, market, both, qty * leg.ratio, price, _SIDES)
        cost += leg_cost(market, leg.side, price, qty * leg.ratio)
    parent.execute(step, qty, cost)
    other.execute(step, qty, -cost)
