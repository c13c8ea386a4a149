"""/v2/assets and /v2/clock: what trades here, and when."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.decimals import ExactRequest
from api.documents import Asset, Clock
from api.http.account import symbol_or_id
from api.http.guards import gateway_of
from api.http.parameters import MinPosition
from api.http.responses import json_response, list_response, problems
from api.refusals import NotFound
from api.rendering import asset_document
from application.turns import Turn
from domain.identifiers import iso
from projections import instruments

TAGS = ["Assets"]


@get("/assets", tags=TAGS, summary="List assets", responses=problems(422))
async def list_assets(
    request: ExactRequest,
    position: MinPosition,
    status: FromQuery[Literal["active", "inactive"] | None] = None,
    asset_class: Annotated[str | None, QueryParameter(max_length=32)] = None,
    exchange: Annotated[str | None, QueryParameter(max_length=32)] = None,
    attributes: Annotated[str | None, QueryParameter(max_length=256)] = None,
) -> Response[list[Asset]]:
    """List assets."""
    gateway = gateway_of(request)
    await gateway.catch_up(None, position, "instruments")
    async with gateway.pool.connection() as conn:
        rows = await instruments.list_instruments(conn)
    turn, shown = Turn(), list[dict[str, Any]]()
    for row in rows:
        document = asset_document(row)
        if (
            (status is None or document["status"] == status)
            and (asset_class is None or document["class"] == asset_class)
            and (exchange is None or document["exchange"] == exchange)
            and (not attributes or _has_any(document, attributes))
        ):
            shown.append(document)
        await turn.is_over()
    return await list_response(shown, lambda document: document)


def _has_any(document: dict[str, Any], attributes: str) -> bool:
    """Whether an asset has one of some attributes, which commas part."""
    return not set(attributes.split(",")).isdisjoint(document["attributes"])


@get(
    "/assets/{symbol_or_asset_id:str}",
    tags=TAGS,
    summary="Get an asset",
    responses=problems(404, 422),
)
async def get_asset(
    request: ExactRequest, symbol_or_asset_id: FromPath[str], position: MinPosition
) -> Response[Asset]:
    """Get an asset."""
    gateway = gateway_of(request)
    which = symbol_or_id(symbol_or_asset_id, "symbol_or_asset_id")
    await gateway.catch_up(None, position, "instruments")
    async with gateway.pool.connection() as conn:
        row = await instruments.get_instrument(conn, which)
    if row is None:
        raise NotFound("asset", "symbol_or_asset_id")
    return json_response(asset_document(row))


@get(
    "/clock",
    tags=TAGS,
    summary="Get the clock",
    responses=problems(),
)
async def get_clock(request: ExactRequest, position: MinPosition) -> Response[Clock]:
    """Get the clock.

    Open while any instrument is in a session. The next opening is that of the instruments'
    calendars; where only operators open and close, it is shown as the present time.
    """
    gateway = gateway_of(request)
    await gateway.catch_up(None, position, "instruments")
    now = gateway.clock.now()
    async with gateway.pool.connection() as conn:
        market = await instruments.market_clock(conn)
        rows = await instruments.list_instruments(conn)
    coming = await gateway.sessions.next_session([row.calendar for row in rows], now)
    closes = market.closes_at if market.is_open else coming.closes_at if coming else now
    return json_response(
        {
            "timestamp": iso(now),
            "is_open": market.is_open,
            "next_open": iso(coming.opens_at if coming else now),
            "next_close": iso(max(closes, now)),
        }
    )


HANDLERS = [list_assets, get_asset, get_clock]
