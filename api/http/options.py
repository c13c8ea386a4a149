"""/v2/options: the contracts that trade here; they are exercised at their expiry alone."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from api.decimals import ExactRequest, price_units
from api.http.account import symbol_or_id
from api.http.guards import gateway_of
from api.http.parameters import MinPosition, day_in
from api.http.responses import encoded_list, json_response, problems
from api.option_documents import OptionContract, OptionContracts, contract_document
from api.refusals import NotFound
from api.schemas import plain_text
from api.vocabulary import RIGHTS, STYLES, RightName, StyleName
from domain.errors import InvalidField
from domain.option_errors import EarlyExercise, OptionExpired
from domain.terms import Phase
from projections import option_contracts
from projections.option_contracts import ContractRow, Contracts

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
    position: MinPosition,
    underlying_symbols: FromQuery[str | None] = None,
    status: FromQuery[Literal["active", "inactive"] | None] = "active",
    expiration_date: FromQuery[str | None] = None,
    expiration_date_gte: FromQuery[str | None] = None,
    expiration_date_lte: FromQuery[str | None] = None,
    root_symbol: FromQuery[str | None] = None,
    type: FromQuery[RightName | None] = None,
    style: FromQuery[StyleName | None] = None,
    strike_price_gte: FromQuery[str | None] = None,
    strike_price_lte: FromQuery[str | None] = None,
    show_deliverables: FromQuery[bool | None] = None,
    ppind: FromQuery[bool | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = 100,
    page_token: FromQuery[str | None] = None,
) -> Response[OptionContracts]:
    """List option contracts.

    By symbol, those that still trade unless `status` says otherwise; both ends of a range are in
    it. `show_deliverables` and `ppind` change nothing: each is settled in its underlying.
    """
    wanted = _wanted(
        underlying_symbols, status, (expiration_date, expiration_date_gte, expiration_date_lte)
    )._replace(
        root=plain_text(root_symbol, "root_symbol"),
        right=None if type is None else RIGHTS[type],
        style=None if style is None else STYLES[style],
    )
    if strike_price_gte is not None:
        wanted = wanted._replace(least_strike=price_units(strike_price_gte, "strike_price_gte"))
    if strike_price_lte is not None:
        wanted = wanted._replace(most_strike=price_units(strike_price_lte, "strike_price_lte"))
    behind = plain_text(page_token, "page_token")
    gateway = gateway_of(request)
    await gateway.catch_up(None, position, "instruments")
    async with gateway.pool.connection() as conn:
        if behind is not None and await option_contracts.get_contract(conn, behind) is None:
            raise InvalidField("page_token", "is of no page: it is no contract's symbol")
        rows = await option_contracts.list_contracts(conn, wanted, behind=behind, limit=limit + 1)
    page = rows[:limit]
    following = page[-1].symbol if len(rows) > limit else None
    return json_response(
        {
            "option_contracts": msgspec.Raw(await encoded_list(page, contract_document)),
            "next_page_token": following,
        }
    )


def _wanted(
    underlyings: str | None, status: str | None, days: tuple[str | None, str | None, str | None]
) -> Contracts:
    """The contracts of some underlyings, of a status, that expire on a day or between two."""
    names = ("expiration_date", "expiration_date_gte", "expiration_date_lte")
    exact, first, last = (_day(day, name) for day, name in zip(days, names, strict=True))
    wanted = Contracts(active=None if status is None else status == "active")
    listed = plain_text(underlyings, "underlying_symbols", LONGEST_LIST)
    if listed is not None:
        wanted = wanted._replace(underlyings=[one for one in listed.split(",") if one])
    first, last = max(first or 0, exact or 0), min(last or wanted.last_day, exact or 10**8)
    return wanted._replace(first_day=first, last_day=last)


def _day(text: str | None, field: str) -> int | None:
    """A date as 20261218."""
    day = day_in(text, field)
    return None if day is None else day.year * 10_000 + day.month * 100 + day.day


async def _contract(
    request: ExactRequest, position: int | None, named: str, field: str
) -> ContractRow:
    """The contract that a path names. Raises NotFound."""
    which = symbol_or_id(named, field)
    gateway = gateway_of(request)
    await gateway.catch_up(None, position, "instruments")
    async with gateway.pool.connection() as conn:
        row = await option_contracts.get_contract(conn, which)
    if row is None:
        raise NotFound("option contract", field)
    return row


@get(
    "/options/contracts/{symbol_or_id:str}",
    tags=TAGS,
    summary="Get an option contract",
    responses=problems(403, 404, 422),
)
async def get_option_contract(
    request: ExactRequest, symbol_or_id: FromPath[str], position: MinPosition
) -> Response[OptionContract]:
    """Get an option contract."""
    row = await _contract(request, position, symbol_or_id, "symbol_or_id")
    return json_response(contract_document(row))


@post(
    "/positions/{symbol_or_asset_id:str}/exercise",
    status_code=204,
    tags=TAGS,
    summary="Exercise an option",
    responses=problems(403, 404, 422),
)
async def exercise_option(
    request: ExactRequest, symbol_or_asset_id: FromPath[str], position: MinPosition
) -> None:
    """Exercise an option.

    Refused: an option is exercised at its expiry, by itself, when it is a cent in the money.
    """
    row = await _contract(request, position, symbol_or_asset_id, "symbol_or_asset_id")
    if row.phase == Phase.EXPIRED:
        raise OptionExpired(row.symbol, row.expiry)
    raise EarlyExercise(row.symbol, row.expiry)


HANDLERS = [list_option_contracts, get_option_contract, exercise_option]
