"""A TLS client of FIX is let in, however soon it speaks."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
import uvloop

from api.fix.session.tls_arrival import TlsArrival


class Echo(asyncio.Protocol):
    """Says again what it hears."""

    def arrive(self, transport: asyncio.BaseTransport) -> None:
        """There is room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_client_whose_hello_is_there_before_it_is_taken_is_let_in(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    """Whatever a loop reads before the handshake begins is the handshake's."""
    signer, whole = trustme.CA(), tmp_path / "venue.pem"
    signer.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(whole)
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(whole)
    theirs = ssl.create_default_context()
    signer.configure_trust(theirs)
    heard: list[bytes] = []

    def speak(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as raw:
            with theirs.wrap_socket(raw, server_hostname="127.0.0.1") as client:
                client.sendall(b"at once")
                heard.append(client.recv(100))

    async def serve() -> None:
        running = asyncio.get_running_loop()
        server = await running.create_server(lambda: TlsArrival(Echo(), ours, 5.0), "127.0.0.1", 0)
        for _ in range(3):
            client = threading.Thread(target=speak, args=server.sockets[0].getsockname()[1:2])
            client.start()
            # The loop stands still until the client has connected and said its hello.
            time.sleep(0.1)
            await asyncio.to_thread(client.join)
        server.close()
        await asyncio.sleep(0.05)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(serve())
    assert [b"at once"] * 3 == heard
