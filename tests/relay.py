"""A way to a server that can be cut without a word.

What was connected stays so, and nothing comes through any more.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Relay:
    """Forwards TCP connections to a server's socket, in threads."""

    def __init__(self, dsn: str, port: int = 0) -> None:
        said = conninfo_to_dict(dsn)
        self._path = f"{said['host']}/.s.PGSQL.{said.get('port') or 5432}"
        self._listening = socket.create_server(("127.0.0.1", port))
        self._open = threading.Event()
        self._open.set()
        self._cut: set[int] = set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.dsn = make_conninfo(
            dsn, host="127.0.0.1", port=self._listening.getsockname()[1], sslmode="disable"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def drop_everything(self) -> None:
        """From now on nothing comes through, on old connections and on new ones."""
        self._open.clear()

    def drop_what_is_connected(self) -> None:
        """Nothing comes through on the connections that are open; new ones are as ever."""
        self._cut |= set(range(len(self._pairs)))

    def forward(self) -> None:
        """Let everything through that is connected from now on."""
        self.drop_what_is_connected()
        self._open.set()

    def close(self) -> None:
        """End."""
        with suppress(OSError):
            # Closed alone it would listen on until the next one comes.
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                number = len(self._pairs)
                self._pairs.append((client, server))
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pump, args=(number, *ends), daemon=True).start()

    def _pump(self, number: int, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if number in self._cut:
                    return
                if not self._open.is_set():
                    # Lost: and so is all that would have come after it.
                    self._cut.add(number)
                    return
                target.sendall(data)
            if number not in self._cut and self._open.is_set():
                target.shutdown(socket.SHUT_WR)


@contextmanager
def relay_to(dsn: str, port: int = 0) -> Iterator[Relay]:
    """A relay to the server of a DSN, gone after the block."""
    relay = Relay(dsn, port)
    try:
        yield relay
    finally:
        relay.close()
