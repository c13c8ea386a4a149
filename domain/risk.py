"""Pre-trade checks, in the order they are reported: the first that fails answers.

The order is: account state, instrument and its phase, terms, precision, tick and lot, size
and notional, price collar, stop and post-only, position limit, buying power or quantity,
kill switches. All are made before anything changes.
"""

from __future__ import annotations

from collections.abc import Callable

from domain.account import Account
from domain.configuration_errors import FractionNotAllowed, ShortingNotAllowed, TradeSuspended
from domain.errors import (
    AccountKilled,
    AccountNotActive,
    InstrumentHalted,
    InsufficientQuantity,
    LiquidationOnly,
    LocateRequired,
    LotViolation,
    MarketClosed,
    NoReferencePrice,
    OpeningAuctionOver,
    OrderTooLarge,
    PositionLimitExceeded,
    PostOnlyWouldTrade,
    PriceOutsideCollar,
    PricePrecision,
    StopAlreadyThrough,
    TickViolation,
    VenueKilled,
)
from domain.identifiers import iso
from domain.instrument import Instrument
from domain.matching.engine import Market
from domain.money import (
    LARGEST,
    MAX_AMOUNT,
    QTY_SCALE,
    QTY_UNIT,
    TRAIL_SCALE,
    USD_SCALE,
    WIRE_PRICE_SCALE,
    notional_up,
    to_text,
    too_large,
)
from domain.option_errors import OptionExpired
from domain.order_terms import CLS, OPG, RESTING
from domain.position import Position
from domain.settlement_errors import FreeRiding
from domain.terms import AccountStatus, Phase, Side
from domain.trail import Trail, TrailOutOfRange
from domain.venue import Venue

MAX_NOTIONAL = 10**15
"""No order may be worth more cents than this, whatever the limits say: sums must fit."""

MAX_POSITION = 40 * MAX_AMOUNT
"""No position may reach further than this many units, whatever its limit: it has to fit."""

_EXERCISE_CENT: int = 10 ** (WIRE_PRICE_SCALE + QTY_SCALE - USD_SCALE)
"""How many units of a strike times a quantity are a cent."""

PaidOn = Callable[[Position, int], int]
"""The value date by which so much of what is unpaid in a position is to settle."""

CRYPTO = "crypto"
"""The class of instruments that have no whole shares."""

_BUY = int(Side.BUY)
_SELL = int(Side.SELL)
_ACTIVE = int(AccountStatus.ACTIVE)
_CLOSING_ONLY = int(AccountStatus.CLOSING_ONLY)
_OPEN = int(Phase.OPEN)
_FINER: tuple[int, ...] = tuple(
    10 ** (WIRE_PRICE_SCALE - decimals) for decimals in range(WIRE_PRICE_SCALE + 1)
)
"""Units of a wire price in one of an instrument with so many price decimals."""


def check_account(account: Account, side: int, held: int) -> None:
    """The account may trade; a closing-only one may only reduce what it holds."""
    if account.status == _ACTIVE:
        return
    reduces = held > 0 if side == _SELL else held < 0
    if account.status == AccountStatus.CLOSING_ONLY and reduces:
        return
    raise AccountNotActive(account.id, AccountStatus(account.status).name.lower())


def check_not_blocked(account: Account) -> None:
    """Nothing leaves an account that is blocked."""
    if account.status == AccountStatus.BLOCKED:
        raise AccountNotActive(account.id, "blocked")


def check_trades(instrument: Instrument, time_in_force: int) -> None:
    """The instrument trades, or will: what can wait is taken unless that is over for good."""
    if instrument.phase == Phase.EXPIRED:
        raise OptionExpired(instrument.symbol, instrument.expiry)
    if time_in_force not in RESTING:
        check_phase(instrument, time_in_force)


def check_phase(instrument: Instrument, time_in_force: int) -> None:
    """The instrument trades: for an order that cannot wait until it does.

    What is for an auction alone is taken until that runs: for the opening while it is closed.
    """
    if time_in_force == CLS:
        return
    if time_in_force == OPG:
        if instrument.phase != Phase.CLOSED:
            until = 0 if instrument.is_by_hand else instrument.closes_at
            raise OpeningAuctionOver(instrument.symbol, iso(until) if until else None)
        return
    if instrument.phase == _OPEN:
        return
    if instrument.phase == Phase.HALTED:
        raise InstrumentHalted(instrument.symbol)
    raise MarketClosed(instrument.symbol)


