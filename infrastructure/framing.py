"""Frames over a unix socket: four bytes of length, big endian, and then so many bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, cast

import msgspec

from infrastructure.peers import is_trusted
from infrastructure.unix_paths import prepare_for_socket

MAX_FRAME = 64 * 1024 * 1024
_HEAD = 4


class Framed(asyncio.Protocol):
    """One end of a connection: takes whole frames in, and ends one whose bytes make no sense."""

    most = MAX_FRAME
    """The longest frame that is taken in."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is sent may arrive."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports fit asyncio's by shape alone.
        self._transport = cast("asyncio.Transport", transport)
        connection = transport.get_extra_info("socket")
        if connection is not None and not is_trusted(connection.fileno()):
            # Nothing is sent to it and nothing taken from it, whichever end this is.
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        if buffer:
            # The rest of a frame that came in pieces.
            buffer += data
            with memoryview(buffer) as view:
                taken = self._take_frames(view)
            del buffer[:taken]
        else:
            with memoryview(data) as view:
                taken = self._take_frames(view)
                buffer += view[taken:]

    def _take_frames(self, view: memoryview) -> int:
        """Take every whole frame in; how many bytes that were, all when they make no sense."""
        start = 0
        try:
            while len(view) - start >= _HEAD:
                body = start + _HEAD
                length = int.from_bytes(view[start:body], "big")
                if length > self.most:
                    raise msgspec.DecodeError("no frame is that long")
                if len(view) - body < length:
                    break
                start = body + length
                self.frame(view[body:start])
        except msgspec.MsgspecError:
            self.makes_no_sense()
            return len(view)
        return start

    def frame(self, frame: memoryview) -> None:
        """Take one whole frame in."""
        raise NotImplementedError

    def makes_no_sense(self) -> None:
        """End the connection, of whose other end nothing can be understood."""
        self.abort()

    def write_frame(self, body: bytes) -> None:
        """Send a frame; to a connection that is gone nothing is sent."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(len(body).to_bytes(_HEAD, "big") + body)


class SocketFile(NamedTuple):
    """What tells one process's socket file from the next one's at the same path."""

    number: int
    changed_at: int


def socket_file(path: Path) -> SocketFile | None:
    """The socket file that stands at a path; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return SocketFile(found.st_ino, found.st_ctime_ns)


class SocketListener:
    """Listens at a path. Opening takes the path over from a process that is gone."""

    def __init__(self, path: Path, connection: Callable[[], asyncio.Protocol]) -> None:
        self._path = path
        self._connection = connection
        self._server: asyncio.Server | None = None
        self._file: SocketFile | None = None

    async def open(self) -> None:
        """Listen at the path, replacing whatever else stands there."""
        if self._file is not None and socket_file(self._path) == self._file:
            return
        self.close()
        prepare_for_socket(self._path.parent)
        fresh = self._path.with_suffix(f".{os.getpid()}")
        with suppress(FileNotFoundError):
            fresh.unlink()
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._connection, str(fresh), backlog=1024
        )
        os.chmod(fresh, 0o600)
        os.replace(fresh, self._path)
        self._file = socket_file(self._path)

    def close(self) -> None:
        """Take no new connection."""
        if self._server is not None:
            self._server.close()
