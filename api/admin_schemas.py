"""What operators may send: one model a request; a member nobody knows is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

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
from api.instrument_schemas import InstrumentChange, InstrumentRequest, OptionChainRequest
from api.key_documents import KeyScope
from api.schemas import (
    DECIMAL_PATTERN,
    AdminBody,
    Key,
    Label,
    MaybeMoneyLimit,
    Moment,
    Money,
    MoneyLimit,
    Name,
    Note,
    Price,
    QuantityLimit,
    Reason,
    RequestBody,
    RequiredMoment,
    SignedMoney,
    SignedQuantity,
    Symbol,
    within,
)
from domain.commission import BPS_SCALE, FREE, RATE_SCALE, Kind, Schedule
from domain.errors import InvalidField

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


class KeyRequest(AdminBody):
    """A new key: of an account, or of an operator where none is named.

    Of an account's key `scopes` are read and trade unless it says less; an operator's says them.
    """

    label: Label
    account_id: UUID | None = None
    scopes: Annotated[list[KeyScope], Field(min_length=1, max_length=4)] | None = None
    valid_until: Moment = None


class KeyRotation(AdminBody):
    """Another secret for a key; without `valid_until` it expires when it would have."""

    valid_until: Moment = None


class ForgetRequest(AdminBody):
    """Why the name of an account's owner is forgotten."""

    reason: Note = ""


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


class PairMarginRequest(AdminBody):
    """Two shares that hedge each other, and the rate that what does binds; 0 ends the pair."""

    symbol: Symbol
    other_symbol: Symbol
    bps: Annotated[StrictInt, Field(ge=0, le=10_000)]


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
    KeyRequest,
    KeyRotation,
    ForgetRequest,
    PolicyRequest,
    CommissionRequest,
    KillSwitchRequest,
    PairMarginRequest,
    CashRequest,
    TransferRequest,
    InstrumentRequest,
    OptionChainRequest,
    InstrumentChange,
    SessionRequest,
    ReasonRequest,
    MarkRequest,
    CorrectionRequest,
)