def check_not_expired(instrument: Instrument) -> None:
    """An option that has expired is over for good."""
    if instrument.phase == Phase.EXPIRED:
        raise OptionExpired(instrument.symbol, instrument.expiry)


def price_in_units(instrument: Instrument, field: str, wire_price: int) -> int:
    """A price from the wire at the instrument's scale, on its tick and in the book's range."""
    decimals = instrument.price_decimals
    price, finer = divmod(wire_price, _FINER[decimals])
    if finer:
        raise PricePrecision(field, to_text(wire_price, WIRE_PRICE_SCALE), decimals)
    if not 0 < price <= LARGEST or price % instrument.tick:
        why = too_large(decimals) if price > LARGEST else ""
        tick = to_text(instrument.tick, decimals)
        raise TickViolation(field, to_text(price, decimals), tick, why)
    return price


def trail_in_units(instrument: Instrument, trail: Trail, field: str = "trail_price") -> Trail:
    """How a stop trails, at the instrument's scale and on its tick; from the wire's."""
    if not trail.price:
        return trail
    return Trail(price_in_units(instrument, field, trail.price))


def check_qty(instrument: Instrument, qty: int) -> None:
    """A quantity on the lot and in the book's range."""
    if not 0 < qty <= LARGEST or qty % instrument.lot:
        why = too_large(QTY_SCALE) if qty > LARGEST else ""
        lot = to_text(instrument.lot, QTY_SCALE)
        raise LotViolation(to_text(qty, QTY_SCALE), lot, why)


def check_size(account: Account, instrument: Instrument, qty: int, price: int) -> int:
    """Size and notional limits; returns the notional in cents, rounded up."""
    if instrument.max_order_qty and qty > instrument.max_order_qty:
        raise OrderTooLarge(
            "qty", to_text(qty, QTY_SCALE), to_text(instrument.max_order_qty, QTY_SCALE)
        )
    amount = notional_up(price, qty * instrument.multiplier, instrument.price_decimals)
    _check_amount(account, instrument, amount)
    return amount


def check_worth(account: Account, instrument: Instrument, qty: int, amount: int) -> None:
    """The same limits, of an order that says itself what it is worth at most."""
    if instrument.max_order_qty and qty > instrument.max_order_qty:
        raise OrderTooLarge(
            "qty", to_text(qty, QTY_SCALE), to_text(instrument.max_order_qty, QTY_SCALE)
        )
    _check_amount(account, instrument, amount)


def _check_amount(account: Account, instrument: Instrument, amount: int) -> None:
    for limit in (instrument.max_order_notional, account.max_order_notional, MAX_NOTIONAL):
        if limit and amount > limit:
            raise OrderTooLarge("notional", to_text(amount, USD_SCALE), to_text(limit, USD_SCALE))


def check_collar(market: Market, side: int, limit_price: int) -> None:
    """A limit may not reach further through the market than the collar allows."""
    reference = market.last_price or market.instrument.reference_price
    if not reference:
        return
    low, high = market.collar(reference)
    if (limit_price > high) if side == _BUY else (limit_price < low):
        decimals = market.instrument.price_decimals
        raise PriceOutsideCollar(
            to_text(limit_price, decimals), to_text(low, decimals), to_text(high, decimals)
        )


def collar_price(market: Market, side: int, reference: int) -> int:
    """What bounds a stop that waits, or a queued market order: the collar around a price."""
    if not reference:
        raise NoReferencePrice(market.instrument.symbol)
    low, high = market.collar(reference)
    return high if side == _BUY else low


def protection_price(market: Market, side: int, target: int = 0) -> int:
    """What bounds a market order of this moment; raises NoReferencePrice."""
    price = market.protection_price(side, target)
    if not price:
        raise NoReferencePrice(market.instrument.symbol)
    return price


def check_stop(market: Market, side: int, stop_price: int) -> None:
    """A stop must not be through its price when it is placed."""
    seen = market.stop_reference(side)
    if seen and ((seen >= stop_price) if side == _BUY else (seen <= stop_price)):
        decimals = market.instrument.price_decimals
        raise StopAlreadyThrough(to_text(stop_price, decimals), to_text(seen, decimals))


