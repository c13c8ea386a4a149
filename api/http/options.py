"""/v2/options: no option trades here, and that is what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from api.decimals import ExactRequest, price_units
from api.documents import OptionContracts
from api.http.parameters import day_in
from api.http.responses import json_response, problems
from api.refusals import NotFound, OptionsNotTraded
from api.schemas import plain_text
from domain.errors import InvalidField

TAGS = ["Options"]
LONGEST_LIST = 4096


@get(
    "/options/contracts",
    tags=TAGS,
    summary="List option contracts",
    responses=problems(403, 422),
)
async def list_option_contracts(
    request: ExactRequest,
    underlying_symbols: FromQuery[str | None] = None,
    status: FromQuery[Literal["active", "inactive"] | None] = None,
    expiration_date: FromQuery[str | None] = None,
    expiration_date_gte: FromQuery[str | None] = None,
    expiration_date_lte: FromQuery[str | None] = None,
    root_symbol: FromQuery[str | None] = None,
    type: FromQuery[Literal["call", "put"] | None] = None,
    style: FromQuery[Literal["american", "european"] | None] = None,
    strike_price_gte: FromQuery[str | None] = None,
    strike_price_lte: FromQuery[str | None] = None,
    show_deliverables: FromQuery[bool | None] = None,
    ppind: FromQuery[bool | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
    page_token: FromQuery[str | None] = None,
) -> Response[OptionContracts]:
    """List option contracts.

    There are none, whatever is asked for; what asks for nothing that could be is refused.
    """
    plain_text(underlying_symbols, "underlying_symbols", LONGEST_LIST)
    plain_text(root_symbol, "root_symbol")
    for field, day in (
        ("expiration_date", expiration_date),
        ("expiration_date_gte", expiration_date_gte),
        ("expiration_date_lte", expiration_date_lte),
    ):
        day_in(day, field)
    for field, price in (
        ("strike_price_gte", strike_price_gte),
        ("strike_price_lte", strike_price_lte),
    ):
        if price is not None:
            price_units(price, field)
    if page_token is not None:
        raise InvalidField("page_token", "is of no page: there is only the first")
    return json_response({"option_contracts": [], "next_page_token": None})


@get(
    "/options/contracts/{symbol_or_id:str}",
    tags=TAGS,
    summary="Get an option contract",
    responses=problems(403, 404, 422),
)
async def get_option_contract(request: ExactRequest, symbol_or_id: FromPath[str]) -> Response[None]:
    """Get an option contract.

    There is none.
    """
    plain_text(symbol_or_id, "symbol_or_id")
    raise NotFound("option contract", "symbol_or_id")


@post(
    "/positions/{symbol_or_asset_id:str}/exercise",
    status_code=204,
    tags=TAGS,
    summary="Exercise an option",
    responses=problems(403, 422),
)
async def exercise_option(request: ExactRequest, symbol_or_asset_id: FromPath[str]) -> None:
    """Exercise an option.

    Refused: no account holds one.
    """
    plain_text(symbol_or_asset_id, "symbol_or_asset_id")
    raise OptionsNotTraded(symbol_or_asset_id)


HANDLERS = [list_option_contracts, get_option_contract, exercise_option]
