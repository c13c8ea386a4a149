"""Peers that are gone without a word: the kernel asks them, and ends their connections."""

from __future__ import annotations

import socket

SILENT_SECONDS, BETWEEN_SECONDS, TIMES = 30, 10, 3
"""After how long a silent peer is asked whether it is there, how often, and how many times."""


def notice_the_vanished(listening: socket.socket) -> None:
    """Have what a socket takes in be asked; connections have what their listener has."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_SECONDS)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, BETWEEN_SECONDS)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, TIMES)
