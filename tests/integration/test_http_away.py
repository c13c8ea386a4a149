"""When the writer or the store does not answer: 503 that says when to ask again, no hang."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg import sql

from api.auth import digest_of
from api.gateway import Gateway
from api.wiring import join
from infrastructure.command_bus import UnixSocketBus
from infrastructure.embedded_server import EmbeddedServer
from infrastructure.settings import Settings
from tests.venue import ADMIN, Venue, served


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


def test_an_order_without_a_writer_is_unavailable(venue: Venue, postgres: EmbeddedServer) -> None:
    """The outcome is not known: 503 with Retry-After, and a retry with the same id is safe."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(venue.schema)))
        conn.execute(
            "INSERT INTO api_keys VALUES ('t', %s, gen_random_uuid(), 'trader', now(), NULL)",
            (digest_of("s"),),
        )
    answer = httpx.post(
        f"{venue.url}/v2/orders",
        headers={"APCA-API-KEY-ID": "t", "APCA-API-SECRET-KEY": "s"},
        json={
            "symbol": "AAPL",
            "qty": 1,
            "side": "buy",
            "type": "market",
            "time_in_force": "day",
        },
        timeout=20,
    )

    assert (503, "VENUE_UNAVAILABLE", "1") == (
        answer.status_code,
        answer.json()["reason"],
        answer.headers["Retry-After"],
    )


def test_readiness_tells_a_missing_writer_from_a_dead_process(venue: Venue) -> None:
    """The process lives; it is not ready, and says what is missing."""
    alive, ready = venue.admin.get("/healthz"), venue.admin.get("/readyz")

    assert (200, 503) == (alive.status_code, ready.status_code)
    assert ("not_ready", False, True) == tuple(
        ready.json()[name] for name in ("status", "writer", "database")
    )


def test_an_operator_is_told_the_same(venue: Venue) -> None:
    """Opening an account without a writer is 503, not a failure of the gateway."""
    answer = httpx.post(f"{venue.url}/admin/accounts", headers=ADMIN, json={"name": "a"})

    assert (503, "VENUE_UNAVAILABLE") == (answer.status_code, answer.json()["reason"])
