"""/v2/calendar: the days on which there are sessions."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import Response, get
from litestar.params import FromQuery, QueryParameter

from api.calendar import (
    CalendarDay,
    DateType,
    Wanted,
    calendar_of,
    cycle_of,
    days_shown,
)
from api.decimals import ExactRequest
from api.http.guards import gateway_of
from api.http.parameters import MinPosition, date_in
from api.http.responses import json_response, problems
from application.ports import UnknownCalendar
from domain.errors import InvalidField
from projections import instruments


@get("/calendar", tags=["Assets"], summary="List the calendar's days", responses=problems(422))
async def get_calendar(
    request: ExactRequest,
    position: MinPosition,
    start: FromQuery[str | None] = None,
    end: FromQuery[str | None] = None,
    date_type: FromQuery[DateType] = "TRADING",
    calendar: Annotated[str | None, QueryParameter(max_length=16)] = None,
) -> Response[list[CalendarDay]]:
    """List the calendar's days.

    From `start` to `end`, both included; left out, all from 1970 to the third year ahead. With
    `date_type` SETTLEMENT these bound the settlement dates. `calendar` names one that an
    instrument has; left out it is the exchange's, New York's before others.
    """
    gateway = gateway_of(request)
    wanted = Wanted(date_in(start, "start") or 0, date_in(end, "end") or 0, date_type)
    if wanted.end and wanted.start > wanted.end:
        raise InvalidField("start", "is after end")
    await gateway.catch_up(None, position, "instruments")
    async with gateway.pool.connection() as conn:
        rows = await instruments.list_instruments(conn)
    shown = calendar_of(rows, calendar)
    try:
        found = await gateway.sessions.days(shown, gateway.clock.now())
    except UnknownCalendar as unknown:
        raise InvalidField("calendar", f"cannot be read: {unknown}") from None
    cycle = cycle_of(rows, shown)
    # All days of sixty years take some hundredths of a second.
    return await asyncio.to_thread(lambda: json_response(days_shown(found, wanted, cycle)))


HANDLERS = [get_calendar]
