"""List instruments, change their terms, and move them through their sessions."""

from __future__ import annotations

from typing import NamedTuple, TypeVar
from uuid import UUID

from application.commands import (
    ChangeInstrument,
    CloseInstrument,
    ExpireOrders,
    HaltInstrument,
    ListInstrument,
    MarkInstrument,
    OpenInstrument,
    Reply,
    ResumeInstrument,
)
from application.deciding.matching import uncross
from application.deciding.multileg_ends import expire_whole
from application.deciding.option_listing import option_of
from application.deciding.queued import (
    end_rest,
    hold_closing_auction,
    let_queued_work,
    of_auction,
)
from application.deciding.recording import CHUNK, done, unchanged
from application.deciding.step import Step
from application.desk.desk import Desk
from domain.errors import InstrumentExists, InvalidField
from domain.identifiers import MAX_INSTANT
from domain.instrument import ChangedTerms, Instrument, Listing, SessionHours
from domain.matching.engine import Market
from domain.money import MAX_AMOUNT, WIRE_PRICE_SCALE
from domain.option_terms import check_expiry
from domain.order import Order
from domain.order_terms import OPG
from domain.price_range import PriceRange
from domain.risk import MAX_NOTIONAL, price_in_units
from domain.terms import CancelReason, Phase, Remainder, TriggerRule

T = TypeVar("T")
_RULES = frozenset(map(int, TriggerRule))
_REMAINDERS = frozenset(map(int, Remainder))


class Listed(NamedTuple):
    """What is to be listed, and the instrument that is there already with these terms."""

    listing: Listing
    known: Instrument | None


def list_instrument(step: Step, cmd: ListInstrument) -> Reply:
    """List an instrument; the same symbol and terms again give the one that is there."""
    listing, known = to_list(step.desk, cmd)
    if known is not None:
        return unchanged(step, named(known))
    if cmd.underlying:
        underlying = step.desk.markets.named(cmd.underlying).instrument
        check_expiry(underlying, "expiry", cmd.expiry, step.at)
    return done(step, named(Instrument.list_new(step, step.new_id(), listing)))


def to_list(desk: Desk, cmd: ListInstrument) -> Listed:
    """Every check of an instrument to be listed but that of its last day."""
    _check_symbol("symbol", cmd.symbol)
    if not 0 <= cmd.price_decimals <= WIRE_PRICE_SCALE:
        raise InvalidField("price_decimals", f"is not between 0 and {WIRE_PRICE_SCALE}")
    scale = 10 ** (WIRE_PRICE_SCALE - cmd.price_decimals)
    tick, finer = divmod(cmd.tick, scale)
    if finer or not 0 < tick < 10**12:
        raise InvalidField("tick", "is not a positive number of the instrument's decimals")
    reference, finer = divmod(cmd.reference_price, scale)
    if finer or not 0 <= reference < MAX_AMOUNT:
        raise InvalidField("reference_price", "is negative, too fine or too large")
    if not 0 < cmd.lot < MAX_AMOUNT:
        raise InvalidField("lot", "is not positive, or too large")
    _check_limits(cmd)
    option = option_of(desk, cmd)
    listing = Listing(
        symbol=cmd.symbol,
        name=cmd.name or cmd.symbol,
        asset_class=cmd.asset_class,
        calendar=option.calendar,
        price_decimals=cmd.price_decimals,
        tick=tick,
        lot=cmd.lot,
        trigger_rule=cmd.trigger_rule,
        collar_bps=cmd.collar_bps,
        max_order_qty=cmd.max_order_qty,
        max_order_notional=cmd.max_order_notional,
        position_limit=cmd.position_limit,
        reference_price=reference,
        initial_margin_bps=cmd.initial_margin_bps,
        maintenance_margin_bps=cmd.maintenance_margin_bps,
        shortable=cmd.shortable,
        settlement_cycle=cmd.settlement_cycle,
        protection_bps=cmd.protection_bps,
        remainder=cmd.remainder,
        multiplier=cmd.multiplier,
        underlying_id=option.underlying_id,
        right=cmd.right,
        strike=cmd.strike,
        expiry=cmd.expiry,
        style=cmd.style,
    )
    known = desk.markets.listed_as(cmd.symbol)
    if known is not None:
        if _fixed(known.instrument) != _fixed(listing):
            raise InstrumentExists(cmd.symbol)
        return Listed(listing, known.instrument)
    return Listed(listing, None)


