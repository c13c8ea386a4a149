"""What a multi-leg order sets aside until it trades.

In a margin account legs on one underlying are looked at together: the order holds what its units
bind at their net price, which for what is bounded is its largest loss, and never more than its legs
would by themselves. So it never leans on what else is held. One that closes holds by how much
more is bound with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from application.deciding.checks import hold_for
from application.deciding.option_holds import Ask, family_hold
from application.desk.desk import Desk
from application.desk.families import (
    AS_IT_IS,
    EXITING,
    bound_of,
    finer,
    option_of,
    underlying_of,
)
from application.desk.pairs import unpaired
from domain.account import Account
from domain.commission import ceiling
from domain.errors import NoReferencePrice
from domain.family import Family, rates_of
from domain.matching.engine import Market
from domain.means import ROUNDING
from domain.money import QTY_SCALE, USD_SCALE, WIRE_PRICE_SCALE
from domain.risk import protection_price
from domain.strategy_terms import StrategyTerms
from domain.terms import Side
from domain.trade import Holds

_BUY = int(Side.BUY)
_CENT: int = 10 ** (WIRE_PRICE_SCALE + QTY_SCALE - USD_SCALE)
"""Wire prices times quantities in a cent."""
_VIEWS = (AS_IT_IS, EXITING, EXITING._replace(opening=True))


class LegAsk(NamedTuple):
    """A leg as it is reckoned: `qty` of it in all units, of which `exits` close what is held. The
    other two are what its order does so far, when it works already.
    """

    market: Market
    side: int
    ratio: int
    qty: int
    exits: int
    own_opening: int = 0
    own_exits: int = 0

    @property
    def signed(self) -> int:
        """What it changes a position by."""
        return self.qty if self.side == _BUY else -self.qty

    @property
    def units(self) -> int:
        """What it trades of the underlying, signed."""
        return self.signed * self.market.instrument.multiplier

    @property
    def worst_price(self) -> int:
        """What it would trade at as a market order; raises NoReferencePrice."""
        return protection_price(self.market, self.side)


def strategy_hold(
    desk: Desk, account: Account, legs: Sequence[LegAsk], terms: StrategyTerms
) -> tuple[Holds, ...]:
    """What each leg holds. What is held for all together stands on the first that opens.

    Raises NoReferencePrice where a leg that opens has no price to go by, and no net price either.
    """
    together = _together(desk, account, legs, terms)
    if together is None or _are_cheaper(desk, account, legs, together):
        return tuple(Holds(_alone(desk, account, leg), leg.exits) for leg in legs)
    carrier = min(range(len(legs)), key=lambda place: (_closes(legs[place]), place))
    return tuple(
        Holds(together if place == carrier else 0, leg.exits) for place, leg in enumerate(legs)
    )


def _are_cheaper(desk: Desk, account: Account, legs: Sequence[LegAsk], together: int) -> bool:
    """Whether legs by themselves hold less; sales, which hold most, are looked at first."""
    alone = 0
    try:
        for leg in sorted(legs, key=_side, reverse=True):
            alone += _alone(desk, account, leg)
            if alone >= together:
                return False
    except NoReferencePrice:
        return False
    return True


def _side(leg: LegAsk) -> int:
    return leg.side


def _closes(leg: LegAsk) -> int:
    """0 of a leg that only opens, 1 of one that opens in part, 2 of an exit."""
    return (leg.exits > 0) + (leg.exits == leg.qty)


def _alone(desk: Desk, account: Account, leg: LegAsk) -> int:
    """What a leg would hold as an order at the market by itself."""
    if leg.exits >= leg.qty:
        return 0
    market, price = leg.market, leg.worst_price
    if account.is_margin and market.instrument.expiry:
        ask = Ask(leg.side, leg.qty - leg.exits, 0, price)
        return family_hold(desk, account, market, ask, by_itself=True)
    return hold_for(account, market, leg.side, leg.qty - leg.exits, price)


def _together(
    desk: Desk, account: Account, legs: Sequence[LegAsk], terms: StrategyTerms
) -> int | None:
    """What all legs hold as one; None where they are not looked at as one."""
    if not account.is_margin:
        return _net_purchase(account, legs, terms)
    key = legs[0].market.family
    if not key or any(leg.market.family != key for leg in legs):
        return None
    closes = any(leg.exits for leg in legs)
    bound = _more_bound if closes else _bound_by_itself
    more = bound(desk, account, legs, _cost(legs, terms))
    if terms.is_sequential:
        # Whatever of it may stand alone while the rest is still to come.
        for last in range(1, len(legs)):
            first = legs[:last]
            cost = sum(leg.units * leg.worst_price * finer(leg.market) for leg in first)
            more = max(more, bound(desk, account, first, cost))
    lost = 0
    if any(leg.market.instrument.expiry for leg in legs):
        lost = unpaired(desk, account, key)
    return -(-more // _CENT) + lost + sum(_costs(account, leg) for leg in legs)


def _net_purchase(account: Account, legs: Sequence[LegAsk], terms: StrategyTerms) -> int | None:
    """What a cash account pays at a net price for legs that it only buys."""
    if not terms.has_limit or any(leg.side != _BUY or leg.exits for leg in legs):
        return None
    paid = -(-max(0, _cost(legs, terms)) // _CENT)
    return paid + sum(ROUNDING + _costs(account, leg) for leg in legs)


def _cost(legs: Sequence[LegAsk], terms: StrategyTerms) -> int:
    """What all units cost at the worst, wire prices times quantities; negative is received."""
    if not terms.has_limit:
        return sum(leg.units * leg.worst_price * finer(leg.market) for leg in legs)
    return terms.net_price * terms.qty * max(leg.market.instrument.multiplier for leg in legs)


def _costs(account: Account, leg: LegAsk) -> int:
    """The most that a leg's commission can be for what it opens."""
    if not account.schedule or leg.exits >= leg.qty:
        return 0
    terms, opening = leg.market.instrument, leg.qty - leg.exits
    price = leg.worst_price * terms.multiplier
    return ceiling(account.commission_schedule, opening, price, terms.price_decimals)


