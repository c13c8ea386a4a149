"""Who is at the other end of a unix socket, as the kernel has it."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import NamedTuple

_CREDENTIALS = struct.Struct("3i")
PROBE_SECONDS = 1.0


class Peer(NamedTuple):
    """A process, and the user it ran as when it connected, or began to listen."""

    pid: int
    uid: int


def peer_of(descriptor: int) -> Peer | None:
    """Who is at the other end of a connection, by its file descriptor; None on a system that
    cannot say (there the directories of sockets keep strangers out), and of no unix socket.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    # A loop's transports give no whole socket away.
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family != socket.AF_UNIX:
            return None
        said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(said)
    return Peer(pid, uid)


def is_trusted(descriptor: int) -> bool:
    """Whether the other end is this very user or root, who may do as he likes anyway."""
    peer = peer_of(descriptor)
    return peer is None or peer.uid in (0, os.geteuid())


def listener_of(path: Path) -> Peer | None:
    """Who listens at a path; None where nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        return peer_of(probe.fileno())
