"""/v2/account/risk: what the account's holdings may lose, by two methods at two confidences."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from litestar import Response, get
from litestar.params import QueryParameter

from api.decimals import ExactRequest
from api.documents import AccountRisk
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MaxAge, MinPosition, WhenOld
from api.http.responses import VALUED_HEADERS, problems, valued_response
from api.marks import Choice
from api.rendering import cents, quantity
from api.trading import trader
from domain.money import USD_SCALE, rounded_text, to_decimal
from domain.value_at_risk import (
    CONFIDENCES,
    LEAST_OBSERVATIONS,
    historical,
    parametric,
    profits,
    returns_of,
)
from projections.daily_closes import DailyClose, list_daily_closes
from projections.positions import PositionRow, list_positions

VIEWS = ("positions", "instruments", "trades", "daily_closes")
LOOK_BACK = 500
"""So many daily returns are looked at, the newest."""
LONGEST = 250
_UNPRICED = "no price yet"
_TOO_FEW = f"fewer than {LEAST_OBSERVATIONS} daily returns"
_FLAT = "nothing is held"

Closes = dict[int, Decimal]
"""Closing prices by session date, oldest first."""


@get(
    "/account/risk",
    tags=["Account"],
    summary="Get the value at risk",
    responses=problems(404, 422),
    response_headers=VALUED_HEADERS,
)
async def get_risk(
    request: ExactRequest,
    position: MinPosition,
    days: Annotated[int, QueryParameter(ge=1, le=LONGEST)] = 1,
    max_age_ms: MaxAge = None,
    when_old: WhenOld = None,
) -> Response[AccountRisk]:
    """Get the value at risk.

    Of each position and of all together, at 95 and 99 %, over `days`; by the past and by
    covariances of up to 500 daily returns. A position without enough of them says so and is
    named under `unmeasured`: the portfolio's figures leave it out. Positions are valued at prices
    of at most `max_age_ms`, as `/v2/account` values them.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    wanted = await gateway.catch_up(account_id, position, *VIEWS)
    seen = await gateway.marks.look(VIEWS)
    async with gateway.pool.connection() as conn:
        held = await list_positions(conn, account_id)
        found = await list_daily_closes(
            conn, [row.instrument_id for row in held], sessions=LOOK_BACK + 1
        )
    valued = await gateway.marks.value(held, wanted, seen, Choice(max_age_ms, when_old))
    # Tens of milliseconds for many holdings: other requests go on meanwhile.
    document = await asyncio.to_thread(risk_document, valued.held, by_instrument(found), days)
    return valued_response(document, valued.source, valued.age)


def by_instrument(found: Sequence[DailyClose]) -> dict[UUID, Closes]:
    """Closes by instrument and session; returns need no scale, so prices stay as they are."""
    closes: dict[UUID, Closes] = {}
    for row in found:
        closes.setdefault(row.instrument_id, {})[row.session_date] = Decimal(row.price)
    return closes


def risk_document(
    held: Sequence[PositionRow], closes: dict[UUID, Closes], days: int
) -> dict[str, Any]:
    """The risk of some holdings, each alone and all together."""
    measured: list[PositionRow] = []
    unmeasured: list[str] = []
    documents: list[dict[str, Any]] = []
    for row in held:
        figures = _figures([row], closes, days, "" if row.price else _UNPRICED)
        if figures["reason"]:
            unmeasured.append(row.symbol)
        else:
            measured.append(row)
        documents.append(
            {
                "symbol": row.symbol,
                "asset_id": str(row.instrument_id),
                "qty": quantity(row.qty),
                **figures,
            }
        )
    why_not = "" if measured else _TOO_FEW if held else _FLAT
    return {
        "days": days,
        "positions": documents,
        "portfolio": {
            **_figures(measured, closes, days, why_not),
            "unmeasured": unmeasured,
        },
    }


def _figures(
    held: Sequence[PositionRow], closes: dict[UUID, Closes], days: int, why_not: str
) -> dict[str, Any]:
    """The value and the value at risk of holdings, over the sessions that all of them have."""
    value = sum(row.market_value for row in held)
    shown: dict[str, Any] = {
        "market_value": None if why_not == _UNPRICED else cents(value),
        "observations": 0,
        "historical": None,
        "parametric": None,
        "reason": why_not or None,
    }
    if why_not:
        return shown
    series = [closes.get(row.instrument_id, {}) for row in held]
    sessions = sorted(set(series[0]).intersection(*series[1:]))
    returns = [returns_of([one[session] for session in sessions]) for one in series]
    observations = len(returns[0])
    if observations < LEAST_OBSERVATIONS:
        return {**shown, "observations": observations, "reason": _TOO_FEW}
    values = [to_decimal(row.market_value, USD_SCALE) for row in held]
    gains = profits(values, returns)
    return {
        **shown,
        "observations": observations,
        "historical": {_name(c): _usd(historical(gains, c, days)) for c in CONFIDENCES},
        "parametric": {_name(c): _usd(parametric(gains, c, days)) for c in CONFIDENCES},
    }


def _name(confidence: int) -> str:
    return f"var_{confidence}"


def _usd(amount: Decimal) -> str:
    return rounded_text(amount, USD_SCALE)


HANDLERS = [get_risk]
