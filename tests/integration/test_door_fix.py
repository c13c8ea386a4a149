"""Strangers at the doors of FIX, the plain one and that of TLS, while somebody is logged on."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from api.fix.logon.certificates import server_context
from api.fix.session.registry import AcceptorLimits
from api.fix.settings.gateway import Tls
from infrastructure.embedded_server import EmbeddedServer
from tests.fix_client import FixClient
from tests.fix_served import FixDoor, fix_served, play
from tests.fix_settings import PASSWORD

ENDLESS = b"8=FIX.4.4\x019=60000\x0135=A\x0149="
OF_AN_ADDRESS = AcceptorLimits().unknown_of_an_address


@pytest.fixture(scope="module")
def door(postgres: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FixDoor]:
    """One venue for all tests of this file, with both doors and a session."""
    whole = tmp_path_factory.mktemp("door") / "venue.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(Path(whole))
    context = server_context(Tls(port=1, certificate=whole, key=whole))
    with fix_served(postgres.dsn(), context) as served:
        served.agree("KNOWN", served.venue.trader())
        yield served


async def answered_in(client: FixClient, word: bytes) -> float:
    """The seconds until the venue answers whether it is there."""
    began = time.monotonic()
    client.send(b"1", [(112, word)])
    await client.until(lambda: any(one.get(112) == word for one in client.session_messages))
    return time.monotonic() - began


def pour(port: int, opening: bytes, repeated: bytes, most: int) -> int:
    """Send until the connection is closed or so much is sent; how much it was."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), 10) as conn:
        try:
            conn.sendall(opening)
            while sent < most:
                sent += conn.send(repeated)
            while conn.recv(65_536):
                pass
        except (ConnectionError, BrokenPipeError):
            pass
    return sent


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize(
    ("opening", "repeated"),
    [
        (b"", b"8=FIX" * 2_000),
        (b"", b"8=FIX.4.4\x019=5\x01" * 1_000),
        (b"", b"\x00" * 10_000),
        (ENDLESS, b"x" * 10_000),
        (ENDLESS, b"1=2\x01" * 2_500),
        (b"8=FIX.4.4\x01", b"9" * 10_000),
    ],
    ids=["beginnings", "heads", "zeros", "a field", "fields", "a length"],
)
def test_door_of_fix_ends_noise(
    door: FixDoor, secure: bool, opening: bytes, repeated: bytes
) -> None:
    """After few bytes; who is logged on does not wait for it."""

    async def scene() -> float:
        known = FixClient(door.port, "KNOWN", PASSWORD)
        await known.log_on(reset=True)
        port = door.tls_port if secure else door.port
        pouring = asyncio.create_task(asyncio.to_thread(pour, port, opening, repeated, 50_000_000))
        slowest = 0.0
        for number in range(1_000):
            slowest = max(slowest, await answered_in(known, b"%d" % number))
            if pouring.done():
                break
            await asyncio.sleep(0.005)
        assert await pouring < 20_000_000
        await known.log_out()
        return slowest

    assert play(scene()) < 1.0


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_door_of_fix_has_room_for_who_logs_on_among_the_silent(door: FixDoor, secure: bool) -> None:
    """The one that has been silent longest goes, be it in the middle of shaking hands."""
    port = door.tls_port if secure else door.port
    silent = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(OF_AN_ADDRESS + 10)]
    try:
        assert b"" == ended(silent[0])

        async def scene() -> None:
            known = FixClient(door.port, "KNOWN", PASSWORD)
            assert b"A" == (await known.log_on(reset=True)).msg_type
            await answered_in(known, b"there")
            await known.log_out()

        play(scene())
        silent[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            silent[-1].recv(1)
    finally:
        for conn in silent:
            conn.close()


def ended(conn: socket.socket) -> bytes:
    """What is told at the end of a connection."""
    try:
        return conn.recv(1)
    except ConnectionResetError:
        return b""
