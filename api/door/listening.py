"""How a door listens: so that newcomers to a busy process wait in it and not in the kernel."""

from __future__ import annotations

import os
import socket
from asyncio.trsock import TransportSocket

BACKLOG = 2_048
"""Connections that the kernel keeps until they are taken; others ask again after a second."""
ACCEPTED_IN_A_TURN = 8
"""So many connections a loop takes in a turn. It takes one of each listening socket, in a busy
process some hundred a second.
"""


def listened_at_once(listening: socket.socket | TransportSocket) -> list[socket.socket]:
    """The same listening socket as often again as a loop is to listen at it besides."""
    return [socket.socket(fileno=os.dup(listening.fileno())) for _ in range(1, ACCEPTED_IN_A_TURN)]
