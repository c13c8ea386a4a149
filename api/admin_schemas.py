"""What operators may send: one model a request; a member nobody knows is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    WithJsonSchema,
    model_validator,
)

from api.decimals import units
from api.schemas import (
    DECIMAL_PATTERN,
    AdminBody,
    Key,
    MaybeMoneyLimit,
    MaybeQuantityLimit,
    Money,
    MoneyLimit,
    Name,
    Note,
    Price,
    Quantity,
    QuantityLimit,
    Reason,
    ReferencePrice,
    RequestBody,
    RequiredMoment,
    SignedMoney,
    SignedQuantity,
    Symbol,
    within,
)
from api.vocabulary import AssetClassName
from domain.commission import BPS_SCALE, FREE, RATE_SCALE, Kind, Schedule
from domain.errors import InvalidField
from domain.terms import Remainder, TriggerRule

TRIGGER_RULES = {kind.name.lower(): int(kind) for kind in TriggerRule}
REMAINDERS = {kind.name.lower(): int(kind) for kind in Remainder}

MarginRate = Annotated[StrictInt, Field(ge=1, le=100_000)]
SettlementCycle = Annotated[StrictInt, Field(ge=0, le=30)]
Rate = Annotated[
    Any,
    WithJsonSchema(
        {
            "description": "Exact; its decimal places depend on the kind.",
            "anyOf": [{"type": "string", "pattern": DECIMAL_PATTERN}, {"type": "number"}],
            "examples": ["0.0035"],
        }
    ),
]
"""Exact only once the kind of schedule is known."""


def _tiers(value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise InvalidField("tiers", "must be a list with a tier in it")
    return [within(f"tiers.{place}", CommissionTier, tier) for place, tier in enumerate(value)]


class AccountRequest(AdminBody):
    """A new account; the same name and terms again give the account that exists."""

    name: Name
    owner: Name | None = None
    kind: Literal["cash", "margin"] = "cash"
    max_order_notional: MoneyLimit = 0
    rotate: StrictBool = False


class AccountChange(AdminBody):
    """What an account may do, or its own limits; a limit that is left out stays."""

    status: Literal["active", "closing_only", "blocked"] | None = None
    reason: Note = ""
    max_order_notional: MaybeMoneyLimit = None
    max_orders_per_second: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None


class PolicyRequest(AdminBody):
    """Whether proceeds that have not settled may buy."""

    use_unsettled: StrictBool


class CommissionTier(AdminBody):
    """The rates from a quantity traded in the month on; a negative rate is a rebate."""

    from_qty: QuantityLimit
    maker: Rate
    taker: Rate


class CommissionRequest(AdminBody):
    """What trades cost an account from now on.

    Rates are dollars a share (up to 9 decimals) or basis points of the value (up to 3). One
    `rate` for all, or `tiers`. An order costs at least `minimum` dollars and at most `cap_bps`
    of what it traded.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {"kind": "per_share", "rate": "0.0035", "minimum": "0.35", "cap_bps": 100},
                {
                    "kind": "bps",
                    "tiers": [
                        {"from_qty": "0", "maker": "0.5", "taker": "1.5"},
                        {"from_qty": "300000", "maker": "-0.2", "taker": "1"},
                    ],
                },
            ]
        },
    )

    kind: Literal["none", "per_share", "bps"]
    rate: Rate | None = None
    tiers: Annotated[list[CommissionTier] | None, BeforeValidator(_tiers)] = None
    minimum: MoneyLimit = 0
    cap_bps: Annotated[StrictInt, Field(ge=0, le=10_000)] = 0

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.kind == "none":
            for name in ("rate", "tiers"):
                if getattr(self, name) is not None:
                    raise InvalidField(name, "is not a term of a schedule without commission")
        elif (self.rate is None) == (self.tiers is None):
            raise InvalidField("rate", "or tiers, and not both, is required")
        self.schedule()
        return self

    def schedule(self) -> Schedule:
        """The schedule in exact units."""
        if self.kind == "none":
            return FREE
        scale = RATE_SCALE if self.kind == "per_share" else BPS_SCALE
        if self.tiers is None:
            rate = units(self.rate, scale, "rate")
            tiers: tuple[tuple[int, int, int], ...] = ((0, rate, rate),)
        else:
            tiers = tuple(
                (
                    tier.from_qty,
                    units(tier.maker, scale, f"tiers.{place}.maker"),
                    units(tier.taker, scale, f"tiers.{place}.taker"),
                )
                for place, tier in enumerate(self.tiers)
            )
        kind = Kind.PER_SHARE if self.kind == "per_share" else Kind.BPS
        return Schedule(int(kind), tiers, self.minimum, self.cap_bps)


class KillSwitchRequest(AdminBody):
    """Stop all new orders, or let them in again; `cancel_orders` ends those that work."""

    engaged: StrictBool
    reason: Note = ""
    cancel_orders: StrictBool = False

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.cancel_orders and not self.engaged:
            raise InvalidField("cancel_orders", "goes with engaged: true")
        return self


class CashRequest(AdminBody):
    """Money in or out; the same `request_key` again gives the first result."""

    amount: Money
    request_key: Key | None = None
    description: Note = ""


class TransferRequest(AdminBody):
    """A holding in (positive) or out (negative), without a trade."""

    symbol: Symbol
    qty: SignedQuantity
    cost: SignedMoney
    request_key: Key | None = None
    description: Note = ""


class InstrumentRequest(AdminBody):
    """A new instrument; it starts closed."""

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


class SessionRequest(AdminBody):
    """The session to open. Dates are integers as 20261120."""

    session_date: Annotated[StrictInt, Field(ge=19700101, le=99991231)]
    value_date: Annotated[StrictInt, Field(ge=19700101, le=99991231)]
    opens_at: RequiredMoment
    closes_at: RequiredMoment


class ReasonRequest(AdminBody):
    """Why an operator does it."""

    reason: Reason


class MarkRequest(AdminBody):
    """A mark price."""

    price: Price


class CorrectionRequest(AdminBody):
    """A trade's right price, and why."""

    price: Price
    reason: Reason


OPERATORS_REQUESTS: tuple[type[RequestBody], ...] = (
    AccountRequest,
    AccountChange,
    PolicyRequest,
    CommissionRequest,
    KillSwitchRequest,
    CashRequest,
    TransferRequest,
    InstrumentRequest,
    InstrumentChange,
    SessionRequest,
    ReasonRequest,
    MarkRequest,
    CorrectionRequest,
)
