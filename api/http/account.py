"""/v2/account and /v2/positions: what the account of the key has."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, QueryParameter
from msgspec.structs import replace

from api.decimals import ExactRequest
from api.documents import Account, Position
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MaxAge, MinPosition, WhenOld
from api.http.responses import (
    VALUED_HEADERS,
    json_response,
    list_response,
    problems,
    valued_response,
)
from api.marks import Choice
from api.refusals import NotFound
from api.rendering import account_document, is_stopped, position_document
from api.schemas import plain_text
from api.strategy_profits import StrategyPosition, strategy_position_document
from api.trading import trader
from api.valuation import valued_by_turns
from domain.errors import InvalidField
from projections import account_days, balances, order_reads, pair_margins, positions
from projections.connections import Connection
from projections.pieces import each
from projections.positions import PositionRow
from projections.strategy_positions import list_strategy_positions

VALUED = ("balances", "positions", "instruments")
BESIDE = ("account_days", "orders", "pair_margins")


def symbol_or_id(text: str, field: str) -> str | UUID:
    """What a path names an instrument by."""
    wanted = plain_text(text, field) or ""
    try:
        return UUID(wanted)
    except ValueError:
        return wanted


TAGS = ["Account"]
OF_STRATEGIES = ("strategies", "activities", "instruments")
Group = Annotated[
    Literal["strategy"] | None,
    QueryParameter(required=False, description="`strategy`: by multi-leg orders."),
]
OfStrategies = Annotated[
    Literal["open", "closed", "all"] | None,
    QueryParameter(required=False, description="Of multi-leg orders: which are shown."),
]


@get(
    "/account",
    tags=TAGS,
    summary="Get the account",
    responses=problems(404),
    response_headers=VALUED_HEADERS,
)
async def get_account(
    request: ExactRequest,
    position: MinPosition,
    max_age_ms: MaxAge = None,
    when_old: WhenOld = None,
) -> Response[Account]:
    """Get the account.

    Positions are valued as the writer values them, and margin is reckoned by its formulas. Prices
    are those of the market data feed, at most `max_age_ms` old: `when_old` says whether an answer
    waits for younger ones or is refused with 503. While the feed is away they are the views',
    unless the venue is set otherwise; the headers say which, and how old.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    wanted = await gateway.catch_up(account_id, position, *VALUED, *BESIDE)
    seen = await gateway.marks.look(VALUED)
    async with gateway.pool.connection() as conn:
        row = await balances.get_account(conn, account_id)
        held = await positions.list_positions(conn, account_id)
        pairs = await pair_margins.list_pairs(conn)
        if pairs or any(row.expiry for row in held):
            joined = await order_reads.joined_exits(conn, account_id)
            held = await each(held, partial(_with_exits, joined))
        venue = await balances.get_venue_switch(conn)
        last_day = await account_days.last_account_day(conn, account_id)
    if row is None:
        raise NotFound("account")
    valued = await gateway.marks.value(held, wanted, seen, Choice(max_age_ms, when_old))
    value = await valued_by_turns(row, valued.held, venue, pairs)
    document = account_document(row, value, venue, last_day)
    return valued_response(document, valued.source, valued.age)


@get("/positions", tags=TAGS, summary="List positions", responses=problems(422))
async def list_positions(
    request: ExactRequest,
    position: MinPosition,
    group: Group = None,
    status: OfStrategies = None,
) -> Response[list[Position | StrategyPosition]]:
    """List positions.

    With `group` strategy they are those of multi-leg orders, all their legs together: of open ones,
    or of those that `status` says.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    if group is not None:
        await gateway.catch_up(account_id, position, *OF_STRATEGIES)
        async with gateway.pool.connection() as conn:
            found = await list_strategy_positions(conn, account_id, status or "open")
        return await list_response(found, strategy_position_document)
    if status is not None:
        raise InvalidField("status", "is taken with group=strategy alone")
    await gateway.catch_up(account_id, position, *VALUED)
    async with gateway.pool.connection() as conn:
        rows = await positions.list_positions(conn, account_id)
        stopped = await _stopped(conn, account_id)
    return await list_response(rows, lambda row: position_document(row, stopped=stopped))


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


def _with_exits(joined: Mapping[UUID, int], row: PositionRow) -> PositionRow:
    """A position, with what of it is reserved for legs of multi-leg orders."""
    return replace(row, joined=joined.get(row.instrument_id, 0))


async def _stopped(conn: Connection, account_id: UUID) -> bool:
    """Whether the account's orders are all refused now."""
    row = await balances.get_account(conn, account_id)
    return row is not None and is_stopped(row, await balances.get_venue_switch(conn))


HANDLERS = [get_account, list_positions, get_position]
