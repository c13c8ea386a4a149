"""The checks of an order for an amount of money: what it trades is known when it is taken."""

from __future__ import annotations

from msgspec.structs import replace

from application.deciding.checks import check_buying_power, exitable, hold_for
from application.deciding.option_holds import Ask, uncovered
from application.desk.desk import Desk
from domain import risk
from domain.account import Account
from domain.commission import ceiling
from domain.errors import InvalidField
from domain.identifiers import Instant
from domain.matching.engine import Market
from domain.matching.notional import Afforded, afforded, lots_for, unit_of
from domain.means import ROUNDING
from domain.order_terms import IOC, Admitted, Bound, Terms
from domain.terms import Side

_BUY = int(Side.BUY)
_WHOLE = 10_000
"""A whole in basis points."""


def check_notional(desk: Desk, account: Account, asked: Terms, at: Instant) -> Admitted:
    """Every check, of what it would trade now. It holds nothing: it ends in this decision.

    Its quantity is what the amount reaches at the best price, rounded up to a lot; what of that
    is not traded for the amount is canceled.
    """
    market = desk.markets.by_symbol.get(asked.symbol)
    position = None
    if market is not None:
        position = desk.accounts.positions.get((account.id.int, market.instrument.id.int))
    risk.check_account(account, asked.side, position.qty if position is not None else 0)
    market = desk.markets.named(asked.symbol)
    instrument, side = market.instrument, asked.side
    risk.check_not_expired(instrument)
    if instrument.is_option:
        raise InvalidField("notional", "is of no option: say how many contracts")
    risk.check_phase(instrument, IOC)
    asked.check(at)
    price = risk.protection_price(market, side)
    qty = lots_for(market, side, asked.notional, price)
    risk.check_qty(instrument, qty)
    owner = desk.accounts.owner_number(account.id)
    would = market.meet(side, price, qty, owner, asked.self_trade)
    trades = afforded(market, would, asked.notional)
    risk.check_worth(account, instrument, trades.traded, asked.notional)
    risk.check_position_limit(instrument, position, side, trades.traded)
    exits = exitable(account, position, side, trades.traded)
    if not account.fractional_trading:
        risk.check_whole(instrument, trades.traded - exits)
    risk.check_opening(
        account,
        instrument,
        position,
        side,
        trades.traded,
        exits=exits,
        locate=asked.locate,
        paid_on=desk.accounts.paid_on,
    )
    needed = _needed(account, market, asked, trades, exits, price)
    if account.is_margin and (market.family or desk.accounts.pairs):
        ask = Ask(side, trades.traded, exits, price)
        needed += uncovered(desk, account, market, ask)
    if needed:
        check_buying_power(desk, account, needed)
    risk.check_kill_switches(account, desk.accounts.venue)
    terms = asked.at_scale(instrument.price_decimals, 0, 0)
    return Admitted(replace(terms, symbol=instrument.symbol, qty=qty), Bound(price, price))


def _needed(
    account: Account, market: Market, asked: Terms, trades: Afforded, exits: int, price: int
) -> int:
    """What must be free for the part that opens: all that the amount leaves for it to spend."""
    opening = trades.traded - exits
    if not opening:
        return 0
    if asked.side != _BUY:
        return hold_for(account, market, asked.side, opening, price)
    terms = market.instrument
    amount = asked.notional - trades.value(exits) // unit_of(market)
    costs = ceiling(account.commission_schedule, opening, price, terms.price_decimals)
    if not account.is_margin:
        return amount + ROUNDING + costs
    return -(-amount * account.initial_bps(terms.initial_margin_bps) // _WHOLE) + costs
