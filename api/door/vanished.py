"""Peers that are gone without a word: the kernel asks them, and ends their connections."""

from __future__ import annotations

import socket

SILENT_SECONDS, BETWEEN_SECONDS, TIMES = 30, 10, 3
"""After how long a silent peer is asked whether it is there, how often, and how many times."""
UNREAD_SECONDS = SILENT_SECONDS + BETWEEN_SECONDS * TIMES
"""How long what was sent may be left by a peer's machine without a word, or without taking it."""


def notice_the_vanished(listening: socket.socket, unread_seconds: float = UNREAD_SECONDS) -> None:
    """Have what a socket takes in be asked; connections have what their listener has."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, SILENT_SECONDS),
        (socket.TCP_KEEPINTVL, BETWEEN_SECONDS),
        (socket.TCP_KEEPCNT, TIMES),
        (socket.TCP_USER_TIMEOUT, round(unread_seconds * 1_000)),
    ):
        listening.setsockopt(socket.IPPROTO_TCP, option, value)
