"""/v2/settlements: what the account's trades come to on their value dates, and what moved."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from api.decimals import ExactRequest
from api.documents import Settlement
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition, date_in
from api.http.responses import json_response, problems
from api.rendering import cents, date_text, quantity
from api.schemas import plain_text
from api.trading import trader
from domain.identifiers import iso
from projections.settlements import SettlementRow, list_settlements


@get("/settlements", tags=["Account"], summary="List settlements", responses=problems(422))
async def get_settlements(
    request: ExactRequest,
    position: MinPosition,
    status: FromQuery[Literal["pending", "failed", "settled"] | None] = None,
    value_date: Annotated[str | None, QueryParameter(max_length=10)] = None,
    symbol: Annotated[str | None, QueryParameter(max_length=24)] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 100,
) -> Response[list[Settlement]]:
    """List settlements.

    What the account bought and sold of each instrument, by value date, the latest first.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    day, wanted = date_in(value_date, "value_date"), plain_text(symbol, "symbol", 24)
    await gateway.catch_up(account_id, position, "settlements", "instruments")
    async with gateway.pool.connection() as conn:
        rows = await list_settlements(
            conn, account_id, status=status, value_date=day, symbol=wanted, limit=limit
        )
    return json_response([settlement_document(row) for row in rows])


def settlement_document(row: SettlementRow) -> dict[str, Any]:
    """One row as its account sees it."""
    return {
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
