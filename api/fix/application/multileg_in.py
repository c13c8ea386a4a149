"""What clients ask of multi-leg orders: NewOrderMultileg, and its replace."""

from __future__ import annotations

from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.fields import (
    Entry,
    MissingField,
    NotServed,
    WrongValue,
    account_in,
    amount_in,
    entries_in,
    name_in,
)
from api.fix.application.orders_in import NOT_SERVED
from api.fix.application.terms import SessionTerms
from api.fix.ports import Received
from application.multileg import PlaceMultiLeg, SentLeg
from application.orders import ReplaceOrder
from domain.identifiers import NO_ID
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE
from domain.terms import OrderType, PositionIntent, Side, TimeInForce

AS_DEFINED, OPPOSITE = b"B", b"C"
"""Side(54): the legs as they are written, or each the other way round."""
PARENT_AND_LEGS = b"1"
"""MultiLegRptTypeReq(563)."""
MOST_LEGS = 16
"""More than an order may have, so that the venue says so of any number that is near it."""
_TYPES = {b"1": int(OrderType.MARKET), b"2": int(OrderType.LIMIT)}
_BUY, _SELL = int(Side.BUY), int(Side.SELL)
_EFFECTS: dict[tuple[bytes, int], PositionIntent] = {
    (b"O", _BUY): PositionIntent.BUY_TO_OPEN,
    (b"C", _BUY): PositionIntent.BUY_TO_CLOSE,
    (b"O", _SELL): PositionIntent.SELL_TO_OPEN,
    (b"C", _SELL): PositionIntent.SELL_TO_CLOSE,
}
"""LegPositionEffect(564) and a side."""
_NOT_OF_ORDERS = (
    *NOT_SERVED,
    *(t.EXEC_INST, t.STOP_PX, t.PEG_OFFSET_VALUE, t.CASH_ORDER_QTY),
    *(t.EXPIRE_TIME, t.EXPIRE_DATE, t.LEG_PRICE, t.LEG_QTY),
)
_NOT_SERVED = frozenset(_NOT_OF_ORDERS)


def place_multileg(message: Received, terms: SessionTerms) -> PlaceMultiLeg:
    """NewOrderMultileg: Price(44) is the net price of a unit, negative is received."""
    account_id = account_in(message, terms)
    name = name_in(message, t.CL_ORD_ID)
    order_type = _order_type(message)
    opposite = _check(message)
    legs = tuple(_leg(entry, opposite) for entry in entries_in(message, t.NO_LEGS, t.LEG_SYMBOL))
    if len(legs) > MOST_LEGS:
        raise WrongValue(t.NO_LEGS, f"is more than {MOST_LEGS}")
    price = amount_in(message, t.PRICE, WIRE_PRICE_SCALE, signed=True)
    if order_type == OrderType.LIMIT and price is None:
        raise MissingField(t.PRICE, "is required by this OrdType(40)")
    if order_type == OrderType.MARKET and price is not None:
        raise NotServed(t.PRICE, "is no term of an order of this OrdType(40)")
    qty = amount_in(message, t.ORDER_QTY, QTY_SCALE)
    if qty is None:
        raise MissingField(t.ORDER_QTY, "is required")
    return PlaceMultiLeg(
        account_id,
        order_type=order_type,
        time_in_force=_time_in_force(message),
        qty=qty,
        net_price=price or 0,
        client_order_id=name,
        legs=legs,
    )


def replace_multileg(message: Received, terms: SessionTerms) -> ReplaceOrder:
    """MultilegOrderCancelReplace: OrderQty(38) and Price(44) may change, what is not said stays."""
    account_id = account_in(message, terms)
    name = name_in(message, t.CL_ORD_ID)
    previous = name_in(message, t.ORIG_CL_ORD_ID)
    _order_type(message)
    _check(message)
    return ReplaceOrder(
        account_id,
        NO_ID,
        name,
        name,
        qty=amount_in(message, t.ORDER_QTY, QTY_SCALE),
        limit_price=amount_in(message, t.PRICE, WIRE_PRICE_SCALE, signed=True),
        name=previous,
    )


def _order_type(message: Received) -> int:
    word = message.get(t.ORD_TYPE)
    if word is None:
        raise MissingField(t.ORD_TYPE, "is required")
    if word not in _TYPES:
        raise NotServed(t.ORD_TYPE, "of a multi-leg order may only be 1 or 2")
    return _TYPES[word]


def _check(message: Received) -> bool:
    """What is not served is refused by name; whether the legs are meant the other way round."""
    if not _NOT_SERVED.isdisjoint(message.tags):
        raise NotServed(next(tag for tag in _NOT_OF_ORDERS if tag in message.tags), "is not served")
    if message.get(t.CURRENCY) not in (None, b"USD"):
        raise NotServed(t.CURRENCY, "may only be USD")
    if message.get(t.MULTI_LEG_RPT_TYPE_REQ) not in (None, PARENT_AND_LEGS):
        raise NotServed(t.MULTI_LEG_RPT_TYPE_REQ, "may only be 1: the whole and its legs")
    side = message.get(t.SIDE)
    if side not in (AS_DEFINED, OPPOSITE):
        raise NotServed(t.SIDE, "of a multi-leg order may only be B or C")
    return side == OPPOSITE


def _time_in_force(message: Received) -> int:
    word = message.get(t.TIME_IN_FORCE)
    if word is None:
        return int(TimeInForce.DAY)
    if word not in v.TIME_IN_FORCE_CODES:
        raise NotServed(t.TIME_IN_FORCE, f"{word.decode('ascii', 'replace')} is not served")
    return v.TIME_IN_FORCE_CODES[word]


def _leg(entry: Entry, opposite: bool) -> SentLeg:
    side = v.SIDE_CODES.get(entry.get(t.LEG_SIDE) or b"")
    if side is None:
        raise NotServed(t.LEG_SIDE, "may only be 1 or 2")
    if opposite:
        side = _SELL if side == _BUY else _BUY
    ratio = amount_in(entry, t.LEG_RATIO_QTY, 0)
    effect = entry.get(t.LEG_POSITION_EFFECT)
    intent = 0
    if effect is not None:
        if (effect, side) not in _EFFECTS:
            raise NotServed(t.LEG_POSITION_EFFECT, "may only be O or C")
        intent = int(_EFFECTS[effect, side])
    return name_in(entry, t.LEG_SYMBOL), side, 1 if ratio is None else ratio, intent
