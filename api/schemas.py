"""What clients may send: one model a request, amounts already exact units when it is built."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from api.decimals import money_units, price_units, quantity_units, units
from application.commands import PlaceOrder, ReplaceOrder
from domain.errors import InvalidField
from domain.identifiers import instant_of
from domain.money import QTY_SCALE, USD_SCALE, WIRE_PRICE_SCALE
from domain.terms import OrderType, SelfTrade, Side, TimeInForce, TriggerRule

DECIMAL_PATTERN = r"^-?\d{1,20}(\.\d{1,18})?$"
SYMBOL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,23}$"
LONGEST_KEY = 128

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def plain_text(value: Any, field: str, longest: int = LONGEST_KEY) -> str | None:
    """A key or a name given outside a body, None when none was; raises InvalidField."""
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise InvalidField(field, f"must be a text of 1 to {longest} characters")
    if _CONTROL.search(value):
        raise InvalidField(field, "may not hold control characters")
    return value


def _plain(text: str, info: ValidationInfo) -> str:
    if _CONTROL.search(text):
        raise InvalidField(info.field_name or "text", "may not hold control characters")
    return text


def _moment(value: Any, info: ValidationInfo) -> Any:
    if value is not None and not isinstance(value, str | datetime):
        raise InvalidField(info.field_name or "time", "must be an RFC 3339 time")
    return value


def _aware(value: datetime | None, info: ValidationInfo) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise InvalidField(
            info.field_name or "time", "must say its offset, as 2026-11-20T21:00:00Z"
        )
    return value


def _decimal(convert: Any, example: str, description: str) -> Any:
    """The annotations of an amount: how it is read and how the documentation shows it."""

    def read(value: Any, info: ValidationInfo) -> Any:
        return convert(value, info.field_name)

    return (
        BeforeValidator(read),
        WithJsonSchema(
            {
                "description": description,
                "anyOf": [{"type": "string", "pattern": DECIMAL_PATTERN}, {"type": "number"}],
                "examples": [example],
            }
        ),
    )


def _none_or(convert: Any) -> Any:
    def read(value: Any, field: str) -> int | None:
        return None if value is None else convert(value, field)

    return read


def _zero_or(scale: int) -> Any:
    def read(value: Any, field: str) -> int:
        amount = units(value, scale, field)
        if amount < 0:
            raise InvalidField(field, "may not be negative")
        return amount

    return read


_QTY_TEXT = "Exact, up to 8 decimal places."
_PRICE_TEXT = "Exact, at most the instrument's price decimals."
_MONEY_TEXT = "US dollars, exact, at most 2 decimal places."

Quantity = Annotated[int, *_decimal(quantity_units, "10", _QTY_TEXT)]
Price = Annotated[int, *_decimal(price_units, "101.25", _PRICE_TEXT)]
Money = Annotated[int, *_decimal(money_units, "25000.00", _MONEY_TEXT)]
MaybeQuantity = Annotated[int | None, *_decimal(_none_or(quantity_units), "10", _QTY_TEXT)]
MaybePrice = Annotated[int | None, *_decimal(_none_or(price_units), "101.25", _PRICE_TEXT)]
SignedQuantity = Annotated[
    int, *_decimal(lambda v, f: units(v, QTY_SCALE, f), "-5", _QTY_TEXT + " Negative: out.")
]
SignedMoney = Annotated[int, *_decimal(lambda v, f: units(v, USD_SCALE, f), "500.00", _MONEY_TEXT)]
MoneyLimit = Annotated[int, *_decimal(_zero_or(USD_SCALE), "0", _MONEY_TEXT + " 0: none.")]
QuantityLimit = Annotated[int, *_decimal(_zero_or(QTY_SCALE), "0", _QTY_TEXT + " 0: none.")]
ReferencePrice = Annotated[int, *_decimal(_zero_or(WIRE_PRICE_SCALE), "0", _PRICE_TEXT)]
MaybeMoneyLimit = Annotated[
    int | None, *_decimal(_none_or(_zero_or(USD_SCALE)), "0", _MONEY_TEXT + " 0: none.")
]
MaybeQuantityLimit = Annotated[
    int | None, *_decimal(_none_or(_zero_or(QTY_SCALE)), "0", _QTY_TEXT + " 0: none.")
]
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN, examples=["AAPL"])]
Key = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY), AfterValidator(_plain)]
Note = Annotated[str, Field(max_length=500), AfterValidator(_plain)]
Name = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_plain)]
RequiredMoment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_aware)]
Moment = Annotated[datetime | None, BeforeValidator(_moment), AfterValidator(_aware)]

OrderTypeName = Literal["market", "limit", "stop", "stop_limit"]
TimeInForceName = Literal["day", "gtc", "ioc", "fok", "gtd"]
SelfTradeName = Literal["cancel_newest", "cancel_oldest", "cancel_both"]

SIDES = {"buy": int(Side.BUY), "sell": int(Side.SELL)}
ORDER_TYPES = {kind.name.lower(): int(kind) for kind in OrderType}
TIMES_IN_FORCE = {kind.name.lower(): int(kind) for kind in TimeInForce}
SELF_TRADES = {kind.name.lower(): int(kind) for kind in SelfTrade}
TRIGGER_RULES = {kind.name.lower(): int(kind) for kind in TriggerRule}

_WITH_LIMIT = ("limit", "stop_limit")
_WITH_STOP = ("stop", "stop_limit")


class RequestBody(BaseModel):
    """A request body; unknown members are passed over, as Alpaca does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    UNSUPPORTED: ClassVar[dict[str, str]] = {}
    """Members of Alpaca's that would change what is asked: named and refused, never dropped."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            raise InvalidField("body", "must be a JSON object")
        for name, why in cls.UNSUPPORTED.items():
            if body.get(name) is not None:
                raise InvalidField(name, why)
        return body


class AdminBody(RequestBody):
    """A request body of the venue's own API; unknown members are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Body = TypeVar("Body", bound=RequestBody)


