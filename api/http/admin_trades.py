"""/admin/trades: the tape, and what undoes or corrects a trade."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.admin_schemas import CorrectionRequest, ReasonRequest
from api.decimals import ExactRequest
from api.documents import Outcome, TradeDocument
from api.http.admin_market import command_outcome
from api.http.guards import gateway_of
from api.http.parameters import MinPosition
from api.http.responses import COMMAND_HEADERS, list_response, problems
from api.refusals import NotFound
from api.rendering import trade_document
from api.schemas import plain_text
from api.trading import order_id_in
from application.commands import BustTrade, CorrectTrade
from projections import trades
from projections.trades import TradeRow

_REFUSALS = problems(400, 403, 404, 413, 422)

TAGS = ["Admin: trades"]


@get("/trades", tags=TAGS, summary="List trades", responses=problems(403, 422))
async def list_trades(
    request: ExactRequest,
    position: MinPosition,
    symbol: Annotated[str | None, QueryParameter(max_length=24)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
    page_token: Annotated[
        str | None,
        QueryParameter(
            required=False, description="The `trade_id` of the last trade of the page before."
        ),
    ] = None,
) -> Response[list[TradeDocument]]:
    """List trades.

    The newest first.
    """
    gateway = gateway_of(request)
    wanted = plain_text(symbol, "symbol", 24)
    before = None if page_token is None else order_id_in(page_token, "page_token")
    await gateway.catch_up(None, position, "trades", "instruments")
    async with gateway.pool.connection() as conn:
        rows = await trades.list_trades(conn, symbol_or_id=wanted, before_id=before, limit=limit)
    return await list_response(rows, trade_document)


@post(
    "/trades/{trade_id:str}/bust",
    status_code=200,
    tags=TAGS,
    summary="Bust a trade",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def bust_trade(
    request: ExactRequest, trade_id: FromPath[str], data: JSONBody[ReasonRequest]
) -> Response[Outcome]:
    """Bust a trade."""
    row = await _trade(request, trade_id)
    return await command_outcome(request, BustTrade(row.trade_id, row.position, data.reason))


@post(
    "/trades/{trade_id:str}/correct",
    status_code=200,
    tags=TAGS,
    summary="Correct a trade's price",
    responses=_REFUSALS,
    response_headers=COMMAND_HEADERS,
)
async def correct_trade(
    request: ExactRequest, trade_id: FromPath[str], data: JSONBody[CorrectionRequest]
) -> Response[Outcome]:
    """Correct a trade's price."""
    row = await _trade(request, trade_id)
    return await command_outcome(
        request, CorrectTrade(row.trade_id, row.position, data.price, data.reason)
    )


async def _trade(request: ExactRequest, text: str) -> TradeRow:
    gateway, wanted = gateway_of(request), order_id_in(text, "trade_id")
    await gateway.catch_up_to_end("trades", "instruments")
    async with gateway.pool.connection() as conn:
        row = await trades.get_trade(conn, wanted)
    if row is None:
        raise NotFound("trade", "trade_id")
    return row


HANDLERS = [list_trades, bust_trade, correct_trade]
