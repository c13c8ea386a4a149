"""Every refusal as HTTP and FIX say it: one row a code, and the one way to render a problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from litestar import Response

from application.commands import Refusal, Reply
from domain.configuration_errors import FractionNotAllowed, ShortingNotAllowed, TradeSuspended
from domain.errors import InstrumentHalted, MarketClosed, OpeningAuctionOver, Rejection
from domain.key_errors import KeyExists, UnknownKey
from domain.request_errors import ClientOrderIdSpent

PROBLEM_JSON = "application/problem+json"
POSITION = "X-Nexus-Position"
DUPLICATE = "X-Nexus-Duplicate"


class Refused(Exception):
    """The writer's refusal of a command, on its way out: no view of it is decided here."""

    def __init__(self, reply: Reply, path_fields: tuple[str, ...] = ()) -> None:
        assert reply.refusal is not None
        super().__init__(reply.refusal.message)
        self.refusal = reply.refusal
        self.position = reply.position
        self.duplicate = reply.duplicate
        self.path_fields = path_fields

    def told_as(self, rejection: Rejection) -> Refused:
        """The same refusal in the words of the path, still where and as often as it was decided."""
        told = refusal_of(rejection)
        return Refused(Reply(self.position, told, duplicate=self.duplicate), self.path_fields)


class MalformedRequest(Rejection):
    """What came is no HTTP, or a part of its head cannot be read."""

    code = "MALFORMED_REQUEST"

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}", field=field)


class MalformedBody(Rejection):
    """The body, or a message, is not JSON."""

    code = "MALFORMED_BODY"
    field = "body"

    def __init__(self, why: str) -> None:
        super().__init__(f"body {why}")


class BodyTooLarge(Rejection):
    """The body is larger than any request needs."""

    code = "BODY_TOO_LARGE"
    field = "body"

    def __init__(self, limit: int) -> None:
        super().__init__(f"body exceeds {limit} bytes", limit=limit)


class HeadTooLarge(Rejection):
    """The path with its query, or the headers, are more than any request needs."""

    code = "HEAD_TOO_LARGE"

    def __init__(self, field: str, limit: int, of_what: str) -> None:
        super().__init__(f"{field} has more than {limit} {of_what}", field=field, limit=limit)


class RequestTimeout(Rejection):
    """The request was begun, and has not come whole in time."""

    code = "REQUEST_TIMEOUT"

    def __init__(self, field: str, limit_ms: int) -> None:
        super().__init__(
            f"{field} has not come whole within {limit_ms} ms", field=field, limit_ms=limit_ms
        )


class TooManyConnections(Rejection):
    """There is no room for this connection."""

    code = "TOO_MANY_CONNECTIONS"

    def __init__(self, why: str) -> None:
        super().__init__(f"there is no room for another connection: {why}")


class NotAuthorized(Rejection):
    """No key, an unknown key, a revoked key or the wrong secret: which one is not said."""

    code = "NOT_AUTHORIZED"

    def __init__(self) -> None:
        super().__init__("APCA-API-KEY-ID and APCA-API-SECRET-KEY do not name a live key")


class TooManyRequests(Rejection):
    """One key asks for more than its share; nothing was taken."""

    code = "TOO_MANY_REQUESTS"

    def __init__(self, limit: int, what: str) -> None:
        super().__init__(f"more than {limit} {what}: try again shortly", limit=limit)


class RoleRequired(Rejection):
    """The key is good, for something else."""

    code = "ROLE_REQUIRED"

    def __init__(self, role: str) -> None:
        super().__init__(f"this needs a key of the role {role}", role=role)


class ScopeRequired(Rejection):
    """The key is good, and not for this."""

    code = "SCOPE_REQUIRED"

    def __init__(self, scope: str) -> None:
        super().__init__(f"this needs a key with the scope {scope}", scope=scope)


class NotFound(Rejection):
    """What the path names does not exist, or belongs to another."""

    code = "NOT_FOUND"

    def __init__(self, what: str, field: str = "") -> None:
        super().__init__(f"{what} not found", field=field)


class MethodNotAllowed(Rejection):
    """The path exists and does not know the method."""

    code = "METHOD_NOT_ALLOWED"

    def __init__(self, method: str, path: str, allowed: Sequence[str]) -> None:
        known = ", ".join(allowed)
        super().__init__(
            f"{method} is not known at {path}: {known}", method=method, allowed=list(allowed)
        )


