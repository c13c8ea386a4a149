"""What every request is made of: amounts already exact units, texts, and how it is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from api.decimals import money_units, price_units, quantity_units, trail_units, units
from domain.errors import InvalidAmount, InvalidField
from domain.money import QTY_SCALE, USD_SCALE, WIRE_PRICE_SCALE

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
MaybeMoney = Annotated[int | None, *_decimal(_none_or(money_units), "1000.00", _MONEY_TEXT)]
MaybePrice = Annotated[int | None, *_decimal(_none_or(price_units), "101.25", _PRICE_TEXT)]
MaybeTrailPercent = Annotated[
    int | None, *_decimal(_none_or(trail_units), "1.5", "Above 0 and below 100, 3 decimal places.")
]
SignedQuantity = Annotated[
    int, *_decimal(lambda v, f: units(v, QTY_SCALE, f), "-5", _QTY_TEXT + " Negative: out.")
]
SignedMoney = Annotated[int, *_decimal(lambda v, f: units(v, USD_SCALE, f), "500.00", _MONEY_TEXT)]
MoneyLimit = Annotated[int, *_decimal(_zero_or(USD_SCALE), "0", _MONEY_TEXT + " 0: none.")]
QuantityLimit = Annotated[int, *_decimal(_zero_or(QTY_SCALE), "0", _QTY_TEXT + " 0: none.")]
ReferencePrice = Annotated[int, *_decimal(_zero_or(WIRE_PRICE_SCALE), "0", _PRICE_TEXT)]
NetPrice = Annotated[
    int,
    *_decimal(
        lambda v, f: units(v, WIRE_PRICE_SCALE, f),
        "1.25",
        "Exact, at most 9 decimal places. Positive is paid, negative received.",
    ),
]
MaybeNetPrice = Annotated[
    int | None,
    *_decimal(
        _none_or(lambda v, f: units(v, WIRE_PRICE_SCALE, f)),
        "101.25",
        "Exact, at most the instrument's price decimals; of a multi-leg order it may be negative.",
    ),
]
WholeNumber = Annotated[int, *_decimal(lambda v, f: units(v, 0, f), "1", "A whole number.")]
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
Label = Annotated[str, Field(max_length=100), AfterValidator(_plain)]
RequiredMoment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_aware)]
Moment = Annotated[datetime | None, BeforeValidator(_moment), AfterValidator(_aware)]


def exactly(places: int, example: str, description: str) -> Any:
    """The annotations of an exact number of any sign, of so many decimal places."""
    return _decimal(lambda value, field: units(value, places, field), example, description)


class RequestBody(BaseModel):
    """A request body; unknown members are passed over, as Alpaca does."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    UNSUPPORTED: ClassVar[dict[str, str]] = {}
    """Members of Alpaca's that would change what is asked: named and refused, never dropped."""

    @classmethod
    def read_as(cls, document: Any) -> type[Self]:
        """The request that a document is: another one where the document says so."""
        return cls

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

_LIMITS = {"ge", "gt", "le", "lt", "min_length", "max_length"}
"""How pydantic names the one bound that a value does not keep to."""


def first_error(error: ValidationError) -> InvalidField:
    """The first thing wrong with a body, as the refusal that names the field."""
    wrong = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in wrong["loc"]) or "body"
    if wrong["type"] == "missing":
        return InvalidField(place, "is required")
    if wrong["type"] == "extra_forbidden":
        return InvalidField(place, "is not a field of this request")
    bounds = _bounds(wrong.get("ctx", {}))
    return InvalidField(place, f"is wrong: {wrong['msg'][0].lower()}{wrong['msg'][1:]}", **bounds)


def _bounds(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a value may be, where one bound or a few values say it."""
    for name in _LIMITS & said.keys():
        return {"limit": said[name]}
    allowed = re.findall("'([^']*)'", str(said.get("expected", "")))
    return {"allowed": allowed} if allowed else {}


def validated(model: type[Body], document: Any) -> Body:
    """The model of a decoded document; raises a Rejection naming the first wrong field."""
    try:
        return model.read_as(document).model_validate(document)
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
