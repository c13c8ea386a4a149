"""/v2/corporate_actions/announcements: none is made here, and that is what is answered."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, get_args

from litestar import Response, get
from litestar.params import FromPath, FromQuery

from api.decimals import ExactRequest
from api.http.parameters import day_in
from api.http.responses import json_response, problems
from api.refusals import NotFound
from api.schemas import plain_text
from api.trading import order_id_in
from domain.errors import InvalidField

TAGS = ["Corporate actions"]
LONGEST_RANGE = timedelta(days=90)
ActionType = Literal["dividend", "merger", "spinoff", "split"]
DateType = Literal["declaration_date", "ex_date", "record_date", "payable_date"]


@get(
    "/corporate_actions/announcements",
    tags=TAGS,
    summary="List announcements of corporate actions",
    responses=problems(403, 422),
)
async def list_announcements(
    request: ExactRequest,
    ca_types: FromQuery[str],
    since: FromQuery[str],
    until: FromQuery[str],
    symbol: FromQuery[str | None] = None,
    cusip: FromQuery[str | None] = None,
    date_type: FromQuery[DateType | None] = None,
) -> Response[list[None]]:
    """List announcements of corporate actions.

    There are none. `since` and `until` are at most 90 days apart.
    """
    for kind in (plain_text(ca_types, "ca_types") or "").split(","):
        if kind not in get_args(ActionType):
            raise InvalidField("ca_types", f"must be of {', '.join(get_args(ActionType))}")
    begins, ends = day_in(since, "since"), day_in(until, "until")
    if ends < begins:
        raise InvalidField("until", "is before since")
    if ends - begins > LONGEST_RANGE:
        raise InvalidField("until", f"is more than {LONGEST_RANGE.days} days after since")
    plain_text(symbol, "symbol")
    plain_text(cusip, "cusip")
    return json_response([])


@get(
    "/corporate_actions/announcements/{announcement_id:str}",
    tags=TAGS,
    summary="Get an announcement of a corporate action",
    responses=problems(403, 404, 422),
)
async def get_announcement(request: ExactRequest, announcement_id: FromPath[str]) -> Response[None]:
    """Get an announcement of a corporate action.

    There is none.
    """
    order_id_in(announcement_id, "announcement_id")
    raise NotFound("announcement", "announcement_id")


HANDLERS = [list_announcements, get_announcement]
