"""Amounts at the edge: JSON read without floats, and numbers brought to exact units."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any
from weakref import proxy

import msgspec
from litestar import Request, WebSocket
from litestar.exceptions import WebSocketDisconnect
from litestar.types import Receive, Send

from api.json_members import check_members
from api.refusals import MalformedBody
from domain.errors import InvalidAmount, InvalidField
from domain.money import TRAIL_SCALE, WIRE_PRICE_SCALE, to_price, to_qty, to_units, to_usd

_NOT_A_NUMBER = Decimal("NaN")
_LONGEST_NUMBER = 64
_LARGEST_INTEGER = 10**20


def exact_number(text: str) -> Decimal:
    """A JSON number with a point or an exponent, digit for digit.

    What no amount could be becomes NaN, which every amount refuses under its own name.
    """
    if len(text) > _LONGEST_NUMBER:
        return _NOT_A_NUMBER
    try:
        return Decimal(text)
    except InvalidOperation:
        return _NOT_A_NUMBER


_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=exact_number)


def decode_json(body: bytes | str) -> Any:
    """Read a JSON document.

    Raises MalformedBody when it is none, DoubledMember when it says one thing twice.
    """
    try:
        document = _DECODER.decode(body)
        check_members(body, document)
    except UnicodeError:
        raise MalformedBody("is not valid UTF-8") from None
    except RecursionError:
        raise MalformedBody("is nested too deeply") from None
    except (msgspec.MsgspecError, ValueError) as error:
        raise MalformedBody(f"is not valid JSON: {error}") from None
    return document


class ExactRequest(Request[Any, Any, Any]):
    """A request whose JSON numbers stay exact."""

    async def json(self) -> Any:
        """The body, decoded once."""
        if "exact_json" not in self.scope["state"]:
            self.scope["state"]["exact_json"] = decode_json(await self.body())
        return self.scope["state"]["exact_json"]


class ExactWebSocket(WebSocket[Any, Any, Any]):
    """A WebSocket whose JSON numbers stay exact, in text and in binary frames alike.

    What it sends and receives through does not hold it: closed sockets are freed at once.
    """

    def receive_wrapper(self, receive: Receive) -> Receive:
        """Receive, and follow the state of the socket."""
        return WebSocket.receive_wrapper(proxy(self), receive)

    def send_wrapper(self, send: Send) -> Send:
        """Send, unless the socket is closed."""
        return WebSocket.send_wrapper(proxy(self), send)

    async def receive_exact(self) -> tuple[Any, bool]:
        """The next message and whether its frame was binary; raises what `decode_json` does."""
        message: dict[str, Any] = await self.receive()  # type: ignore[assignment]
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(detail="closed by the client", code=message.get("code", 1005))
        data = message.get("bytes")
        if data is not None:
            return decode_json(data), True
        return decode_json(message.get("text") or ""), False


def number(value: Any, field: str) -> Decimal | int | str:
    """A JSON value that may be a decimal, to be judged by its rules; raises InvalidAmount."""
    kind = type(value)
    if kind is int and not -_LARGEST_INTEGER < value < _LARGEST_INTEGER:
        raise InvalidAmount(field, "an integer of many digits", "is too large")
    if kind is not str and kind is not int and kind is not Decimal:
        raise InvalidAmount(field, _kind_of(value), "is not a decimal number")
    return value  # type: ignore[no-any-return]


def units(value: Any, scale: int, field: str) -> int:
    """An exact amount as an integer of 10^-scale units; raises InvalidAmount, never rounds."""
    return to_units(number(value, field), scale, field)


def quantity_units(value: Any, field: str) -> int:
    """A quantity above zero in 1e-8 units."""
    return _positive(to_qty(number(value, field), field), field)


def price_units(value: Any, field: str) -> int:
    """A price above zero in 1e-9 units."""
    return _positive(to_price(number(value, field), field, WIRE_PRICE_SCALE), field)


def money_units(value: Any, field: str) -> int:
    """An amount of money above zero in cents."""
    return _positive(to_usd(number(value, field), field), field)


def trail_units(value: Any, field: str) -> int:
    """A percentage above zero by which a stop trails, in thousandths."""
    return _positive(units(value, TRAIL_SCALE, field), field)


def _positive(amount: int, field: str) -> int:
    if amount <= 0:
        raise InvalidField(field, "must be greater than 0")
    return amount


def _kind_of(value: Any) -> str:
    """What JSON calls a value that is not a number."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    return str(value)