def _fixed(terms: Instrument | Listing) -> tuple[str | int | UUID, ...]:
    """What can never change: a repeat must not be refused because the rest did."""
    return (
        terms.asset_class,
        terms.calendar,
        terms.price_decimals,
        terms.tick,
        terms.lot,
        terms.multiplier,
        terms.underlying_id,
        terms.right,
        terms.strike,
        terms.expiry,
        terms.style,
    )


def change_instrument(step: Step, cmd: ChangeInstrument) -> Reply:
    """Change the changeable terms."""
    market = step.desk.markets.named(cmd.symbol)
    instrument = market.instrument
    symbol = cmd.new_symbol or instrument.symbol
    if symbol != instrument.symbol:
        if instrument.is_option:
            raise InvalidField("new_symbol", "of an option follows from its terms, which stay")
        _check_symbol("new_symbol", symbol)
        if step.desk.markets.listed_as(symbol) is not None:
            raise InstrumentExists(symbol)
    _check_limits(cmd)
    old_rule = instrument.trigger_rule
    instrument.change_terms(
        step,
        ChangedTerms(
            symbol=symbol,
            name=_kept(cmd.name, instrument.name),
            trigger_rule=_kept(cmd.trigger_rule, instrument.trigger_rule),
            collar_bps=_kept(cmd.collar_bps, instrument.collar_bps),
            max_order_qty=_kept(cmd.max_order_qty, instrument.max_order_qty),
            max_order_notional=_kept(cmd.max_order_notional, instrument.max_order_notional),
            position_limit=_kept(cmd.position_limit, instrument.position_limit),
            initial_margin_bps=_kept(cmd.initial_margin_bps, instrument.initial_margin_bps),
            maintenance_margin_bps=_kept(
                cmd.maintenance_margin_bps, instrument.maintenance_margin_bps
            ),
            shortable=_kept(cmd.shortable, instrument.shortable),
            settlement_cycle=_kept(cmd.settlement_cycle, instrument.settlement_cycle),
            protection_bps=_kept(cmd.protection_bps, instrument.protection_bps),
            remainder=_kept(cmd.remainder, instrument.remainder),
        ),
    )
    if instrument.trigger_rule != old_rule and instrument.phase == Phase.OPEN:
        step.look_again(market)
    step.until_quiet()
    return done(step, named(instrument))


def _kept(new: T | None, old: T) -> T:
    """The new value, or the old one where there is none."""
    return old if new is None else new


def open_instrument(step: Step, cmd: OpenInstrument) -> Reply:
    """Begin a session: uncross at one price, then trade continuously."""
    market = step.desk.markets.named(cmd.symbol)
    if not 0 <= cmd.opens_at < cmd.closes_at <= MAX_INSTANT:
        raise InvalidField("closes_at", "is not after opens_at")
    for field, date in (("session_date", cmd.session_date), ("value_date", cmd.value_date)):
        if not 19_000_101 <= date <= 99_991_231:
            raise InvalidField(field, "is not a date as 20261120")
    market.instrument.check_can_open()
    if market.instrument.is_option and cmd.session_date > market.instrument.expiry:
        raise InvalidField("session_date", "is after the last day of the option")
    _expire(step, market)
    _recall_the_close(step, market)
    auction = market.auction()
    hours = SessionHours(cmd.session_date, cmd.value_date, cmd.opens_at, cmd.closes_at)
    market.instrument.open(step, hours, auction)
    return _trade_auction(step, market, auction.price)


def _recall_the_close(step: Step, market: Market) -> None:
    """Let stops be elected that the closing auction's price has reached, and those that trail
    follow it, when nothing traded any more; so the opening may trade elsewhere.
    """
    last = PriceRange(market.last_price, market.last_price)
    by_trades = market.instrument.trigger_rule == TriggerRule.LAST_TRADE
    followed = market.stops.trailing.count or market.stops.reached(last)
    if by_trades and market.last_price and followed:
        step.look_again(market)