class UpgradeRequired(Rejection):
    """The path is one of a WebSocket."""

    code = "UPGRADE_REQUIRED"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is a WebSocket")


class ProjectionBehind(Rejection):
    """The views have not reached the account's own last write yet."""

    code = "PROJECTION_BEHIND"

    def __init__(self, wanted: int, reached: int) -> None:
        super().__init__(
            f"the views stand at {reached} and your last write at {wanted}: try again shortly",
            wanted=wanted,
            reached=reached,
        )


class MarketDataUnavailable(Rejection):
    """No market data of the symbol is there that is young enough to be told."""

    code = "MARKET_DATA_UNAVAILABLE"

    def __init__(self, symbol: str, why: str) -> None:
        super().__init__(f"no market data of {symbol} that is young enough: {why}", symbol=symbol)


class MarksTooOld(Rejection):
    """The prices by which holdings are valued are older than the client takes."""

    code = "MARKS_TOO_OLD"
    field = "max_age_ms"

    def __init__(self, age_ms: int | None, max_age_ms: int) -> None:
        known = "of an unknown age" if age_ms is None else f"{age_ms} ms old"
        super().__init__(
            f"max_age_ms is {max_age_ms}, and the prices of the market are {known}",
            age_ms=age_ms,
            max_age_ms=max_age_ms,
        )


class InternalError(Rejection):
    """A fault of ours; the log of the gateway names it."""

    code = "INTERNAL_ERROR"

    def __init__(self) -> None:
        super().__init__("the request failed for a reason of the venue's own")


class Says(NamedTuple):
    """How one refusal is said outside."""

    status: int
    alpaca_code: int
    title: str
    ord_rej_reason: int
    """FIX tag 103 on the execution report of a refused order."""
    cxl_rej_reason: int
    """FIX tag 102 on the reject of a cancel or replace."""
    retry_after: int = 0
    """Seconds, for refusals that pass by themselves."""
    business_reason: int = 0
    """FIX tag 380 on the reject of a message that asks for something else, or came too soon."""


_INVALID = 40010001
_MALFORMED = 40010000
_FORBIDDEN = 40310000
_UNPROCESSABLE = 42210000
_NOT_FOUND = 40410000
_CONFLICT = 40910000
_TOO_MANY = 42910000
_UNAVAILABLE = 50310000

