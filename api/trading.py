"""What a trader asks for, the same through every door: HTTP and WebSocket call these."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from api.auth import Principal
from api.gateway import Gateway, new_key
from api.rendering import order_document
from api.schemas import OrderRequest, ReplaceRequest
from application.commands import CancelAll, CancelOrder, OrderView, Reply
from domain.errors import InvalidField


class Done(NamedTuple):
    """A command that was taken: the document to show and where the log holds it."""

    document: dict[str, Any] | None
    position: int
    duplicate: bool


def trader(principal: Principal) -> UUID:
    """The account a trader's key stands for."""
    assert principal.account_id is not None, "a trader's key always names an account"
    return principal.account_id


def order_id_in(text: Any, field: str = "order_id") -> UUID:
    """The id a client wrote; raises InvalidField."""
    if not isinstance(text, str) or len(text) > 64:
        raise InvalidField(field, "must be a UUID")
    try:
        return UUID(text)
    except ValueError:
        raise InvalidField(field, "must be a UUID") from None


async def place(gateway: Gateway, who: Principal, order: OrderRequest, door: str) -> Done:
    """Place one order."""
    command = order.command(trader(who), order.client_order_id or new_key())
    return await _done(gateway, await gateway.send(command, who, door))


async def cancel(
    gateway: Gateway, who: Principal, order_id: UUID, key: str | None, door: str
) -> Done:
    """Cancel one working order."""
    command = CancelOrder(trader(who), order_id, "", key or new_key())
    reply = await gateway.send(command, who, door, path_fields=("order_id",))
    return await _done(gateway, reply)


async def cancel_all(gateway: Gateway, who: Principal, door: str) -> tuple[list[str], int]:
    """Cancel every working order, in as many steps as the writer wants to take."""
    canceled: list[str] = []
    while True:
        reply = await gateway.send(CancelAll(trader(who)), who, door)
        assert reply.result is not None, "a mass cancel says what it canceled"
        canceled += reply.result["canceled"]
        if not reply.result["remaining"]:
            return canceled, reply.position


async def replace(
    gateway: Gateway,
    who: Principal,
    order_id: UUID,
    terms: ReplaceRequest,
    key: str | None,
    door: str,
) -> Done:
    """Give a working order new terms; the document is its new revision."""
    command = terms.command(trader(who), order_id, key or new_key())
    reply = await gateway.send(command, who, door, path_fields=("order_id",))
    return await _done(gateway, reply)


async def order_shown(gateway: Gateway, view: OrderView) -> dict[str, Any]:
    """An order's document, its asset class looked up once an instrument."""
    return order_document(view, await gateway.asset_class(view.instrument_id))


async def _done(gateway: Gateway, reply: Reply) -> Done:
    document = None if reply.order is None else await order_shown(gateway, reply.order)
    return Done(document, reply.position, reply.duplicate)
