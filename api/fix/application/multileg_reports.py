"""What events make of multi-leg orders for a FIX client: one report of the whole for each.

What becomes of a leg its own reports tell. As of orders, the same event makes the same bytes.
"""

from __future__ import annotations

from typing import NamedTuple

from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.reports import EXECUTION_REPORT, Fields
from api.fix.application.values import amount, average, quantity, text, timestamp
from api.fix.application.words import refusal_text
from api.fix.ports import Body
from api.refusals import SAYS
from api.strategy_lives import StrategyStep
from application.multileg import StrategyView
from domain.events import (
    MultiLegCanceled,
    MultiLegEvent,
    MultiLegExecuted,
    MultiLegRejected,
    MultiLegReplaced,
    MultiLegUnwinding,
    MultiLegUnwound,
)
from domain.identifiers import Instant
from domain.money import EXACT_SCALE, QTY_SCALE, SHARE_PRICE_SCALE, WIRE_PRICE_SCALE
from domain.terms import OrderType, PositionIntent
from domain.units import from_digits

OF_NONE = b"[N/A]"
"""Symbol(55) of what has none of its own."""
AS_DEFINED = b"B"
"""Side(54): that of each leg is told with it."""
_LIMIT = int(OrderType.LIMIT)
_VALUE_UNIT: int = 10 ** (EXACT_SCALE - QTY_SCALE - SHARE_PRICE_SCALE)
_EFFECTS = {
    int(PositionIntent.BUY_TO_OPEN): b"O",
    int(PositionIntent.SELL_TO_OPEN): b"O",
    int(PositionIntent.BUY_TO_CLOSE): b"C",
    int(PositionIntent.SELL_TO_CLOSE): b"C",
}
"""LegPositionEffect(564)."""


class Told(NamedTuple):
    """Who is told: the session's door, and what it calls the account."""

    door: str
    label: str


def strategy_report(position: int, event: MultiLegEvent, step: StrategyStep, told: Told) -> Body:
    """The ExecutionReport of an event of a multi-leg order."""
    view = step.view
    said = ""
    of_type: Fields = []
    traded: Fields = []
    name, previous = view.client_order_id, ""
    if isinstance(event, MultiLegRejected):
        of_type = [(t.ORD_REJ_REASON, b"%d" % SAYS[event.code].ord_rej_reason)]
        said = refusal_text(event.code, event.message, event.details)
    elif isinstance(event, MultiLegReplaced):
        previous = step.name_before
    elif isinstance(event, MultiLegCanceled):
        said = v.CANCEL_TEXTS[event.reason]
        if is_asked(event, told.door):
            name, previous = event.request_key, name
    elif isinstance(event, MultiLegExecuted):
        net = _net(from_digits(event.cost), event.qty, view.multiplier)
        traded = [(t.LAST_QTY, quantity(event.qty)), (t.LAST_PX, net)]
    elif isinstance(event, MultiLegUnwinding):
        of_type = [(t.EXEC_RESTATEMENT_REASON, v.BY_MARKET)]
        if is_asked(event, told.door):
            name, previous = event.request_key, name
        said = "a leg did not complete: what was filled is closed"
    elif isinstance(event, MultiLegUnwound):
        said = "what was filled is closed, because a leg did not complete"
    named: Fields = [(t.CL_ORD_ID, name.encode())]
    if previous:
        named.append((t.ORIG_CL_ORD_ID, previous.encode()))
    return Body(
        EXECUTION_REPORT,
        [
            (t.ORDER_ID, str(view.order_id).encode()),
            *named,
            (t.CL_ORD_LINK_ID, str(view.order_id).encode()),
            (t.EXEC_ID, b"%d" % position),
            (t.EXEC_TYPE, v.STRATEGY_EXEC_TYPES[type(event)]),
            (t.ORD_STATUS, strategy_status(view)),
            *of_type,
            *strategy_standing(view, told.label),
            *traded,
            (t.TRANSACT_TIME, timestamp(event.at)),
            *([(t.TEXT, text(said))] if said else ()),
            (t.MULTI_LEG_REPORTING_TYPE, v.OF_WHOLE),
            *_legs(view),
        ],
    )


def strategy_as_it_is(view: StrategyView, label: str, asked: Fields, now: Instant) -> Body:
    """How a multi-leg order stands; `asked` says again by which request."""
    return Body(
        EXECUTION_REPORT,
        [
            (t.ORDER_ID, str(view.order_id).encode()),
            (t.CL_ORD_ID, view.client_order_id.encode()),
            (t.CL_ORD_LINK_ID, str(view.order_id).encode()),
            *asked,
            (t.EXEC_ID, b"0"),
            (t.EXEC_TYPE, v.STATUS),
            (t.ORD_STATUS, strategy_status(view)),
            *strategy_standing(view, label),
            (t.TRANSACT_TIME, timestamp(now)),
            (t.MULTI_LEG_REPORTING_TYPE, v.OF_WHOLE),
            *_legs(view),
        ],
    )


def is_asked(event: MultiLegEvent, door: str) -> bool:
    """Whether an event is what a session asked for by name, whoever's the order is."""
    return (
        isinstance(event, MultiLegCanceled | MultiLegReplaced | MultiLegUnwinding)
        and bool(event.request_key)
        and event.gateway == door
    )


def strategy_status(view: StrategyView) -> bytes:
    """OrdStatus(39) of a multi-leg order."""
    if view.refusal_code:
        return v.REJECTED
    status = v.STRATEGY_STATUSES[view.status]
    return v.PARTIALLY_FILLED if status == v.NEW and view.filled else status


def strategy_standing(view: StrategyView, label: str) -> Fields:
    """The terms of a multi-leg order, and what has become of it; prices are net."""
    ended = view.refusal_code or view.ended_at
    fields: Fields = [(t.ACCOUNT, label.encode())] if label else []
    fields += (
        (t.SYMBOL, OF_NONE),
        (t.SIDE, AS_DEFINED),
        (t.ORDER_QTY, quantity(view.qty)),
        (t.ORD_TYPE, v.ORD_TYPES[view.order_type]),
        (t.TIME_IN_FORCE, v.TIMES_IN_FORCE[view.time_in_force]),
        (t.LEAVES_QTY, b"0" if ended else quantity(view.leaves)),
        (t.CUM_QTY, quantity(view.filled)),
        (t.AVG_PX, _net(from_digits(view.cost), view.filled, view.multiplier)),
    )
    if view.order_type == _LIMIT:
        fields.append((t.PRICE, amount(view.net_price, WIRE_PRICE_SCALE)))
    return fields


def _net(cost: int, qty: int, multiplier: int) -> bytes:
    """What one of some units cost, for one of the underlying."""
    return average(cost, qty * multiplier * _VALUE_UNIT, SHARE_PRICE_SCALE)


def _legs(view: StrategyView) -> Fields:
    """The legs, each with its side and how much of it a unit has; of a refused one none that FIX
    has no word for.
    """
    fields: Fields = [(t.NO_LEGS, b"%d" % len(view.legs))]
    for _, _, symbol, side, ratio, intent in view.legs:
        fields += ((t.LEG_SYMBOL, symbol.encode()), (t.LEG_RATIO_QTY, b"%d" % ratio))
        if side in v.SIDES:
            fields.append((t.LEG_SIDE, v.SIDES[side]))
        if intent in _EFFECTS:
            fields.append((t.LEG_POSITION_EFFECT, _EFFECTS[intent]))
    return fields if view.legs else []