SAYS: dict[str, Says] = {
    "INVALID_AMOUNT": Says(422, _INVALID, "Invalid amount", 99, 99),
    "INVALID_FIELD": Says(422, _INVALID, "Invalid field", 99, 99),
    "UNKNOWN_ACCOUNT": Says(404, _NOT_FOUND, "Unknown account", 15, 99, business_reason=1),
    "ACCOUNT_EXISTS": Says(409, _CONFLICT, "Account exists", 0, 2),
    "ACCOUNT_NOT_ACTIVE": Says(403, _FORBIDDEN, "Account not active", 0, 2),
    "UNKNOWN_INSTRUMENT": Says(422, _UNPROCESSABLE, "Unknown instrument", 1, 99, business_reason=2),
    "INSTRUMENT_EXISTS": Says(409, _CONFLICT, "Instrument exists", 0, 2),
    "MARKET_CLOSED": Says(403, _FORBIDDEN, "Market closed", 2, 2),
    "INSTRUMENT_HALTED": Says(403, _FORBIDDEN, "Instrument halted", 2, 2),
    "OPENING_AUCTION_OVER": Says(403, _FORBIDDEN, "Opening auction over", 2, 2),
    "WRONG_SESSION_STATE": Says(409, _CONFLICT, "Wrong session state", 0, 2),
    "PRICE_PRECISION": Says(422, _INVALID, "Price has too many decimals", 99, 99),
    "TICK_VIOLATION": Says(422, _INVALID, "Price is off the tick", 99, 99),
    "LOT_VIOLATION": Says(422, _INVALID, "Quantity is off the lot", 13, 99),
    "NOTIONAL_TOO_SMALL": Says(422, _UNPROCESSABLE, "Notional below a lot", 13, 2),
    "ORDER_TOO_LARGE": Says(403, _FORBIDDEN, "Order too large", 3, 2),
    "PRICE_OUTSIDE_COLLAR": Says(422, _UNPROCESSABLE, "Price outside the collar", 99, 2),
    "NO_REFERENCE_PRICE": Says(422, _UNPROCESSABLE, "No reference price", 0, 2),
    "POSITION_LIMIT_EXCEEDED": Says(403, _FORBIDDEN, "Position limit exceeded", 3, 2),
    "INSUFFICIENT_BUYING_POWER": Says(403, _FORBIDDEN, "Insufficient buying power", 3, 2),
    "INSUFFICIENT_QTY": Says(403, _FORBIDDEN, "Insufficient quantity", 3, 2),
    "FREE_RIDING": Says(403, _FORBIDDEN, "Bought with unsettled proceeds", 3, 2),
    "LOCATE_REQUIRED": Says(422, _UNPROCESSABLE, "Locate required", 0, 2),
    ShortingNotAllowed.code: Says(403, _FORBIDDEN, "Short sale not allowed", 0, 2),
    FractionNotAllowed.code: Says(403, _FORBIDDEN, "Fraction not allowed", 13, 2),
    "LIQUIDATION_ONLY": Says(403, _FORBIDDEN, "May only reduce positions", 3, 2),
    "ORDER_RATE_EXCEEDED": Says(429, _TOO_MANY, "Too many orders", 3, 2, retry_after=1),
    "ACCOUNT_KILL_SWITCH": Says(403, _FORBIDDEN, "Account stopped", 0, 2),
    "VENUE_KILL_SWITCH": Says(403, _FORBIDDEN, "Venue stopped", 0, 2),
    TradeSuspended.code: Says(403, _FORBIDDEN, "Trading suspended", 0, 2),
    "LEG_QTY_MISMATCH": Says(422, _UNPROCESSABLE, "Legs of unequal quantity", 13, 2),
    "LEG_PRICE_ORDER": Says(422, _UNPROCESSABLE, "Legs on the wrong side", 99, 99),
    "LEG_FIXED": Says(422, _UNPROCESSABLE, "Term follows from the group", 99, 99),
    "INSUFFICIENT_CASH": Says(403, _FORBIDDEN, "Insufficient cash", 3, 2),
    "BALANCE_LIMIT": Says(403, _FORBIDDEN, "Balance limit", 3, 2),
    "POST_ONLY_WOULD_TRADE": Says(422, _UNPROCESSABLE, "Post-only order would trade", 0, 2),
    "STOP_ALREADY_THROUGH": Says(422, _UNPROCESSABLE, "Stop already through", 99, 2),
    "TRAIL_OUT_OF_RANGE": Says(422, _INVALID, "Trail out of range", 99, 99),
    "UNKNOWN_ORDER": Says(404, _NOT_FOUND, "Unknown order", 5, 1, business_reason=1),
    "ORDER_NOT_WORKING": Says(422, _UNPROCESSABLE, "Order not working", 4, 0),
    "FILL_EXCEEDS_LEAVES": Says(422, _UNPROCESSABLE, "Fill exceeds leaves", 13, 2),
    "REPLACE_QTY_TOO_SMALL": Says(422, _UNPROCESSABLE, "Quantity too small", 13, 2),
    "NOTHING_TO_REPLACE": Says(422, _UNPROCESSABLE, "Nothing to replace", 99, 99),
    "REQUEST_KEY_REUSED": Says(422, _INVALID, "Key used with another body", 6, 6),
    "CLIENT_ORDER_ID_SPENT": Says(422, _INVALID, "Id of a refused order", 6, 6),
    "UNKNOWN_POSITION": Says(404, _NOT_FOUND, "Unknown position", 99, 99, business_reason=1),
    "UNKNOWN_TRADE": Says(404, _NOT_FOUND, "Unknown trade", 99, 99, business_reason=1),
    "UNKNOWN_WATCHLIST": Says(404, _NOT_FOUND, "Unknown watchlist", 99, 99, business_reason=1),
    "WATCHLIST_NAME_TAKEN": Says(422, _INVALID, "Watchlist name taken", 99, 99),
    "WATCHLIST_LIMIT": Says(422, _UNPROCESSABLE, "Watchlist limit", 99, 99),
    "NOT_ON_WATCHLIST": Says(404, _NOT_FOUND, "Not on the watchlist", 99, 99),
    "QUEUE_FULL": Says(503, _UNAVAILABLE, "Venue busy", 0, 2, 1, business_reason=4),
    "VENUE_UNAVAILABLE": Says(
        503, _UNAVAILABLE, "Venue unavailable", 0, 2, retry_after=1, business_reason=4
    ),
    "COMMAND_QUARANTINED": Says(422, _UNPROCESSABLE, "Request set aside", 0, 2),
    "MALFORMED_REQUEST": Says(400, _MALFORMED, "Malformed request", 99, 99),
    "MALFORMED_BODY": Says(400, _MALFORMED, "Malformed body", 99, 99),
    "BODY_TOO_LARGE": Says(413, 41310000, "Body too large", 99, 99),
    "HEAD_TOO_LARGE": Says(431, 43110000, "Head too large", 99, 99),
    "REQUEST_TIMEOUT": Says(408, 40810000, "Request not whole in time", 99, 99),
    "TOO_MANY_CONNECTIONS": Says(
        503, _UNAVAILABLE, "Too many connections", 0, 2, retry_after=1, business_reason=4
    ),
    "NOT_AUTHORIZED": Says(401, 40110000, "Not authorized", 0, 2, business_reason=6),
    "TOO_MANY_REQUESTS": Says(429, _TOO_MANY, "Too many requests", 3, 2, retry_after=1),
    "ROLE_REQUIRED": Says(403, _FORBIDDEN, "Another role is needed", 0, 2, business_reason=6),
    "SCOPE_REQUIRED": Says(403, _FORBIDDEN, "Another scope is needed", 0, 2, business_reason=6),
    UnknownKey.code: Says(404, _NOT_FOUND, "Unknown key", 99, 99, business_reason=1),
    KeyExists.code: Says(409, _CONFLICT, "Key exists", 0, 2),
    "NOT_FOUND": Says(404, _NOT_FOUND, "Not found", 99, 1),
    "EARLY_EXERCISE": Says(422, _UNPROCESSABLE, "Exercised at expiry alone", 99, 99),
    "OPTION_EXPIRED": Says(422, _UNPROCESSABLE, "Option expired", 99, 99),
    "METHOD_NOT_ALLOWED": Says(405, 40510000, "Method not allowed", 99, 99),
    "UPGRADE_REQUIRED": Says(426, 42610000, "A WebSocket", 99, 99),
    "PROJECTION_BEHIND": Says(
        503, _UNAVAILABLE, "Views are behind", 0, 2, retry_after=1, business_reason=4
    ),
    "MARKET_DATA_UNAVAILABLE": Says(
        503, _UNAVAILABLE, "No fresh market data", 0, 2, retry_after=1, business_reason=4
    ),
    "MARKS_TOO_OLD": Says(
        503, _UNAVAILABLE, "Prices too old", 0, 2, retry_after=1, business_reason=4
    ),
    "LEG_COUNT": Says(422, _INVALID, "Number of legs", 99, 99),
    "LEG_REPEATED": Says(422, _INVALID, "Leg repeated", 99, 99),
    "LEG_RATIO": Says(422, _INVALID, "Ratio of a leg", 99, 99),
    "MIXED_EXERCISE_STYLES": Says(422, _INVALID, "Mixed exercise styles", 99, 99),
    "POSITION_INTENT_MISMATCH": Says(422, _INVALID, "Position intent", 99, 99),
    "INVALID_CONSTRAINT": Says(422, _INVALID, "Invalid constraint", 99, 99),
    "CONSTRAINTS_CROSSED": Says(422, _INVALID, "Constraints crossed", 99, 99),
    "LEG_OF_STRATEGY": Says(422, _UNPROCESSABLE, "Leg of a multi-leg order", 99, 99),
    "STRATEGY_QTY": Says(422, _INVALID, "Quantity of a multi-leg order", 99, 99),
    "INTERNAL_ERROR": Says(500, 50010000, "Internal error", 0, 2),
}


