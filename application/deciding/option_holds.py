"""What orders hold, and must have free, where options and what they are for are held together.

All of it is of margin accounts; a cash account pays for what it buys and opens nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

from application.desk.desk import Desk
from application.desk.families import (
    AS_IT_IS,
    EXITING,
    View,
    bound_of,
    family_of,
    option_of,
    underlying_of,
)
from application.desk.pairs import saved_of, unpaired
from domain.account import Account
from domain.commission import ceiling
from domain.family import Family, rates_of
from domain.margin import requirement
from domain.matching.engine import Market
from domain.money import notional_up
from domain.terms import Side

_BUY = int(Side.BUY)


class Ask(NamedTuple):
    """What an order is to do at a price: `exits` of it close what is held. The other two are what
    it does so far, when it works already.
    """

    side: int
    qty: int
    exits: int
    price: int
    own_opening: int = 0
    own_exits: int = 0

    @property
    def opening(self) -> int:
        """What of it opens a position."""
        return self.qty - self.exits


def family_hold(
    desk: Desk, account: Account, market: Market, ask: Ask, *, by_itself: bool = False
) -> int:
    """What the opening part of an order of a margin account holds in a market with a family.

    A purchase of options holds what it pays. A sale holds by how much more is bound with it: by
    itself, and on top of all other sales that work; where its price is below the mark, what it
    would lose as well. Shares hold what they always do. `by_itself` leaves out whatever else the
    account has.
    """
    opening = ask.opening
    if not opening:
        return 0
    terms = market.instrument
    units, decimals = opening * terms.multiplier, terms.price_decimals
    price, costs = ask.price, 0
    if account.schedule:
        costs = ceiling(account.commission_schedule, opening, price * terms.multiplier, decimals)
    if not terms.expiry:
        dearest = price if ask.side == _BUY else max(price, market.mark)
        bps = account.initial_bps(terms.initial_margin_bps)
        return requirement(dearest, units, decimals, bps) + costs
    costs += unpaired(desk, account, market.family)
    if ask.side == _BUY:
        return notional_up(price, units, decimals) + costs
    loss = notional_up(max(0, market.mark - price), units, decimals)
    if by_itself:
        short = option_of(market, -opening, max(price, market.mark))
        underlying = underlying_of(account, desk.markets.by_id[market.family])
        return Family(underlying, 0, (short,)).initial(rates_of(account)) + loss + costs
    return _more_bound(desk, account, market, ask) + loss + costs


def _more_bound(desk: Desk, account: Account, market: Market, ask: Ask) -> int:
    """By how much more a sale of an option binds when it has opened."""
    number = market.instrument.id.int
    exits = {number: ask.exits - ask.own_exits}
    marks = {number: max(ask.price, market.mark)}
    more = 0
    for opening in (False, True):
        own = ask.own_opening if opening else 0
        view = View(exiting=True, opening=opening, exits=exits, marks=marks)
        before = bound_of(desk, account, market.family, view._replace(changes={number: own}))
        changes = {number: own - ask.opening}
        after = bound_of(desk, account, market.family, view._replace(changes=changes))
        more = max(more, after - before)
    return more


def uncovered(desk: Desk, account: Account, market: Market, ask: Ask) -> int:
    """By how much more is bound when what an order is to close covers nothing any more.

    It is bound from then on as long as the order works, so the order itself does not hold it.
    """
    exits = ask.exits - ask.own_exits
    terms = market.instrument
    hedged = _unhedged(desk, account, terms.id.int, exits) if exits > 0 else 0
    if not market.family:
        return hedged
    return hedged + _uncovered_of_family(desk, account, market, ask, exits)


def _unhedged(desk: Desk, account: Account, number: int, exits: int) -> int:
    """What pairs save no more when so much hedges nothing."""
    if number not in desk.accounts.pairs:
        return 0
    saved = saved_of(desk, account).initial
    return max(0, saved - saved_of(desk, account, exits={number: exits}).initial)


def _uncovered_of_family(desk: Desk, account: Account, market: Market, ask: Ask, exits: int) -> int:
    terms = market.instrument
    if exits <= 0 or (terms.expiry and ask.side == _BUY):
        return 0
    key = market.family
    family = family_of(desk, account, key, View(opening=True))
    if all(option.qty > 0 for option in family.options):
        return 0
    now = max(bound_of(desk, account, key, AS_IT_IS), bound_of(desk, account, key))
    closing = EXITING._replace(exits={terms.id.int: exits})
    more = bound_of(desk, account, key, closing) - now
    opened = EXITING._replace(opening=True)
    then = bound_of(desk, account, key, closing._replace(opening=True))
    return max(0, more, then - bound_of(desk, account, key, opened))


def taken_out(desk: Desk, account: Account, market: Market, qty: int) -> int:
    """What must be free for so much to leave a margin account: its value, and what it covers."""
    terms = market.instrument
    value = notional_up(market.mark, qty * terms.multiplier, terms.price_decimals)
    value += _unhedged(desk, account, terms.id.int, qty)
    if not market.family:
        bps = account.initial_bps(terms.initial_margin_bps)
        units = qty * terms.multiplier
        return value - requirement(market.mark, units, terms.price_decimals, bps)
    key = market.family
    after = bound_of(desk, account, key, View(changes={terms.id.int: -qty}))
    return value + after - bound_of(desk, account, key, AS_IT_IS)
