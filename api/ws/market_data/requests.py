"""What clients of the channels may say: to subscribe, to unsubscribe, and who they are."""

from __future__ import annotations

from typing import Any, NamedTuple

from api.ws.market_data.paces import STEPS_MS
from domain.errors import InvalidField

MOST_SYMBOLS = 1_000
"""How many symbols one connection may have."""
LONGEST_SYMBOL = 64
HEARTBEAT_MS = (1_000, 60_000)
"""The bounds of a heartbeat's interval."""

_AUTHENTICATE = {"action", "key", "secret"}
_SUBSCRIBE = {"action", "symbols", "throttle_ms", "heartbeat_ms"}
_UNSUBSCRIBE = {"action", "symbols"}


class Credentials(NamedTuple):
    """A key and its secret."""

    key: str
    secret: str


class Subscribe(NamedTuple):
    """Symbols to be told of from now on, and how often; None leaves that as it is."""

    symbols: tuple[str, ...]
    throttle_ms: int | None
    heartbeat_ms: int | None


class Unsubscribe(NamedTuple):
    """Symbols to be told of no more."""

    symbols: tuple[str, ...]


Said = Credentials | Subscribe | Unsubscribe


def request_of(message: Any) -> Said:
    """What a client said. Raises InvalidField."""
    if not isinstance(message, dict):
        raise InvalidField("message", "must be a JSON object")
    action = message.get("action")
    if action in ("auth", "authenticate"):
        return _credentials(message)
    if action == "subscribe":
        _know(message, _SUBSCRIBE)
        return Subscribe(
            _symbols(message),
            _whole_number(message, "throttle_ms", STEPS_MS[0], STEPS_MS[-1]),
            _whole_number(message, "heartbeat_ms", *HEARTBEAT_MS),
        )
    if action == "unsubscribe":
        _know(message, _UNSUBSCRIBE)
        return Unsubscribe(_symbols(message))
    raise InvalidField("action", "must be auth, subscribe or unsubscribe")


def _credentials(message: dict[str, Any]) -> Credentials:
    """A key and its secret, said as Alpaca's data streams or as its trading stream have it."""
    data = message.get("data")
    if isinstance(data, dict):
        key, secret = data.get("key_id"), data.get("secret_key")
    else:
        _know(message, _AUTHENTICATE)
        key, secret = message.get("key"), message.get("secret")
    if not isinstance(key, str) or not isinstance(secret, str):
        raise InvalidField("key", "and secret must be strings")
    return Credentials(key, secret)


def _know(message: dict[str, Any], known: set[str]) -> None:
    """Refuse what would be passed over."""
    for name in message:
        if name not in known:
            raise InvalidField(name[:LONGEST_SYMBOL], "is not known here")


def _symbols(message: dict[str, Any]) -> tuple[str, ...]:
    symbols = message.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(one, str) for one in symbols):
        raise InvalidField("symbols", "must be a list of symbols")
    if any(not one or len(one) > LONGEST_SYMBOL for one in symbols):
        raise InvalidField("symbols", f"must have 1 to {LONGEST_SYMBOL} characters each")
    distinct = tuple(dict.fromkeys(symbols))
    if len(distinct) > MOST_SYMBOLS:
        raise too_many_symbols()
    return distinct


def too_many_symbols() -> InvalidField:
    """The refusal of a symbol beyond those that a connection may have."""
    return InvalidField(
        "symbols", f"must be at most {MOST_SYMBOLS} on a connection", limit=MOST_SYMBOLS
    )


def _whole_number(message: dict[str, Any], name: str, least: int, most: int) -> int | None:
    value = message.get(name)
    if value is None:
        return None
    if type(value) is not int or not least <= value <= most:
        raise InvalidField(name, f"must be a whole number from {least} to {most}")
    return value
