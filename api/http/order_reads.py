"""GET of /v2/orders: from the views, never behind the account's own last write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.decimals import ExactRequest
from api.documents import EventDocument
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition, instant_in, until_in
from api.http.responses import json_response, list_response, problems
from api.orders import Order
from api.processes.gateway import Gateway
from api.refusals import NotFound
from api.schemas import plain_text
from api.trading import order_id_in, order_shown, strategy_shown, trader
from api.vocabulary import SIDES
from application.log.event_rendering import event_fields
from application.log.ports import Recorded
from application.turns import Turn
from domain.errors import InvalidField
from domain.identifiers import iso
from domain.money import SHARE_PRICE_SCALE
from domain.terms import Leg
from projections import order_reads
from projections.connections import Connection
from projections.listed import Listed, leg_ids, list_all, place_of
from projections.order_groups import get_group
from projections.order_reads import OrderRow
from projections.order_windows import Direction, Wanted, Window
from projections.strategy_reads import (
    StrategyRow,
    closing_orders,
    get_strategy,
    get_strategy_by_client_id,
)

Nested = Annotated[
    bool | None,
    QueryParameter(
        required=False,
        description="Show a group under its parent, with its legs in `legs`, and no leg apart.",
    ),
]
PageToken = Annotated[
    str | None,
    QueryParameter(
        required=False,
        description="The `id` of the last order of the page before: this one begins after it.",
    ),
]
ASSET_CLASSES = ("us_equity", "us_option", "crypto")
VIEWS = ("orders", "order_groups", "strategies", "instruments")
LARGEST_LIFE = 1000
"""So many events are shown in one page, at most."""
VENUES_OWN = "venue"
"""The actor of what timers do: it stands for nobody else."""

TAGS = ["Orders"]


@get(
    "/orders",
    tags=TAGS,
    summary="List orders",
    responses=problems(422),
)
async def list_orders(
    request: ExactRequest,
    position: MinPosition,
    nested: Nested = None,
    status: FromQuery[Literal["open", "closed", "all"]] = "open",
    limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50,
    after: Annotated[str | None, QueryParameter(max_length=64)] = None,
    until: Annotated[str | None, QueryParameter(max_length=64)] = None,
    direction: FromQuery[Direction] = "desc",
    side: FromQuery[Literal["buy", "sell"] | None] = None,
    symbols: Annotated[str | None, QueryParameter(max_length=4096)] = None,
    asset_class: Annotated[str | None, QueryParameter(max_length=128)] = None,
    before_order_id: FromQuery[str | None] = None,
    after_order_id: FromQuery[str | None] = None,
    page_token: PageToken = None,
) -> Response[list[Order]]:
    """List orders.

    By time of submission. `after` and `until` are exclusive, and so are `before_order_id` and
    `after_order_id`, which stand for the submission of that order: pages that go on by the id of
    their last order neither skip nor repeat one, whatever is submitted meanwhile. Without an id
    a page takes along, beyond its `limit`, what was submitted in the very instant it ends in, so
    that pages that go on by time lose nothing either. A replaced revision is a closed order;
    with `nested` a parent is open as long as any of its group is. A multi-leg order stands among
    the others, and without `nested` so do its legs; it has the symbols of its legs, and no side.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    begins, ends = instant_in(after, "after"), until_in(until, "until")
    cursor = _Cursor.of(before_order_id, after_order_id, page_token, direction)
    wanted, classes = _names_in(symbols, "symbols"), _classes_in(asset_class)
    await gateway.catch_up(account_id, position, *VIEWS)
    async with gateway.pool.connection() as conn:
        end = None if cursor is None else await _submission(conn, account_id, cursor)
        is_end = cursor is not None and cursor.is_end
        rows = await list_all(
            conn,
            account_id,
            Wanted(status, direction, SIDES[side] if side else None, wanted, classes, bool(nested)),
            Window.of(begins, ends, None if is_end else end, end if is_end else None),
            limit,
            whole_instants=cursor is None,
        )
        legs = await _legs_of(conn, account_id, rows) if nested else {}
    turn, shown = Turn(), list[dict[str, Any]]()
    for row in rows:
        shown.append(await _shown(gateway, row, legs))
        await turn.is_over()
    return await list_response(shown, lambda document: document)


