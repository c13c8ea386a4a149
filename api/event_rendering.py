"""Events of the log as text: every integer amount at its scale, every code by its name."""

from __future__ import annotations

from enum import IntEnum
from typing import Any
from uuid import UUID

from api.rendering import cents, date_text, moment, quantity
from application.ports import Recorded
from domain.events import DomainEvent
from domain.identifiers import iso
from domain.money import QTY_SCALE, WIRE_PRICE_SCALE, to_text
from domain.terms import (
    CancelReason,
    Liquidity,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
    TriggerRule,
)

_QUANTITIES = {
    "qty", "filled", "filled_after", "leaves_after", "canceled_qty", "expired_qty", "hold_qty",
    "hold_qty_after",
}  # fmt: skip
_PRICES = {"limit_price", "stop_price", "price", "old_price", "working_price", "seen_price"}
_WIRE_PRICES = {"limit_price_wire", "stop_price_wire"}
_CENTS = {"notional", "fee", "hold", "hold_after"}
_VALUES = {"value", "value_after"}
_INSTANTS = {"expires_at", "submitted_at"}
_DATES = {"session_date", "value_date"}
_TERMS: dict[str, type[IntEnum]] = {
    "side": Side,
    "order_type": OrderType,
    "time_in_force": TimeInForce,
    "self_trade": SelfTrade,
    "liquidity": Liquidity,
    "status_after": OrderStatus,
    "rule": TriggerRule,
}
_HEADER = frozenset(DomainEvent.__struct_fields__)


def order_event_document(recorded: Recorded, price_decimals: int) -> dict[str, Any]:
    """One event of an order; prices at its instrument's decimals."""
    event = recorded.event
    return {
        "position": recorded.position,
        "type": event.TOPIC,
        "version": event.originator_version,
        "at": iso(event.at),
        "actor": event.actor,
        "gateway": event.gateway,
        "correlation_id": str(event.correlation_id),
        "causation_id": event.causation_id,
        "data": {
            name: _text(event.TOPIC, name, getattr(event, name), price_decimals)
            for name in event.__struct_fields__
            if name not in _HEADER
        },
    }


def _text(topic: str, name: str, value: Any, decimals: int) -> Any:
    if name in _QUANTITIES:
        return quantity(value)
    if name in _PRICES:
        return to_text(value, decimals)
    if name in _WIRE_PRICES:
        return to_text(value, WIRE_PRICE_SCALE)
    if name in _CENTS:
        return cents(value)
    if name in _VALUES:
        return to_text(int(value), decimals + QTY_SCALE)
    if name in _INSTANTS:
        return moment(value)
    if name in _DATES:
        return date_text(value)
    if name == "reason" and topic.startswith("order.canceled"):
        return CancelReason(value).name.lower()
    if name in _TERMS:
        return _named(_TERMS[name], value)
    if isinstance(value, UUID):
        return str(value) if value.int else None
    if isinstance(value, bytes):
        return value.hex()
    return value


def _named(terms: type[IntEnum], value: int) -> str | int:
    """The name of a code; a refused order may carry one that has none."""
    try:
        return terms(value).name.lower()
    except ValueError:
        return value