def _bound_by_itself(desk: Desk, account: Account, legs: Sequence[LegAsk], cost: int) -> int:
    """What legs that open bind when they have traded at a cost, beyond what they are worth."""
    marks = _marks(legs, cost)
    market = desk.markets.by_id[legs[0].market.family]
    shares, value = 0, 0
    options = []
    for leg in legs:
        terms = leg.market.instrument
        mark = marks.get(terms.id.int, leg.market.mark)
        value += leg.units * mark * finer(leg.market)
        if terms.expiry:
            options.append(option_of(leg.market, leg.signed, mark))
        else:
            shares += leg.signed
    family = Family(underlying_of(account, market), shares, tuple(options))
    return max(0, family.initial(rates_of(account)) * _CENT + cost - value)


def _more_bound(desk: Desk, account: Account, legs: Sequence[LegAsk], cost: int) -> int:
    """By how much more is bound, and less is had, when the legs have traded at a cost: with what
    is held, without what working exits close, and with what working sales would open.
    """
    marks = _marks(legs, cost)
    key = legs[0].market.family
    numbers = [leg.market.instrument.id.int for leg in legs]
    values = [
        leg.units * marks.get(number, leg.market.mark) * finer(leg.market)
        for number, leg in zip(numbers, legs, strict=True)
    ]
    lost = cost - sum(values)
    more = 0
    for view in _VIEWS:
        own = {
            number: leg.own_opening if leg.side != _BUY else 0
            for number, leg in zip(numbers, legs, strict=True)
            if view.opening
        }
        after = {
            number: own.get(number, 0) + leg.signed
            for number, leg in zip(numbers, legs, strict=True)
        }
        seen = view._replace(marks=marks)
        before = bound_of(desk, account, key, seen._replace(changes=own))
        more = max(more, bound_of(desk, account, key, seen._replace(changes=after)) - before)
    return max(0, more * _CENT + lost)


def _marks(legs: Sequence[LegAsk], cost: int) -> dict[int, int]:
    """The marks at which a credit that is larger than the present ones could come in: that of a
    sold option is higher by the difference.
    """
    value = sum(leg.units * leg.market.mark * finer(leg.market) for leg in legs)
    more = value - cost
    for leg in legs:
        terms = leg.market.instrument
        if more > 0 and terms.expiry and leg.side != _BUY and leg.exits < leg.qty:
            unit = -leg.units * finer(leg.market)
            return {terms.id.int: leg.market.mark - -more // unit}
    return {}
