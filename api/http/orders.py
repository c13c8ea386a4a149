"""/v2/orders: place, replace, cancel."""

from __future__ import annotations

from litestar import Response, delete, patch, post
from litestar.params import FromPath, JSONBody

from api.decimals import ExactRequest
from api.documents import CanceledOrder
from api.http.guards import gateway_of, principal_of
from api.http.parameters import IdempotencyKey
from api.http.responses import COMMAND_HEADERS, json_response, list_response, no_content, problems
from api.orders import Order, ReplaceRequest
from api.refusals import POSITION
from api.schemas import plain_text
from api.submitted import SubmittedOrder
from api.trading import cancel, cancel_all, order_id_in, place, replace

DOOR = "http"

TAGS = ["Orders"]


@post(
    "/orders",
    status_code=200,
    tags=TAGS,
    summary="Place an order",
    responses=problems(413, 429),
    response_headers=COMMAND_HEADERS,
)
async def submit_order(
    request: ExactRequest, data: JSONBody[SubmittedOrder], idempotency_key: IdempotencyKey
) -> Response[Order]:
    """Place an order.

    With `order_class` a group of linked orders, or of class mleg a multi-leg order: the answer is
    its parent, with the other legs nested in it. Accepted and committed when it answers. The same
    `client_order_id` and body again give the order as it is now; with another body it is refused.
    The id of an order that was refused is spent. An `Idempotency-Key` is the `client_order_id` of
    a body without one.
    """
    key = plain_text(idempotency_key, "Idempotency-Key")
    done = await place(gateway_of(request), principal_of(request), data, key, DOOR)
    return json_response(done.document, position=done.position, duplicate=done.duplicate)


@patch(
    "/orders/{order_id:str}",
    tags=TAGS,
    summary="Replace an order's terms",
    responses=problems(400, 403, 404, 413, 422, 429),
    response_headers=COMMAND_HEADERS,
)
async def replace_order(
    request: ExactRequest,
    order_id: FromPath[str],
    data: JSONBody[ReplaceRequest],
    idempotency_key: IdempotencyKey,
) -> Response[Order]:
    """Replace an order's terms.

    `qty` is the new total. Priority is kept only when the quantity alone falls. Answers
    with the new revision, which has an id of its own; a repeat with the order as it is now.
    """
    done = await replace(
        gateway_of(request),
        principal_of(request),
        order_id_in(order_id),
        data,
        plain_text(idempotency_key, "Idempotency-Key"),
        DOOR,
    )
    return json_response(done.document, position=done.position, duplicate=done.duplicate)


@delete(
    "/orders/{order_id:str}",
    tags=TAGS,
    summary="Cancel an order",
    responses=problems(404, 422, 429),
    response_headers=COMMAND_HEADERS,
)
async def cancel_order(
    request: ExactRequest, order_id: FromPath[str], idempotency_key: IdempotencyKey
) -> Response[None]:
    """Cancel an order.

    By any of its ids. A leg of a group takes its sibling along; a group's id all of it. A multi-leg
    order takes its legs along, none of which is canceled by itself.
    """
    done = await cancel(
        gateway_of(request),
        principal_of(request),
        order_id_in(order_id),
        plain_text(idempotency_key, "Idempotency-Key"),
        DOOR,
    )
    return no_content(done.position, done.duplicate)


@delete(
    "/orders",
    status_code=207,
    tags=TAGS,
    summary="Cancel all orders",
    responses=problems(422),
    response_headers=COMMAND_HEADERS,
)
async def cancel_all_orders(request: ExactRequest) -> Response[list[CanceledOrder]]:
    """Cancel all orders.

    Each order that was canceled, with the status of its own cancel.
    """
    canceled, position = await cancel_all(gateway_of(request), principal_of(request), DOOR)
    answer = await list_response(canceled, lambda order_id: {"id": order_id, "status": 200})
    answer.status_code = 207
    if position:
        answer.headers[POSITION] = str(position)
    return answer


HANDLERS = [submit_order, replace_order, cancel_order, cancel_all_orders]
