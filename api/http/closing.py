"""DELETE of /v2/positions: one position, a part of it, or all that the account holds."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, delete
from litestar.params import FromPath, FromQuery

from api.closing import ClosedPosition, close_all
from api.decimals import ExactRequest, quantity_units, units
from api.http.account import symbol_or_id
from api.http.guards import gateway_of, principal_of
from api.http.parameters import IdempotencyKey
from api.http.responses import COMMAND_HEADERS, json_response, problems
from api.orders import Order
from api.refusals import NotFound, Refused
from api.schemas import plain_text
from api.trading import CloseRequest, close
from domain.errors import InvalidField, UnknownInstrument, UnknownPosition
from domain.money import PERCENT_SCALE, WHOLE_PERCENT

DOOR = "http"
TAGS = ["Account"]
_NOT_HELD = (UnknownInstrument.code, UnknownPosition.code)
"""What a path that names no position of the account comes to."""


@delete(
    "/positions",
    status_code=207,
    tags=TAGS,
    summary="Close all positions",
    responses=problems(404, 422, 429),
    response_headers=COMMAND_HEADERS,
)
async def close_all_positions(
    request: ExactRequest, idempotency_key: IdempotencyKey, cancel_orders: FromQuery[bool] = False
) -> Response[list[ClosedPosition]]:
    """Close all positions.

    A result for each: the market order that sells what is held and free of working orders, or
    buys what is short, or the refusal. `cancel_orders` ends all that works first. The same key
    and request again close nothing more and give the orders as they are now; what was not done
    because a process died is done then.
    """
    key = plain_text(idempotency_key, "Idempotency-Key")
    done = await close_all(gateway_of(request), principal_of(request), cancel_orders, key, DOOR)
    return json_response(done.results, status=207, position=done.position, duplicate=done.duplicate)


@delete(
    "/positions/{symbol_or_asset_id:str}",
    status_code=200,
    tags=TAGS,
    summary="Close a position",
    responses=problems(403, 404, 422, 429),
    response_headers=COMMAND_HEADERS,
)
async def close_position(
    request: ExactRequest,
    symbol_or_asset_id: FromPath[str],
    idempotency_key: IdempotencyKey,
    qty: FromQuery[str | None] = None,
    percentage: FromQuery[str | None] = None,
) -> Response[Order]:
    """Close a position.

    Sells what is held and free of working orders, or buys what is short, by a market order
    whose `client_order_id` is the `Idempotency-Key`. `qty` closes a part, `percentage` a part of
    what is held, in whole lots and no more than is free. The same key and request again give the
    order as it is now.
    """
    part = _part(symbol_or_id(symbol_or_asset_id, "symbol_or_asset_id"), qty, percentage)
    key = plain_text(idempotency_key, "Idempotency-Key")
    try:
        done = await close(gateway_of(request), principal_of(request), part, key, DOOR)
    except Refused as refused:
        if refused.refusal.code in _NOT_HELD:
            raise refused.told_as(NotFound("position", "symbol_or_asset_id")) from None
        raise
    return json_response(done.document, position=done.position, duplicate=done.duplicate)


def _part(instrument: str | UUID, qty: str | None, percentage: str | None) -> CloseRequest:
    """What is to be closed; raises a Rejection before any key is spent on what cannot be."""
    if percentage is None:
        return CloseRequest(instrument, None if qty is None else quantity_units(qty, "qty"))
    if qty is not None:
        raise InvalidField("percentage", "may not stand beside qty")
    percent = units(percentage, PERCENT_SCALE, "percentage")
    if not 0 < percent <= WHOLE_PERCENT:
        raise InvalidField("percentage", "must be above 0 and at most 100")
    return CloseRequest(instrument, percent=percent)


HANDLERS = [close_all_positions, close_position]