def resume_instrument(step: Step, cmd: ResumeInstrument) -> Reply:
    """Trade on after a halt: uncross at one price first."""
    market = step.desk.markets.named(cmd.symbol)
    market.instrument.check_can_resume()
    _expire(step, market)
    auction = market.auction()
    market.instrument.resume(step, auction)
    return _trade_auction(step, market, auction.price)


def _trade_auction(step: Step, market: Market, price: int) -> Reply:
    if price:
        step.causation = step.last_position()
        uncross(step, market, price)
        step.causation = 0
    end_rest(step, of_auction(step, market, OPG), CancelReason.OPENING_AUCTION)
    let_queued_work(step, market)
    step.look_again(market)
    step.until_quiet()
    return done(step, named(market.instrument))


def close_instrument(step: Step, cmd: CloseInstrument) -> Reply:
    """End the session with an auction; day orders expire in the commands that follow."""
    market = step.desk.markets.named(cmd.symbol)
    market.instrument.check_can_close()
    hold_closing_auction(step, market)
    market.instrument.close(step, step.desk.orders.sequence, market.mark)
    step.until_quiet()
    return done(step, named(market.instrument))


def halt_instrument(step: Step, cmd: HaltInstrument) -> Reply:
    """Stop trading inside a session."""
    market = step.desk.markets.named(cmd.symbol)
    market.instrument.halt(step, cmd.reason)
    return done(step, named(market.instrument))


def mark_instrument(step: Step, cmd: MarkInstrument) -> Reply:
    """Take a mark price; it elects stops where the rule is the mark."""
    market = step.desk.markets.named(cmd.symbol)
    price = price_in_units(market.instrument, "price", cmd.price)
    market.instrument.mark(step, price)
    step.until_quiet()
    return done(step, named(market.instrument))


def expire_orders(step: Step, cmd: ExpireOrders) -> Reply:
    """Expire orders that are due, at most `limit`; the reply says whether more remain."""
    market = step.desk.markets.named(cmd.symbol)
    expired, remaining = _expire(step, market, max(1, min(cmd.limit, CHUNK)))
    step.until_quiet()
    return done(step, {"expired": expired, "remaining": remaining})


def _expire(step: Step, market: Market, at_most: int | None = None) -> tuple[int, bool]:
    """End orders whose time is over, all of them before an auction: (how many, more remain)."""
    due: list[Order] = []
    remaining = False
    for order in step.desk.orders.of_instrument(market.instrument.id):
        if market.is_due(order, step.at):
            if len(due) == at_most:
                remaining = True
                break
            due.append(order)
    for order in due:
        # Its group may have ended with a leg before it.
        if order.is_working:
            expire_whole(step, order)
            step.follow_up()
    return len(due), remaining


def _check_symbol(field: str, symbol: str) -> None:
    if not (0 < len(symbol) <= 24 and symbol.isascii() and symbol.isprintable()) or " " in symbol:
        raise InvalidField(field, "is not 1 to 24 printable ASCII characters without blanks")


def _check_limits(cmd: ListInstrument | ChangeInstrument) -> None:
    if cmd.trigger_rule is not None and cmd.trigger_rule not in _RULES:
        raise InvalidField("trigger_rule", "is not known")
    if cmd.remainder is not None and cmd.remainder not in _REMAINDERS:
        raise InvalidField("remainder", "is neither rest nor cancel")
    for field, bound in (
        ("max_order_qty", MAX_AMOUNT),
        ("max_order_notional", MAX_NOTIONAL),
        ("position_limit", MAX_AMOUNT),
    ):
        value = getattr(cmd, field)
        if value is not None and not 0 <= value <= bound:
            raise InvalidField(field, "is negative or too large")
    for field, low, high in (
        ("collar_bps", 1, 9_999),
        ("protection_bps", 1, 9_999),
        ("initial_margin_bps", 1, 100_000),
        ("maintenance_margin_bps", 1, 100_000),
        ("settlement_cycle", 0, 30),
    ):
        value = getattr(cmd, field)
        if value is not None and not low <= value <= high:
            raise InvalidField(field, f"is not between {low} and {high}")


def named(instrument: Instrument) -> dict[str, str]:
    """How a reply tells an instrument."""
    return {
        "instrument_id": str(instrument.id),
        "symbol": instrument.symbol,
        "phase": Phase(instrument.phase).name.lower(),
    }