def trailing_stop(market: Market, side: int, trail: Trail, mark: int, field: str = "") -> int:
    """Where a stop stands that trails the price `mark`; raises NoReferencePrice where there is
    none, TrailOutOfRange where it is less than a tick away or nowhere.
    """
    instrument = market.instrument
    decimals, tick = instrument.price_decimals, instrument.tick
    if not mark:
        raise NoReferencePrice(instrument.symbol)
    stop = trail.stop(side, mark, tick)
    if trail.is_within(mark, tick):
        why = f"is less than one tick of {to_text(tick, decimals)}"
    elif not 0 < stop <= LARGEST:
        why = "leaves no price for its stop"
    else:
        return stop
    if trail.price:
        field, sent = field or "trail_price", to_text(trail.price, decimals)
    else:
        field, sent = field or "trail_percent", to_text(trail.percent, TRAIL_SCALE)
    raise TrailOutOfRange(field, sent, to_text(mark, decimals), why)


def check_post_only(market: Market, side: int, limit_price: int) -> None:
    """A post-only order must not find a counterparty."""
    best = market.book.best(_SELL if side == _BUY else _BUY) * market.instrument.tick
    if best and ((limit_price >= best) if side == _BUY else (limit_price <= best)):
        raise PostOnlyWouldTrade(to_text(best, market.instrument.price_decimals))


def check_position_limit(
    instrument: Instrument, position: Position | None, side: int, qty: int
) -> None:
    """With every working order of its side filled, the position stays within its limit."""
    limit = instrument.position_limit or MAX_POSITION
    if instrument.expiry:
        # What it is exercised into must fit too.
        exercise = instrument.strike * instrument.multiplier
        limit = min(limit, MAX_NOTIONAL * _EXERCISE_CENT // exercise)
    if position is None:
        reach = qty
    elif side == _BUY:
        reach = position.qty + position.working_buys + qty
    else:
        reach = position.working_sells + qty - position.qty
    if reach > limit:
        raise PositionLimitExceeded(
            to_text(reach if side == _BUY else -reach, QTY_SCALE), to_text(limit, QTY_SCALE)
        )


def check_whole(instrument: Instrument, *openings: int) -> None:
    """An account that trades no fractions opens whole shares; fractions that are held may go.

    One of `openings` is whole: what an order opens now, or with what it has opened before. Raises
    FractionNotAllowed.
    """
    if instrument.asset_class != CRYPTO and all(opening % QTY_UNIT for opening in openings):
        raise FractionNotAllowed(to_text(openings[0], QTY_SCALE))


def check_opening(
    account: Account,
    instrument: Instrument,
    position: Position | None,
    side: int,
    qty: int,
    *,
    exits: int,
    locate: bool,
    paid_on: PaidOn,
) -> None:
    """What of an order exceeds `exits`, the free position, may be opened by this account."""
    if qty == exits:
        return
    if account.margin_called or account.status == _CLOSING_ONLY:
        _check_reduces(account, position, side, qty)
    if side == _BUY:
        return
    if not account.is_margin:
        held = position.qty - position.reserved if position is not None else 0
        needed, free = to_text(qty, QTY_SCALE), to_text(exits, QTY_SCALE)
        if position is not None and qty <= held:
            unpaid = to_text(position.unpaid, QTY_SCALE)
            raise FreeRiding(needed, free, unpaid, paid_on(position, qty - exits))
        raise InsufficientQuantity(needed, free, **holding(instrument, position))
    if account.no_shorting:
        raise ShortingNotAllowed(to_text(qty, QTY_SCALE), to_text(exits, QTY_SCALE))
    if not instrument.shortable and not locate and not instrument.expiry:
        raise LocateRequired(instrument.symbol)


def holding(instrument: Instrument, position: Position | None) -> dict[str, str]:
    """What a refusal tells of what is held, and of what working orders have set aside of it."""
    qty, reserved = (position.qty, position.reserved) if position is not None else (0, 0)
    return {
        "symbol": instrument.symbol,
        "existing_qty": to_text(qty, QTY_SCALE),
        "held_for_orders": to_text(reserved, QTY_SCALE),
    }


def _check_reduces(account: Account, position: Position | None, side: int, qty: int) -> None:
    """All of an order closes what is held, though it may have to be paid for as an opening is:
    a cash account buys back what a bust left it owing. Raises LiquidationOnly.
    """
    owed = position.closable(side) - position.working_buys if position is not None else 0
    if side != _BUY or account.is_margin or qty > owed:
        closing = account.status == AccountStatus.CLOSING_ONLY
        raise LiquidationOnly("is closing_only" if closing else "has a margin call")


def check_kill_switches(account: Account, venue: Venue) -> None:
    """Neither the account nor the venue is stopped, nor has its owner suspended it."""
    if account.killed:
        raise AccountKilled()
    if venue.killed:
        raise VenueKilled()
    if account.suspend_trade:
        raise TradeSuspended()
