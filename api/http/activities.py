"""/v2/account/activities: what the account traded, in pages that neither skip nor repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.activities import (
    ACTIVITY_TYPES,
    TOLD,
    Category,
    Cursor,
    Token,
    Told,
    activities_of,
    activity_document,
    token_in,
)
from api.decimals import ExactRequest
from api.documents import Activity
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition, instant_in, until_in
from api.http.responses import json_response, list_response, problems
from api.option_documents import OptionActivity
from api.schemas import plain_text
from api.trading import trader
from application.turns import Turn
from domain.errors import InvalidField
from domain.identifiers import Instant
from projections.activities import KINDS, Direction, list_activities, named_activities
from projections.connections import Connection

VIEWS = ("activities", "orders", "instruments")
TAGS = ["Account"]

LARGEST_PAGE = 100
LARGEST_DAY = 10_000
"""So many activities of one day are answered in one page, as Alpaca answers all of them."""
_DAY: Instant = 24 * 3600 * 1_000_000

After = Annotated[
    str | None, QueryParameter(required=False, description="Only what happened later than this.")
]
Until = Annotated[
    str | None, QueryParameter(required=False, description="Only what happened earlier than this.")
]
Date = Annotated[
    str | None,
    QueryParameter(
        required=False,
        description="Only what happened on this day (UTC); not beside `after` or `until`.",
    ),
]
PageSize = Annotated[
    int | None,
    QueryParameter(
        required=False,
        ge=1,
        le=LARGEST_DAY,
        description=f"At most {LARGEST_PAGE}, which it is when left out. With `date` it may be"
        f" {LARGEST_DAY}, and is all of the day when left out.",
    ),
]
PageToken = Annotated[
    str | None,
    QueryParameter(
        required=False,
        description="The `id` of the last activity of the page before: this one begins after it.",
    ),
]


class GoesOn(NamedTuple):
    """The bound that a page may have been ended at, and its instant."""

    field: str
    at: Instant


class Asked(NamedTuple):
    """Which of an account's activities are asked for."""

    after: Instant | None
    until: Instant | None
    token: Token | None
    direction: Direction
    limit: int
    whole: bool
    """Whether all that is found must fit into one page."""
    goes_on: GoesOn | None = None
    """A time by which pages may be gone through that name no `page_token`."""

    @classmethod
    def of(
        cls,
        times: tuple[str | None, str | None, str | None],
        direction: Direction,
        page_size: int | None,
        page_token: str | None,
    ) -> Asked:
        """What the parameters after, until and date, and those of the page, ask for."""
        after, until = instant_in(times[0], "after"), until_in(times[1], "until")
        day = instant_in(times[2], "date")
        if day is not None:
            for bound, name in ((after, "after"), (until, "until")):
                if bound is not None:
                    raise InvalidField(name, "may not stand beside date")
            after = day // _DAY * _DAY - 1
            until = after + 1 + _DAY
        elif page_size is not None and page_size > LARGEST_PAGE:
            raise InvalidField("page_size", f"may be at most {LARGEST_PAGE} without date")
        token = None if page_token is None else token_in(page_token, "page_token")
        whole = day is not None and page_size is None
        limit = page_size or (LARGEST_DAY if whole else LARGEST_PAGE)
        goes_on = None
        if day is None and token is None:
            field = "until" if direction == "desc" else "after"
            at = instant_in(times[field == "until"], field)
            # Told more finely than it can be, it is no instant of an activity.
            if at is not None and at in (after, until):
                goes_on = GoesOn(field, at)
        return cls(after, until, token, direction, limit, whole, goes_on)


@get(
    "/account/activities",
    tags=TAGS,
    summary="List activities",
    responses=problems(422),
)
async def get_activities(
    request: ExactRequest,
    position: MinPosition,
    activity_types: FromQuery[str | None] = None,
    category: FromQuery[Category | None] = None,
    after: After = None,
    until: Until = None,
    date: Date = None,
    direction: FromQuery[Direction] = "desc",
    page_size: PageSize = None,
    page_token: PageToken = None,
) -> Response[list[Activity | OptionActivity]]:
    """List activities.

    The account's fills and what became of them, by time. A page ends where it ends: give the
    `id` of its last activity as `page_token`, and the next one begins there, whatever has
    happened since. `activity_types` are separated by commas; of Alpaca's types FILL is told
    here, and OPEXP, OPEXC, OPASN and OPTRD of options at their expiry.
    """
    asked = Asked.of((after, until, date), direction, page_size, page_token)
    if activity_types is not None and category is not None:
        raise InvalidField("category", "may not stand beside activity_types")
    kinds = plain_text(activity_types, "activity_types", 512)
    wanted: set[str] = _types_in(kinds, "activity_types") if kinds else {*TOLD}
    if category is not None:
        wanted = {"FILL"} if category == "trade_activity" else wanted - {"FILL"}
    return await _page(request, position, wanted, asked)


