"""What one gateway process holds: the way to the writer, the views, the keys, the streams."""

from __future__ import annotations

import uuid
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import AsyncConnectionPool

from api.auth import KeyRing, Principal
from api.refusals import Refused
from api.view_progress import ViewProgress
from api.ws.trade_updates import TradeUpdates
from application.commands import Command, Reply
from application.ports import Clock, CommandBus, EventSource
from infrastructure.settings import Settings
from projections import instruments

Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]


class Gateway:
    """Shared by every request of the process; knows of each account its last write."""

    def __init__(
        self,
        settings: Settings,
        bus: CommandBus,
        pool: Pool,
        source: EventSource,
        progress: ViewProgress,
        clock: Clock,
    ) -> None:
        self.settings = settings
        self.bus = bus
        self.pool = pool
        self.source = source
        self.progress = progress
        self.clock = clock
        self.keys = KeyRing(pool)
        self.updates = TradeUpdates(pool, source, self.asset_class)
        self._last_write: dict[UUID, int] = {}
        self._asset_classes: dict[UUID, str] = {}

    async def send(
        self,
        command: Command,
        principal: Principal,
        door: str = "http",
        *,
        path_fields: tuple[str, ...] = (),
        account_id: UUID | None = None,
    ) -> Reply:
        """Have a command decided and committed; raises Refused with the writer's refusal."""
        reply = await self.bus.send(command, principal.actor, door)
        owner = account_id or principal.account_id
        if owner is not None:
            self.wrote(owner, reply.position)
        if reply.refusal is not None:
            raise Refused(reply.refusal, reply.position, path_fields)
        return reply

    def wrote(self, account_id: UUID, position: int) -> None:
        """Remember that the account has seen this position."""
        if position > self._last_write.get(account_id, 0):
            self._last_write[account_id] = position

    async def catch_up(self, account_id: UUID | None, at_least: int | None, *views: str) -> None:
        """Wait until these views hold the account's last write; raises ProjectionBehind."""
        wanted = at_least or 0
        if account_id is not None:
            wanted = max(wanted, self._last_write.get(account_id, 0))
        if wanted:
            await self.progress.wait_for(wanted, views, self.settings.read_wait_ms / 1000)

    async def catch_up_to_end(self, *views: str) -> None:
        """Wait until these views hold all that is committed now; raises ProjectionBehind."""
        async with self.pool.connection() as conn:
            cursor = await conn.execute(
                "SELECT COALESCE(max(notification_id), 0) FROM stored_events"
            )
            row = await cursor.fetchone()
        assert row is not None
        await self.catch_up(None, int(row[0]), *views)

    async def asset_class(self, instrument_id: UUID) -> str | None:
        """The class of an instrument, which never changes; None while the views lack it."""
        known = self._asset_classes.get(instrument_id)
        if known is None and instrument_id.int:
            async with self.pool.connection() as conn:
                found = await instruments.get_instrument(conn, instrument_id)
            if found is not None:
                known = self._asset_classes[instrument_id] = found.asset_class
        return known


def new_key() -> str:
    """A request key for a client that gave none, so that a resend cannot act twice."""
    return uuid.uuid4().hex
