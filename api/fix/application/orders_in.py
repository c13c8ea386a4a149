"""What clients ask of orders, as the commands that every other door sends too."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from api.fix.application import tags as t
from api.fix.application import vocabulary as v
from api.fix.application.fields import (
    YES,
    MissingField,
    NotServed,
    WrongValue,
    account_in,
    amount_in,
    end_of_day_in,
    instant_in,
    name_in,
    text_in,
)
from api.fix.application.terms import SessionTerms
from api.fix.ports import Received
from application.orders import CancelOrder, PlaceOrder, ReplaceOrder
from domain.identifiers import NO_ID, Instant
from domain.money import QTY_SCALE, TRAIL_SCALE, USD_SCALE, WHOLE_TRAIL, WIRE_PRICE_SCALE
from domain.order_terms import STOPS, WITH_LIMIT
from domain.terms import OrderType, Side, TimeInForce

_TRAILING = int(OrderType.TRAILING_STOP)
_GTD = int(TimeInForce.GTD)
_DAY = int(TimeInForce.DAY)
_SELL = int(Side.SELL)
_POST_ONLY, _TRAILING_PEG = b"6", b"a"
_BY_PRICE, _IN_BASIS_POINTS = b"0", b"1"
_FLOATING = b"0"
_PERCENT_TO_BASIS_POINTS = TRAIL_SCALE - 2
_PER_UNIT = b"2"

NOT_SERVED = (
    t.MIN_QTY,
    t.MAX_FLOOR,
    t.EFFECTIVE_TIME,
    t.MAX_SHOW,
    t.DISCRETION_INST,
    t.ORDER_PERCENT,
    t.TARGET_STRATEGY,
)
"""Fields that would change what is asked, and that the venue cannot do: refused by name."""
_NOT_SERVED = frozenset(NOT_SERVED)
_INSTRUCTIONS = frozenset({_POST_ONLY, _TRAILING_PEG})
_NOTHING: frozenset[bytes] = frozenset()


class Trail(NamedTuple):
    """How far a stop trails: by a price on the wire's scale, or by thousandths of a percent."""

    price: int = 0
    percent: int = 0


NO_TRAIL = Trail()


class Asked(NamedTuple):
    """The terms of an order in a message; what is not said is 0, or None."""

    side: int
    order_type: int
    time_in_force: int | None
    qty: int
    notional: int
    limit_price: int
    stop_price: int
    trail: Trail
    expires_at: Instant
    post_only: bool


def terms_in(message: Received, terms: SessionTerms) -> Asked:
    """The terms of an order, as they fit each other whatever order it is.

    Raises NotServed for what FIX has and the venue has not, WrongValue and MissingField.
    """
    if not _NOT_SERVED.isdisjoint(message.tags):
        raise NotServed(next(tag for tag in NOT_SERVED if tag in message.tags), "is not served")
    _only(message, t.CURRENCY, b"USD")
    _only(message, t.PRICE_TYPE, _PER_UNIT)
    side = _code(message, t.SIDE, v.SIDE_CODES)
    order_type = _code(message, t.ORD_TYPE, v.ORD_TYPE_CODES)
    time_in_force = None
    if message.get(t.TIME_IN_FORCE) is not None:
        time_in_force = _code(message, t.TIME_IN_FORCE, v.TIME_IN_FORCE_CODES)
    said = message.get(t.EXEC_INST)
    exec_inst = frozenset(said.split()) if said else _NOTHING
    if unknown := exec_inst - _INSTRUCTIONS:
        raise NotServed(t.EXEC_INST, f"{min(unknown).decode('ascii', 'replace')} is not served")
    return Asked(
        side,
        order_type,
        time_in_force,
        qty=amount_in(message, t.ORDER_QTY, QTY_SCALE) or 0,
        notional=amount_in(message, t.CASH_ORDER_QTY, USD_SCALE) or 0,
        limit_price=_price(message, t.PRICE, order_type in WITH_LIMIT),
        stop_price=_price(message, t.STOP_PX, order_type in STOPS and order_type != _TRAILING),
        trail=_trail(message, side, order_type, exec_inst),
        expires_at=_expiry(message, time_in_force, terms),
        post_only=_POST_ONLY in exec_inst,
    )


def _only(message: Received, tag: int, served: bytes) -> None:
    if message.get(tag) not in (None, served):
        raise NotServed(tag, f"may only be {served.decode()}")


def _code(message: Received, tag: int, codes: dict[bytes, int]) -> int:
    word = message.get(tag)
    if word is None:
        raise MissingField(tag, "is required")
    code = codes.get(word)
    if code is None:
        raise NotServed(tag, f"{word.decode('ascii', 'replace')} is not served")
    return code


def _price(message: Received, tag: int, wanted: bool) -> int:
    if not wanted:
        if message.get(tag) is not None:
            raise NotServed(tag, "is no term of an order of this OrdType(40)")
        return 0
    return amount_in(message, tag, WIRE_PRICE_SCALE) or 0


