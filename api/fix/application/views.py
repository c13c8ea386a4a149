"""What the views are asked for FIX clients: lists that no single event tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from api.processes.gateway import Gateway
from domain.identifiers import Instant
from projections.activities import OF_FILLS, ActivityRow, Place, list_activities
from projections.instruments import InstrumentRow, list_instruments
from projections.order_reads import list_orders
from projections.strategy_reads import open_strategies

PAGE = 500


class Views(Protocol):
    """Lists as of all that is committed; raises ProjectionBehind, or what an absent store does."""

    async def working_orders(self, account_id: UUID) -> Sequence[UUID]:
        """The working orders of an account by their first ids, the oldest first."""
        ...

    async def working_strategies(self, account_id: UUID) -> Sequence[UUID]:
        """The working multi-leg orders of an account by their first ids, the oldest first."""
        ...

    async def instruments(self) -> Sequence[InstrumentRow]:
        """Everything that is listed, by symbol."""
        ...

    async def activities(self, account_id: UUID, since: Instant) -> Sequence[ActivityRow]:
        """The fills of an account since an instant, their busts and corrections, in order."""
        ...


class GatewayViews:
    """The views of a gateway process."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def working_orders(self, account_id: UUID) -> Sequence[UUID]:
        """The working orders of an account by their first ids, the oldest first."""
        await self._gateway.catch_up_to_end("orders", "strategies")
        found: dict[UUID, None] = {}
        after: UUID | None = None
        while True:
            async with self._gateway.pool.connection() as conn:
                rows = await list_orders(
                    conn, account_id, status="open", limit=PAGE, direction="asc", after_id=after
                )
            found |= {row.order_id: None for row in rows}
            if len(rows) < PAGE:
                return list(found)
            last = rows[-1]
            after = last.revision_id if last.replaces.int else last.order_id

    async def working_strategies(self, account_id: UUID) -> Sequence[UUID]:
        """The working multi-leg orders of an account by their first ids, the oldest first."""
        await self._gateway.catch_up_to_end("strategies", "instruments")
        async with self._gateway.pool.connection() as conn:
            return await open_strategies(conn, account_id)

    async def instruments(self) -> Sequence[InstrumentRow]:
        """Everything that is listed, by symbol."""
        await self._gateway.catch_up_to_end("instruments")
        async with self._gateway.pool.connection() as conn:
            return await list_instruments(conn)

    async def activities(self, account_id: UUID, since: Instant) -> Sequence[ActivityRow]:
        """The fills of an account since an instant, their busts and corrections, in order."""
        await self._gateway.catch_up_to_end("activities")
        found: dict[int, ActivityRow] = {}
        cursor: Place | None = None
        while True:
            async with self._gateway.pool.connection() as conn:
                rows = await list_activities(
                    conn,
                    account_id,
                    OF_FILLS,
                    after=since - 1,
                    cursor=cursor,
                    direction="asc",
                    limit=PAGE,
                )
            found |= {row.position: row for row in rows}
            if len(rows) < PAGE:
                return list(found.values())
            cursor = Place(rows[-1].at, rows[-1].position)
