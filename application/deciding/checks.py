"""Every check of a new order, in the order of `domain.risk`; they only read."""

from __future__ import annotations

from msgspec.structs import replace

from application.deciding.option_holds import Ask, family_hold, uncovered
from application.desk.desk import Desk
from domain import risk
from domain.account import Account
from domain.commission import ceiling
from domain.errors import UnknownInstrument
from domain.identifiers import Instant
from domain.margin import free_margin, requirement
from domain.matching.engine import Market
from domain.means import ROUNDING, Means, means_of
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE, notional_up, to_text
from domain.order_terms import CLS, Admitted, Bound, Terms
from domain.position import Position
from domain.settlement_errors import FreeRiding
from domain.terms import AccountKind, OrderType, Phase, Remainder, Side
from domain.trade import Holds

_BUY = int(Side.BUY)
_MARGIN = int(AccountKind.MARGIN)
_TRAILING_STOP = int(OrderType.TRAILING_STOP)
_OPEN = int(Phase.OPEN)
_REST = int(Remainder.REST)


def check(
    desk: Desk,
    account: Account,
    asked: Terms,
    at: Instant,
    *,
    covered: bool = False,
    target: int = 0,
) -> Admitted:
    """Every check of a new order; its prices are on the wire's scale.

    A `covered` order is an exit that will only trade what its entry has brought: it is not
    measured against the market of this moment, nor does it hold anything yet. An entry at the
    market stays inside its `target`, which is judged with the exit that has it.
    """
    side, qty = asked.side, asked.qty
    market = desk.markets.by_symbol.get(asked.symbol)
    position = None
    if market is not None:
        key = account._id.int, market.instrument._id.int
        position = desk.accounts.positions.get(key)
    risk.check_account(account, side, position.qty if position is not None else 0)
    if market is None:
        raise UnknownInstrument(asked.symbol)
    instrument = market.instrument
    risk.check_trades(instrument, asked.time_in_force)
    asked.check(at)
    limit = stop = mark = 0
    trails = asked.order_type == _TRAILING_STOP
    if asked.limit_price:
        limit = risk.price_in_units(instrument, "limit_price", asked.limit_price)
    if asked.stop_price:
        stop = risk.price_in_units(instrument, "stop_price", asked.stop_price)
    elif trails:
        trail = risk.trail_in_units(instrument, asked.trail)
        asked = replace(asked, trail_price=trail.price)
    risk.check_qty(instrument, qty)
    if trails:
        mark = market.trail_reference(side)
        stop = risk.trailing_stop(market, side, asked.trail, mark)
    bound = Bound(limit) if limit else _bound(market, asked, stop, target)
    working = bound.price
    risk.check_size(account, instrument, qty, working)
    terms = asked.at_scale(instrument.price_decimals, limit, stop)
    if terms.symbol != instrument.symbol:
        # It was asked for by a symbol that the instrument had before.
        terms = replace(terms, symbol=instrument.symbol)
    if covered:
        return Admitted(terms, bound, water_mark=mark)
    if limit and not stop:
        risk.check_collar(market, side, limit)
    if stop:
        risk.check_stop(market, side, stop)
    if asked.post_only and instrument.phase == _OPEN:
        risk.check_post_only(market, side, limit)
    risk.check_position_limit(instrument, position, side, qty)
    exits = exitable(account, position, side, qty)
    if not account.fractional_trading:
        risk.check_whole(instrument, qty - exits)
    paid_on = desk.accounts.paid_on
    risk.check_opening(
        account, instrument, position, side, qty, exits=exits, locate=asked.locate, paid_on=paid_on
    )
    hold = _paid(desk, account, market, side, qty, exits=exits, price=working)
    risk.check_kill_switches(account, desk.accounts.venue)
    return Admitted(terms, bound, Holds(hold, exits), mark)


def _paid(
    desk: Desk, account: Account, market: Market, side: int, qty: int, *, exits: int, price: int
) -> int:
    """What an order holds; raises InsufficientBuyingPower where that is not free."""
    if account.kind == _MARGIN and (market.family or desk.accounts.pairs):
        ask = Ask(side, qty, exits, price)
        hold = family_hold(desk, account, market, ask)
        needed = hold + uncovered(desk, account, market, ask)
    else:
        hold = needed = hold_for(account, market, side, qty - exits, price)
    if needed:
        check_buying_power(desk, account, needed)
    return hold


def _bound(market: Market, asked: Terms, stop: int, target: int) -> Bound:
    """What bounds an order without a limit: the collar while it waits for its price or for an
    auction, else its protection price.
    """
    side, instrument = asked.side, market.instrument
    if stop:
        return Bound(risk.collar_price(market, side, stop))
    if instrument.phase != _OPEN or asked.time_in_force == CLS:
        return Bound(risk.collar_price(market, side, market.reference_price), rests=True)
    target //= 10 ** (WIRE_PRICE_SCALE - instrument.price_decimals)
    price = risk.protection_price(market, side, market.ahead(side, target))
    return Bound(price, price, asked.may_rest and instrument.remainder == _REST)


def exitable(account: Account, position: Position | None, side: int, qty: int) -> int:
    """What of an order of this side and quantity may be an exit.

    A cash account pays for all that it buys, also for shares that a bust left it owing.
    """
    if position is None or (side == _BUY and account.kind != _MARGIN):
        return 0
    free = position.closable(side)
    return qty if qty < free else free


def hold_for(account: Account, market: Market, side: int, opening: int, working: int) -> int:
    """What an order holds for the part that opens: its price or margin, and its commission.

    A cash account holds the whole price, rounded up, and a cent: what an account pays is
    rounded on all it trades, so an order may be the one that makes it a cent more. A margin
    account holds the initial requirement, of a short sale at no less than the mark.
    """
    if not opening:
        return 0
    terms = market.instrument
    decimals, multiplier = terms.price_decimals, terms.multiplier
    costs = 0
    if account.schedule:
        costs = ceiling(account.commission_schedule, opening, working * multiplier, decimals)
    if account.kind != _MARGIN:
        return notional_up(working, opening * multiplier, decimals) + ROUNDING + costs
    price = working if side == _BUY else max(working, market.mark)
    initial_bps = account.initial_bps(terms.initial_margin_bps)
    return requirement(price, opening * multiplier, decimals, initial_bps) + costs


def rides_free(desk: Desk, account: Account, qty: int, needed: int) -> FreeRiding:
    """Why an entry may not be bought with proceeds: its exits could not be sold until these, and
    so many cents of them, have settled.
    """
    text = to_text(qty, QTY_SCALE)
    until = desk.accounts.proceeds_on(account, needed)
    return FreeRiding(text, to_text(0, QTY_SCALE), text, until, "would be bought")


def check_buying_power(desk: Desk, account: Account, needed: int) -> None:
    """The account can pay; `needed` is what an order adds to its holds."""
    if needed > buying_power(desk, account):
        means(desk, account).check_order(needed)


def buying_power(desk: Desk, account: Account) -> int:
    """What new orders may hold, in cents."""
    if account.kind != _MARGIN:
        return account.funds
    return free_margin(account, desk.margin(account.id))


def means(desk: Desk, account: Account) -> Means:
    """What the account can spend and take out now, as its document shows it."""
    margin = desk.margin(account.id)
    return means_of(account, margin, stopped=desk.accounts.venue.killed)
