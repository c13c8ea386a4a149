"""A whole venue in this process, served on a free port: writer, views, gateway, real store."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import uvicorn
from litestar import Litestar
from psycopg import sql
from pydantic import SecretStr

from api.app import create_app
from api.cli.gateway import server_config
from api.door.door import Door
from api.door.limits import Limits
from api.processes.gateway import Gateway
from api.processes.market_data import MarketDataProcess
from api.wiring import join
from application.writer.sequencer import Sequencer
from application.writer.timers import Timers
from infrastructure.calendar_source import Calendars
from infrastructure.clock import SystemClock
from infrastructure.command_bus import BusServer, UnixSocketBus
from infrastructure.log.snapshots import PostgresSnapshots
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.writing import PostgresEventLog
from infrastructure.settings import Settings
from migrations.runner import migrate
from projections.market_data.records import LOG
from projections.market_data.replay import SnapshotFloors
from projections.runner import Runner
from projections.views import all_views
from tests.homes import new_home

ADMIN = {
    "APCA-API-KEY-ID": "admin",
    "APCA-API-SECRET-KEY": "the-operator's-own-secret-of-many-letters",
}
YEAR_2100 = "2100-01-01T00:00:00Z"


@dataclass(frozen=True)
class Trader:
    """An account and its key."""

    account_id: str
    key_id: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"APCA-API-KEY-ID": self.key_id, "APCA-API-SECRET-KEY": self.secret}


class Venue:
    """A served venue, as its clients see it, with an operator at hand."""

    def __init__(self, listening: socket.socket, app: Litestar, schema: str, door: Door) -> None:
        self.door = door
        self.schema = schema
        self.listening = listening
        self.address: tuple[str, int] = listening.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.app = app
        self.admin = httpx.Client(base_url=self.url, headers=ADMIN, timeout=30)

    @property
    def ws_url(self) -> str:
        return self.url.replace("http://", "ws://") + "/stream"

    def trader(
        self, cash: str = "1000000.00", name: str | None = None, kind: str = "cash"
    ) -> Trader:
        """A new account with cash and a key."""
        name = name or f"trader-{uuid.uuid4().hex[:10]}"
        opened = self.admin.post("/admin/accounts", json={"name": name, "kind": kind})
        assert opened.status_code == 200, opened.text
        body = opened.json()
        if cash != "0":
            paid = self.admin.post(
                f"/admin/accounts/{body['account_id']}/deposits", json={"amount": cash}
            )
            assert paid.status_code == 200, paid.text
        return Trader(body["account_id"], body["key_id"], body["secret_key"])

    def client(self, trader: Trader) -> httpx.Client:
        """An HTTP client that carries the trader's key."""
        return httpx.Client(base_url=self.url, headers=trader.headers, timeout=30)

    def instrument(self, symbol: str | None = None, **terms: Any) -> str:
        """A new instrument in an open session."""
        symbol = symbol or "T" + uuid.uuid4().hex[:8].upper()
        body = {
            "symbol": symbol,
            "name": f"{symbol} Incorporated",
            "tick": "0.01",
            "lot": "1",
            "reference_price": "100",
            "calendar": "manual",
            **terms,
        }
        listed = self.admin.post("/admin/instruments", json=body)
        assert listed.status_code == 200, listed.text
        opened = self.admin.post(
            f"/admin/instruments/{symbol}/open",
            json={
                "session_date": 20261120,
                "value_date": 20261123,
                "opens_at": "2026-11-20T00:00:00Z",
                "closes_at": YEAR_2100,
            },
        )
        assert opened.status_code == 200, opened.text
        return symbol

    def hold(self, trader: Trader, symbol: str, qty: str, cost: str = "0") -> None:
        """Give a trader a holding."""
        moved = self.admin.post(
            f"/admin/accounts/{trader.account_id}/positions",
            json={"symbol": symbol, "qty": qty, "cost": cost},
        )
        assert moved.status_code == 200, moved.text


@asynccontextmanager
async def running(settings: Settings, dsn: str, *, timed: bool = False) -> AsyncIterator[Gateway]:
    """Writer and projector beside a gateway, all in this event loop; `timed` with its timers."""
    schema = settings.partition_schema

    async def connect() -> psycopg.AsyncConnection[Any]:
        conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
        await conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        return conn

    log = PostgresEventLog(dsn, schema, settings.partition)
    writer = Sequencer(log, PostgresSnapshots(dsn, schema), SystemClock(), say=lambda _: None)
    source = PostgresEventSource(dsn, schema)
    projector = Runner(connect, source, all_views())
    tasks = [asyncio.create_task(writer.run()), asyncio.create_task(projector.run())]
    server = BusServer(settings.bus_socket, writer.submit)
    bus = UnixSocketBus(settings.bus_socket)
    try:
        await writer.ready.wait()
        if timed:
            timers = Timers(lambda: writer.desk, writer.send, Calendars(), SystemClock())
            tasks.append(asyncio.create_task(timers.run()))
        await server.open()
        async with join(settings, dsn, bus) as gateway:
            yield gateway
    finally:
        await bus.close()
        await server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await source.close()
        await log.close()


@asynccontextmanager
async def running_with_market_data(settings: Settings, dsn: str) -> AsyncIterator[Gateway]:
    """The same with a market-data process, also in this event loop, that tells the gateway."""
    schema = settings.partition_schema
    source = PostgresEventSource(dsn, schema)
    floors = SnapshotFloors(PostgresSnapshots(dsn, schema))
    bus = UnixSocketBus(settings.bus_socket)
    process = MarketDataProcess(settings, source, floors, bus, lambda _: None)
    async with running(settings, dsn) as gateway:
        telling = asyncio.create_task(process.run())
        try:
            while gateway.market.away or gateway.market.freshness.at(LOG) is None:
                assert not telling.done(), telling.exception()
                await asyncio.sleep(0.01)
            yield gateway
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await bus.close()
            await source.close()


OpenGateway = Callable[[Settings, str], AbstractAsyncContextManager[Gateway]]


@contextmanager
def served(
    dsn: str, open_gateway: OpenGateway = running, limits: Limits | None = None
) -> Iterator[Venue]:
    """A venue with a schema of its own, served until the block ends."""
    home = new_home("nexus-bus-")
    schema = f"test_{uuid.uuid4().hex[:12]}"
    migrate(dsn, schema)
    settings = Settings(
        partition_schema=schema,
        admin_key=SecretStr(ADMIN["APCA-API-SECRET-KEY"]),
        read_wait_ms=5000,
        bus_path=home / "bus.sock",
        feed_path=home / "feed.sock",
    )
    app = create_app(lambda: open_gateway(settings, dsn))
    listening = socket.create_server(("127.0.0.1", 0))
    config = server_config(app, settings, limits)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="venue")
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the venue did not start"
            thread.join(0.01)
        venue = Venue(listening, app, schema, config.door)
        with venue.admin:
            yield venue
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
        shutil.rmtree(home, ignore_errors=True)
        with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))
