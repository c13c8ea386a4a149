"""What a line of prices from outside says: a price, or that its source is there still.

A price says `symbol` and `price`, and may say `bid`, `ask` and `at` (microseconds since 1970). A
heartbeat says `heartbeat`, true, and may say `at`: by then it had told everything. A line that is
wrong names the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from application.reference_prices import Received, ReferencePrice
from domain.errors import InvalidAmount
from domain.identifiers import MAX_INSTANT, Instant
from domain.money import WIRE_PRICE_SCALE, to_units

LONGEST_LINE = 64 * 1024
TOO_LONG = f"has more than {LONGEST_LINE} bytes"
FIELDS = ("symbol", "price", "bid", "ask", "at")


class WrongLine(Exception):
    """A line that says no price; the message names the field."""


class Heartbeat(NamedTuple):
    """A source is there still; `at` by its own time, 0 where it says none."""

    at: Instant = 0


Said = ReferencePrice | Heartbeat


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


_JSON: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=_number)


def received(said: Sequence[Said], *, new: bool) -> Received:
    """What lines say together: their prices, and the latest heartbeat."""
    prices = [one for one in said if isinstance(one, ReferencePrice)]
    beats = [one.at for one in said if isinstance(one, Heartbeat)]
    return Received(prices, new, max(beats, default=0))


def said_in(line: bytes, read: Callable[[str], Mapping[str, Any] | None]) -> Said | None:
    """What a line says; None of an empty one. Raises WrongLine."""
    if len(line) > LONGEST_LINE:
        raise WrongLine(TOO_LONG)
    try:
        text = line.decode().strip()
        values = read(text) if text else None
        return None if values is None else _said(values)
    except UnicodeDecodeError:
        raise WrongLine("is not UTF-8") from None
    except InvalidAmount as error:
        raise WrongLine(error.message) from None


def json_values(text: str) -> Mapping[str, Any]:
    """The members of a line of JSON. Raises WrongLine."""
    try:
        values = _JSON.decode(text)
    except msgspec.MsgspecError as error:
        raise WrongLine(f"is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise WrongLine("is no JSON object")
    return values


def _said(values: Mapping[str, Any]) -> Said:
    if values.get("heartbeat") is True:
        return Heartbeat(_instant(values))
    symbol = values.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise WrongLine("says no symbol")
    price = _amount(values, "price")
    if not price:
        raise WrongLine("says no price")
    return ReferencePrice(
        symbol, price, _amount(values, "bid"), _amount(values, "ask"), _instant(values)
    )


def _amount(values: Mapping[str, Any], field: str) -> int:
    value = values.get(field)
    if value is None or value == "":
        return 0
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise WrongLine(f"says no number as {field}")
    units = to_units(value, WIRE_PRICE_SCALE, field)
    if units <= 0:
        raise WrongLine(f"says a {field} that is not above 0")
    return units


def _instant(values: Mapping[str, Any]) -> Instant:
    value = values.get("at")
    if value is None or value == "":
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INSTANT:
        raise WrongLine("says no instant as at")
    return value