@get(
    "/account/activities/{activity_type:str}",
    tags=TAGS,
    summary="List activities of a type",
    responses=problems(422),
)
async def get_activities_of_type(
    request: ExactRequest,
    activity_type: FromPath[str],
    position: MinPosition,
    after: After = None,
    until: Until = None,
    date: Date = None,
    direction: FromQuery[Direction] = "desc",
    page_size: PageSize = None,
    page_token: PageToken = None,
) -> Response[list[Activity | OptionActivity]]:
    """List activities of a type.

    As all activities are listed. Of Alpaca's types FILL, OPEXP, OPEXC, OPASN and OPTRD are told.
    """
    asked = Asked.of((after, until, date), direction, page_size, page_token)
    wanted = _types_in(plain_text(activity_type, "activity_type", 32) or "", "activity_type")
    return await _page(request, position, wanted, asked)


def _types_in(text: str, field: str) -> set[str]:
    """Some of Alpaca's types of activities."""
    kinds = set(text.split(","))
    for kind in sorted(kinds - ACTIVITY_TYPES):
        raise InvalidField(field, f"is wrong: {kind!r} is not a type of activity")
    return kinds


async def _page(
    request: ExactRequest, position: int | None, kinds: set[str], asked: Asked
) -> Response[list[Activity | OptionActivity]]:
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    await gateway.catch_up(account_id, position, *VIEWS)
    rows = [row for kind, rows in TOLD.items() if kind in kinds for row in rows]
    if not rows:
        return json_response([])
    async with gateway.pool.connection() as conn:
        found = await page_of(conn, account_id, asked, rows)
    return await list_response(found, lambda one: activity_document(one, account_id))


async def page_of(
    conn: Connection, account_id: UUID, asked: Asked, kinds: Sequence[int] = KINDS
) -> list[Told]:
    """The activities of a page, of some kinds of rows; raises InvalidField when its token names
    none of the account.
    """
    if asked.goes_on is not None:
        await _refuse_ties(conn, account_id, asked.goes_on, kinds)
    cursor = None
    if asked.token is not None:
        cursor = await _place_of(conn, account_id, asked.token)
    rows = await list_activities(
        conn,
        account_id,
        kinds,
        after=asked.after,
        until=asked.until,
        cursor=None if cursor is None else cursor.place,
        direction=asked.direction,
        # One more tells that there is more; and of what stands at the cursor some was told.
        limit=asked.limit + 2,
    )
    is_later = asked.direction == "asc"
    turn, told = Turn(), list[Told]()
    for row in rows:
        told += activities_of(row)
        await turn.is_over()
    if cursor is not None:
        told = [one for one in told if one.cursor != cursor and (one.cursor > cursor) == is_later]
    told.sort(key=lambda one: one.cursor, reverse=not is_later)
    if asked.whole and len(told) > asked.limit:
        raise InvalidField("page_size", f"is required: the day has more than {asked.limit}")
    return told[: asked.limit]


async def _refuse_ties(
    conn: Connection, account_id: UUID, goes_on: GoesOn, kinds: Sequence[int]
) -> None:
    """Of several activities of one instant nobody knows which the page before has shown: beyond
    that instant some would be lost. Raises InvalidField.
    """
    field, at = goes_on
    rows = await list_activities(conn, account_id, kinds, after=at - 1, until=at + 1, limit=2)
    if sum(len(activities_of(row)) for row in rows) > 1:
        raise InvalidField(
            field,
            "is an instant at which several activities happened, of which a page may have shown"
            " a part: go on by page_token",
        )


async def _place_of(conn: Connection, account_id: UUID, token: Token) -> Cursor:
    """Where the activity of a token stands among those of the account."""
    rows = await named_activities(conn, account_id, token.at, token.trade_id, token.position)
    for one in (one for row in rows for one in activities_of(row)):
        if one.identifier == token.text:
            return one.cursor
    raise InvalidField("page_token", "is not the id of an activity of this account")


HANDLERS = [get_activities, get_activities_of_type]
