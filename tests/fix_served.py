"""A venue of a test's own with a FIX door: the acceptor runs in the loop of writer and gateway."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from api.fix.ports import SessionId
from api.fix.session.acceptor import Acceptor
from api.fix.settings.gateway import GatewaySettings
from api.fix.settings.template import SessionTemplate
from api.fix.settings.templates import Templates
from api.processes.fix import serving
from api.processes.gateway import Gateway
from infrastructure.settings import Settings
from tests.fix_settings import session
from tests.venue import Trader, Venue, running, served

Done = TypeVar("Done")


class FixDoor:
    """The FIX gateway of a venue, as its operator has it in hand."""

    def __init__(self) -> None:
        self.templates = Templates({})
        self.venue: Venue
        self.dsn = ""
        self.port = 0
        self.tls_port = 0
        self.said: list[str] = []
        self._loop: asyncio.AbstractEventLoop
        self._gateway: Gateway
        self._leave: Callable[[], Coroutine[Any, Any, None]]
        self._tls: ssl.SSLContext | None = None

    def agree(self, target: str, trader: Trader, **said: Any) -> SessionId:
        """Add a session, or change it, from its next logon on."""
        whole = session(target=target, accounts={"MAIN": trader.account_id}, **said)
        template = SessionTemplate.model_validate(whole)
        self.templates.take({**self.templates, template.session_id: template})
        return template.session_id

    def restart(self) -> None:
        """End the acceptor in order, and start another on the same ports."""
        asyncio.run_coroutine_threadsafe(self._again(), self._loop).result(30)

    async def _again(self) -> None:
        await self._leave()
        await self._enter(self._gateway)

    async def _enter(self, gateway: Gateway) -> None:
        self._loop, self._gateway = asyncio.get_running_loop(), gateway
        limits = GatewaySettings(failed_logons=1_000)
        context = serving(gateway, self.templates, limits, self.said.append)
        acceptor: Acceptor = await context.__aenter__()
        self.port = await acceptor.listen("127.0.0.1", self.port)
        if self._tls is not None:
            self.tls_port = await acceptor.listen("127.0.0.1", self.tls_port, ssl=self._tls)

        async def leave() -> None:
            await context.__aexit__(None, None, None)

        self._leave = leave

    @asynccontextmanager
    async def running(self, settings: Settings, dsn: str) -> AsyncIterator[Gateway]:
        """A venue that is served, with this door."""
        self.dsn = dsn
        async with running(settings, dsn) as gateway:
            await self._enter(gateway)
            try:
                yield gateway
            finally:
                await self._leave()


@contextmanager
def fix_served(dsn: str, tls: ssl.SSLContext | None = None) -> Iterator[FixDoor]:
    """A venue with a FIX door, until the block ends."""
    door = FixDoor()
    door._tls = tls
    with served(dsn, door.running) as door.venue:
        yield door


def play(scene: Coroutine[Any, Any, Done], seconds: float = 60) -> Done:
    """Play a scene of clients in a loop of their own."""
    return asyncio.run(asyncio.wait_for(scene, seconds))
