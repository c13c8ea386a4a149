"""What the gateway itself answers: what is no event, and so is not sent again when asked for."""

from __future__ import annotations

from collections.abc import Sequence

from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.reports import (
    ASKED,
    EXECUTION_REPORT,
    NO_ORDER,
    ORDER_CANCEL_REJECT,
    Fields,
    names,
    ord_status,
    standing,
)
from api.fix.application.values import text, timestamp
from api.fix.ports import Body, Received
from domain.identifiers import Instant
from domain.order import Order
from domain.terms import Side

STATUS_EXEC_ID = b"0"
"""ExecID(17) of a report that tells of nothing that happened."""
_TERMS = (t.ORDER_QTY, t.ORD_TYPE, t.PRICE)
_NOTHING: Fields = [(t.LEAVES_QTY, b"0"), (t.CUM_QTY, b"0"), (t.AVG_PX, b"0")]


def order_status(order: Order, label: str, asked: Fields, now: Instant) -> Body:
    """How an order stands; `asked` says again by which request."""
    return Body(
        EXECUTION_REPORT,
        [
            (t.ORDER_ID, str(order.id).encode()),
            *names(order, order.client_order_id),
            *asked,
            (t.EXEC_ID, STATUS_EXEC_ID),
            (t.EXEC_TYPE, v.STATUS),
            (t.ORD_STATUS, ord_status(order)),
            *standing(order, label),
            (t.TRANSACT_TIME, timestamp(now)),
        ],
    )


def no_status(message: Received, asked: Fields, said: str, now: Instant) -> Body:
    """There is no such order."""
    return _refused(message, v.STATUS, v.OrdRejReason.UNKNOWN_ORDER, said, now, asked)


def no_statuses(message: Received, asked: Fields, now: Instant) -> Body:
    """No order works of those that were asked for.

    FIX wants a symbol and a side of every report, and here there are none of an order.
    """
    there = {tag for tag in (t.SYMBOL, t.SIDE) if message.get(tag) is not None}
    blanks = [(t.SYMBOL, b"[N/A]"), (t.SIDE, v.SIDES[Side.BUY])]
    blank = [field for field in blanks if field[0] not in there]
    return no_status(message, [*asked, *blank], "no order works", now)


def refused_order(message: Received, reason: int, said: str, now: Instant) -> Body:
    """An order that was not taken, of which the log says nothing; one of several legs has no
    symbol of its own.
    """
    blank = () if message.get(t.SYMBOL) is not None else ((t.SYMBOL, b"[N/A]"),)
    return _refused(message, v.REJECTED, reason, said, now, blank)


def _refused(
    message: Received,
    exec_type: bytes,
    reason: int,
    said: str,
    now: Instant,
    asked: Sequence[tuple[int, bytes]] = (),
) -> Body:
    return Body(
        EXECUTION_REPORT,
        [
            (t.ORDER_ID, NO_ORDER),
            *_echoed(message, t.CL_ORD_ID),
            *asked,
            (t.EXEC_ID, STATUS_EXEC_ID),
            (t.EXEC_TYPE, exec_type),
            (t.ORD_STATUS, v.REJECTED),
            (t.ORD_REJ_REASON, b"%d" % reason),
            *_echoed(message, t.ACCOUNT, t.SYMBOL, t.SIDE),
            *(() if exec_type == v.STATUS else _echoed(message, *_TERMS)),
            *_NOTHING,
            (t.TRANSACT_TIME, timestamp(now)),
            (t.TEXT, text(said)),
        ],
    )


def refused_change(
    message: Received, request: str, reason: int, said: str, now: Instant, order: Order | None
) -> Body:
    """A cancel or a replace that was not taken, of which the log says nothing."""
    return Body(
        ORDER_CANCEL_REJECT,
        [
            (t.ORDER_ID, NO_ORDER if order is None else str(order.id).encode()),
            (t.CL_ORD_ID, message.get(t.CL_ORD_ID) or NO_ORDER),
            (t.ORIG_CL_ORD_ID, message.get(t.ORIG_CL_ORD_ID) or NO_ORDER),
            (t.ORD_STATUS, v.REJECTED if order is None else ord_status(order)),
            *_echoed(message, t.ACCOUNT),
            (t.TRANSACT_TIME, timestamp(now)),
            (t.CXL_REJ_RESPONSE_TO, ASKED[request]),
            (t.CXL_REJ_REASON, b"%d" % reason),
            (t.TEXT, text(said)),
        ],
    )


def _echoed(message: Received, *wanted: int) -> Fields:
    """Fields of a message as they came."""
    return [(tag, value) for tag in wanted if (value := message.get(tag)) is not None]