def first_error(error: ValidationError) -> InvalidField:
    """The first thing wrong with a body, as the refusal that names the field."""
    wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(str(part) for part in wrong["loc"]) or "body"
    if wrong["type"] == "missing":
        return InvalidField(place, "is required")
    if wrong["type"] == "extra_forbidden":
        return InvalidField(place, "is not a field of this request")
    return InvalidField(place, f"is wrong: {wrong['msg'][0].lower()}{wrong['msg'][1:]}")


def validated(model: type[Body], document: Any) -> Body:
    """The model of a decoded document; raises a Rejection naming the first wrong field."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise first_error(error) from None


class OrderRequest(RequestBody):
    """A new order. `post_only`, `self_trade_prevention`, `gtd` and `expire_at` are extensions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "symbol": "AAPL",
                    "qty": "10",
                    "side": "buy",
                    "type": "limit",
                    "time_in_force": "gtc",
                    "limit_price": "101.25",
                    "client_order_id": "my-first-order",
                }
            ]
        }
    )

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "notional": "is not taken: give qty",
        "trail_price": "is not taken: trailing stops are not traded here",
        "trail_percent": "is not taken: trailing stops are not traded here",
        "take_profit": "is not taken: only simple orders are traded here",
        "stop_loss": "is not taken: only simple orders are traded here",
        "legs": "is not taken: only simple orders are traded here",
        "position_intent": "is not taken: side says it all",
    }

    symbol: Symbol
    qty: Quantity
    side: Literal["buy", "sell"]
    type: OrderTypeName
    time_in_force: TimeInForceName
    limit_price: MaybePrice = None
    stop_price: MaybePrice = None
    client_order_id: Key | None = None
    expire_at: Moment = None
    extended_hours: StrictBool | None = None
    order_class: Literal["simple", ""] | None = None
    post_only: StrictBool | None = None
    self_trade_prevention: SelfTradeName | None = None

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        _fits("limit_price", self.limit_price, self.type in _WITH_LIMIT, f"a {self.type} order")
        _fits("stop_price", self.stop_price, self.type in _WITH_STOP, f"a {self.type} order")
        _fits("expire_at", self.expire_at, self.time_in_force == "gtd", _an(self.time_in_force))
        if self.extended_hours:
            raise InvalidField("extended_hours", "may only be false")
        if self.post_only and (self.type != "limit" or self.time_in_force in ("ioc", "fok")):
            raise InvalidField("post_only", "needs a limit order that may rest")
        return self

    def command(self, account_id: UUID, client_order_id: str) -> PlaceOrder:
        """The command that places this order."""
        return PlaceOrder(
            account_id,
            self.symbol,
            SIDES[self.side],
            ORDER_TYPES[self.type],
            TIMES_IN_FORCE[self.time_in_force],
            self.qty,
            self.limit_price or 0,
            self.stop_price or 0,
            client_order_id,
            instant_of(self.expire_at) if self.expire_at else 0,
            bool(self.post_only),
            SELF_TRADES[self.self_trade_prevention or "cancel_newest"],
        )