@get(
    "/orders:by_client_order_id",
    tags=TAGS,
    summary="Get an order by client id",
    responses=problems(404, 422),
)
async def get_order_by_client_id(
    request: ExactRequest,
    client_order_id: FromQuery[str],
    position: MinPosition,
    nested: Nested = None,
) -> Response[Order]:
    """Get an order by client id."""
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    wanted = plain_text(client_order_id, "client_order_id")
    await gateway.catch_up(account_id, position, *VIEWS)
    async with gateway.pool.connection() as conn:
        row = await order_reads.get_order_by_client_id(
            conn, gateway.log.subqueries, account_id, wanted or ""
        ) or await get_strategy_by_client_id(conn, gateway.log.subqueries, account_id, wanted or "")
    if row is None:
        raise NotFound("order", "client_order_id")
    return json_response(await _with_legs(gateway, row, nested))


@get("/orders/{order_id:str}", tags=TAGS, summary="Get an order", responses=problems(404, 422))
async def get_order(
    request: ExactRequest, order_id: FromPath[str], position: MinPosition, nested: Nested = None
) -> Response[Order]:
    """Get an order.

    By any of its ids; the id of a group stands for its parent. The legs of a multi-leg order are
    always nested in it.
    """
    gateway = gateway_of(request)
    row = await _own_order(request, order_id, position)
    return json_response(await _with_legs(gateway, row, nested))


@get(
    "/orders/{order_id:str}/events",
    tags=TAGS,
    summary="An order's events",
    responses=problems(404, 422),
)
async def get_order_events(
    request: ExactRequest,
    order_id: FromPath[str],
    position: MinPosition,
    page_size: Annotated[int, QueryParameter(ge=1, le=LARGEST_LIFE)] = 100,
    page_token: Annotated[
        int | None,
        QueryParameter(
            required=False,
            ge=0,
            le=2**62,
            description="The `position` of the last event of the page before.",
        ),
    ] = None,
) -> Response[list[EventDocument]]:
    """An order's events.

    What the log holds of the order, all its revisions together, in order, a page at a time. For
    a member of a group, or the group's id, it is the life of the whole group: every leg's
    events and the group's own. Who acted is told of what this account's keys did, and of the
    venue itself; it is null of what others did. Of a multi-leg order, or one of its legs, it is the
    life of that, its legs and the orders that unwound any.
    """
    gateway = gateway_of(request)
    row = await _own_order(request, order_id, position)
    whose, decimals = await _life_of(gateway, row)
    events = await gateway.log.lives(whose, after=page_token or 0, limit=page_size)
    actors = {recorded.event.actor for recorded in events}
    shown = {*await gateway.keys.own_actors(row.account_id, actors), VENUES_OWN}
    return await list_response(
        events, lambda one: _event_document(one, decimals, one.event.actor in shown)
    )


class _Life(NamedTuple):
    """Whose events are the life of an order, and the price decimals of each instrument in it."""

    whose: list[UUID]
    decimals: Mapping[UUID, int]


async def _life_of(gateway: Gateway, row: Listed) -> _Life:
    """An order's own life, or that of all its group or of all of its multi-leg order."""
    async with gateway.pool.connection() as conn:
        if isinstance(row, OrderRow) and row.leg < Leg.FIRST:
            group = await get_group(conn, row.account_id, row.group_id) if row.leg else None
            whose = [row.order_id] if group is None else [group.group_id, *group.members]
            return _Life(whose, {row.instrument_id: row.price_decimals})
        parent: Listed | None = row
        if isinstance(row, OrderRow):
            parent = await get_strategy(conn, row.account_id, row.group_id)
        assert isinstance(parent, StrategyRow), "a leg is of a multi-leg order that was placed"
        legs = (await _legs_of(conn, row.account_id, [parent])).get(parent.order_id, [])
        closing = await closing_orders(conn, row.account_id, parent.order_id)
    return _Life(
        [parent.order_id, *(leg.order_id for leg in legs), *closing],
        {leg.instrument_id: leg.price_decimals for leg in legs},
    )


