"""Mass cancels: all working orders of a session's accounts, of one symbol or one side."""

from __future__ import annotations

from api.fix.application import tags as t
from api.fix.application.behind import Behind, Client
from api.fix.application.fields import may_be_known, name_in
from api.fix.application.values import text, timestamp
from api.fix.application.vocabulary import SIDE_CODES
from api.fix.application.words import refusal_text
from api.fix.ports import Body, Received
from application.orders import CancelAll
from domain.errors import UnknownInstrument

MASS_CANCEL_REPORT = b"r"
OF_A_SECURITY, ALL = b"1", b"7"
"""MassCancelRequestType(530)."""
_REJECTED = b"0"
_NOT_SERVED, _UNKNOWN_SECURITY, _OTHER = b"0", b"1", b"99"
"""MassCancelRejectReason(532)."""


async def mass_cancel(behind: Behind, client: Client, message: Received) -> None:
    """OrderMassCancelRequest: what each order goes through its own reports tell.

    One that may have been done is not done again: it would cancel what came after it.
    """
    name = name_in(message, t.CL_ORD_ID)
    kind = message.get(t.MASS_CANCEL_REQUEST_TYPE)
    side = 0
    if message.get(t.SIDE) is not None:
        side = SIDE_CODES.get(message.get(t.SIDE) or b"", 0)
    if kind not in (OF_A_SECURITY, ALL) or (message.get(t.SIDE) is not None and not side):
        _refuse(behind, client, message, _NOT_SERVED, "only 530=1 and 7, and 54=1 and 2 are served")
        return
    if may_be_known(message):
        said = f"{name} may have been done: it is not done again, send one of another name"
        _refuse(behind, client, message, _OTHER, said)
        return
    symbol = name_in(message, t.SYMBOL) if kind == OF_A_SECURITY else ""
    affected = 0
    for account_id in client.terms.accounts.values():
        while True:
            reply = await behind.send(client, CancelAll(account_id, symbol, side))
            if reply.refusal is not None:
                refusal = reply.refusal
                unknown = refusal.code == UnknownInstrument.code
                said = refusal_text(refusal.code, refusal.message, refusal.details)
                reason = _UNKNOWN_SECURITY if unknown else _OTHER
                _refuse(behind, client, message, reason, said)
                return
            assert reply.result is not None, "a mass cancel says what it canceled"
            affected += len(reply.result["canceled"])
            if not reply.result["remaining"]:
                break
    told = [(t.MASS_CANCEL_RESPONSE, kind), (t.TOTAL_AFFECTED_ORDERS, b"%d" % affected)]
    client.link.answer(_report(behind, message, told))


def _refuse(behind: Behind, client: Client, message: Received, reason: bytes, said: str) -> None:
    told = [
        (t.MASS_CANCEL_RESPONSE, _REJECTED),
        (t.MASS_CANCEL_REJECT_REASON, reason),
        (t.TEXT, text(said)),
    ]
    client.link.answer(_report(behind, message, told))


def _report(behind: Behind, message: Received, told: list[tuple[int, bytes]]) -> Body:
    now = timestamp(behind.clock.now())
    echoed = [
        (tag, value)
        for tag in (t.CL_ORD_ID, t.MASS_CANCEL_REQUEST_TYPE, t.SYMBOL, t.SIDE)
        if (value := message.get(tag)) is not None
    ]
    # FIX has every mass cancel be an order of its own: here it is called as its sender does.
    order_id = message.get(t.CL_ORD_ID) or b"NONE"
    return Body(
        MASS_CANCEL_REPORT,
        [(t.ORDER_ID, order_id), *echoed, *told, (t.TRANSACT_TIME, now)],
    )