class ReplaceRequest(RequestBody):
    """New terms for a working order; what is left out stays. `qty` is the new total."""

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "trail": "is not taken: trailing stops are not traded here",
        "notional": "is not taken: give qty",
    }

    qty: MaybeQuantity = None
    limit_price: MaybePrice = None
    stop_price: MaybePrice = None
    time_in_force: TimeInForceName | None = None
    expire_at: Moment = None
    client_order_id: Key | None = None

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.time_in_force is not None:
            _fits("expire_at", self.expire_at, self.time_in_force == "gtd", _an(self.time_in_force))
        return self

    def command(self, account_id: UUID, order_id: UUID, request_key: str) -> ReplaceOrder:
        """The command that replaces the order's terms."""
        return ReplaceOrder(
            account_id,
            order_id,
            self.client_order_id or "",
            self.client_order_id or request_key,
            self.qty,
            self.limit_price,
            self.stop_price,
            None if self.time_in_force is None else TIMES_IN_FORCE[self.time_in_force],
            None if self.expire_at is None else instant_of(self.expire_at),
        )


def _fits(field: str, value: Any, wanted: bool, kind: str) -> None:
    if wanted and value is None:
        raise InvalidField(field, f"is required for {kind}")
    if not wanted and value is not None:
        raise InvalidField(field, f"is not a term of {kind}")


def _an(time_in_force: str) -> str:
    return f"an {time_in_force} order" if time_in_force == "ioc" else f"a {time_in_force} order"


class AccountRequest(AdminBody):
    """A new account; the same name and terms again give the account that exists."""

    name: Name
    owner: Name | None = None
    kind: Literal["cash", "margin"] = "cash"
    max_order_notional: MoneyLimit = 0
    rotate: StrictBool = False


class AccountChange(AdminBody):
    """What an account may do, or its own limits."""

    status: Literal["active", "closing_only", "blocked"] | None = None
    reason: Note = ""
    max_order_notional: MaybeMoneyLimit = None


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
    asset_class: Literal["us_equity", "crypto"] = "us_equity"
    calendar: Annotated[str, Field(pattern=r"^[A-Za-z0-9/_-]{1,16}$")] = "24/7"
    price_decimals: Annotated[StrictInt, Field(ge=0, le=9)] = 4
    tick: Price
    lot: Quantity
    trigger_rule: Literal["last_trade", "bid_ask", "mark"] = "last_trade"
    collar_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] = 1000
    max_order_qty: QuantityLimit = 0
    max_order_notional: MoneyLimit = 0
    position_limit: QuantityLimit = 0
    reference_price: ReferencePrice = 0


class InstrumentChange(AdminBody):
    """New terms of an instrument; what is left out stays."""

    new_symbol: Symbol | None = None
    name: Name | None = None
    trigger_rule: Literal["last_trade", "bid_ask", "mark"] | None = None
    collar_bps: Annotated[StrictInt, Field(ge=1, le=9_999)] | None = None
    max_order_qty: MaybeQuantityLimit = None
    max_order_notional: MaybeMoneyLimit = None
    position_limit: MaybeQuantityLimit = None


class SessionRequest(AdminBody):
    """The session to open. Dates are integers as 20261120."""

    session_date: Annotated[StrictInt, Field(ge=19700101, le=99991231)]
    value_date: Annotated[StrictInt, Field(ge=19700101, le=99991231)]
    opens_at: RequiredMoment
    closes_at: RequiredMoment


class ReasonRequest(AdminBody):
    """Why an operator does it."""

    reason: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]


class MarkRequest(AdminBody):
    """A mark price."""

    price: Price


class CorrectionRequest(AdminBody):
    """A trade's right price, and why."""

    price: Price
    reason: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]


REQUESTS: tuple[type[RequestBody], ...] = (
    OrderRequest,
    ReplaceRequest,
    AccountRequest,
    AccountChange,
    CashRequest,
    TransferRequest,
    InstrumentRequest,
    InstrumentChange,
    SessionRequest,
    ReasonRequest,
    MarkRequest,
    CorrectionRequest,
)
