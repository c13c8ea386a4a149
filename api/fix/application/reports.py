"""What events make of orders for a FIX client: a pure function of the event and its order.

The same event makes the same bytes whenever it is asked for again, so that a resend equals what
was sent first. Each event makes one message, numbered part 0 of its log position.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.values import amount, average, date, money, quantity, text, timestamp
from api.fix.application.words import refusal_text
from api.fix.ports import Body
from api.order_lives import Step
from api.refusals import SAYS
from domain.commission import Kind
from domain.events import (
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderEvent,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
    RequestRefused,
)
from domain.money import TRAIL_SCALE, to_text
from domain.order import Order
from domain.terms import Leg, OrderStatus, OrderType, Side

Fields = list[tuple[int, bytes]]

EXECUTION_REPORT = b"8"
ORDER_CANCEL_REJECT = b"9"
NO_ORDER = b"NONE"
"""OrderID(37) where there is no order."""

_NEW = int(OrderStatus.NEW)
_PARTIAL = int(OrderStatus.PARTIALLY_FILLED)
_HELD = int(OrderStatus.HELD)
_TRAILING = int(OrderType.TRAILING_STOP)
_SELL = int(Side.SELL)
_FIRST_LEG = int(Leg.FIRST)
_FREE = int(Kind.NONE)
_PERCENT_TO_BASIS_POINTS = TRAIL_SCALE - 2
"""A percentage in thousandths has so many places as basis points."""
ASKED = {"cancel_order": b"1", "replace_order": b"2"}
"""CxlRejResponseTo(434) of each request about an order that may be refused."""


def ord_status(order: Order) -> bytes:
    """OrdStatus(39); one of which no trade stands any more is new again while it works."""
    status = order.status
    return v.ORD_STATUSES[_NEW if status == _PARTIAL and not order.filled else status]


def is_answer(event: OrderEvent, door: str) -> bool:
    """Whether an event is what a session asked for by name, whoever's the order is."""
    return (
        isinstance(event, OrderCanceled | OrderReplaced)
        and bool(event.request_key)
        and event.gateway == door
    )


def report_of(position: int, event: OrderEvent, step: Step, label: str, door: str) -> Body:
    """The ExecutionReport of an event; `door` is the session's own, and `label` its account's."""
    order = step.order
    kind = type(event)
    word, said = v.EXEC_TYPES[kind], ""
    status = ord_status(order)
    exec_id = b"%d" % position
    name, previous = order.client_order_id, ""
    of_type: Fields = []
    traded: Fields = []
    dated: Fields = []
    if kind is OrderFilled:
        assert isinstance(event, OrderFilled)
        exec_id = fill_id(event.trade_id, event.side)
        traded, dated = _fill(event), [(t.TRADE_DATE, date(event.session_date))]
    elif kind is OrderAccepted:
        word = v.SUSPENDED if order.status == _HELD else word
    elif isinstance(event, OrderCanceled):
        said = v.CANCEL_TEXTS[event.reason]
        if is_answer(event, door):
            name, previous = event.request_key, name
    elif kind is OrderReplaced:
        previous = step.name_before
    elif isinstance(event, OrderRejected):
        of_type = [(t.ORD_REJ_REASON, b"%d" % SAYS[event.code].ord_rej_reason)]
        said = refusal_text(event.code, event.message, event.details)
    elif isinstance(event, OrderFillBusted | OrderFillCorrected):
        of_type = [(t.EXEC_REF_ID, fill_id(event.trade_id, event.side))]
        traded = _traded(event)
    else:
        word, restated, said = _restated(event, order, step.status_before)
        of_type = [] if restated is None else [(t.EXEC_RESTATEMENT_REASON, restated.reason)]
    return Body(
        EXECUTION_REPORT,
        [
            (t.ORDER_ID, str(order.id).encode()),
            *names(order, name, previous),
            (t.EXEC_ID, exec_id),
            (t.EXEC_TYPE, word),
            (t.ORD_STATUS, status),
            *of_type,
            *standing(order, label),
            *traded,
            *dated,
            (t.TRANSACT_TIME, timestamp(event.at)),
            *([(t.TEXT, text(said))] if said else ()),
        ],
    )


def fill_id(trade_id: UUID, side: int) -> bytes:
    """ExecID(17) of a fill: the trade's, for both of its sides may be of one session."""
    return b"%b.%d" % (str(trade_id).encode(), side)


def names(order: Order, name: str, previous: str = "") -> Fields:
    """What the client calls the order, and what its request called it before."""
    named: Fields = [(t.CL_ORD_ID, name.encode())]
    if previous:
        named.append((t.ORIG_CL_ORD_ID, previous.encode()))
    if order.leg:
        named.append((t.CL_ORD_LINK_ID, str(order.group_id).encode()))
    return named