NOTHING_TRADES = (MarketClosed.code, InstrumentHalted.code, OpeningAuctionOver.code)
"""Refusals that pass when the instrument trades again, or has closed."""


def refusal_of(rejection: Rejection) -> Refusal:
    """The refusal a rejection stands for, named field included."""
    details = rejection.details
    if rejection.field and "field" not in details:
        details = {**details, "field": rejection.field}
    return Refusal(rejection.code, rejection.message, details)


_OF_HOLDING = ("symbol", "existing_qty", "held_for_orders", "available")
"""What is told of a holding that does not suffice, under Alpaca's names."""

_CLIENTS_WORD = {
    "expires_at": "expire_at",
    "self_trade": "self_trade_prevention",
    "percent": "percentage",
    "take_profit_price": "take_profit.limit_price",
    "stop_loss_price": "stop_loss.stop_price",
    "stop_loss_limit_price": "stop_loss.limit_price",
    "stop_loss_qty": "stop_loss.qty",
}
"""What clients call a field that commands call otherwise."""


def field_of(refusal: Refusal) -> str | None:
    """The input field that was judged, when a single one was, as the client calls it."""
    named = refusal.details.get("field")
    if not named:
        known = Rejection.by_code.get(refusal.code)
        named = known.field if known is not None else ""
    return _CLIENTS_WORD.get(str(named), str(named)) or None


