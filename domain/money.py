"""The rule book of amounts: integers at fixed scales, exact decimals at the edges, floats nowhere.

Scales: quantities 8 decimal places, USD amounts 2, prices at the instrument's own
``price_decimals`` (4 for shares). A price whose instrument is not known yet travels at
``WIRE_PRICE_SCALE``. Rounding is half to even, here and nowhere else; what a hold must cover
is rounded up.
"""

from __future__ import annotations

import re
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DefaultContext,
    DivisionByZero,
    FloatOperation,
    InvalidOperation,
    Overflow,
    setcontext,
)

from domain.errors import InvalidAmount

QTY_SCALE = 8
USD_SCALE = 2
SHARE_PRICE_SCALE = 4
WIRE_PRICE_SCALE = 9
PERCENT_SCALE = 9
WHOLE_PERCENT: int = 100 * 10**PERCENT_SCALE
AVERAGE_PLACES = 2
"""How many more places an average price has than the instrument's own."""
TRAIL_SCALE = 3
"""Places of the percentage by which a stop trails."""
WHOLE_TRAIL: int = 100 * 10**TRAIL_SCALE
RATIO_PLACES = 6
"""A share of a whole, as it is shown."""
QTY_UNIT = 10**QTY_SCALE
EXACT_SCALE = 24
"""What accumulates is kept in 1e-24 USD: price (9 places) times quantity (8) times a rate (7)."""
EXACT_CENT: int = 10 ** (EXACT_SCALE - USD_SCALE)
MAX_AMOUNT = 10**17
"""No single quantity, amount or price may reach this many units: some tens of them fit 64 bits."""
LARGEST: int = MAX_AMOUNT - 1
"""The largest quantity, amount or price, in units of any scale."""

EXACT = Context(
    prec=80,
    rounding=ROUND_HALF_EVEN,
    traps=[DivisionByZero, FloatOperation, InvalidOperation, Overflow],
)
"""The decimal context of the whole venue; `use_exact_decimals` sets it for a process."""

_TEXT = re.compile(r"-?\d{1,20}(\.\d{1,18})?", re.ASCII)


def use_exact_decimals() -> None:
    """Set the venue's decimal context here and as the default of threads and tasks to come.

    Precision 80; a float that meets a decimal raises.
    """
    DefaultContext.prec, DefaultContext.rounding = EXACT.prec, EXACT.rounding
    DefaultContext.traps = EXACT.traps
    setcontext(EXACT.copy())


def parse_decimal(text: str, field: str) -> Decimal:
    """Read a decimal as clients may write it; raises InvalidAmount naming the field."""
    if not _TEXT.fullmatch(text):
        raise InvalidAmount(field, text, "is not a plain decimal number")
    return Decimal(text)


def to_units(value: Decimal | int | str, scale: int, field: str) -> int:
    """Turn an exact decimal into an integer of 10^-scale units; never rounds.

    Raises InvalidAmount when the value is not finite, has more decimal places than the
    scale holds, or is too large.
    """
    if isinstance(value, bool | float):
        raise InvalidAmount(field, str(value), "is not an exact decimal")
    number = parse_decimal(value, field) if isinstance(value, str) else Decimal(value)
    if not number.is_finite():
        raise InvalidAmount(field, str(value), "is not a finite number")
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if number and len(digits) + exponent + scale > 18:
        raise InvalidAmount(field, str(value), too_large(scale))
    scaled = number.scaleb(scale, EXACT) if exponent > -60 else number
    if exponent <= -60 or scaled != scaled.to_integral_value(context=EXACT):
        if number == 0:
            return 0
        raise InvalidAmount(field, str(value), f"has more than {scale} decimal places")
    units = int(scaled)
    if abs(units) >= MAX_AMOUNT:
        raise InvalidAmount(field, str(value), too_large(scale))
    return units


def too_large(scale: int) -> str:
    """Say what is wrong with an amount that is too large, and how large one may be."""
    return f"is larger than {to_text(LARGEST, scale)}"


def to_qty(value: Decimal | int | str, field: str) -> int:
    """A quantity in 1e-8 units; raises InvalidAmount naming the field."""
    return to_units(value, QTY_SCALE, field)


def to_usd(value: Decimal | int | str, field: str) -> int:
    """An amount of US dollars in cents; raises InvalidAmount naming the field."""
    return to_units(value, USD_SCALE, field)


def to_price(
    value: Decimal | int | str, field: str, price_decimals: int = SHARE_PRICE_SCALE
) -> int:
    """A price at its instrument's scale, that of shares by default; raises InvalidAmount."""
    return to_units(value, price_decimals, field)


def to_text(units: int, scale: int) -> str:
    """Render units with the scale's full number of decimal places, as ``101.1000``."""
    if scale == 0:
        return str(units)
    sign = "-" if units < 0 else ""
    digits = str(abs(units)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def to_decimal(units: int, scale: int) -> Decimal:
    """The exact decimal value of units at a scale."""
    return Decimal(units).scaleb(-scale, EXACT)


def rounded_text(value: Decimal, scale: int) -> str:
    """A calculated decimal of any size as text, rounded half to even to the scale's places."""
    return format(value.quantize(Decimal(1).scaleb(-scale, EXACT), context=EXACT), "f")


def divide_half_even(numerator: int, denominator: int) -> int:
    """Integer division, ties to the even neighbour; the denominator is positive."""
    quotient, remainder = divmod(numerator, denominator)
    twice = remainder * 2
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


_CENT_UNITS: tuple[int, ...] = tuple(
    10 ** (decimals + QTY_SCALE - USD_SCALE) for decimals in range(WIRE_PRICE_SCALE + 1)
)


def notional(price: int, qty: int, price_decimals: int) -> int:
    """Price times quantity in USD cents, rounded half to even once."""
    return divide_half_even(price * qty, _CENT_UNITS[price_decimals])


def notional_up(price: int, qty: int, price_decimals: int) -> int:
    """Price times quantity in USD cents, rounded up: what a hold must cover."""
    return -(-price * qty // _CENT_UNITS[price_decimals])


_VALUE_UNITS: tuple[int, ...] = tuple(
    10 ** (EXACT_SCALE - QTY_SCALE - decimals) for decimals in range(WIRE_PRICE_SCALE + 1)
)


def exact_value(price: int, qty: int, price_decimals: int) -> int:
    """Price times quantity in 1e-24 USD, exactly."""
    return price * qty * _VALUE_UNITS[price_decimals]


def cents(exact: int) -> int:
    """An exact amount in cents, half to even."""
    whole, rest = divmod(exact, EXACT_CENT)
    # Most trades are worth whole cents.
    return whole if not rest else divide_half_even(exact, EXACT_CENT)


def average_cost_text(cost: int, qty: int, price_decimals: int) -> str:
    """What a unit cost, of an exact cost in 1e-24 USD, at two more places than the price."""
    places = price_decimals + AVERAGE_PLACES
    unit: int = 10 ** (EXACT_SCALE - QTY_SCALE - places)
    return to_text(divide_half_even(cost, qty * unit), places)


def average_price_text(value: int, qty: int, price_decimals: int) -> str:
    """An average fill price as text, at two more places than the instrument's price."""
    places = price_decimals + AVERAGE_PLACES
    return to_text(divide_half_even(value * 10**AVERAGE_PLACES, qty), places)
