"""/v2/settlements: what the account's trades come to on their value dates, and what moved."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from api.decimals import ExactRequest
from api.documents import Settlement
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition, date_in
from api.http.responses import list_response, problems
from api.rendering import cents, date_text, quantity
from api.schemas import plain_text
from api.trading import trader
from domain.errors import InvalidField
from domain.identifiers import iso
from projections.settlements import (
    Direction,
    Due,
    SettlementRow,
    Wanted,
    is_settlement,
    list_settlements,
)

_ID = re.compile(r"([0-9]{8})::([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@get("/settlements", tags=["Account"], summary="List settlements", responses=problems(422))
async def get_settlements(
    request: ExactRequest,
    position: MinPosition,
    status: FromQuery[Literal["pending", "failed", "settled"] | None] = None,
    value_date: Annotated[str | None, QueryParameter(max_length=10)] = None,
    symbol: Annotated[str | None, QueryParameter(max_length=24)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
    direction: FromQuery[Direction] = "desc",
    page_token: Annotated[
        str | None,
        QueryParameter(
            required=False,
            description="The `id` of the last row of the page before: this one begins behind it.",
        ),
    ] = None,
) -> Response[list[Settlement]]:
    """List settlements.

    What the account bought and sold of each instrument, by value date, the latest first. A page
    that begins behind a `page_token` neither skips nor repeats a row that was there before.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    day, named = date_in(value_date, "value_date"), plain_text(symbol, "symbol", 24)
    wanted = Wanted(status, day, named)
    behind = None if page_token is None else _due_in(page_token)
    await gateway.catch_up(account_id, position, "settlements", "instruments")
    async with gateway.pool.connection() as conn:
        if behind is not None and not await is_settlement(conn, account_id, behind):
            raise InvalidField("page_token", "is not the id of a settlement of this account")
        rows = await list_settlements(
            conn, account_id, wanted, behind=behind, direction=direction, limit=limit
        )
    return await list_response(rows, settlement_document)


def _due_in(token: str) -> Due:
    """The row that a page ended at; raises InvalidField."""
    found = _ID.fullmatch(token)
    if found is None:
        raise InvalidField("page_token", "is not the id of a settlement")
    return Due(int(found[1]), UUID(found[2]))


def settlement_document(row: SettlementRow) -> dict[str, Any]:
    """One row as its account sees it."""
    return {
        "id": f"{row.value_date:08}::{row.instrument_id}",
        "account_id": str(row.account_id),
        "asset_id": str(row.instrument_id),
        "symbol": row.symbol,
        "value_date": date_text(row.value_date),
        "status": row.status,
        "reason": row.reason,
        "bought_qty": quantity(row.bought_qty),
        "bought_amount": cents(row.bought_amount),
        "sold_qty": quantity(row.sold_qty),
        "sold_amount": cents(row.sold_amount),
        "net_qty": quantity(row.net_qty),
        "net_amount": cents(row.net_amount),
        "settled_qty": quantity(row.settled_qty),
        "settled_amount": cents(row.settled_amount),
        "attempts": row.attempts,
        "run_date": date_text(row.run_date or 0),
        "updated_at": iso(row.updated_at),
    }


HANDLERS = [get_settlements]
