"""An account's orders of all kinds in one list: ordinary ones, groups and multi-leg orders."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from projections.connections import Connection
from projections.order_reads import OrderRow, orders_in, submission_of
from projections.order_windows import Wanted, Window, submission, whole_page
from projections.strategy_reads import StrategyRow, get_strategy, strategies_in

Listed = OrderRow | StrategyRow


async def list_all(
    conn: Connection,
    account_id: UUID,
    wanted: Wanted,
    window: Window,
    limit: int,
    *,
    whole_instants: bool,
) -> list[Listed]:
    """What was submitted within a window, of all kinds, in one order.

    With `whole_instants` a page takes along what was submitted at the instant it would end in.
    """

    async def read(span: Window, most: int) -> list[Listed]:
        rows: list[Listed] = [*await orders_in(conn, account_id, wanted, span, most)]
        rows += await strategies_in(conn, account_id, wanted, span, most)
        rows.sort(key=submission, reverse=wanted.direction == "desc")
        return rows[:most]

    if not whole_instants:
        return await read(window, limit)
    return await whole_page(read, window, limit, wanted.direction)


async def place_of(conn: Connection, account_id: UUID, order_id: UUID) -> UUID | None:
    """Where an order of any kind, by any of its ids, stands among those of its account."""
    found = await submission_of(conn, account_id, order_id)
    if found is None:
        row = await get_strategy(conn, account_id, order_id)
        found = None if row is None else row.revision_id
    return found


def leg_ids(rows: Sequence[Listed]) -> dict[UUID, UUID]:
    """The multi-leg order of each leg of those among some rows, by the legs' ids."""
    return {
        leg[0]: row.order_id
        for row in rows
        if isinstance(row, StrategyRow)
        for leg in row.legs
        if leg[0].int
    }
