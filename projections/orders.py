"""Orders as they stand, and the terms of each of their revisions.

An order's row keeps the terms it was accepted with and its present state; a replacement adds
a revision row with its own terms. Ids are UUIDv7 of the acceptance, so an account's orders
stand in the order of their submission by key alone. `projections.order_reads` asks them.
"""

from __future__ import annotations

from typing import Any

from domain.events import (
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTrailed,
    OrderTriggered,
)
from domain.identifiers import NO_ID
from domain.money import WIRE_PRICE_SCALE
from domain.terms import OrderStatus
from domain.units import from_digits
from projections.columns import BIGINT, BOOLEAN, SMALLINT, TEXT, UUID_, WIDE
from projections.projection import Column, Index, Projection, Table, on

_CANCELED = int(OrderStatus.CANCELED)
_REJECTED = int(OrderStatus.REJECTED)
_EXPIRED = int(OrderStatus.EXPIRED)
_LAST_WORKING = int(OrderStatus.PARTIALLY_FILLED)
_MAX_BIGINT = 2**63 - 1
_MAX_SMALLINT = 2**15 - 1

ORDERS = Table(
    "orders",
    (
        Column("account_id", UUID_),
        Column("order_id", UUID_),
        Column("instrument_id", UUID_),
        Column("revision_id", UUID_),
        Column("current_revision_id", UUID_, nullable=True),
        Column("group_id", UUID_),
        Column("qty", BIGINT),
        Column("current_qty", BIGINT),
        Column("filled", BIGINT),
        Column("leaves", BIGINT),
        Column("hold", BIGINT),
        Column("hold_qty", BIGINT),
        Column("limit_price", BIGINT),
        Column("stop_price", BIGINT),
        Column("current_stop", BIGINT),
        Column("trail_price", BIGINT),
        Column("trail_percent", BIGINT),
        Column("water_mark", BIGINT),
        Column("protection_price", BIGINT),
        Column("notional", BIGINT),
        Column("expires_at", BIGINT),
        Column("submitted_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("filled_at", BIGINT),
        Column("ended_at", BIGINT),
        Column("triggered_at", BIGINT),
        Column("side", SMALLINT),
        Column("order_type", SMALLINT),
        Column("time_in_force", SMALLINT),
        Column("status", SMALLINT),
        Column("price_decimals", SMALLINT),
        Column("end_reason", SMALLINT),
        Column("leg", SMALLINT),
        Column("refused_class", SMALLINT),
        Column("post_only", BOOLEAN),
        Column("open", BOOLEAN),
        Column("value", WIDE),
        Column("symbol", TEXT),
        Column("client_order_id", TEXT),
        Column("refusal_code", TEXT, nullable=True),
        Column("refusal_message", TEXT, nullable=True),
    ),
    key=("account_id", "order_id"),
    indexes=(
        Index("open", ("account_id", "order_id"), where="open"),
        Index("revision", ("revision_id",), where="revision_id <> order_id"),
    ),
    fillfactor=85,
    fresh=True,
)

REVISIONS = Table(
    "order_revisions",
    (
        Column("revision_id", UUID_),
        Column("account_id", UUID_),
        Column("order_id", UUID_),
        Column("replaces", UUID_),
        Column("at", BIGINT),
        Column("qty", BIGINT),
        Column("limit_price", BIGINT),
        Column("stop_price", BIGINT),
        Column("trail_price", BIGINT),
        Column("trail_percent", BIGINT),
        Column("stop_before", BIGINT),
        Column("water_mark_before", BIGINT),
        Column("expires_at", BIGINT),
        Column("version", BIGINT),
        Column("filled_before", BIGINT),
        Column("filled_at_before", BIGINT),
        Column("triggered_at_before", BIGINT),
        Column("protection_price_before", BIGINT),
        Column("time_in_force", SMALLINT),
        Column("status_before", SMALLINT),
        Column("value_before", WIDE),
        Column("client_order_id", TEXT),
    ),
    key=("revision_id",),
    indexes=(
        Index("order", ("account_id", "order_id", "version")),
        Index("submitted", ("account_id", "revision_id")),
    ),
    fresh=True,
)

RESTATEMENTS = Table(
    "order_restatements",
    (
        Column("order_id", UUID_),
        Column("version", BIGINT),
        Column("qty", BIGINT),
    ),
    key=("order_id", "version"),
    fresh=True,
)
"""What the venue made of an order's quantity: a replaced revision had the last one before."""


class Orders(Projection):
    """Every order's present state, and the terms of each of its revisions."""

    name = "orders"
    version = 7
    tables = (ORDERS, REVISIONS, RESTATEMENTS)

    def __init__(self) -> None:
        super().__init__()
        self.orders, self.revisions, self.restatements = self.changes

    @on(OrderAccepted)
    def accepted(self, position: int, e: OrderAccepted) -> None:
        self.orders.put(
            e.originator_id.int,
            {
                "account_id": e.account_id,
                "order_id": e.originator_id,
                "instrument_id": e.instrument_id,
                "revision_id": e.revision_id,
                "group_id": e.group_id,
                "qty": e.qty,
                "current_qty": e.qty,
                "filled": 0,
                "leaves": e.qty,
                "hold": e.hold,
                "hold_qty": e.hold_qty,
                "limit_price": e.limit_price,
                "stop_price": e.stop_price,
                "current_stop": e.stop_price,
                "trail_price": e.trail_price,
                "trail_percent": e.trail_percent,
                "water_mark": e.water_mark,
                "protection_price": e.protection_price,
                "notional": e.notional,
                "expires_at": e.expires_at,
                "submitted_at": e.at,
                "updated_at": e.at,
                "filled_at": 0,
                "ended_at": 0,
                "triggered_at": 0,
                "side": e.side,
                "order_type": e.order_type,
                "time_in_force": e.time_in_force,
                "status": e.status,
                "price_decimals": e.price_decimals,
                "end_reason": 0,
                "leg": e.leg,
                "refused_class": 0,
                "post_only": e.post_only,
                "open": True,
                "value": 0,
                "symbol": e.symbol,
                "client_order_id": e.client_order_id,
            },
        )

    @on(OrderRejected)
    def rejected(self, position: int, e: OrderRejected) -> None:
        # What was refused may be any number a client can write.
        self.orders.put(
            e.originator_id.int,
            {
                "account_id": e.account_id,
                "order_id": e.originator_id,
                "instrument_id": e.instrument_id,
                "revision_id": e.originator_id,
                "group_id": NO_ID,
                "qty": _bounded(e.qty, _MAX_BIGINT),
                "current_qty": _bounded(e.qty, _MAX_BIGINT),
                "filled": 0,
                "leaves": 0,
                "hold": 0,
                "hold_qty": 0,
                "limit_price": _bounded(e.limit_price_wire, _MAX_BIGINT),
                "stop_price": _bounded(e.stop_price_wire, _MAX_BIGINT),
                "current_stop": _bounded(e.stop_price_wire, _MAX_BIGINT),
                "trail_price": _bounded(e.trail_price_wire, _MAX_BIGINT),
                "trail_percent": _bounded(e.trail_percent, _MAX_BIGINT),
                "water_mark": 0,
                "protection_price": 0,
                "notional": _bounded(e.notional, _MAX_BIGINT),
                "expires_at": 0,
                "submitted_at": e.at,
                "updated_at": e.at,
                "filled_at": 0,
                "ended_at": e.at,
                "triggered_at": 0,
                "side": _bounded(e.side, _MAX_SMALLINT),
                "order_type": _bounded(e.order_type, _MAX_SMALLINT),
                "time_in_force": _bounded(e.time_in_force, _MAX_SMALLINT),
                "status": _REJECTED,
                "price_decimals": WIRE_PRICE_SCALE,
                "end_reason": 0,
                "leg": 0,
                "refused_class": _bounded(e.order_class, _MAX_SMALLINT),
                "post_only": False,
                "open": False,
                "value": 0,
                "symbol": e.symbol,
                "client_order_id": e.client_order_id,
                "refusal_code": e.code,
                "refusal_message": e.message,
            },
        )

    @on(OrderTrailed)
    def trailed(self, position: int, e: OrderTrailed) -> None:
        self._patch(e, {"current_stop": e.stop_price, "water_mark": e.water_mark})

    @on(OrderTriggered)
    def triggered(self, position: int, e: OrderTriggered) -> None:
        self._patch(e, {"triggered_at": e.at, "protection_price": e.protection_price})

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        self._patch(
            e,
            {
                "filled": e.filled_after,
                "leaves": e.leaves_after,
                "hold": e.hold_after,
                "hold_qty": e.hold_qty_after,
                "value": from_digits(e.value_after),
                "status": e.status_after,
                "open": e.status_after <= _LAST_WORKING,
                "filled_at": e.at,
            },
        )

    @on(OrderAdjusted)
    def adjusted(self, position: int, e: OrderAdjusted) -> None:
        self.restatements.put(
            (e.originator_id.int, e.originator_version),
            {"order_id": e.originator_id, "version": e.originator_version, "qty": e.qty},
        )
        columns: dict[str, Any] = {
            "current_qty": e.qty,
            "leaves": e.leaves_after,
            "hold": e.hold_after,
            "hold_qty": e.hold_qty_after,
            "status": e.status_after,
        }
        if e.protection_price:
            columns["protection_price"] = e.protection_price
        self._patch(e, columns)

    @on(OrderReplaced)
    def replaced(self, position: int, e: OrderReplaced) -> None:
        self.revisions.put(
            e.revision_id.int,
            {
                "revision_id": e.revision_id,
                "account_id": e.account_id,
                "order_id": e.originator_id,
                "replaces": e.replaces,
                "at": e.at,
                "qty": e.qty,
                "limit_price": e.limit_price,
                "stop_price": e.stop_price,
                "trail_price": e.trail_price,
                "trail_percent": e.trail_percent,
                "stop_before": e.stop_before,
                "water_mark_before": e.water_mark_before,
                "expires_at": e.expires_at,
                "version": e.originator_version,
                "filled_before": e.filled,
                "filled_at_before": e.filled_at,
                "triggered_at_before": e.triggered_at,
                "protection_price_before": e.protection_price,
                "time_in_force": e.time_in_force,
                "status_before": e.status,
                "value_before": from_digits(e.value),
                "client_order_id": e.client_order_id,
            },
        )
        self._patch(
            e,
            {
                "current_revision_id": e.revision_id,
                "filled_at": 0,
                "current_qty": e.qty,
                "current_stop": e.stop_price,
                "water_mark": e.water_mark,
                "leaves": e.leaves_after,
                "hold": e.hold_after,
                "hold_qty": e.hold_qty_after,
            },
        )

    @on(OrderCanceled)
    def canceled(self, position: int, e: OrderCanceled) -> None:
        self._end(e, {"status": _CANCELED, "end_reason": e.reason})

    @on(OrderExpired)
    def expired(self, position: int, e: OrderExpired) -> None:
        self._end(e, {"status": _EXPIRED})

    @on(OrderFillBusted)
    def fill_busted(self, position: int, e: OrderFillBusted) -> None:
        self._patch(e, {"filled": e.filled_after, "value": from_digits(e.value_after)})

    @on(OrderFillCorrected)
    def fill_corrected(self, position: int, e: OrderFillCorrected) -> None:
        self._patch(e, {"value": from_digits(e.value_after)})

    def _end(self, e: OrderCanceled | OrderExpired, columns: dict[str, Any]) -> None:
        columns.update(open=False, ended_at=e.at, leaves=0, hold=0, hold_qty=0)
        self._patch(e, columns)

    def _patch(self, e: Any, columns: dict[str, Any]) -> None:
        columns["account_id"] = e.account_id
        columns["order_id"] = e.originator_id
        columns["updated_at"] = e.at
        self.orders.patch(e.originator_id.int, columns)


def _bounded(value: int, limit: int) -> int:
    return max(-limit, min(value, limit))
