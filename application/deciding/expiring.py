"""The expiry of an option: its orders end, who holds it exercises, who wrote it is assigned."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from application.commands import ExpireOption, Reply
from application.deciding.matching import expire
from application.deciding.queued import hold_closing_auction
from application.deciding.recording import done, open_position, unchanged
from application.deciding.step import Step
from application.desk.desk import Desk
from domain.errors import InvalidField, WrongSessionState
from domain.exercise import Allotment, allot, called_on, is_in_the_money, side_of
from domain.identifiers import NO_ID, Instant, datetime_of
from domain.instrument import Expiry, Instrument
from domain.matching.engine import Market
from domain.money import WIRE_PRICE_SCALE, cents, exact_value
from domain.position import Position
from domain.terms import OptionEnd, Phase
from domain.trade import Trade, TradeDates

CHUNK = 100
"""How many orders, or holdings, end in one decision."""
_EXPIRED = int(OptionEnd.EXPIRED)
_EXERCISED = int(OptionEnd.EXERCISED)
_ASSIGNED = int(OptionEnd.ASSIGNED)


def has_expired(desk: Desk, option: Instrument, at: Instant) -> bool:
    """Whether an option's last day is over: its underlying has closed on that, or on the last
    session before it when there is none that day.
    """
    underlying = desk.markets.by_id[option.underlying_id.int].instrument
    date = underlying.session_date
    if date > option.expiry:
        return True
    over = underlying.phase == Phase.CLOSED and (not date or underlying.is_over(at))
    return over and (date == option.expiry or _date_of(at) > option.expiry)


def _date_of(at: Instant) -> int:
    day = datetime_of(at)
    return day.year * 10_000 + day.month * 100 + day.day


def is_unfinished(desk: Desk, option: Instrument, at: Instant) -> bool:
    """Whether anything of an option's expiry is still to be done."""
    if option.phase != Phase.EXPIRED:
        return has_expired(desk, option, at)
    return bool(desk.orders.of_instrument(option.id)) or any(_held(desk, option))


def expire_option(step: Step, cmd: ExpireOption) -> Reply:
    """End an option that is due: at most `limit` of its orders, or of its holdings when it has
    no orders any more. What it comes to is fixed by the first of these commands.
    """
    desk = step.desk
    market = desk.markets.named(cmd.symbol)
    option = market.instrument
    if not option.is_option:
        raise InvalidField("symbol", "is of no option")
    if not is_unfinished(desk, option, step.at):
        if option.phase == Phase.EXPIRED:
            return unchanged(step, _told(option, remaining=False))
        raise WrongSessionState(option.symbol, Phase(option.phase).name.lower(), "expire")
    limit = max(1, min(cmd.limit, CHUNK))
    if option.phase != Phase.EXPIRED:
        _close(step, market)
        option.expire(step, _expiry(desk, option))
    orders = list(islice(desk.orders.of_instrument(option.id), limit))
    for order in orders:
        # Its group may have ended with a leg before it.
        if order.is_working:
            expire(step, order)
            step.follow_up()
    if not orders:
        for position in list(islice(_held(desk, option), limit)):
            _end(step, option, position)
    step.until_quiet()
    return done(step, _told(option, remaining=is_unfinished(desk, option, step.at)))


def _close(step: Step, market: Market) -> None:
    """End a session that nobody has ended."""
    if market.instrument.phase != Phase.CLOSED:
        hold_closing_auction(step, market)
        market.instrument.close(step, step.desk.orders.sequence, market.mark)
        step.until_quiet()


def _expiry(desk: Desk, option: Instrument) -> Expiry:
    """What the expiry comes to, by what the underlying closed at."""
    market = desk.markets.by_id[option.underlying_id.int]
    underlying = market.instrument
    later = underlying.session_date > option.expiry
    price = underlying.previous_close if later else underlying.close_price
    price = (price or market.mark) * 10 ** (WIRE_PRICE_SCALE - underlying.price_decimals)
    allotment = Allotment()
    if is_in_the_money(option, price):
        allotment = allot(list(_held(desk, option)))
    return Expiry(underlying.session_date, underlying.value_date, price, *allotment)


def _held(desk: Desk, option: Instrument) -> Iterator[Position]:
    """What is held of an option, the oldest position first."""
    return (one for one in desk.accounts.positions_in(option.id) if one.qty)


def _end(step: Step, option: Instrument, position: Position) -> None:
    """Exercise a holding, or assign it, as far as it is called on; the rest expires."""
    called, is_long = called_on(option, position), position.qty > 0
    side = side_of(option, position)
    if called:
        trade = _trade(step, option, int(side), called)
        how = _EXERCISED if is_long else _ASSIGNED
        position.expire(step, how, called, trade.id)
        step.causation = step.last_position()
        account = step.desk.accounts.by_id[position.account_id.int]
        account.book_trade(step, trade, 0, again=True)
        open_position(step, account.id, trade.instrument_id).trade(step, trade, 0)
        step.causation = 0
    if position.qty:
        position.expire(step, _EXPIRED, abs(position.qty))


def _trade(step: Step, option: Instrument, side: int, contracts: int) -> Trade:
    """What is bought or sold at the strike, in the underlying's last session."""
    underlying = step.desk.markets.by_id[option.underlying_id.int].instrument
    decimals = underlying.price_decimals
    price = option.strike // 10 ** (WIRE_PRICE_SCALE - decimals)
    qty = contracts * option.multiplier
    value = exact_value(price, qty * underlying.multiplier, decimals)
    return Trade(
        id=step.new_id(),
        instrument_id=underlying.id,
        order_id=NO_ID,
        side=side,
        qty=qty,
        price=price,
        price_decimals=decimals,
        value=value,
        notional=cents(value),
        fee=0,
        dates=TradeDates(option.session_date, option.value_date),
        multiplier=underlying.multiplier,
    )


def _told(option: Instrument, *, remaining: bool) -> dict[str, str | bool]:
    return {"symbol": option.symbol, "phase": "expired", "remaining": remaining}
