"""What stands behind the sessions of a gateway, and a session as its requests see it."""

from __future__ import annotations

from asyncio import Future
from typing import NamedTuple
from uuid import UUID

from api.fix.application.terms import SessionTerms
from api.fix.application.views import Views
from api.fix.ports import Link
from api.order_lives import OrderLives
from api.strategy_lives import StrategyLives
from application.commands import Reply
from application.log.ports import ReportsLog
from application.log.whole_commands import read_command
from application.multileg import StrategyView
from application.ports import Clock, CommandBus
from application.requests import Command
from domain.events import MultiLegEvent, OrderEvent, RequestRefused
from domain.identifiers import MAX_INSTANT
from domain.order import Order
from projections.market_data.feed import Feed

ALL_OF_IT = MAX_INSTANT
"""A position that no log reaches."""


class Client(NamedTuple):
    """A session that is logged on, and what it may do."""

    link: Link
    terms: SessionTerms
    door: str
    actor: str


class Behind(NamedTuple):
    """The writer, the log, the views and the clock, as every request finds them."""

    bus: CommandBus
    log: ReportsLog
    views: Views
    clock: Clock
    market: Feed | None = None
    """Market data; None where there is none."""

    def ask(self, client: Client, command: Command) -> Future[Reply]:
        """Send a command of a session at once; its reply is what `send` gives."""
        return self.bus.ask(command, client.actor, client.door)

    async def send(self, client: Client, command: Command) -> Reply:
        """Have a command of a session decided; raises VenueUnavailable."""
        return await self.bus.send(command, client.actor, client.door)

    async def order(self, order_id: UUID) -> Order | None:
        """An order as all that is committed has left it."""
        return await OrderLives(self.log).before(order_id, ALL_OF_IT)

    async def named(self, account_id: UUID, name: str) -> Order | None:
        """The order that a request of this name made, gave new terms or was about, by the log:
        whatever it is called by now.
        """
        key = await self.log.find_key(account_id, name)
        if key is None:
            return None
        for _, event in await read_command(self.log, key.position):
            if isinstance(event, RequestRefused):
                return await self.order(event.order_id) if event.order_id.int else None
            if isinstance(event, MultiLegEvent):
                return None
            if isinstance(event, OrderEvent) and event.account_id == account_id:
                return await self.order(event.originator_id)
        return None

    async def strategy(self, strategy_id: UUID) -> StrategyView | None:
        """A multi-leg order as all that is committed has left it."""
        return await StrategyLives(self.log, 0).before(strategy_id, ALL_OF_IT)

    async def strategy_named(self, account_id: UUID, name: str) -> StrategyView | None:
        """The multi-leg order that a request of this name made, changed or was about."""
        key = await self.log.find_key(account_id, name)
        if key is None:
            return None
        for _, event in await read_command(self.log, key.position):
            if isinstance(event, RequestRefused):
                return await self.strategy(event.order_id) if event.order_id.int else None
            if isinstance(event, MultiLegEvent) and event.account_id == account_id:
                return await self.strategy(event.originator_id)
        return None

    async def owner(self, order_id: UUID) -> str:
        """The door through which an order came."""
        first = await self.log.stream(order_id, 0, 1)
        return first[0].event.gateway if first else ""
