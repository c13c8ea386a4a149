"""What an option is a right to: its strike, its last day, and the symbol that says both.

A symbol is that of the Options Clearing Corporation: the underlying's letters and digits, the day
as 261218, C or P, and the strike in eight digits of a thousandth of a dollar.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from typing import NamedTuple

from domain.errors import InvalidField
from domain.identifiers import Instant, datetime_of
from domain.instrument import Instrument
from domain.money import WIRE_PRICE_SCALE, to_text
from domain.terms import ExerciseStyle, Right

OPTION = "us_option"
"""The class of instruments that are options."""
LONGEST_ROOT = 6
TAIL = 15
"""How long a symbol is behind its root."""
MOST_MULTIPLIER = 10_000
"""A contract is for so many units of the underlying at most."""
STRIKE_SCALE = 3
STRIKE_UNIT: int = 10 ** (WIRE_PRICE_SCALE - STRIKE_SCALE)
"""Strikes are thousandths of a dollar, as symbols have them."""
_MOST_STRIKE = 10**8
_NO_ROOT = re.compile(r"[^A-Z0-9]", re.ASCII)
_RIGHTS = {int(Right.CALL): "C", int(Right.PUT): "P"}
_STYLES = frozenset(map(int, ExerciseStyle))


class OptionTerms(NamedTuple):
    """What tells a contract from the others of its underlying; `strike` on the wire's scale."""

    expiry: int
    right: int
    strike: int


def root_of(underlying: str) -> str:
    """What symbols of options on an underlying begin with. Raises InvalidField."""
    root = _NO_ROOT.sub("", underlying.upper())
    if not 0 < len(root) <= LONGEST_ROOT:
        raise InvalidField("underlying", f"has no root of 1 to {LONGEST_ROOT} letters and digits")
    return root


def symbol_of(root: str, terms: OptionTerms) -> str:
    """The symbol of a contract whose terms were checked."""
    day = terms.expiry % 1_000_000
    return f"{root}{day:06}{_RIGHTS[terms.right]}{terms.strike // STRIKE_UNIT:08}"


def check_underlying(underlying: Instrument) -> None:
    """Raises InvalidField where no options may be listed on an instrument."""
    if underlying.is_option:
        raise InvalidField("underlying", "is an option itself")


def check_strike(underlying: Instrument, field: str, strike: int) -> None:
    """Raises InvalidField unless the underlying may trade there, and a symbol can say it."""
    finest = max(STRIKE_UNIT, 10 ** (WIRE_PRICE_SCALE - underlying.price_decimals))
    if strike % finest or not 0 < strike // STRIKE_UNIT < _MOST_STRIKE:
        raise InvalidField(
            field,
            f"is not a positive multiple of {_text(finest)} below"
            f" {_text(_MOST_STRIKE * STRIKE_UNIT)}",
        )


def check_is_day(field: str, expiry: int) -> date:
    """The day, which is one of this century, as symbols have it. Raises InvalidField."""
    year, month_and_day = divmod(expiry, 10_000)
    if 2000 <= year <= 2099:
        with suppress(ValueError):
            return date(year, *divmod(month_and_day, 100))
    raise InvalidField(field, "is not a date of this century as 20261218")


def check_expiry(underlying: Instrument, field: str, expiry: int, at: Instant) -> None:
    """Raises InvalidField where a contract's last day is over."""
    day, last = check_is_day(field, expiry), underlying.session_date
    if day < datetime_of(at).date() or expiry < last or (expiry == last and underlying.is_over(at)):
        raise InvalidField(field, "is over")


def check_rights(field: str, right: int, style: int) -> None:
    """Raises InvalidField unless the right and the style are known."""
    if right not in _RIGHTS:
        raise InvalidField(field, "is neither call nor put")
    if style not in _STYLES:
        raise InvalidField("style", "is neither american nor european")


def check_multiplier(multiplier: int) -> None:
    """Raises InvalidField unless a contract may be for so much."""
    if not 0 < multiplier <= MOST_MULTIPLIER:
        raise InvalidField("multiplier", f"is not between 1 and {MOST_MULTIPLIER}")


def _text(strike: int) -> str:
    return to_text(strike // STRIKE_UNIT, STRIKE_SCALE)
