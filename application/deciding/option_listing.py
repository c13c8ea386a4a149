"""What an instrument to be listed is an option on: its terms fit its underlying, and its symbol."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from application.commands import ListInstrument
from application.desk.desk import Desk
from domain.errors import InvalidField
from domain.identifiers import NO_ID
from domain.instrument import Instrument
from domain.money import QTY_UNIT
from domain.option_terms import (
    OPTION,
    OptionTerms,
    check_is_day,
    check_multiplier,
    check_rights,
    check_strike,
    check_underlying,
    root_of,
    symbol_of,
)


class Option(NamedTuple):
    """What an instrument is an option on, which is nothing for most, and where it trades."""

    underlying: Instrument | None
    underlying_id: UUID
    calendar: str


def option_of(desk: Desk, cmd: ListInstrument) -> Option:
    """The option that a command lists, if it lists one. Raises InvalidField."""
    if not cmd.underlying:
        _check_none(cmd)
        return Option(None, NO_ID, cmd.calendar)
    if cmd.asset_class != OPTION:
        raise InvalidField("asset_class", f"of an option is {OPTION}")
    underlying = underlying_named(desk, cmd.underlying)
    check_multiplier(cmd.multiplier)
    if cmd.multiplier * QTY_UNIT % underlying.lot:
        raise InvalidField("multiplier", "is no multiple of the underlying's lot")
    check_rights("right", cmd.right, cmd.style)
    check_strike(underlying, "strike", cmd.strike)
    check_is_day("expiry", cmd.expiry)
    if cmd.lot != QTY_UNIT:
        raise InvalidField("lot", "of an option is one whole contract")
    if cmd.calendar not in ("", underlying.calendar):
        raise InvalidField("calendar", "is not that of the underlying")
    symbol = symbol_of(root_of(underlying.symbol), OptionTerms(cmd.expiry, cmd.right, cmd.strike))
    if cmd.symbol != symbol:
        raise InvalidField("symbol", f"of this option is {symbol}")
    return Option(underlying, underlying.id, underlying.calendar)


def underlying_named(desk: Desk, symbol: str) -> Instrument:
    """What options may be listed on. Raises InvalidField."""
    market = desk.markets.by_symbol.get(symbol)
    if market is None:
        raise InvalidField("underlying", "is not listed")
    check_underlying(market.instrument)
    return market.instrument


def _check_none(cmd: ListInstrument) -> None:
    """What is no option has none of its terms."""
    if cmd.asset_class == OPTION:
        raise InvalidField("underlying", "is missing, of which this is an option")
    if cmd.multiplier != 1:
        raise InvalidField("multiplier", "is 1 of what is no option")
    for field in ("right", "strike", "expiry", "style"):
        if getattr(cmd, field):
            raise InvalidField(field, "is of an option alone")
