"""What traders may send: one model a request, amounts already exact units when it is built."""

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
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from api.decimals import money_units, price_units, quantity_units, units
from application.commands import PlaceGroup, PlaceOrder, ReplaceOrder
from domain.errors import InvalidAmount, InvalidField
from domain.identifiers import instant_of
from domain.money import QTY_SCALE, USD_SCALE, WIRE_PRICE_SCALE
from domain.terms import OrderClass, OrderType, SelfTrade, Side, TimeInForce

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
Reason = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_plain)]
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
ORDER_CLASSES = {kind.name.lower(): int(kind) for kind in OrderClass}

_WITH_LIMIT = ("limit", "stop_limit")
_WITH_STOP = ("stop", "stop_limit")
_RESTING = ("day", "gtc", "gtd")


class RequestBody(BaseModel):
    """A request body; unknown members are passed over, as Alpaca does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    UNSUPPORTED: ClassVar[dict[str, str]] = {}
    """Members of Alpaca's that would change what is asked: named and refused, never dropped."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_unsupported(cls, body: Any) -> Any:
        if isinstance(body, cls):
            return body
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


def within(name: str, model: type[Body], document: Any) -> Body:
    """A body inside another; raises a Rejection that names the field with its place."""
    if not isinstance(document, dict):
        raise InvalidField(name, "must be a JSON object")
    try:
        return validated(model, document)
    except (InvalidAmount, InvalidField) as wrong:
        wrong.message = f"{name}.{wrong.message}"
        wrong.details["field"] = f"{name}.{wrong.details['field']}"
        raise


def _leg(model: type[Body]) -> Any:
    def read(value: Any, info: ValidationInfo) -> Any:
        return None if value is None else within(info.field_name or "leg", model, value)

    return BeforeValidator(read)


class TakeProfitRequest(RequestBody):
    """The exit that takes a profit: a limit order in the book."""

    limit_price: Price


class StopLossRequest(RequestBody):
    """The exit that bounds a loss: a stop, or with `limit_price` a stop-limit order.

    `qty` is an extension, and must be the order's own.
    """

    stop_price: Price
    limit_price: MaybePrice = None
    qty: MaybeQuantity = None


class OrderRequest(RequestBody):
    """A new order, or with `order_class` a group of linked orders.

    `post_only`, `self_trade_prevention`, `gtd`, `expire_at` and `locate` are extensions.
    """

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
                },
                {
                    "symbol": "AAPL",
                    "qty": "10",
                    "side": "sell",
                    "type": "limit",
                    "time_in_force": "gtc",
                    "order_class": "oco",
                    "take_profit": {"limit_price": "110.00"},
                    "stop_loss": {"stop_price": "95.00", "limit_price": "94.50"},
                },
            ]
        }
    )

    UNSUPPORTED: ClassVar[dict[str, str]] = {
        "notional": "is not taken: give qty",
        "trail_price": "is not taken: trailing stops are not traded here",
        "trail_percent": "is not taken: trailing stops are not traded here",
        "legs": "is not taken: give take_profit and stop_loss",
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
    order_class: Literal["simple", "", "oco", "bracket", "oto"] | None = None
    take_profit: Annotated[TakeProfitRequest | None, _leg(TakeProfitRequest)] = None
    stop_loss: Annotated[StopLossRequest | None, _leg(StopLossRequest)] = None
    post_only: StrictBool | None = None
    self_trade_prevention: SelfTradeName | None = None
    locate: StrictBool | None = None

    @property
    def group_class(self) -> int:
        """The OrderClass of the group it asks for; 0 for an order of its own."""
        return ORDER_CLASSES[self.order_class or "simple"]

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.order_class == "oco":
            self._is_an_oco()
        else:
            wanted = self.type in _WITH_LIMIT
            _fits("limit_price", self.limit_price, wanted, f"a {self.type} order")
        _fits("stop_price", self.stop_price, self.type in _WITH_STOP, f"a {self.type} order")
        _fits("expire_at", self.expire_at, self.time_in_force == "gtd", _an(self.time_in_force))
        if self.extended_hours:
            raise InvalidField("extended_hours", "may only be false")
        if self.post_only and (self.type != "limit" or self.time_in_force not in _RESTING):
            raise InvalidField("post_only", "needs a limit order that may rest")
        self._legs_fit()
        return self

    def _is_an_oco(self) -> None:
        if self.type != "limit":
            raise InvalidField("type", "of an oco order is limit")
        if self.limit_price and self.take_profit:
            if self.limit_price != self.take_profit.limit_price:
                raise InvalidField("limit_price", "is not take_profit.limit_price")
        elif not (self.limit_price or self.take_profit):
            raise InvalidField("take_profit", "is required for an oco order")

    def _legs_fit(self) -> None:
        """What alpaca-py asks of each class, and what exits that must wait need."""
        if not self.group_class:
            for name in ("take_profit", "stop_loss"):
                if getattr(self, name) is not None:
                    raise InvalidField(name, "needs order_class oco, bracket or oto")
            return
        if self.time_in_force not in _RESTING:
            raise InvalidField("time_in_force", f"of {self.order_class} orders is day, gtc or gtd")
        if self.post_only:
            raise InvalidField("post_only", f"is not a term of {self.order_class} orders")
        if self.order_class == "oto":
            if (self.take_profit is None) == (self.stop_loss is None):
                raise InvalidField(
                    "take_profit", "or stop_loss, and not both, is required for an oto order"
                )
            return
        for name in ("take_profit", "stop_loss"):
            if getattr(self, name) is None and (name, self.order_class) != ("take_profit", "oco"):
                raise InvalidField(name, f"is required for {self.order_class} orders")

    def command(self, account_id: UUID, client_order_id: str) -> PlaceOrder | PlaceGroup:
        """The command that places this order, or this group."""
        expires_at = instant_of(self.expire_at) if self.expire_at else 0
        self_trade = SELF_TRADES[self.self_trade_prevention or "cancel_newest"]
        if not self.group_class:
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
                expires_at,
                bool(self.post_only),
                self_trade,
                bool(self.locate),
            )
        profit, loss = self.take_profit, self.stop_loss
        is_oco = self.order_class == "oco"
        own_limit = self.limit_price or 0
        return PlaceGroup(
            account_id,
            self.symbol,
            self.group_class,
            SIDES[self.side],
            ORDER_TYPES[self.type],
            TIMES_IN_FORCE[self.time_in_force],
            self.qty,
            0 if is_oco else own_limit,
            self.stop_price or 0,
            client_order_id,
            profit.limit_price if profit else own_limit if is_oco else 0,
            loss.stop_price if loss else 0,
            (loss.limit_price or 0) if loss else 0,
            (loss.qty or 0) if loss else 0,
            expires_at,
            self_trade,
            bool(self.locate),
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


TRADERS_REQUESTS: tuple[type[RequestBody], ...] = (OrderRequest, ReplaceRequest)
