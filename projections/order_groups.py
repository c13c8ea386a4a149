"""Groups of linked orders: which orders belong together, and how far each group has come."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from psycopg.rows import class_row

from domain.events import (
    GroupEnded,
    GroupEntryFilled,
    GroupEvent,
    GroupLegFilled,
    GroupPlaced,
    GroupResized,
    GroupStopTriggered,
)
from domain.identifiers import NO_ID
from domain.terms import GroupPhase
from projections.columns import BIGINT, BOOLEAN, SMALLINT, TEXT, UUID_
from projections.connections import Connection
from projections.projection import Column, Index, Projection, Row, Table, on

_WAITING = int(GroupPhase.WAITING)
_WORKING = int(GroupPhase.WORKING)
_STOPPED = int(GroupPhase.STOPPED)
_ENDED = int(GroupPhase.ENDED)

ORDER_GROUPS = Table(
    "order_groups",
    (
        Column("group_id", UUID_),
        Column("account_id", UUID_),
        Column("instrument_id", UUID_),
        Column("parent_id", UUID_),
        Column("entry_id", UUID_),
        Column("take_profit_id", UUID_),
        Column("stop_loss_id", UUID_),
        Column("qty", BIGINT),
        Column("entry_filled", BIGINT),
        Column("exit_qty", BIGINT),
        Column("filled", BIGINT),
        Column("placed_at", BIGINT),
        Column("updated_at", BIGINT),
        Column("ended_at", BIGINT),
        Column("order_class", SMALLINT),
        Column("side", SMALLINT),
        Column("phase", SMALLINT),
        Column("end_reason", SMALLINT),
        Column("open", BOOLEAN),
        Column("symbol", TEXT),
        Column("client_order_id", TEXT),
    ),
    key=("group_id",),
    indexes=(Index("open", ("account_id",), where="open"),),
    fillfactor=85,
    fresh=True,
)


class OrderGroups(Projection):
    """Every group, as its last event left it."""

    name = "order_groups"
    tables = (ORDER_GROUPS,)

    def __init__(self) -> None:
        super().__init__()
        (self.groups,) = self.changes

    @on(GroupPlaced)
    def placed(self, position: int, e: GroupPlaced) -> None:
        waits = e.entry_id != NO_ID
        self.groups.put(
            e.originator_id.int,
            {
                "group_id": e.originator_id,
                "account_id": e.account_id,
                "instrument_id": e.instrument_id,
                "parent_id": e.entry_id if waits else e.take_profit_id,
                "entry_id": e.entry_id,
                "take_profit_id": e.take_profit_id,
                "stop_loss_id": e.stop_loss_id,
                "qty": e.qty,
                "entry_filled": 0,
                "exit_qty": 0 if waits else e.qty,
                "filled": 0,
                "placed_at": e.at,
                "updated_at": e.at,
                "ended_at": 0,
                "order_class": e.order_class,
                "side": e.side,
                "phase": _WAITING if waits else _WORKING,
                "end_reason": 0,
                "open": True,
                "symbol": e.symbol,
                "client_order_id": e.client_order_id,
            },
        )

    @on(GroupEntryFilled)
    def entry_filled(self, position: int, e: GroupEntryFilled) -> None:
        columns: Row = {"entry_filled": e.entry_filled_after, "exit_qty": e.exit_qty_after}
        if e.exit_qty_after:
            columns["phase"] = _WORKING
        self._patch(e, columns)

    @on(GroupLegFilled)
    def leg_filled(self, position: int, e: GroupLegFilled) -> None:
        self._patch(e, {"filled": e.filled_after})

    @on(GroupStopTriggered)
    def stop_triggered(self, position: int, e: GroupStopTriggered) -> None:
        self._patch(e, {"phase": _STOPPED})

    @on(GroupResized)
    def resized(self, position: int, e: GroupResized) -> None:
        self._patch(e, {"qty": e.qty_after, "exit_qty": e.exit_qty_after})

    @on(GroupEnded)
    def ended(self, position: int, e: GroupEnded) -> None:
        self._patch(e, {"phase": _ENDED, "open": False, "ended_at": e.at, "end_reason": e.reason})

    def _patch(self, e: GroupEvent, columns: Row) -> None:
        columns["group_id"] = e.originator_id
        columns["updated_at"] = e.at
        self.groups.patch(e.originator_id.int, columns)


class GroupRow(msgspec.Struct, frozen=True, gc=False):
    """One group; nil ids are legs it lacks, quantities 1e-8."""

    group_id: UUID
    account_id: UUID
    instrument_id: UUID
    parent_id: UUID
    entry_id: UUID
    take_profit_id: UUID
    stop_loss_id: UUID
    order_class: int
    side: int
    phase: int
    end_reason: int
    qty: int
    entry_filled: int
    exit_qty: int
    filled: int
    symbol: str
    client_order_id: str
    placed_at: int
    ended_at: int

    @property
    def members(self) -> list[UUID]:
        """The orders it has, the parent first."""
        others = (self.entry_id, self.take_profit_id, self.stop_loss_id)
        return [self.parent_id, *(o for o in others if o.int and o != self.parent_id)]


_SELECT = f"SELECT {', '.join(GroupRow.__struct_fields__)} FROM order_groups"


async def get_groups(
    conn: Connection, account_id: UUID, group_ids: Sequence[UUID]
) -> list[GroupRow]:
    """Some groups of an account."""
    async with conn.cursor(row_factory=class_row(GroupRow)) as cursor:
        await cursor.execute(
            _SELECT + " WHERE group_id = ANY(%s) AND account_id = %s",
            (list(group_ids), account_id),
        )
        return await cursor.fetchall()


async def get_group(conn: Connection, account_id: UUID, group_id: UUID) -> GroupRow | None:
    """One group of an account."""
    found = await get_groups(conn, account_id, [group_id])
    return found[0] if found else None
