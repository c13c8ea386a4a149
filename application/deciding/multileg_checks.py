"""Every check of a multi-leg order: its shape, each leg by itself, and what it must be able to pay.

They only read, in the order in which they are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import gcd
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import msgspec

from application.deciding.checks import check_buying_power, exitable
from application.deciding.multileg_holds import LegAsk, strategy_hold
from application.desk.desk import Desk
from domain import risk
from domain.account import Account
from domain.errors import InstrumentHalted, InvalidField, Rejection, UnknownInstrument
from domain.instrument import Instrument
from domain.matching.engine import Market
from domain.money import LARGEST, QTY_SCALE, QTY_UNIT, to_text
from domain.multileg import AskedLeg
from domain.multileg_errors import (
    LegCount,
    LegRatio,
    LegRepeated,
    MixedExerciseStyles,
    PositionIntentMismatch,
    StrategyQtyMismatch,
)
from domain.strategy_constraints import check_constraints
from domain.strategy_terms import MOST_LEG_SECONDS, StrategyTerms
from domain.terms import ExerciseStyle, Phase, PositionIntent, Side
from domain.trade import Holds

T = TypeVar("T")
_BUY = int(Side.BUY)
_SIDES = frozenset(map(int, Side))
_INTENTS = frozenset(map(int, PositionIntent))
_CLOSING = frozenset({int(PositionIntent.BUY_TO_CLOSE), int(PositionIntent.SELL_TO_CLOSE)})
_BUYING = frozenset({int(PositionIntent.BUY_TO_OPEN), int(PositionIntent.BUY_TO_CLOSE)})
MOST_RATIO = 10_000
MOST_UNITS = 10**9


class AdmittedLeg(msgspec.Struct, frozen=True, gc=False):
    """A leg that passed its checks; `qty` is what all units have of it, `exits` what may close."""

    asked: AskedLeg
    market: Market
    qty: int
    exits: int


class AdmittedStrategy(NamedTuple):
    """A multi-leg order that passed every check, and what each of its legs sets aside."""

    legs: tuple[AdmittedLeg, ...]
    holds: tuple[Holds, ...]


def check_multileg(
    desk: Desk, account: Account, terms: StrategyTerms, legs: Sequence[AskedLeg]
) -> AdmittedStrategy:
    """Every check of a new multi-leg order; raises the first refusal, which names its leg."""
    if not 2 <= len(legs) <= 4:
        raise LegCount(len(legs))
    terms.check()
    check_units(terms)
    markets = [_judged(number, _market, desk, leg) for number, leg in enumerate(legs)]
    _check_shape(legs, markets)
    check_constraints(terms.constraints, len(legs))
    admitted = tuple(
        _judged(number, _check_leg, desk, account, terms, leg, market)
        for number, (leg, market) in enumerate(zip(legs, markets, strict=True))
    )
    holds = strategy_hold(desk, account, asks_of(admitted), terms)
    needed = sum(hold.amount for hold in holds)
    if needed:
        check_buying_power(desk, account, needed)
    risk.check_kill_switches(account, desk.accounts.venue)
    return AdmittedStrategy(admitted, holds)


def check_units(terms: StrategyTerms) -> None:
    """A quantity of whole units; raises StrategyQtyMismatch or InvalidField."""
    if terms.qty <= 0 or terms.qty % QTY_UNIT or terms.qty > MOST_UNITS * QTY_UNIT:
        why = f"is no whole number from 1 to {MOST_UNITS}"
        raise StrategyQtyMismatch(to_text(terms.qty, QTY_SCALE), why)
    if abs(terms.net_price) > LARGEST:
        raise InvalidField("limit_price", "is too large")
    if not 0 <= terms.leg_seconds <= MOST_LEG_SECONDS:
        raise InvalidField("leg_seconds", f"is not between 0 and {MOST_LEG_SECONDS}")


def asks_of(legs: Sequence[AdmittedLeg]) -> tuple[LegAsk, ...]:
    """The legs as what they set aside is reckoned from."""
    return tuple(
        LegAsk(leg.market, leg.asked.side, leg.asked.ratio, leg.qty, leg.exits) for leg in legs
    )


def _judged(number: int, judge: Callable[..., T], *given: Any) -> T:
    """What a check of one leg finds; its refusal is told of the leg."""
    try:
        return judge(*given)
    except Rejection as refusal:
        field = refusal.details.get("field", refusal.field)
        refusal.details["leg"] = number + 1
        nested = _NESTED.get(field, field)
        refusal.details["field"] = f"legs.{number}.{nested}" if nested else f"legs.{number}"
        raise


def _market(desk: Desk, leg: AskedLeg) -> Market:
    market = desk.markets.by_symbol.get(leg.symbol)
    if market is None:
        raise UnknownInstrument(leg.symbol)
    if leg.side not in _SIDES:
        raise InvalidField("side", "is neither buy nor sell")
    if leg.position_intent not in _INTENTS:
        raise InvalidField("position_intent", "is not known")
    return market


def _check_shape(legs: Sequence[AskedLeg], markets: Sequence[Market]) -> None:
    """What legs must be to each other."""
    seen: set[UUID] = set()
    for number, (leg, market) in enumerate(zip(legs, markets, strict=True)):
        if market.instrument.id in seen:
            raise LegRepeated(number, leg.symbol)
        seen.add(market.instrument.id)
        if not 0 < leg.ratio <= MOST_RATIO:
            raise LegRatio(number, leg.ratio, f"it is not between 1 and {MOST_RATIO}")
    common = gcd(*(leg.ratio for leg in legs))
    if common > 1:
        raise LegRatio(0, legs[0].ratio, f"all legs' ratios can be divided by {common}")
    styles: dict[int, int] = {}
    for number, market in enumerate(markets):
        terms = market.instrument
        if terms.is_option:
            styles.setdefault(terms.style, number)
            if len(styles) > 1:
                one, other = (ExerciseStyle(style).name.lower() for style in reversed(styles))
                raise MixedExerciseStyles(number, one, other)


def _check_leg(
    desk: Desk, account: Account, terms: StrategyTerms, leg: AskedLeg, market: Market
) -> AdmittedLeg:
    """One leg as an order of its own, without its price."""
    instrument, side = market.instrument, leg.side
    qty = terms.qty * leg.ratio
    position = desk.accounts.positions.get((account.id.int, instrument.id.int))
    held = position.qty if position is not None else 0
    risk.check_account(account, side, held)
    risk.check_not_expired(instrument)
    if not terms.may_rest or terms.is_sequential:
        risk.check_phase(instrument, terms.time_in_force)
    elif instrument.phase == Phase.HALTED:
        raise InstrumentHalted(instrument.symbol)
    risk.check_qty(instrument, leg.ratio * QTY_UNIT)
    risk.check_qty(instrument, qty)
    price = market.mark
    if price:
        risk.check_size(account, instrument, qty, price)
    risk.check_position_limit(instrument, position, side, qty)
    exits = exitable(account, position, side, qty)
    _check_intent(instrument, leg, qty, exits, held)
    if not account.fractional_trading:
        risk.check_whole(instrument, qty - exits)
    risk.check_opening(
        account,
        instrument,
        position,
        side,
        qty,
        exits=exits,
        locate=False,
        paid_on=desk.accounts.paid_on,
    )
    return AdmittedLeg(leg, market, qty, exits)


def _check_intent(instrument: Instrument, leg: AskedLeg, qty: int, exits: int, held: int) -> None:
    """What a client means to do to the position is what the leg would do; raises
    PositionIntentMismatch.
    """
    intent = leg.position_intent
    if not intent:
        return
    name = PositionIntent(intent).name.lower()
    if (intent in _BUYING) is not (leg.side == _BUY):
        why = "it is a purchase" if leg.side == _BUY else "it is a sale"
        raise PositionIntentMismatch(name, why)
    if intent in _CLOSING and exits < qty:
        why = f"only {to_text(exits, QTY_SCALE)} of {instrument.symbol} can be closed"
        raise PositionIntentMismatch(name, why)
    opposite = held < 0 if leg.side == _BUY else held > 0
    if intent not in _CLOSING and opposite:
        raise PositionIntentMismatch(
            name, f"{to_text(held, QTY_SCALE)} of {instrument.symbol} is held"
        )


_NESTED = {"qty": "ratio_qty"}
