"""/v2/stocks: order book, latest quote and latest trade, each out of one cached snapshot."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get
from litestar.params import FromPath, QueryParameter

from api.decimals import ExactRequest
from api.http.guards import gateway_of
from api.http.responses import (
    DATA_AGE,
    DATA_TIER,
    SNAPSHOT_HEADERS,
    WARNING,
    milliseconds,
    problems,
)
from api.market_documents import LatestQuote, LatestTrade, OrderBook
from api.market_snapshots import MOST_LEVELS, Shown
from api.schemas import plain_text
from application.market_data.cache import Answer

TAGS = ["Market data"]
USUAL_DEPTH = 50


@get(
    "/stocks/{symbol:str}/orderbook",
    tags=TAGS,
    summary="Get the order book",
    responses=problems(404),
    response_headers=SNAPSHOT_HEADERS,
)
async def get_order_book(
    request: ExactRequest,
    symbol: FromPath[str],
    depth: Annotated[int, QueryParameter(ge=1, le=MOST_LEVELS)] = USUAL_DEPTH,
) -> Response[OrderBook]:
    """Get the order book.

    The best `depth` levels of each side, after one command: nobody sees half a match. The headers
    say how old it is. What is older than its tier allows comes with a warning while the market
    data's source fails, and beyond a second bound is refused with 503.
    """
    answer = await _snapshot(request, symbol)
    return _told(answer, answer.value.book(depth))


@get(
    "/stocks/{symbol:str}/quotes/latest",
    tags=TAGS,
    summary="Get the latest quote",
    responses=problems(404),
    response_headers=SNAPSHOT_HEADERS,
)
async def get_latest_quote(request: ExactRequest, symbol: FromPath[str]) -> Response[LatestQuote]:
    """Get the latest quote.

    The best prices and what rests there, as old as the headers say.
    """
    answer = await _snapshot(request, symbol)
    return _told(answer, answer.value.quote())


@get(
    "/stocks/{symbol:str}/trades/latest",
    tags=TAGS,
    summary="Get the latest trade",
    responses=problems(404),
    response_headers=SNAPSHOT_HEADERS,
)
async def get_latest_trade(request: ExactRequest, symbol: FromPath[str]) -> Response[LatestTrade]:
    """Get the latest trade.

    As old as the headers say; 404 before there was one.
    """
    answer = await _snapshot(request, symbol)
    return _told(answer, answer.value.trade())


async def _snapshot(request: ExactRequest, symbol: str) -> Answer[Shown]:
    named = plain_text(symbol, "symbol") or ""
    return await gateway_of(request).snapshots.get(named)


def _told(answer: Answer[Shown], body: bytes) -> Response[Any]:
    headers = {DATA_AGE: milliseconds(answer.age), DATA_TIER: str(answer.tier)}
    if answer.warning is not None:
        headers[WARNING] = f'110 nexustrade "{answer.warning}"'
    return Response(body, media_type="application/json", headers=headers)


HANDLERS = [get_order_book, get_latest_quote, get_latest_trade]
