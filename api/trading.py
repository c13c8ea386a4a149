"""What a trader asks for, the same through every door: HTTP and WebSocket call these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from api.auth import Principal
from api.groups import ALONE, GroupTerms
from api.multileg import strategy_document
from api.orders import ReplaceRequest, order_document
from api.patience import patiently
from api.processes.gateway import Gateway, new_key
from api.strategy_documents import leg_document
from api.strategy_lives import strategy_now
from api.submitted import SubmittedOrder
from application.commands import CancelAll, CancelOrder, ClosePosition, Reply
from application.multileg import StrategyView
from application.orders import OrderView
from domain.errors import InvalidField
from domain.identifiers import NO_ID
from projections.order_reads import OrderRow

KEY_NAMES: dict[str, dict[str, str]] = {
    "http": {"request_key": "Idempotency-Key"},
    "ws": {"request_key": "idempotency_key"},
}
"""How each door has clients give the key of a request."""


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


async def place(
    gateway: Gateway, who: Principal, order: SubmittedOrder, key: str | None, door: str
) -> Done:
    """Place one order, or a group: its parent's document holds the legs.

    The key of the request is the order's name, where the body gives none.
    """
    given = order.client_order_id
    _check_one_name(given, key, door)
    command = order.command(trader(who), given or key or new_key())
    named = order.spelled
    if key is not None and given is None:
        named = {**named, "client_order_id": KEY_NAMES[door]["request_key"]}
    reply = await gateway.send(command, who, door, named=named)
    if reply.order is not None and order.group_class:
        gateway.groups.remember(reply.order.group_id, GroupTerms(order.group_class))
    return await _done(gateway, reply)


class CloseRequest(NamedTuple):
    """A position to close, by symbol or by the instrument's id, and how much of it."""

    instrument: str | UUID
    qty: int | None = None
    percent: int | None = None


async def close(
    gateway: Gateway, who: Principal, part: CloseRequest, key: str | None, door: str
) -> Done:
    """Close a position, or a part of it; the document is the order that does."""
    command = ClosePosition(
        trader(who),
        "" if isinstance(part.instrument, UUID) else part.instrument,
        key or new_key(),
        part.instrument if isinstance(part.instrument, UUID) else NO_ID,
        part.qty,
        part.percent,
    )
    return await _done(gateway, await gateway.send(command, who, door, named=KEY_NAMES[door]))


async def cancel(
    gateway: Gateway, who: Principal, order_id: UUID, key: str | None, door: str
) -> Done:
    """Cancel one working order; a group's id cancels all of it."""
    command = CancelOrder(trader(who), order_id, "", key or new_key())
    reply = await gateway.send(command, who, door, path_fields=("order_id",), named=KEY_NAMES[door])
    return await _done(gateway, reply)


async def cancel_all(
    gateway: Gateway, who: Principal, door: str, account_id: UUID | None = None
) -> tuple[list[str], int]:
    """Cancel every working order, in as many steps as the writer wants to take.

    An operator names the account; a trader's is the key's own.
    """
    whose = account_id or trader(who)
    canceled: list[str] = []
    while True:
        command = CancelAll(whose, by_operator=account_id is not None)
        reply = await gateway.send(command, who, door, account_id=whose)
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
    _check_one_name(terms.client_order_id, key, door)
    command = terms.command(trader(who), order_id, key or new_key())
    reply = await gateway.send(command, who, door, path_fields=("order_id",), named=KEY_NAMES[door])
    if reply.order is None and reply.result is not None:
        strategy_id = UUID(reply.result["order_id"])
        now = await patiently(lambda: strategy_now(gateway.log, strategy_id))
        document = await strategy_shown(gateway, now.parent, now.legs)
        return Done(document, reply.position, reply.duplicate)
    return await _done(gateway, reply)


def _check_one_name(client_order_id: str | None, key: str | None, door: str) -> None:
    """A request has one name: a key beside another client order id would be good for nothing."""
    if client_order_id is not None and key not in (None, client_order_id):
        field = KEY_NAMES[door]["request_key"]
        raise InvalidField(field, "is another than client_order_id: one of them is kept")


async def order_shown(
    gateway: Gateway,
    view: OrderView,
    legs: Sequence[OrderView] | None = None,
) -> dict[str, Any]:
    """An order's document, with its legs in it when there are any to show.

    Asset class and order class are looked up once an instrument and once a group.
    """
    asset_class = await gateway.asset_class(view.instrument_id)
    if isinstance(view, OrderRow):
        order_class = view.order_class
        ratio, position_intent = view.ratio, view.position_intent
    else:
        terms = ALONE
        if view.group_id.int:
            terms = await patiently(lambda: gateway.groups.of(view.group_id))
        order_class = terms.order_class
        ratio, position_intent = terms.share(view.leg)
    nested = [order_document(leg, asset_class, order_class=order_class) for leg in legs or ()]
    return order_document(
        view,
        asset_class,
        order_class=order_class,
        legs=nested or None,
        ratio=ratio,
        position_intent=position_intent,
    )


async def strategy_shown(
    gateway: Gateway, view: StrategyView, legs: Sequence[OrderView] = ()
) -> dict[str, Any]:
    """A multi-leg order's document, with the orders that its legs are where they are given."""
    nested = [leg_document(view, leg, await gateway.asset_class(leg.instrument_id)) for leg in legs]
    return strategy_document(view, nested)


async def _done(gateway: Gateway, reply: Reply) -> Done:
    document = None
    if reply.strategy is not None:
        document = await strategy_shown(gateway, reply.strategy, reply.legs)
    elif reply.order is not None:
        document = await order_shown(gateway, reply.order, reply.legs)
    return Done(document, reply.position, reply.duplicate)
