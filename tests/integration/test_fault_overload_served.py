"""A venue of processes whose store is slow: it says that it is busy, and loses nothing."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql

from api.processes.supervisor import Supervisor
from infrastructure.settings import Settings
from tests.homes import new_home
from tests.log_checks import read_log
from tests.order_driver import ADMIN_SECRET, free_port

pytestmark = pytest.mark.crash

QUEUE_AGE = 0.3
YEAR_2100 = "2100-01-01T00:00:00Z"


@pytest.fixture
def settings() -> Iterator[Settings]:
    """A venue of its own whose commands wait for a third of a second at most."""
    home = new_home()
    yield Settings(
        data_dir=home / "data",
        runtime_dir=home / "run",
        port=free_port(),
        admin_key=ADMIN_SECRET,
        queue_age_ms=int(QUEUE_AGE * 1000),
    )
    shutil.rmtree(home, ignore_errors=True)


class Clients:
    """An operator and a trader of a venue with one instrument."""

    def __init__(self, url: str) -> None:
        key = {"APCA-API-KEY-ID": "admin", "APCA-API-SECRET-KEY": ADMIN_SECRET}
        self.operator = httpx.AsyncClient(base_url=url, headers=key, timeout=30)
        self.trader = httpx.AsyncClient(base_url=url, timeout=30)

    async def __aenter__(self) -> Clients:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.operator.aclose()
        await self.trader.aclose()

    async def furnish(self) -> None:
        """An open instrument, and an account with money."""
        terms = {"symbol": "ACME", "name": "Acme", "tick": "0.01", "lot": "1"}
        session = {"session_date": 20261120, "value_date": 20261123}
        session |= {"opens_at": "2026-11-20T00:00:00Z", "closes_at": YEAR_2100}
        opened = await self.post("/admin/accounts", {"name": "a"})
        await self.post(f"/admin/accounts/{opened['account_id']}/deposits", {"amount": "1000000"})
        await self.post(
            "/admin/instruments", {**terms, "reference_price": "100", "calendar": "manual"}
        )
        await self.post("/admin/instruments/ACME/open", session)
        self.trader.headers["APCA-API-KEY-ID"] = opened["key_id"]
        self.trader.headers["APCA-API-SECRET-KEY"] = opened["secret_key"]

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask as the operator."""
        answer = await self.operator.post(path, json=body)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def order(self, name: str) -> httpx.Response:
        """Send an order that rests."""
        body = {"symbol": "ACME", "qty": "1", "side": "buy", "type": "limit"}
        body |= {"limit_price": "90", "time_in_force": "gtc", "client_order_id": name}
        return await self.trader.post("/v2/orders", json=body)


async def quickly(answering: Any) -> httpx.Response:
    """An answer that does not wait for the store."""
    began = time.monotonic()
    answer: httpx.Response = await answering
    assert time.monotonic() - began < 5
    return answer


async def while_commits_hang(
    venue: Supervisor, clients: Clients
) -> tuple[list[httpx.Response], list[httpx.Response]]:
    """What was taken meanwhile, and what was refused."""
    resting = (await clients.order("resting")).json()["id"]
    with psycopg.connect(venue.dsn) as conn:
        epoch = sql.Identifier(venue.settings.partition_schema, "writer_epoch")
        conn.execute(sql.SQL("SELECT 1 FROM {} FOR UPDATE").format(epoch))
        taken = [asyncio.create_task(clients.order(f"taken {n}")) for n in range(3)]
        await asyncio.sleep(QUEUE_AGE + 0.3)
        refused = [await quickly(clients.order(f"refused {n}")) for n in range(5)]
        cancel = clients.trader.delete(f"/v2/orders/{resting}")
        stop = clients.operator.put("/admin/kill-switch", json={"engaged": True, "reason": "busy"})
        taken += [asyncio.create_task(cancel), asyncio.create_task(stop)]
        for path in ("/healthz", "/v2/account", "/v2/orders"):
            assert 200 == (await quickly(clients.trader.get(path))).status_code
        assert not any(task.done() for task in taken)
    return [await task for task in taken], refused


@pytest.mark.timeout(120)
def test_orders_are_refused_while_commits_hang_and_all_that_was_taken_is_done(
    settings: Settings,
) -> None:
    """503 at once with Retry-After; reads, `/healthz` and cancels go on; what was acknowledged,
    and nothing that was refused, is in the log.
    """
    with Supervisor(settings, say=lambda _: None, output=subprocess.DEVNULL) as venue:

        async def scene() -> tuple[list[httpx.Response], list[httpx.Response]]:
            async with Clients(f"http://127.0.0.1:{settings.port}") as clients:
                await clients.furnish()
                return await while_commits_hang(venue, clients)

        answers, refused = asyncio.run(scene())
        log = read_log(venue.dsn, settings.partition_schema)
        log.check()

    assert [200, 200, 200, 204, 200] == [answer.status_code for answer in answers]
    assert {(503, "QUEUE_FULL", "1")} == {
        (answer.status_code, answer.json()["reason"], answer.headers["Retry-After"])
        for answer in refused
    }
    names = {"resting", "taken 0", "taken 1", "taken 2"}
    assert names == set(log.orders_by_client_id())
