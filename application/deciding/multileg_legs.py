"""The legs of a multi-leg order as the planner sees them, and what their trades cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from domain.matching.engine import Market
from domain.matching.strategy import LegAsk
from domain.money import exact_value
from domain.multileg import MultiLegOrder
from domain.terms import Side

if TYPE_CHECKING:
    from application.deciding.step import Step

_BUY = int(Side.BUY)


def leg_asks(step: Step, parent: MultiLegOrder) -> tuple[LegAsk, ...]:
    """The legs as the planner sees them; without a net price each is bound by its protection."""
    markets = step.desk.markets.by_id
    bounded = not parent.has_limit
    asks = []
    for leg in parent.strategy:
        market = markets[leg.instrument_id.int]
        bound = market.protection_price(leg.side) if bounded else _collar(market, leg.side)
        asks.append(LegAsk(market, leg.side, leg.ratio, bound, market.instrument.multiplier))
    return tuple(asks)


def leg_cost(market: Market, side: int, price: int, qty: int) -> int:
    """What a leg's trade costs, exactly; negative is received."""
    instrument = market.instrument
    value = exact_value(price, qty * instrument.multiplier, instrument.price_decimals)
    return value if side == _BUY else -value


def _collar(market: Market, side: int) -> int:
    """How far a leg may trade whatever the others do; 0 where no price tells."""
    reference = market.reference_price
    if not reference:
        return 0
    low, high = market.collar(reference)
    return high if side == _BUY else low
