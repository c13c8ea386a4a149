"""What an account holds of one underlying and of the options on it, as margin sees it together.

A family is an underlying and its options; its key is the integer of the underlying's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from domain.account import Account
from domain.family import Family, Underlying, rates_of
from domain.margin import Holding, Margin, margin_of
from domain.matching.engine import Market
from domain.money import WIRE_PRICE_SCALE
from domain.strategy_margin import OptionHolding

if TYPE_CHECKING:
    from application.desk.desk import Desk

_NOTHING: Mapping[int, int] = {}


class View(NamedTuple):
    """Which state of a family is looked at; mappings are by instrument.

    With `exiting` what working exits are to close covers nothing any more, and `exits` that come
    beside them; with `opening` what working sales would open is short already. `changes` are
    quantities on top of that, `marks` prices that options are taken to have.
    """

    exiting: bool = False
    opening: bool = False
    exits: Mapping[int, int] = _NOTHING
    changes: Mapping[int, int] = _NOTHING
    marks: Mapping[int, int] = _NOTHING


AS_IT_IS = View()
EXITING = View(exiting=True)


def finer(market: Market) -> int:
    """The units of a wire price in one of the market's."""
    return int(10 ** (WIRE_PRICE_SCALE - market.instrument.price_decimals))


def family_of(desk: Desk, account: Account, key: int, view: View = AS_IT_IS) -> Family:
    """What the account holds of a family, or would."""
    markets = desk.markets.by_id
    changes = dict(view.changes)
    shares = shares_apart = apart = 0
    options: list[OptionHolding] = []
    for position in desk.accounts.positions_of(account.id):
        number = position.instrument_id.int
        market = markets[number]
        if market.family != key:
            continue
        held = position.qty
        away = 0
        if view.exiting:
            # Legs of a multi-leg order close together; what of them may stand alone it holds.
            reserved = position.reserved - position.joined
            away = min(reserved + view.exits.get(number, 0), abs(held))
        if number == key:
            shares_apart = away
            shares += held - away if held > 0 else held + away
            continue
        mark = view.marks.get(number, market.mark)
        qty = held
        if held > 0 and away:
            apart += mark * finer(market) * away * market.instrument.multiplier
            qty -= away
        if view.opening:
            qty -= max(0, position.working_sells - (position.reserved if held > 0 else 0))
        qty += changes.pop(number, 0)
        if qty:
            options.append(option_of(market, qty, mark))
    for number, qty in changes.items():
        market = markets[number]
        if number == key:
            shares += qty
        elif qty:
            options.append(option_of(market, qty, view.marks.get(number, market.mark)))
    return Family(underlying_of(account, markets[key]), shares, tuple(options), shares_apart, apart)


def underlying_of(account: Account, market: Market) -> Underlying:
    """What options are for, as an account is asked for its shares."""
    terms = market.instrument
    bps = account.initial_bps(terms.initial_margin_bps)
    return Underlying(market.mark * finer(market), bps, terms.maintenance_margin_bps)


def option_of(market: Market, qty: int, mark: int) -> OptionHolding:
    """So much of an option, at a mark."""
    terms = market.instrument
    return OptionHolding(
        terms.right, terms.strike, terms.expiry, qty, mark, terms.price_decimals, terms.multiplier
    )


def bound_of(desk: Desk, account: Account, key: int, view: View = EXITING) -> int:
    """What a family binds in a view, in cents."""
    return family_of(desk, account, key, view).initial(rates_of(account))


def margin_with_options(desk: Desk, account: Account) -> Margin:
    """What the account's positions are worth, and bind, options with what they are for.

    What working exits would leave uncovered is bound while they work.
    """
    markets = desk.markets.by_id
    holdings: list[Holding] = []
    keys: dict[int, None] = {}
    closing: set[int] = set()
    for position in desk.accounts.positions_of(account.id):
        if not position.qty:
            continue
        market = markets[position.instrument_id.int]
        terms = market.instrument
        rates = account.initial_bps(terms.initial_margin_bps), terms.maintenance_margin_bps
        if market.family:
            keys[market.family] = None
            if position.reserved > position.joined:
                closing.add(market.family)
            rates = 0, 0
        qty = position.qty * terms.multiplier
        holdings.append(Holding(qty, market.mark, terms.price_decimals, *rates))
    margin = margin_of(holdings)
    initial, maintenance = margin.initial, margin.maintenance
    rates = rates_of(account)
    for key in keys:
        family = family_of(desk, account, key)
        bound = family.initial(rates)
        if key in closing:
            bound = max(bound, bound_of(desk, account, key))
        initial += bound
        maintenance += family.maintenance()
    return margin._replace(initial=initial, maintenance=maintenance)
