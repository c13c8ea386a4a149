"""Turns of strangers at the door of a served venue."""

from __future__ import annotations

import socket
import time

from api.door.limits import Limits
from infrastructure.embedded_server import EmbeddedServer
from tests.venue import served

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def test_each_request_of_many_in_a_part_is_a_turn_of_strangers(postgres: EmbeddedServer) -> None:
    """Whoever sends forty requests at once has no more of them answered in a second."""
    limits = Limits(strangers_turns=15, strangers_turns_saved=10)
    with served(postgres.dsn(), limits=limits) as venue:
        place = ("127.0.0.1", venue.address[1])
        began = time.monotonic()
        with (
            socket.create_connection(place, 10) as many,
            socket.create_connection(place, 10) as another,
        ):
            many.sendall(GET * 40)
            _hear(many, answers=40)
            another.sendall(GET)
            _hear(another, answers=1)
    assert time.monotonic() - began > 1.5


def _hear(conn: socket.socket, answers: int) -> None:
    told = b""
    while told.count(b"HTTP/1.1 200 ") < answers:
        part = conn.recv(65_536)
        assert part, told
        told += part
