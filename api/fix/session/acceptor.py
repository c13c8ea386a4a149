"""The door of the FIX gateway: takes connections, keeps their time, ends them in order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from ssl import SSLContext
from typing import Any

from api.door.listening import BACKLOG, listened_at_once
from api.door.refusals import Refusals
from api.door.vanished import notice_the_vanished
from api.fix.ports import Application, Doorkeeper, Received, SessionId, SessionStore
from api.fix.session.connection import Building, Connection
from api.fix.session.hands import Fault
from api.fix.session.outgoing import Times
from api.fix.session.registry import AcceptorLimits, Registry
from api.fix.session.tls_arrival import TlsArrival

STOP_SECONDS = 1.5
"""How long the sessions together may take to log out when the gateway stops."""

log = logging.getLogger("nexus.fix")


class Acceptor:
    """Listens for clients, on as many addresses as it is told to."""

    def __init__(
        self,
        doorkeeper: Doorkeeper,
        store: SessionStore,
        application: Application,
        *,
        validate: Callable[[Received, Any], Fault | None],
        times: Times,
        limits: AcceptorLimits | None = None,
    ) -> None:
        self._limits = limits or AcceptorLimits()
        self._registry = Registry[Connection](self._limits)
        self.refusals = Refusals()
        """Whom it has not served."""
        registry, refusals = self._registry, self.refusals
        self._building = Building(
            *(doorkeeper, store, application, validate, times), registry, refusals
        )
        self._servers: list[asyncio.Server] = []
        self._ticking: asyncio.Task[None] | None = None

    async def listen(self, host: str, port: int, ssl: SSLContext | None = None) -> int:
        """Listen on an address; returns the port, which is a free one when 0 is asked for."""
        loop = asyncio.get_running_loop()
        comes = partial(self._comes, ssl)
        server = await loop.create_server(comes, host, port, backlog=BACKLOG)
        self._servers.append(server)
        for listening in server.sockets:
            notice_the_vanished(listening)
            for again in listened_at_once(listening):
                self._servers.append(await loop.create_server(comes, sock=again, backlog=BACKLOG))
        if self._ticking is None and self._limits.tick_seconds:
            self._ticking = asyncio.create_task(self._keep_time(), name="fix-time")
        return int(server.sockets[0].getsockname()[1])

    def _comes(self, ssl: SSLContext | None) -> asyncio.Protocol:
        connection = Connection(self._building)
        if ssl is None:
            return connection
        return TlsArrival(connection, ssl, self._limits.logon_seconds)

    async def stop(self, text: str = "The venue closes its gateway") -> None:
        """Take nobody any more, log every session out, and return when all are gone."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for connection in self._connections():
            if connection.session is None:
                connection.failed("the gateway stops")
            else:
                connection.session.log_out(text)
        gone = [asyncio.create_task(one.gone.wait()) for one in self._connections()]
        if gone:
            _, left = await asyncio.wait(gone, timeout=STOP_SECONDS)
            for connection in self._connections():
                connection.failed("the gateway stops")
            if left:
                _, left = await asyncio.wait(left, timeout=STOP_SECONDS / 2)
            for connection in self._connections():
                connection.abandon()
            for task in left:
                task.cancel()
        if self._ticking is not None:
            self._ticking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticking
            self._ticking = None

    def sessions(self) -> tuple[SessionId, ...]:
        """The sessions that are connected."""
        return self._registry.sessions()

    def tick(self) -> None:
        """Do what is due by now, for every connection."""
        for connection in self._connections():
            try:
                connection.tick(self._limits.logon_seconds)
            except Exception as error:
                log.exception("a session's time failed")
                connection.failed(f"its time failed: {error!r}")

    async def _keep_time(self) -> None:
        while True:
            await asyncio.sleep(self._limits.tick_seconds)
            self.tick()

    def _connections(self) -> tuple[Connection, ...]:
        return self._registry.connections()
