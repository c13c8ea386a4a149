"""What operators may send about instruments and chains of options."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
)

from api.http.parameters import day_in
from api.schemas import (
    AdminBody,
    MaybeMoneyLimit,
    MaybeQuantityLimit,
    MoneyLimit,
    Name,
    Price,
    Quantity,
    QuantityLimit,
    ReferencePrice,
    Symbol,
    within,
)
from api.vocabulary import RIGHTS, STYLES, AssetClassName, RightName, StyleName
from domain.option_terms import MOST_MULTIPLIER
from domain.terms import Remainder, TriggerRule

TRIGGER_RULES = {kind.name.lower(): int(kind) for kind in TriggerRule}
REMAINDERS = {kind.name.lower(): int(kind) for kind in Remainder}

MarginRate = Annotated[StrictInt, Field(ge=1, le=100_000)]
SettlementCycle = Annotated[StrictInt, Field(ge=0, le=30)]
Multiplier = Annotated[StrictInt, Field(ge=1, le=MOST_MULTIPLIER)]


def _day(value: Any, info: ValidationInfo) -> int:
    """A date as text, as 20261218."""
    day = day_in(value if isinstance(value, str) else "", info.field_name or "expiry")
    return day.year * 10_000 + day.month * 100 + day.day


Expiry = Annotated[
    int,
    BeforeValidator(_day),
    WithJsonSchema({"type": "string", "format": "date", "examples": ["2026-12-18"]}),
]


class OptionTermsRequest(AdminBody):
    """What makes an instrument an option; it is one on an underlying that is listed."""

    underlying: Symbol
    expiry: Expiry
    right: RightName
    strike: Price
    style: StyleName = "american"
    multiplier: Multiplier = 100


def _option(value: Any) -> Any:
    return None if value is None else within("option", OptionTermsRequest, value)


class InstrumentRequest(AdminBody):
    """A new instrument; it starts closed. What an `option` leaves out is as in a chain."""

    symbol: Symbol
    name: Name
    asset_class: AssetClassName = "us_equity"
    calendar: Annotated[str, Field(pattern=r"^[A-Za-z0-9/_-]{1,16}$")] = "24/7"
    price_decimals: Annotated[StrictInt, Field(ge=0, le=9)] = 4
    tick: Price
    lot: Quantity
    trigger_rule: Literal["last_trade", "bid_ask", "mark"] = "last_trade"
    collar_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] = 1000
    protection_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] = 100
    remainder: Literal["rest", "cancel"] = "rest"
    max_order_qty: QuantityLimit = 0
    max_order_notional: MoneyLimit = 0
    position_limit: QuantityLimit = 0
    reference_price: ReferencePrice = 0
    initial_margin_bps: MarginRate = 5000
    maintenance_margin_bps: MarginRate = 2500
    shortable: StrictBool = False
    settlement_cycle: SettlementCycle = 2
    option: Annotated[OptionTermsRequest | None, BeforeValidator(_option)] = None

    def terms(self) -> dict[str, Any]:
        """What `ListInstrument` is given, in its units."""
        said = {name: getattr(self, name) for name in type(self).model_fields if name != "option"}
        said["trigger_rule"] = TRIGGER_RULES[self.trigger_rule]
        said["remainder"] = REMAINDERS[self.remainder]
        if self.option is not None:
            usual = {k: v for k, v in OF_OPTIONS.items() if k not in self.model_fields_set}
            said |= usual | self.option.model_dump()
            said |= {"right": RIGHTS[self.option.right], "style": STYLES[self.option.style]}
        return said


class OptionChainRequest(AdminBody):
    """The options of an underlying: each expiry with each strike and right."""

    underlying: Symbol
    expiries: Annotated[list[Expiry], Field(min_length=1, max_length=400)]
    strikes: Annotated[list[Price], Field(min_length=1, max_length=400)]
    rights: list[RightName] = Field(default=["call", "put"], min_length=1, max_length=2)
    tick: Price
    price_decimals: Annotated[StrictInt, Field(ge=0, le=9)] = 2
    style: StyleName = "american"
    multiplier: Multiplier = 100
    trigger_rule: Literal["last_trade", "bid_ask", "mark"] = "last_trade"
    collar_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] = 9_999
    protection_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] = 5_000
    remainder: Literal["rest", "cancel"] = "rest"
    max_order_qty: QuantityLimit = 0
    max_order_notional: MoneyLimit = 0
    position_limit: QuantityLimit = 0
    initial_margin_bps: MarginRate = 10_000
    maintenance_margin_bps: MarginRate = 10_000
    settlement_cycle: SettlementCycle = 1

    def terms(self) -> dict[str, Any]:
        """What `ListOptionChain` is given, in its units."""
        said = {name: getattr(self, name) for name in type(self).model_fields}
        said["trigger_rule"] = TRIGGER_RULES[self.trigger_rule]
        said["remainder"] = REMAINDERS[self.remainder]
        said["style"] = STYLES[self.style]
        said["rights"] = tuple(RIGHTS[right] for right in self.rights)
        return said | {name: tuple(said[name]) for name in ("expiries", "strikes")}


OF_OPTIONS: dict[str, Any] = {
    "asset_class": "us_option",
    "calendar": "",
    "shortable": True,
    **{
        name: OptionChainRequest.model_fields[name].default
        for name in (
            *("price_decimals", "collar_bps", "protection_bps"),
            *("initial_margin_bps", "maintenance_margin_bps", "settlement_cycle"),
        )
    },
}
"""What an option is listed with where nobody says it."""


class InstrumentChange(AdminBody):
    """New terms of an instrument; what is left out stays."""

    new_symbol: Symbol | None = None
    name: Name | None = None
    trigger_rule: Literal["last_trade", "bid_ask", "mark"] | None = None
    collar_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] | None = None
    protection_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] | None = None
    remainder: Literal["rest", "cancel"] | None = None
    max_order_qty: MaybeQuantityLimit = None
    max_order_notional: MaybeMoneyLimit = None
    position_limit: MaybeQuantityLimit = None
    initial_margin_bps: MarginRate | None = None
    maintenance_margin_bps: MarginRate | None = None
    shortable: StrictBool | None = None
    settlement_cycle: SettlementCycle | None = None