def in_words_of(refusal: Refusal, named: Mapping[str, str]) -> Refusal:
    """The refusal as the client spelled its input in this request, where a door had another word
    for it: a header for a key, one member for another that stands for it.
    """
    field = field_of(refusal)
    word = named.get(field or "")
    if word is None:
        return refusal
    first, blank, rest = message_of(refusal).partition(" ")
    message = (word if first == field else first) + blank + rest
    return Refusal(refusal.code, message, {**refusal.details, "field": word})


def message_of(refusal: Refusal) -> str:
    """The sentence, beginning with the client's word for the field and its place."""
    first, blank, rest = refusal.message.partition(" ")
    named = field_of(refusal) or ""
    word = named if named.endswith(f".{first}") else _CLIENTS_WORD.get(first, first)
    return word + blank + rest


def status_of(refusal: Refusal, path_fields: tuple[str, ...] = ()) -> int:
    """The HTTP status; what is unknown and was named by the path is simply not there."""
    if refusal.code.startswith("UNKNOWN_") and field_of(refusal) in path_fields:
        return 404
    return SAYS[refusal.code].status


def problem_document(refusal: Refusal, status: int | None = None) -> dict[str, Any]:
    """The members of an RFC 9457 problem, with Alpaca's `code` and `message` beside them.

    Of a client order id that is spent also the refusal that has spent it.
    """
    says = SAYS[refusal.code]
    message = message_of(refusal)
    document = {
        "type": f"urn:nexustrade:problem:{refusal.code}",
        "title": says.title,
        "status": status or says.status,
        "detail": message,
        "code": says.alpaca_code,
        "message": message,
        "reason": refusal.code,
        "field": field_of(refusal),
        "leg": refusal.details.get("leg"),
        "details": details_of(refusal),
    }
    if refusal.code == ClientOrderIdSpent.code:
        document["first_refusal"] = _first_refusal(refusal)
    if "held_for_orders" in refusal.details:
        document |= {name: refusal.details[name] for name in _OF_HOLDING}
    if refusal.code in NOTHING_TRADES or "until" in refusal.details:
        document["until"] = details_of(refusal)["until"]
    return document


_SAID_APART = ("field", "leg", "first")


def details_of(refusal: Refusal) -> dict[str, Any]:
    """What was judged: what was asked, the limit, what is free, until when."""
    told = {name: told for name, told in refusal.details.items() if name not in _SAID_APART}
    if refusal.code in NOTHING_TRADES:
        told.setdefault("until", None)
    return told


def _first_refusal(refusal: Refusal) -> dict[str, Any]:
    """What was answered first under an id that is spent, and what was judged then."""
    told = refusal.details["first"]
    first = Refusal(told["code"], told["message"], told["details"])
    document = problem_document(first)
    members = ("code", "message", "reason", "field", "leg", "details")
    return {name: document[name] for name in members}


def problem_headers(refusal: Refusal) -> dict[str, str]:
    """The headers that go with a refusal."""
    says = SAYS[refusal.code]
    headers = {}
    if says.retry_after:
        headers["Retry-After"] = str(says.retry_after)
    if says.status == 401:
        headers["WWW-Authenticate"] = 'APCA realm="nexustrade"'
    return headers


def problem(
    refusal: Refusal,
    *,
    path_fields: tuple[str, ...] = (),
    position: int = 0,
    duplicate: bool = False,
) -> Response[Any]:
    """The problem response of a refusal."""
    status = status_of(refusal, path_fields)
    headers = problem_headers(refusal)
    if position:
        headers[POSITION] = str(position)
    if duplicate:
        headers[DUPLICATE] = "true"
    return Response(
        msgspec.json.encode(problem_document(refusal, status)),
        status_code=status,
        media_type=PROBLEM_JSON,
        headers=headers,
    )
