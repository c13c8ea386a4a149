"""Orders, replaces and cancels of a session: asked of the writer, and answered from the log.

What the writer decides is an event, and its report comes with all others in the order of the log.
Answered here is only what leaves none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from api.fix.application import answers, multileg_in, orders_in
from api.fix.application import tags as t
from api.fix.application.behind import Behind, Client
from api.fix.application.fields import MissingField, NotServed, WrongValue, may_be_known
from api.fix.application.multileg_reports import strategy_as_it_is
from api.fix.application.repeats import Arrival, is_repeat
from api.fix.application.terms import SessionTerms
from api.fix.application.vocabulary import BusinessReason, CxlRejReason, OrdRejReason, SessionReason
from api.fix.application.words import refusal_text
from api.fix.ports import Received
from api.refusals import SAYS
from application.commands import Refusal, Reply
from application.multileg import PlaceMultiLeg
from application.orders import CancelOrder, PlaceOrder, ReadOrder, ReplaceOrder
from domain.errors import QueueFull
from domain.request_errors import ClientOrderIdSpent, OrderRateExceeded, RequestKeyReused

Change = PlaceOrder | PlaceMultiLeg | ReplaceOrder | CancelOrder

NAMES = {
    b"D": "place_order",
    b"AB": "place_order",
    b"F": "cancel_order",
    b"G": "replace_order",
    b"AC": "replace_order",
}
"""What the log calls the request of each message."""
_READ: dict[bytes, Callable[[Received, SessionTerms], Change]] = {
    b"D": orders_in.place_order,
    b"F": orders_in.cancel_order,
    b"G": orders_in.replace_order,
    b"AB": multileg_in.place_multileg,
    b"AC": multileg_in.replace_multileg,
}
_PLACING = frozenset({b"D", b"AB"})
_KNOWN = frozenset({RequestKeyReused.code, ClientOrderIdSpent.code})
_BUSY = frozenset({QueueFull.code, OrderRateExceeded.code})
"""What passes by itself: the same request may be sent again under the same name."""
KNOWN_BEFORE = "this ClOrdID(11) was used before"


class Request(NamedTuple):
    """What a message asks for, and how it came."""

    command: Change
    arrival: Arrival


def read(behind: Behind, client: Client, message: Received) -> Change | None:
    """The command of a message; None of one that was answered, because it makes none."""
    try:
        return _READ[message.msg_type](message, client.terms)
    except WrongValue as wrong:
        client.link.reject(message, SessionReason.VALUE_INCORRECT, str(wrong), tag=wrong.tag)
    except MissingField as missing:
        client.link.refuse(message, BusinessReason.FIELD_MISSING, str(missing), tag=missing.tag)
    except NotServed as wanted:
        refuse(behind, client, message, wanted.reason, str(wanted))
    return None


def refuse(behind: Behind, client: Client, message: Received, reason: int, said: str) -> None:
    """Refuse an order, or the change of one, that the log will not tell of."""
    now = behind.clock.now()
    if message.msg_type in _PLACING:
        body = answers.refused_order(message, reason, said, now)
    else:
        request = NAMES[message.msg_type]
        body = answers.refused_change(message, request, CxlRejReason.OTHER, said, now, None)
    client.link.answer(body)


def is_told_by_log(reply: Reply) -> bool:
    """Whether an event tells all that there is to be told of a request."""
    if reply.duplicate:
        return False
    refusal = reply.refusal
    return refusal is None or (reply.position > 0 and refusal.code not in _KNOWN)


async def answer(
    behind: Behind,
    client: Client,
    message: Received,
    request: Request,
    decided: Awaitable[Reply],
) -> None:
    """Answer what leaves no event once a command is decided; raises VenueUnavailable."""
    reply = await decided
    command, arrival = request
    refusal = reply.refusal
    if is_told_by_log(reply):
        return
    if reply.duplicate:
        if await is_repeat(behind, client, command, arrival):
            await _answer_known(behind, client, message, command, reply)
    elif refusal is not None and refusal.code in _KNOWN:
        await _answer_known(behind, client, message, command, reply)
    elif refusal is not None:
        await _answer_refusal(behind, client, message, command, refusal)


async def _answer_known(
    behind: Behind, client: Client, message: Received, command: Change, reply: Reply
) -> None:
    """A request that the log has: its order as it is, where the sender knew that it may be."""
    key = command.key()
    if may_be_known(message) and reply.duplicate and key is not None:
        order = await behind.named(*key)
        if order is not None:
            label = client.terms.label_of(command.account_id)
            now = behind.clock.now()
            client.link.answer(answers.order_status(order, label, [], now))
            return
        strategy = await behind.strategy_named(*key)
        if strategy is not None:
            label, now = client.terms.label_of(command.account_id), behind.clock.now()
            client.link.answer(strategy_as_it_is(strategy, label, [], now))
            return
    if message.msg_type in _PLACING:
        refuse(behind, client, message, OrdRejReason.DUPLICATE_ORDER, KNOWN_BEFORE)
        return
    await _refuse_change(
        behind, client, message, command, CxlRejReason.DUPLICATE_CL_ORD_ID, KNOWN_BEFORE
    )


async def _answer_refusal(
    behind: Behind, client: Client, message: Received, command: Change, refusal: Refusal
) -> None:
    said = refusal_text(refusal.code, refusal.message, refusal.details)
    if refusal.code in _BUSY:
        client.link.refuse(message, SAYS[refusal.code].business_reason, said)
    elif message.msg_type in _PLACING:
        refuse(behind, client, message, SAYS[refusal.code].ord_rej_reason, said)
    else:
        reason = SAYS[refusal.code].cxl_rej_reason
        await _refuse_change(behind, client, message, command, reason, said)


async def _refuse_change(
    behind: Behind, client: Client, message: Received, command: Change, reason: int, said: str
) -> None:
    """Refuse a cancel or a replace, with its order as it stands where there is one."""
    name = message.get(t.ORIG_CL_ORD_ID) or b""
    found = await behind.send(client, ReadOrder(command.account_id, None, name.decode()))
    order = None if found.order is None else await behind.order(found.order.order_id)
    request = NAMES[message.msg_type]
    now = behind.clock.now()
    client.link.answer(answers.refused_change(message, request, reason, said, now, order))