def _trail(message: Received, side: int, order_type: int, exec_inst: frozenset[bytes]) -> Trail:
    """How a pegged order trails; its offset may have the sign of its side, or none."""
    trails = order_type == _TRAILING
    if trails != (_TRAILING_PEG in exec_inst):
        raise NotServed(t.EXEC_INST, "a and OrdType(40) P make a trailing stop together")
    if not trails:
        if message.get(t.PEG_OFFSET_VALUE) is not None:
            raise NotServed(t.PEG_OFFSET_VALUE, "is a term of trailing stops alone")
        return NO_TRAIL
    _only(message, t.PEG_MOVE_TYPE, _FLOATING)
    kind = message.get(t.PEG_OFFSET_TYPE) or _BY_PRICE
    if kind not in (_BY_PRICE, _IN_BASIS_POINTS):
        raise NotServed(t.PEG_OFFSET_TYPE, "may only be 0 or 1")
    by_price = kind == _BY_PRICE
    scale = WIRE_PRICE_SCALE if by_price else _PERCENT_TO_BASIS_POINTS
    offset = amount_in(message, t.PEG_OFFSET_VALUE, scale, signed=True)
    if offset is None:
        return NO_TRAIL
    if not offset or (offset < 0 and side != _SELL):
        raise WrongValue(t.PEG_OFFSET_VALUE, "is not on the side of the market it trails on")
    if by_price:
        return Trail(price=abs(offset))
    if abs(offset) >= WHOLE_TRAIL:
        raise WrongValue(t.PEG_OFFSET_VALUE, "is not below 10000 basis points")
    return Trail(percent=abs(offset))


def _expiry(message: Received, time_in_force: int | None, terms: SessionTerms) -> Instant:
    expires_at = instant_in(message, t.EXPIRE_TIME)
    tag = t.EXPIRE_DATE if expires_at is None else t.EXPIRE_TIME
    if expires_at is None:
        expires_at = end_of_day_in(message, t.EXPIRE_DATE, terms.market_zone)
    if expires_at is None:
        return 0
    if time_in_force not in (None, _GTD):
        raise NotServed(tag, "is a term of TimeInForce(59) 6 alone")
    return expires_at


def place_order(message: Received, terms: SessionTerms) -> PlaceOrder:
    """NewOrderSingle, or one order of a NewOrderList."""
    account_id = account_in(message, terms)
    client_order_id = name_in(message, t.CL_ORD_ID)
    asked = terms_in(message, terms)
    if not asked.qty and not asked.notional:
        raise MissingField(t.ORDER_QTY, "or CashOrderQty(152) is required")
    if asked.qty and asked.notional:
        raise NotServed(t.CASH_ORDER_QTY, "may not stand beside OrderQty(38)")
    order_type = asked.order_type
    if order_type in WITH_LIMIT and not asked.limit_price:
        raise MissingField(t.PRICE, "is required by this OrdType(40)")
    if order_type == _TRAILING:
        if asked.trail == NO_TRAIL:
            raise MissingField(t.PEG_OFFSET_VALUE, "is required by a trailing stop")
    elif order_type in STOPS and not asked.stop_price:
        raise MissingField(t.STOP_PX, "is required by this OrdType(40)")
    time_in_force = _DAY if asked.time_in_force is None else asked.time_in_force
    if time_in_force == _GTD and not asked.expires_at:
        raise MissingField(t.EXPIRE_TIME, "or ExpireDate(432) is required by TimeInForce(59) 6")
    if asked.expires_at and time_in_force != _GTD:
        raise NotServed(t.EXPIRE_TIME, "is a term of TimeInForce(59) 6 alone")
    return PlaceOrder(
        account_id,
        symbol=name_in(message, t.SYMBOL),
        side=asked.side,
        order_type=order_type,
        time_in_force=time_in_force,
        qty=asked.qty,
        limit_price=asked.limit_price,
        stop_price=asked.stop_price,
        client_order_id=client_order_id,
        expires_at=asked.expires_at,
        post_only=asked.post_only,
        # N says that the broker need not locate the shares: the client has.
        locate=message.get(t.LOCATE_REQD) == b"N",
        notional=asked.notional,
        trail_price=asked.trail.price,
        trail_percent=asked.trail.percent,
    )


def replace_order(message: Received, terms: SessionTerms) -> ReplaceOrder:
    """OrderCancelReplaceRequest: what it does not say stays, and what cannot be replaced must be
    said as it is.
    """
    account_id = account_in(message, terms)
    client_order_id = name_in(message, t.CL_ORD_ID)
    name = name_in(message, t.ORIG_CL_ORD_ID)
    asked = terms_in(message, terms)
    if asked.notional:
        raise NotServed(t.CASH_ORDER_QTY, "is not replaced: give OrderQty(38)")
    trail = asked.trail.price or asked.trail.percent * 10 ** (WIRE_PRICE_SCALE - TRAIL_SCALE)
    return ReplaceOrder(
        account_id,
        NO_ID,
        client_order_id,
        client_order_id,
        qty=asked.qty or None,
        limit_price=asked.limit_price or None,
        stop_price=asked.stop_price or None,
        time_in_force=asked.time_in_force,
        expires_at=asked.expires_at or None,
        trail=trail or None,
        trails_by_percent=asked.trail.percent > 0 if trail else None,
        name=name,
        symbol=name_in(message, t.SYMBOL),
        side=asked.side,
        order_type=asked.order_type,
    )


def cancel_order(message: Received, terms: SessionTerms) -> CancelOrder:
    """OrderCancelRequest: of the order of that name, whatever else it says."""
    return CancelOrder(
        account_in(message, terms),
        None,
        name_in(message, t.ORIG_CL_ORD_ID),
        name_in(message, t.CL_ORD_ID),
    )


def order_id_in(message: Received) -> UUID | None:
    """OrderID(37), where it is one of the venue's."""
    try:
        return UUID(text_in(message, t.ORDER_ID))
    except ValueError:
        return None


def is_yes(message: Received, tag: int) -> bool:
    """Whether a flag is set."""
    return message.get(tag) == YES
