"""Strangers at the doors of FIX leave nothing behind that refers to itself.

A session does, some sixty objects at each end of it: there are as many as were agreed, and the
collector of that process finds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from api.fix.logon.certificates import server_context
from api.fix.settings.gateway import Tls
from infrastructure.embedded_server import EmbeddedServer
from tests.fix_client import Away, FixClient
from tests.fix_served import FixDoor, fix_served
from tests.knots import knots_left

TIMES = 3


@pytest.fixture(scope="module")
def door(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixDoor]:
    """A venue with both doors and a session."""
    whole = tmp_path_factory.mktemp("door") / "venue.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(Path(whole))
    context = server_context(Tls(port=1, certificate=whole, key=whole))
    with fix_served(postgres.dsn(), context) as served:
        served.agree("KNOWN", served.venue.trader())
        yield served


async def silent(door: FixDoor) -> None:
    """It says nothing and is gone."""
    _, writer = await asyncio.open_connection("127.0.0.1", door.port)
    await asyncio.sleep(0.05)
    writer.transport.abort()


async def wrong_password(door: FixDoor) -> None:
    """It is turned away."""
    client = FixClient(door.port, "KNOWN", "wrong")
    with suppress(Away):
        await client.log_on(reset=True)
    await client.hang_up()


async def garbage(door: FixDoor) -> None:
    """It is ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"8=FIX" * 20_000)
    with suppress(ConnectionError):
        while await reader.read(100):
            pass
    writer.close()


async def half_a_handshake(door: FixDoor) -> None:
    """At the door of TLS, and gone."""
    _, writer = await asyncio.open_connection("127.0.0.1", door.tls_port)
    writer.write(b"\x16\x03\x01")
    await asyncio.sleep(0.05)
    writer.transport.abort()


VISITS = [silent, wrong_password, garbage, half_a_handshake]


@pytest.mark.parametrize("visit", VISITS, ids=[visit.__name__ for visit in VISITS])
def test_stranger_at_a_door_of_fix_leaves_no_knot(
    door: FixDoor, visit: Callable[[FixDoor], Awaitable[object]]
) -> None:
    """Whoever it was, and however it went."""

    async def come_and_go(times: int) -> None:
        for _ in range(times):
            await visit(door)
            await asyncio.sleep(0.3)

    assert {} == knots_left(come_and_go, TIMES)
