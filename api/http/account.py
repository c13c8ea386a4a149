"""/v2/account and /v2/positions: what the account of the key has."""

from __future__ import annotations

from uuid import UUID

from litestar import Response, delete, get
from litestar.params import FromPath, FromQuery

from api.decimals import ExactRequest, quantity_units, units
from api.documents import Account, Position
from api.http.guards import gateway_of, principal_of
from api.http.parameters import IdempotencyKey, MinPosition
from api.http.responses import COMMAND_HEADERS, json_response, problems
from api.orders import Order
from api.refusals import NotFound, Refused
from api.rendering import account_document, is_stopped, position_document
from api.schemas import plain_text
from api.trading import CloseRequest, close, trader
from domain.errors import InvalidField, UnknownInstrument, UnknownPosition
from domain.money import PERCENT_SCALE, WHOLE_PERCENT
from projections import account_days, balances, positions
from projections.connections import Connection

DOOR = "http"
VALUED = ("balances", "positions", "instruments")
_NOT_HELD = (UnknownInstrument.code, UnknownPosition.code)
"""What a path that names no position of the account comes to."""


def symbol_or_id(text: str, field: str) -> str | UUID:
    """What a path names an instrument by."""
    wanted = plain_text(text, field) or ""
    try:
        return UUID(wanted)
    except ValueError:
        return wanted


TAGS = ["Account"]


@get("/account", tags=TAGS, summary="Get the account", responses=problems(404))
async def get_account(request: ExactRequest, position: MinPosition) -> Response[Account]:
    """Get the account.

    Positions are valued as the writer values them, and margin is reckoned by its formulas.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    await gateway.catch_up(account_id, position, *VALUED, "account_days")
    async with gateway.pool.connection() as conn:
        row = await balances.get_account(conn, account_id)
        held = await positions.list_positions(conn, account_id)
        venue = await balances.get_venue_switch(conn)
        last_day = await account_days.last_account_day(conn, account_id)
    if row is None:
        raise NotFound("account")
    return json_response(account_document(row, held, venue, last_day))


@get("/positions", tags=TAGS, summary="List positions", responses=problems())
async def list_positions(request: ExactRequest, position: MinPosition) -> Response[list[Position]]:
    """List positions."""
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    await gateway.catch_up(account_id, position, *VALUED)
    async with gateway.pool.connection() as conn:
        rows = await positions.list_positions(conn, account_id)
        stopped = await _stopped(conn, account_id)
    return json_response([position_document(row, stopped=stopped) for row in rows])


@get(
    "/positions/{symbol_or_asset_id:str}",
    tags=TAGS,
    summary="Get a position",
    responses=problems(404, 422),
)
async def get_position(
    request: ExactRequest, symbol_or_asset_id: FromPath[str], position: MinPosition
) -> Response[Position]:
    """Get a position."""
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    which = symbol_or_id(symbol_or_asset_id, "symbol_or_asset_id")
    await gateway.catch_up(account_id, position, *VALUED)
    async with gateway.pool.connection() as conn:
        row = await positions.get_position(conn, account_id, which)
        stopped = await _stopped(conn, account_id)
    if row is None or row.qty == 0:
        raise NotFound("position", "symbol_or_asset_id")
    return json_response(position_document(row, stopped=stopped))


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
    whose `client_order_id` is the `Idempotency-Key`. `qty` or `percentage`, which is cut to
    whole lots, close a part. The same key and request again give the order as it is now.
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


async def _stopped(conn: Connection, account_id: UUID) -> bool:
    """Whether the account's orders are all refused now."""
    row = await balances.get_account(conn, account_id)
    return row is not None and is_stopped(row, await balances.get_venue_switch(conn))


HANDLERS = [get_account, list_positions, get_position, close_position]