def _event_document(
    recorded: Recorded, decimals: Mapping[UUID, int], is_own: bool
) -> dict[str, Any]:
    """One event of an order; prices at its instrument's decimals."""
    event = recorded.event
    return {
        "position": recorded.position,
        "originator_id": str(event.originator_id),
        "type": event.TOPIC,
        "version": event.originator_version,
        "at": iso(event.at),
        "actor": event.actor if is_own else None,
        "gateway": event.gateway if is_own else None,
        "correlation_id": str(event.correlation_id) if is_own else None,
        "causation_id": event.causation_id if is_own else None,
        "data": event_fields(event, lambda one: decimals.get(one, SHARE_PRICE_SCALE)),
    }


class _Cursor(NamedTuple):
    """An order of an earlier page, and whether it ends what is asked for or begins it."""

    order_id: UUID
    field: str
    is_end: bool

    @classmethod
    def of(
        cls,
        before_order_id: str | None,
        after_order_id: str | None,
        page_token: str | None,
        direction: Direction,
    ) -> _Cursor | None:
        """The one of three that was given; `page_token` goes on in the direction of the list."""
        ends = {
            "before_order_id": (before_order_id, True),
            "after_order_id": (after_order_id, False),
            "page_token": (page_token, direction == "desc"),
        }
        found = [cls(order_id_in(text, f), f, end) for f, (text, end) in ends.items() if text]
        if len(found) > 1:
            raise InvalidField(found[1].field, f"may not stand beside {found[0].field}")
        return found[0] if found else None


async def _submission(conn: Connection, account_id: UUID, cursor: _Cursor) -> UUID:
    """Where a cursor's order stands among those of its account; another's is not there."""
    found = await place_of(conn, account_id, cursor.order_id)
    if found is None:
        raise InvalidField(cursor.field, "is not the id of an order of this account")
    return found


def _classes_in(text: str | None) -> list[str]:
    """Some of Alpaca's classes of assets."""
    names = _names_in(text, "asset_class")
    for name in names:
        if name not in ASSET_CLASSES:
            raise InvalidField("asset_class", f"is wrong: {name!r} is not a class of assets")
    return names


def _names_in(text: str | None, field: str) -> list[str]:
    """What a text names, separated by commas."""
    return [name for name in (plain_text(text, field, 4096) or "").split(",") if name]


async def _own_order(request: ExactRequest, order_id: str, position: int | None) -> Listed:
    """The account's order of this id; another's is not there."""
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    wanted = order_id_in(order_id)
    await gateway.catch_up(account_id, position, *VIEWS)
    async with gateway.pool.connection() as conn:
        row: Listed | None = await order_reads.get_order(conn, account_id, wanted)
        if row is None:
            row = await get_strategy(conn, account_id, wanted)
    if row is None:
        raise NotFound("order", "order_id")
    return row


async def _legs_of(
    conn: Connection, account_id: UUID, rows: Sequence[Listed]
) -> dict[UUID, list[OrderRow]]:
    """The legs beneath parents of both kinds, by parent."""
    orders = [row for row in rows if isinstance(row, OrderRow)]
    return await order_reads.legs_of(conn, account_id, orders, leg_ids(rows))


async def _with_legs(gateway: Gateway, row: Listed, nested: bool | None) -> dict[str, Any]:
    if isinstance(row, OrderRow) and (not nested or not row.leg):
        return await _shown(gateway, row, {})
    async with gateway.pool.connection() as conn:
        legs = await _legs_of(conn, row.account_id, [row])
    return await _shown(gateway, row, legs)


async def _shown(
    gateway: Gateway, row: Listed, legs: Mapping[UUID, Sequence[OrderRow]]
) -> dict[str, Any]:
    """The legs stand under a parent's present revision, not under a replaced one."""
    beneath = None if row.replaced_by.int else legs.get(row.order_id)
    if isinstance(row, StrategyRow):
        return await strategy_shown(gateway, row, beneath or ())
    return await order_shown(gateway, row, beneath)


HANDLERS = [list_orders, get_order_by_client_id, get_order, get_order_events]
