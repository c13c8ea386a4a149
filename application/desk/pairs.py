"""What declared pairs save of the margin that an account's shares bind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from application.desk.families import finer
from domain.account import Account
from domain.margin import Margin
from domain.pair_margin import Hedgeable, Saved, saved_by

if TYPE_CHECKING:
    from application.desk.desk import Desk

_NOTHING: Mapping[int, int] = {}


def saved_of(
    desk: Desk,
    account: Account,
    *,
    exiting: bool = True,
    exits: Mapping[int, int] = _NOTHING,
    without: int = 0,
) -> Saved:
    """What pairs save; with `exiting` what working exits are to close, and `exits` beside them,
    hedges nothing any more. What is held with options on it is looked at with those alone, and so
    is what is `without` them.
    """
    accounts, markets = desk.accounts, desk.markets.by_id
    held: dict[int, Hedgeable] = {}
    families = {without}
    for position in accounts.positions_of(account.id):
        qty = position.qty
        if not qty:
            continue
        number = position.instrument_id.int
        market = markets[number]
        terms = market.instrument
        if terms.expiry:
            families.add(market.family)
        elif number in accounts.pairs:
            away = exits.get(number, 0) + position.reserved - position.joined if exiting else 0
            away = min(away, abs(qty))
            value = (qty - away if qty > 0 else qty + away) * market.mark * finer(market)
            initial = account.initial_bps(terms.initial_margin_bps)
            held[number] = Hedgeable(value, initial, terms.maintenance_margin_bps)
    for number in families & held.keys():
        del held[number]
    return saved_by((pair for number in held for pair in accounts.pairs[number]), held)


def unpaired(desk: Desk, account: Account, key: int) -> int:
    """What pairs save no more once the account has options on an instrument: nothing where it has
    some already.
    """
    accounts, markets = desk.accounts, desk.markets.by_id
    if key not in accounts.pairs:
        return 0
    for position in accounts.positions_of(account.id):
        market = markets[position.instrument_id.int]
        if position.qty and market.family == key and market.instrument.expiry:
            return 0
    saved = saved_of(desk, account).initial
    return max(0, saved - saved_of(desk, account, without=key).initial)


def relieved(desk: Desk, account: Account, margin: Margin) -> Margin:
    """The margin with what pairs save: that of working exits is bound while they work."""
    initial = saved_of(desk, account).initial
    maintenance = saved_of(desk, account, exiting=False).maintenance
    return margin._replace(
        initial=margin.initial - initial, maintenance=margin.maintenance - maintenance
    )
