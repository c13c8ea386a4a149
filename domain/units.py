"""What the values of fields mean: units and vocabularies as annotations of plain types.

`Annotated[int, Scaled("qty", 8)]` is an integer for the encoder and for the arithmetic, and a
quantity for whoever renders, stores or publishes it. `fields_of` tells the unit of every field
of an event or a command, so that nobody keeps lists of field names.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from inspect import get_annotations
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec

from domain.commission import Kind
from domain.money import (
    EXACT_SCALE,
    PERCENT_SCALE,
    QTY_SCALE,
    TRAIL_SCALE,
    USD_SCALE,
    WIRE_PRICE_SCALE,
)
from domain.terms import (
    AccountKind,
    AccountStatus,
    Adjustment,
    CancelReason,
    ConstraintKind,
    DueAs,
    Execution,
    ExerciseStyle,
    GroupEnd,
    GroupPhase,
    Ledger,
    Leg,
    Liquidity,
    OptionEnd,
    OrderClass,
    OrderStatus,
    OrderType,
    Phase,
    PositionIntent,
    Remainder,
    Right,
    SelfTrade,
    Side,
    StrategyStatus,
    TimeInForce,
    TriggerRule,
)


class Unit(msgspec.Struct, frozen=True):
    """What a value means; each kind of meaning is a class of its own."""


class Scaled(Unit, frozen=True):
    """An amount of 10^-places units; `trimmed` is shown without needless zeros."""

    name: str
    places: int
    trimmed: bool = False


class Priced(Unit, frozen=True):
    """An amount at its instrument's price decimals and `more`; 0 may say that there is none."""

    name: str
    more: int = 0
    zero_is_none: bool = False


class Rate(Unit, frozen=True):
    """A commission rate: USD a share or basis points, by the `kind` of its schedule."""


class Count(Unit, frozen=True):
    """A plain number of something: it has no scale and is shown as it is."""

    name: str


class Moment(Unit, frozen=True):
    """Microseconds since 1970 UTC; 0 is not yet."""


class Date(Unit, frozen=True):
    """A date as 20261120; 0 is none."""


class OneOf(Unit, frozen=True):
    """A code of a vocabulary; 0 may say that there is none."""

    terms: type[IntEnum]
    zero_is_none: bool = False


class Id(Unit, frozen=True):
    """An id, and what it names; the nil id names nothing."""

    of: str


class Party(Unit, frozen=True):
    """Who stands behind a posting: an account, or the house."""


class Words(Unit, frozen=True):
    """Text as it is."""

    name: str = "text"


class Flag(Unit, frozen=True):
    """Yes or no."""


class Binary(Unit, frozen=True):
    """Bytes as they are."""

    name: str = "bytes"


class Details(Unit, frozen=True):
    """What a refusal judged, ready to be shown."""


class Columns(Unit, frozen=True):
    """The names of a row's places, and once resolved their units."""

    names: tuple[str, ...]
    units: tuple[Unit, ...] = ()


class Many(Unit, frozen=True):
    """Any number of values of one unit."""

    each: Unit


class ScheduleTerms(Unit, frozen=True):
    """A commission schedule as an account keeps it: the fields of the event that set it."""


QTY = Scaled("qty", QTY_SCALE)
CENTS = Scaled("cents", USD_SCALE)
EXACT_USD = Scaled("exact_usd", EXACT_SCALE, trimmed=True)
PRICE = Priced("price")
TRAIL_PERCENT = Scaled("trail_percent", TRAIL_SCALE)
INSTANT = Moment()
DAY = Date()
SEQUENCE = Count("sequence")
FINGERPRINT = Binary("fingerprint")
ACCOUNT_KIND = OneOf(AccountKind)
PHASE = OneOf(Phase)
GROUP_PHASE = OneOf(GroupPhase)
LEG = OneOf(Leg, zero_is_none=True)
CANCEL_REASON = OneOf(CancelReason, zero_is_none=True)

Qty = Annotated[int, QTY]
"""1e-8 of a share."""
Cents = Annotated[int, CENTS]
Price = Annotated[int, PRICE]
"""10^-price_decimals of its instrument."""
PriceOrNone = Annotated[int, Priced("price", zero_is_none=True)]
WirePrice = Annotated[int, Scaled("wire_price", WIRE_PRICE_SCALE)]
"""A price whose instrument, and so its scale, may be unknown."""
Coefficient = Annotated[int, Scaled("coefficient", WIRE_PRICE_SCALE, trimmed=True)]
"""What a price is multiplied by, in 1e-9."""
Day = Annotated[int, DAY]
Month = Annotated[int, Count("month")]
"""A month as 202611."""
Bps = Annotated[int, Count("bps")]
Percent = Annotated[int, Scaled("percent", PERCENT_SCALE, trimmed=True)]
TrailPercent = Annotated[int, TRAIL_PERCENT]
"""By what part of the best price a stop trails; 0 where an amount says it."""
Decimals = Annotated[int, Count("decimals")]
Sequence = Annotated[int, SEQUENCE]
"""An order's place in time among all orders."""
LogPosition = Annotated[int, Count("log_position")]
Number = Annotated[int, Count("number")]
CommissionRate = Annotated[int, Rate()]

