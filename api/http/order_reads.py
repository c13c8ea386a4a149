"""GET of /v2/orders: from the views, never behind the account's own last write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Response, get
from litestar.params import FromPath, FromQuery, QueryParameter

from api.decimals import ExactRequest
from api.documents import EventDocument
from api.http.guards import gateway_of, principal_of
from api.http.parameters import MinPosition, instant_in
from api.http.responses import json_response, problems
from api.orders import Order
from api.processes.gateway import Gateway
from api.refusals import NotFound
from api.schemas import plain_text
from api.trading import order_id_in, order_shown, trader
from api.vocabulary import SIDES
from application.log.event_rendering import event_fields
from application.log.ports import Recorded
from domain.identifiers import iso
from projections import order_reads
from projections.order_groups import get_group
from projections.order_reads import OrderRow

Nested = Annotated[
    bool | None,
    QueryParameter(
        required=False,
        description="Show a group under its parent, with its legs in `legs`, and no leg apart.",
    ),
]
VIEWS = ("orders", "order_groups", "instruments")

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
    direction: FromQuery[Literal["asc", "desc"]] = "desc",
    side: FromQuery[Literal["buy", "sell"] | None] = None,
    symbols: Annotated[str | None, QueryParameter(max_length=4096)] = None,
) -> Response[list[Order]]:
    """List orders.

    By time of submission. `after` and `until` are exclusive. A replaced revision is a
    closed order; with `nested` a parent is open as long as any of its group is.
    """
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    wanted = plain_text(symbols, "symbols", 4096) or ""
    begins, ends = instant_in(after, "after"), instant_in(until, "until")
    await gateway.catch_up(account_id, position, *VIEWS)
    async with gateway.pool.connection() as conn:
        rows = await order_reads.list_orders(
            conn,
            account_id,
            status=status,
            limit=limit,
            after=begins,
            until=ends,
            direction=direction,
            side=SIDES[side] if side else None,
            symbols=[symbol for symbol in wanted.split(",") if symbol],
            nested=bool(nested),
        )
        legs = await order_reads.legs_of(conn, account_id, rows) if nested else {}
    return json_response([await _shown(gateway, row, legs) for row in rows])


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
        )
    if row is None:
        raise NotFound("order", "client_order_id")
    return json_response(await _with_legs(gateway, row, nested))


@get("/orders/{order_id:str}", tags=TAGS, summary="Get an order", responses=problems(404, 422))
async def get_order(
    request: ExactRequest, order_id: FromPath[str], position: MinPosition, nested: Nested = None
) -> Response[Order]:
    """Get an order.

    By any of its ids; the id of a group stands for its parent.
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
    request: ExactRequest, order_id: FromPath[str], position: MinPosition
) -> Response[list[EventDocument]]:
    """An order's events.

    Everything the log holds of the order, all its revisions together, in order. For a
    member of a group, or the group's id, it is the life of the whole group: every leg's
    events and the group's own.
    """
    gateway = gateway_of(request)
    row = await _own_order(request, order_id, position)
    async with gateway.pool.connection() as conn:
        group = await get_group(conn, row.account_id, row.group_id) if row.leg else None
        whose = [row.order_id] if group is None else [group.group_id, *group.members]
    events = await gateway.log.lives(whose)
    return json_response([_document(event, row.price_decimals) for event in events])


def _document(recorded: Recorded, price_decimals: int) -> dict[str, Any]:
    """One event of an order; prices at its instrument's decimals."""
    event = recorded.event
    return {
        "position": recorded.position,
        "originator_id": str(event.originator_id),
        "type": event.TOPIC,
        "version": event.originator_version,
        "at": iso(event.at),
        "actor": event.actor,
        "gateway": event.gateway,
        "correlation_id": str(event.correlation_id),
        "causation_id": event.causation_id,
        "data": event_fields(event, lambda _: price_decimals),
    }


async def _own_order(request: ExactRequest, order_id: str, position: int | None) -> OrderRow:
    """The account's order of this id; another's is not there."""
    gateway, account_id = gateway_of(request), trader(principal_of(request))
    wanted = order_id_in(order_id)
    await gateway.catch_up(account_id, position, *VIEWS)
    async with gateway.pool.connection() as conn:
        row = await order_reads.get_order(conn, account_id, wanted)
    if row is None:
        raise NotFound("order", "order_id")
    return row


async def _with_legs(gateway: Gateway, row: OrderRow, nested: bool | None) -> dict[str, Any]:
    if not nested or not row.leg:
        return await _shown(gateway, row, {})
    async with gateway.pool.connection() as conn:
        legs = await order_reads.legs_of(conn, row.account_id, [row])
    return await _shown(gateway, row, legs)


async def _shown(
    gateway: Gateway, row: OrderRow, legs: Mapping[UUID, Sequence[OrderRow]]
) -> dict[str, Any]:
    """The legs stand under a parent's present revision, not under a replaced one."""
    beneath = None if row.replaced_by.int else legs.get(row.order_id)
    return await order_shown(gateway, row, beneath)


HANDLERS = [list_orders, get_order_by_client_id, get_order, get_order_events]
