"""When the writer or the store does not answer: 503 that says when to ask again, no hang."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from api.key_issuing import NewKey
from api.processes.gateway import Gateway
from api.wiring import join
from infrastructure.command_bus import UnixSocketBus
from infrastructure.embedded_server import EmbeddedServer
from infrastructure.settings import Settings
from tests.keys import KeyWriter
from tests.venue import ADMIN, Trader, Venue, served


@asynccontextmanager
async def without_a_writer(settings: Settings, dsn: str) -> AsyncIterator[Gateway]:
    """A gateway whose writer is gone."""
    bus = UnixSocketBus(Path(f"{settings.bus_socket}.gone"), timeout=0.3)
    try:
        async with join(settings, dsn, bus) as gateway:
            yield gateway
    finally:
        await bus.close()


@pytest.fixture(scope="module")
def venue(postgres: EmbeddedServer) -> Iterator[Venue]:
    """A venue without a writer."""
    with served(postgres.dsn(), without_a_writer) as venue:
        yield venue


@pytest.fixture(scope="module")
def client(venue: Venue, postgres: EmbeddedServer) -> Iterator[httpx.Client]:
    """A trader whose key is there although no writer opened the account."""

    async def issued() -> NewKey:
        async with KeyWriter(postgres.dsn(), venue.schema) as writer:
            await writer.operator(ADMIN["APCA-API-KEY-ID"], ADMIN["APCA-API-SECRET-KEY"])
            return await writer.issue(uuid4())

    key = asyncio.run(issued())
    with venue.client(Trader("", key.key_id, key.secret)) as client:
        yield client


def test_an_order_without_a_writer_is_unavailable(client: httpx.Client) -> None:
    """The outcome is not known: 503 with Retry-After, and a retry with the same id is safe."""
    answer = client.post(
        "/v2/orders",
        json={
            "symbol": "AAPL",
            "qty": 1,
            "side": "buy",
            "type": "market",
            "time_in_force": "day",
        },
    )

    assert (503, "VENUE_UNAVAILABLE", "1") == (
        answer.status_code,
        answer.json()["reason"],
        answer.headers["Retry-After"],
    )


@pytest.mark.parametrize("path", ["orders", "positions", "account", "assets", "clock"])
def test_reads_before_the_first_projector_are_unavailable(
    venue: Venue, client: httpx.Client, path: str
) -> None:
    """Views that were never made hold nothing yet: 503, not a failure."""
    gateway = venue.app.state["gateway"]
    gateway.settings = gateway.settings.model_copy(update={"read_wait_ms": 50})
    answer = client.get(f"/v2/{path}")

    assert (503, "PROJECTION_BEHIND") == (answer.status_code, answer.json()["reason"])


def test_readiness_tells_a_missing_writer_from_a_dead_process(venue: Venue) -> None:
    """The process lives; it is not ready, and says what is missing."""
    alive, ready = venue.admin.get("/healthz"), venue.admin.get("/readyz")

    assert (200, 503) == (alive.status_code, ready.status_code)
    assert ("not_ready", False, True) == tuple(
        ready.json()[name] for name in ("status", "writer", "database")
    )


def test_an_operator_is_told_the_same(client: httpx.Client, venue: Venue) -> None:
    """Opening an account without a writer is 503, not a failure of the gateway."""
    answer = httpx.post(f"{venue.url}/admin/accounts", headers=ADMIN, json={"name": "a"})

    assert (503, "VENUE_UNAVAILABLE") == (answer.status_code, answer.json()["reason"])
