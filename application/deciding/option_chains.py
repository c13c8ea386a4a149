"""List all options of an underlying that some expiries, strikes and rights make, at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import product

from application.commands import ListInstrument, ListOptionChain, Reply
from application.deciding.instruments import named, to_list
from application.deciding.option_listing import underlying_named
from application.deciding.recording import done, unchanged
from application.deciding.step import Step
from domain.errors import InvalidField
from domain.instrument import Instrument
from domain.money import QTY_UNIT, WIRE_PRICE_SCALE, to_text
from domain.option_terms import (
    OPTION,
    OptionTerms,
    check_expiry,
    check_is_day,
    check_rights,
    check_strike,
    root_of,
    symbol_of,
)
from domain.terms import Right

MOST_CONTRACTS = 400
"""How many contracts one command lists at most: orders wait while it is decided."""


def list_option_chain(step: Step, cmd: ListOptionChain) -> Reply:
    """List what of a chain is not there; all of it is checked before any is listed."""
    underlying = underlying_named(step.desk, cmd.underlying)
    contracts = _contracts(cmd)
    root = root_of(underlying.symbol)
    for strike in cmd.strikes:
        check_strike(underlying, "strikes", strike)
    for right in cmd.rights:
        check_rights("rights", right, cmd.style)
    for expiry in cmd.expiries:
        check_is_day("expiries", expiry)
    asked = [_asked(cmd, underlying, symbol_of(root, terms), terms) for terms in contracts]
    found = [to_list(step.desk, one) for one in asked]
    for listing, known in found:
        if known is None:
            check_expiry(underlying, "expiries", listing.expiry, step.at)
    listed = [
        known or Instrument.list_new(step, step.new_id(), listing) for listing, known in found
    ]
    result = {
        "underlying": underlying.symbol,
        "contracts": [named(one) for one in listed],
    }
    return done(step, result) if step.events else unchanged(step, result)


def _contracts(cmd: ListOptionChain) -> list[OptionTerms]:
    """Every contract of the chain, by expiry, strike and right."""
    for field in ("expiries", "strikes", "rights"):
        _check_each_once(field, getattr(cmd, field))
    many = len(cmd.expiries) * len(cmd.strikes) * len(cmd.rights)
    if many > MOST_CONTRACTS:
        why = f"make {many} contracts with expiries and rights, {MOST_CONTRACTS} are the most"
        raise InvalidField("strikes", why)
    every = product(sorted(cmd.expiries), sorted(cmd.strikes), sorted(cmd.rights))
    return [OptionTerms(expiry, right, strike) for expiry, strike, right in every]


def _check_each_once(field: str, values: Sequence[int]) -> None:
    if not values:
        raise InvalidField(field, "is empty")
    if len(set(values)) != len(values):
        raise InvalidField(field, "names one twice")


def _asked(
    cmd: ListOptionChain, underlying: Instrument, symbol: str, terms: OptionTerms
) -> ListInstrument:
    """One contract of the chain as it would be listed singly."""
    return ListInstrument(
        symbol=symbol,
        name=name_of(underlying.symbol, terms),
        asset_class=OPTION,
        calendar=underlying.calendar,
        price_decimals=cmd.price_decimals,
        tick=cmd.tick,
        lot=QTY_UNIT,
        trigger_rule=cmd.trigger_rule,
        collar_bps=cmd.collar_bps,
        max_order_qty=cmd.max_order_qty,
        max_order_notional=cmd.max_order_notional,
        position_limit=cmd.position_limit,
        initial_margin_bps=cmd.initial_margin_bps,
        maintenance_margin_bps=cmd.maintenance_margin_bps,
        shortable=True,
        settlement_cycle=cmd.settlement_cycle,
        protection_bps=cmd.protection_bps,
        remainder=cmd.remainder,
        multiplier=cmd.multiplier,
        underlying=underlying.symbol,
        right=terms.right,
        strike=terms.strike,
        expiry=terms.expiry,
        style=cmd.style,
    )


def name_of(underlying: str, terms: OptionTerms) -> str:
    """What a contract is called, as AAPL Dec 18 2026 150 Call."""
    year, month_and_day = divmod(terms.expiry, 10_000)
    day = date(year, *divmod(month_and_day, 100))
    strike = to_text(terms.strike, WIRE_PRICE_SCALE).rstrip("0").rstrip(".")
    right = Right(terms.right).name.capitalize()
    return f"{underlying} {_MONTHS[day.month - 1]} {day.day} {year} {strike} {right}"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