Digits = str
"""An integer that may leave 64 bits, as decimal digits."""
ExactUsd = Annotated[Digits, EXACT_USD]
"""1e-24 USD."""
WideQty = Annotated[Digits, QTY]
"""What many hold together, in 1e-8."""
Value = Annotated[Digits, Priced("value", more=QTY_SCALE)]
"""Price times quantity, exact."""

SideCode = Annotated[int, OneOf(Side)]
OrderTypeCode = Annotated[int, OneOf(OrderType)]
TimeInForceCode = Annotated[int, OneOf(TimeInForce)]
OrderStatusCode = Annotated[int, OneOf(OrderStatus)]
SelfTradeCode = Annotated[int, OneOf(SelfTrade)]
RemainderCode = Annotated[int, OneOf(Remainder)]
TriggerRuleCode = Annotated[int, OneOf(TriggerRule)]
LiquidityCode = Annotated[int, OneOf(Liquidity)]
AccountKindCode = Annotated[int, ACCOUNT_KIND]
AccountStatusCode = Annotated[int, OneOf(AccountStatus)]
CancelReasonCode = Annotated[int, OneOf(CancelReason)]
OrderClassCode = Annotated[int, OneOf(OrderClass)]
LegCode = Annotated[int, LEG]
AdjustmentCode = Annotated[int, OneOf(Adjustment)]
GroupEndCode = Annotated[int, OneOf(GroupEnd)]
DueAsCode = Annotated[int, OneOf(DueAs)]
LedgerCode = Annotated[int, OneOf(Ledger)]
RightCode = Annotated[int, OneOf(Right)]
ExerciseStyleCode = Annotated[int, OneOf(ExerciseStyle)]
PositionIntentCode = Annotated[int, OneOf(PositionIntent, zero_is_none=True)]
ExecutionCode = Annotated[int, OneOf(Execution)]
StrategyStatusCode = Annotated[int, OneOf(StrategyStatus)]
ConstraintKindCode = Annotated[int, OneOf(ConstraintKind)]
OptionEndCode = Annotated[int, OneOf(OptionEnd)]
CommissionKindCode = Annotated[int, OneOf(Kind)]

Symbol = Annotated[str, Words("symbol")]
Key = Annotated[str, Words("request_key")]
"""A client's name for a request, by which a repeat is known."""
Fingerprint = Annotated[bytes, FINGERPRINT]
"""What tells the body of a request from another's."""

SecretPrint = Annotated[bytes, Binary("secret_print")]
"""What tells a stored digest of a secret from another's; of neither it says anything."""

TIER_NAMES = ("from_qty", "maker_rate", "taker_rate")
Tier = Annotated[tuple[Qty, CommissionRate, CommissionRate], Columns(TIER_NAMES)]

_PLAIN: dict[Any, Unit] = {str: Words(), bool: Flag(), bytes: Binary()}


def to_digits(value: int) -> Digits:
    """The digits of an integer of any size."""
    # Most are none: where trades are free and worth whole cents.
    return str(value) if value else "0"


def from_digits(text: Digits) -> int:
    """The integer that digits stand for."""
    return 0 if text == "0" else int(text)


@cache
def fields_of(owner: type[Any]) -> Mapping[str, Unit]:
    """The unit of every field of an event, a command or another struct, in their order.

    Raises TypeError when a field does not say what its numbers mean.
    """
    stated = {name: unit for base in reversed(owner.__mro__) for name, unit in _own(base).items()}
    return {name: stated[name] for name in owner.__struct_fields__}


@cache
def _own(owner: type[Any]) -> Mapping[str, Unit]:
    """The units of the fields that a class adds to its bases'; read once for all below it."""
    fields = getattr(owner, "__struct_fields__", ())
    hints = get_annotations(owner, eval_str=True) if fields else {}
    return {name: unit_of(hint, name) for name, hint in hints.items() if name in fields}


def unit_of(hint: Any, name: str) -> Unit:
    """The unit that an annotation states; `name` is the field it belongs to."""
    if get_origin(hint) is Annotated:
        base, *said = get_args(hint)
        for one in said:
            if isinstance(one, Columns):
                units = tuple(unit_of(part, name) for part in get_args(base))
                assert len(units) == len(one.names), name
                return Columns(one.names, units)
            if isinstance(one, Unit):
                return one
        return unit_of(base, name)
    if get_origin(hint) in (Union, UnionType):
        (stated,) = (part for part in get_args(hint) if part is not type(None))
        return unit_of(stated, name)
    if get_origin(hint) is tuple and get_args(hint)[1:] == (...,):
        return Many(unit_of(get_args(hint)[0], name))
    if get_origin(hint) is dict:
        return Details()
    if hint in _PLAIN:
        return _PLAIN[hint]
    raise TypeError(f"{name} does not say what it means: {hint!r}")
