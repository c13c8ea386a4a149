"""Order history: every event of every order and of its group as a row, in order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import (
    GroupEnded,
    GroupEntryFilled,
    GroupLegFilled,
    GroupPlaced,
    GroupResized,
    GroupStopTriggered,
    OrderAccepted,
    OrderAdjusted,
    OrderCanceled,
    OrderExpired,
    OrderFillBusted,
    OrderFillCorrected,
    OrderFilled,
    OrderRejected,
    OrderReplaced,
    OrderTriggered,
)
from domain.identifiers import HOUSE
from domain.money import WIRE_PRICE_SCALE
from projections.columns import BIGINT, SMALLINT, TEXT, UUID_
from projections.projection import Column, Connection, Index, Projection, Row, Table, on

_MAX_BIGINT = 2**63 - 1

ORDER_EVENTS = Table(
    "order_events",
    (
        Column("order_id", UUID_),
        Column("account_id", UUID_),
        Column("correlation_id", UUID_),
        Column("revision_id", UUID_, nullable=True),
        Column("trade_id", UUID_, nullable=True),
        Column("group_id", UUID_, nullable=True),
        Column("version", BIGINT),
        Column("position", BIGINT),
        Column("at", BIGINT),
        Column("qty", BIGINT, nullable=True),
        Column("price", BIGINT, nullable=True),
        Column("filled_after", BIGINT, nullable=True),
        Column("leaves_after", BIGINT, nullable=True),
        Column("price_decimals", SMALLINT, nullable=True),
        Column("reason", SMALLINT, nullable=True),
        Column("status", SMALLINT, nullable=True),
        Column("leg", SMALLINT),
        Column("topic", TEXT),
        Column("actor", TEXT),
        Column("code", TEXT, nullable=True),
    ),
    key=("order_id", "version"),
    indexes=(Index("group", ("group_id", "position"), where="group_id IS NOT NULL"),),
    fresh=True,
)


class OrderEvents(Projection):
    """What happened to each order, and to the groups that link them."""

    name = "order_events"
    version = 2
    tables = (ORDER_EVENTS,)

    def __init__(self) -> None:
        super().__init__()
        (self.history,) = self.changes

    @on(OrderAccepted)
    def accepted(self, position: int, e: OrderAccepted) -> None:
        self._put(
            position,
            e,
            {
                "revision_id": e.revision_id,
                "qty": e.qty,
                "price": e.limit_price or e.stop_price,
                "price_decimals": e.price_decimals,
                "filled_after": 0,
                "leaves_after": e.qty,
                "status": e.status,
            },
        )

    @on(OrderAdjusted)
    def adjusted(self, position: int, e: OrderAdjusted) -> None:
        self._put(
            position,
            e,
            {
                "qty": e.qty,
                "filled_after": e.filled,
                "leaves_after": e.leaves_after,
                "reason": e.reason,
                "status": e.status_after,
            },
        )

    @on(OrderRejected)
    def rejected(self, position: int, e: OrderRejected) -> None:
        self._put(
            position,
            e,
            {
                "qty": min(e.qty, _MAX_BIGINT),
                "price": min(e.limit_price_wire or e.stop_price_wire, _MAX_BIGINT),
                "price_decimals": WIRE_PRICE_SCALE,
                "filled_after": 0,
                "leaves_after": 0,
                "code": e.code,
            },
        )

    @on(OrderTriggered)
    def triggered(self, position: int, e: OrderTriggered) -> None:
        self._put(position, e, {"price": e.seen_price, "reason": e.rule})

    @on(OrderFilled)
    def filled(self, position: int, e: OrderFilled) -> None:
        self._put(
            position,
            e,
            {
                "trade_id": e.trade_id,
                "qty": e.qty,
                "price": e.price,
                "price_decimals": e.price_decimals,
                "filled_after": e.filled_after,
                "leaves_after": e.leaves_after,
            },
        )

    @on(OrderReplaced)
    def replaced(self, position: int, e: OrderReplaced) -> None:
        self._put(
            position,
            e,
            {
                "revision_id": e.revision_id,
                "qty": e.qty,
                "price": e.limit_price or e.stop_price,
                "price_decimals": e.price_decimals,
                "filled_after": e.filled,
                "leaves_after": e.leaves_after,
            },
        )

    @on(OrderCanceled)
    def canceled(self, position: int, e: OrderCanceled) -> None:
        self._put(
            position,
            e,
            {
                "qty": e.canceled_qty,
                "filled_after": e.filled,
                "leaves_after": 0,
                "reason": e.reason,
            },
        )

    @on(OrderExpired)
    def expired(self, position: int, e: OrderExpired) -> None:
        self._put(position, e, {"qty": e.expired_qty, "filled_after": e.filled, "leaves_after": 0})

    @on(OrderFillBusted)
    def fill_busted(self, position: int, e: OrderFillBusted) -> None:
        self._put(
            position,
            e,
            {
                "trade_id": e.trade_id,
                "qty": e.qty,
                "price": e.price,
                "price_decimals": e.price_decimals,
                "filled_after": e.filled_after,
            },
        )

    @on(OrderFillCorrected)
    def fill_corrected(self, position: int, e: OrderFillCorrected) -> None:
        self._put(
            position,
            e,
            {
                "trade_id": e.trade_id,
                "qty": e.qty,
                "price": e.price,
                "price_decimals": e.price_decimals,
            },
        )

    @on(GroupPlaced)
    def group_placed(self, position: int, e: GroupPlaced) -> None:
        self._put_group(position, e, {"qty": e.qty})

    @on(GroupEntryFilled)
    def group_entered(self, position: int, e: GroupEntryFilled) -> None:
        self._put_group(position, e, {"qty": e.qty, "leaves_after": e.exit_qty_after})

    @on(GroupLegFilled)
    def group_filled(self, position: int, e: GroupLegFilled) -> None:
        row = {"qty": e.qty, "filled_after": e.filled_after, "leaves_after": e.left_after}
        self._put_group(position, e, row)

    @on(GroupStopTriggered)
    def group_stopped(self, position: int, e: GroupStopTriggered) -> None:
        self._put_group(position, e, {"leaves_after": e.left})

    @on(GroupResized)
    def group_resized(self, position: int, e: GroupResized) -> None:
        self._put_group(position, e, {"qty": e.exit_qty_after, "reason": e.reason})

    @on(GroupEnded)
    def group_ended(self, position: int, e: GroupEnded) -> None:
        row = {"filled_after": e.filled, "leaves_after": 0, "reason": e.reason}
        self._put_group(position, e, row)

    def _put_group(self, position: int, e: Any, row: Row) -> None:
        row["group_id"] = e.originator_id
        self._put(position, e, row)

    def _put(self, position: int, e: Any, row: Row) -> None:
        group_id = getattr(e, "group_id", HOUSE)
        if group_id.int:
            row["group_id"] = group_id
        row["leg"] = getattr(e, "leg", 0)
        row["order_id"] = e.originator_id
        row["version"] = e.originator_version
        row["account_id"] = e.account_id
        row["correlation_id"] = e.correlation_id
        row["position"] = position
        row["at"] = e.at
        row["topic"] = e.TOPIC
        row["actor"] = e.actor
        self.history.put(position, row)


class OrderEventRow(msgspec.Struct, frozen=True, gc=False):
    """One event of an order, or of a group, whose id stands as the order's then.

    None where it says nothing of the kind; `leg` is 0 for what is no leg or is about all.
    """

    position: int
    order_id: UUID
    version: int
    account_id: UUID
    at: int
    topic: str
    actor: str
    correlation_id: UUID
    revision_id: UUID | None
    trade_id: UUID | None
    qty: int | None
    price: int | None
    price_decimals: int | None
    filled_after: int | None
    leaves_after: int | None
    reason: int | None
    code: str | None
    status: int | None
    group_id: UUID | None
    leg: int


_SELECT = f"SELECT {', '.join(OrderEventRow.__struct_fields__)} FROM order_events"


async def list_order_events(
    conn: Connection, order_id: UUID, *, after_version: int = 0, limit: int = 1000
) -> Sequence[OrderEventRow]:
    """The events of one order in their order; `order_id` is the order's own id."""
    async with conn.cursor(row_factory=class_row(OrderEventRow)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE order_id = %s AND version > %s ORDER BY version LIMIT %s",
            (order_id, after_version, limit),
        )
        return await cursor.fetchall()


async def list_linked_events(
    conn: Connection, order_id: UUID, *, after_position: int = 0, limit: int = 1000
) -> Sequence[OrderEventRow]:
    """The linked life of an order in the order of the log: its own events, and when it is a leg
    those of its group and of the other legs. `order_id` may be the group's.
    """
    async with conn.cursor(row_factory=class_row(OrderEventRow)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE position > %(after)s AND (order_id = %(order)s OR group_id ="
            " (SELECT group_id FROM order_events WHERE order_id = %(order)s AND version = 1))"
            " ORDER BY position LIMIT %(limit)s",
            {"order": order_id, "after": after_position, "limit": limit},
        )
        return await cursor.fetchall()