def standing(order: Order, label: str) -> Fields:
    """The order's terms, and what has become of it."""
    decimals = order.price_decimals
    fields: Fields = [(t.ACCOUNT, label.encode())] if label else []
    fields += (
        (t.SYMBOL, order.symbol.encode()),
        (t.SIDE, v.SIDES[order.side]),
        (t.CASH_ORDER_QTY, money(order.notional))
        if order.notional
        else (t.ORDER_QTY, quantity(order.qty)),
        (t.ORD_TYPE, v.ORD_TYPES[order.order_type]),
        (t.TIME_IN_FORCE, v.TIMES_IN_FORCE[order.time_in_force]),
        (t.LEAVES_QTY, quantity(order.leaves)),
        (t.CUM_QTY, quantity(order.filled)),
        (t.AVG_PX, average(order.value, order.filled, decimals)),
    )
    if order.limit_price:
        fields.append((t.PRICE, amount(order.limit_price, decimals)))
    if order.stop_price:
        fields.append((t.STOP_PX, amount(order.stop_price, decimals)))
    if order.expires_at:
        fields.append((t.EXPIRE_TIME, timestamp(order.expires_at)))
    if order.post_only:
        fields.append((t.EXEC_INST, b"6"))
    if order.order_type == _TRAILING:
        fields += _peg(order, decimals)
    if order.leg >= _FIRST_LEG:
        fields.append((t.MULTI_LEG_REPORTING_TYPE, v.OF_LEG))
    return fields


def _peg(order: Order, decimals: int) -> Fields:
    """How a trailing stop follows: the offset is added to the best price, so a sale's is below."""
    if order.trail_price:
        offset, kind = amount(order.trail_price, decimals), b"0"
    else:
        offset, kind = amount(order.trail_percent, _PERCENT_TO_BASIS_POINTS), b"1"
    sign = b"-" if order.side == _SELL else b""
    return [
        (t.EXEC_INST, b"a"),
        (t.PEG_OFFSET_VALUE, sign + offset),
        (t.PEG_MOVE_TYPE, b"0"),
        (t.PEG_OFFSET_TYPE, kind),
    ]


def _restated(event: OrderEvent, order: Order, before: int) -> tuple[bytes, v.Restated | None, str]:
    """ExecType and reason of what the venue did to an order that works on, and in words."""
    if isinstance(event, OrderAdjusted):
        restated = v.ADJUSTMENTS[event.reason]
        if before == _HELD and order.status != _HELD:
            return v.NEW, None, restated.text
        return v.RESTATED, restated, restated.text
    if isinstance(event, OrderTriggered):
        seen = to_text(event.seen_price, order.price_decimals)
        return v.RESTATED, v.TRIGGERED, f"{v.TRIGGERED.text} by {seen}"
    if isinstance(event, OrderTrailed):
        return v.RESTATED, v.TRAILED, v.TRAILED.text
    return v.EXEC_TYPES[type(event)], None, "its time is over"


def _fill(event: OrderFilled) -> Fields:
    fields = _traded(event)
    liquidity = v.LIQUIDITY[event.liquidity]
    if liquidity:
        fields.append((t.LAST_LIQUIDITY_IND, liquidity))
    fields += ((t.LAST_CAPACITY, b"1"), (t.SETTL_DATE, date(event.value_date)))
    if event.commission_kind != _FREE:
        fields += ((t.COMMISSION, money(event.fee)), (t.COMM_TYPE, b"3"))
    return fields


def _traded(event: OrderFilled | OrderFillBusted | OrderFillCorrected) -> Fields:
    return [
        (t.LAST_QTY, quantity(event.qty)),
        (t.LAST_PX, amount(event.price, event.price_decimals)),
    ]


class Stood(NamedTuple):
    """An order of any kind that a refused request was about, and its OrdStatus(39) then."""

    order_id: UUID
    status: bytes


def cancel_reject_of(event: RequestRefused, order: Stood | None, label: str) -> Body:
    """The OrderCancelReject of a cancel or a replace that was refused; `order` is how the one that
    it is about stood then.
    """
    return Body(
        ORDER_CANCEL_REJECT,
        [
            (t.ORDER_ID, NO_ORDER if order is None else str(order.order_id).encode()),
            (t.CL_ORD_ID, event.request_key.encode()),
            (t.ORIG_CL_ORD_ID, event.target_id.encode()),
            (t.ORD_STATUS, v.REJECTED if order is None else order.status),
            *([(t.ACCOUNT, label.encode())] if label else ()),
            (t.TRANSACT_TIME, timestamp(event.at)),
            (t.CXL_REJ_RESPONSE_TO, ASKED[event.request]),
            (t.CXL_REJ_REASON, b"%d" % SAYS[event.code].cxl_rej_reason),
            (t.TEXT, text(refusal_text(event.code, event.message, event.details))),
        ],
    )


def is_reported(event: Any) -> bool:
    """Whether an event of an account is a refused cancel or replace."""
    return type(event) is RequestRefused and event.request in ASKED


TOPICS = tuple(
    sorted(
        {kind.TOPIC for kind in (*v.EXEC_TYPES, *v.STRATEGY_EXEC_TYPES)} | {RequestRefused.TOPIC}
    )
)
"""The events that make reports."""
