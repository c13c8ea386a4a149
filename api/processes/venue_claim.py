"""One venue a store: whoever supervises one holds a lock in the database while it runs.

Several gateways, standbys and projectors of a venue share its store, also on other machines; two
supervisors do not: each would have a writer that never leads, and doors that lead nowhere.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from api.cli.exit_codes import Exit
from api.processes.errors import VenueFailed
from infrastructure.log.stores import (
    WRITTEN,
    StoreAddress,
    Stores,
    StoreState,
    read_state_now,
)

PATIENCE_SECONDS = 5.0
"""How long a start waits for the hold of an earlier venue that is gone: the server notices."""
AGAIN_PATIENCE_SECONDS = 30.0
"""How long a venue that was cut off waits for the hold of its own former connection."""
LOOK_SECONDS = 1.0
AGAIN_SECONDS = 0.2
JOIN_SECONDS = 1.0

_KEY = "hashtextextended('nexus venue ' || %s, 0)"
_HOLDER = (
    "SELECT a.application_name, a.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    f" AND (l.classid::bigint << 32 | l.objid::bigint) = {_KEY}"
)
# The server is to miss a machine that is gone without a word, and to let go of what it held.
_WATCHED = (
    "SELECT set_config('tcp_keepalives_idle', '2', false),"
    " set_config('tcp_keepalives_interval', '1', false),"
    " set_config('tcp_keepalives_count', '3', false)"
)


class VenueClaim:
    """The hold of one supervisor on its store, kept through all that happens to that.

    Its own former connection may hold on after it was given up, where its process of the server
    stands still: that is no other venue, and is waited for.
    """

    def __init__(
        self, entry: StoreAddress, data_dir: Path, say: Callable[[str], object] = bool
    ) -> None:
        self._stores = Stores(*entry)
        self._say = say
        self._former = 0
        self._waits = False
        self._name = f"nexus venue {os.getpid()}@{socket.gethostname()[:20]} {data_dir}"
        self._held: tuple[psycopg.Connection[Any], StoreState] | None = None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="venue", daemon=True)
        self.lost: VenueFailed | None = None
        """Why this venue may not go on."""

    def begin(self) -> None:
        """Take hold of the store; raises VenueFailed when another venue has it, and
        psycopg.Error.
        """
        self._take(PATIENCE_SECONDS)
        self._thread.start()

    def end(self) -> None:
        """Let go."""
        self._leaving.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)
        if not self._thread.is_alive():
            self._let_go()

    def _take(self, patience: float) -> None:
        conn, state = self._stores.connect_now(self._name, reading=False)
        try:
            conn.execute(_WATCHED)
            until = time.monotonic() + patience
            while not _value(conn, f"SELECT pg_try_advisory_lock({_KEY})", state.address.schema):
                if time.monotonic() >= until or self._leaving.is_set():
                    self._refuse(conn, state)
                    until = time.monotonic() + PATIENCE_SECONDS
                self._leaving.wait(AGAIN_SECONDS)
        except BaseException:
            conn.close()
            raise
        self._held = conn, state
        self._former = conn.info.backend_pid
        if self._waits:
            self._waits = False
            self._say("this venue has hold of its store again")

    def _refuse(self, conn: psycopg.Connection[Any], state: StoreState) -> None:
        """Raise VenueFailed, unless it is this venue's own former connection that holds on."""
        found = _row(conn, _HOLDER, state.address.schema)
        if found is None and not self._leaving.is_set():
            # It was let go of just now.
            return
        name, pid = found or ("another venue", 0)
        own = pid == self._former and str(name).startswith(f"nexus venue {os.getpid()}@")
        if own and not self._leaving.is_set():
            if not self._waits:
                self._waits = True
                self._say(
                    f"process {pid} of the store holds this venue's former connection and does not"
                    " end: the venue goes on; end that process on the store's machine (kill -9)"
                )
            return
        who = str(name).removeprefix("nexus venue ")
        raise VenueFailed(
            f"schema {state.address.schema} of this database is served by another venue already"
            f" ({who}): stop that first, or give this one a database or a NEXUS_SCHEMA of its own",
            Exit.FENCED,
        )

    def _keep(self) -> None:
        while not self._leaving.wait(LOOK_SECONDS):
            try:
                if self._held is None:
                    self._take(AGAIN_PATIENCE_SECONDS)
                self._look()
            except VenueFailed as failure:
                if not self._leaving.is_set():
                    self.lost = failure
                return
            except (psycopg.Error, OSError):
                self._let_go()

    def _look(self) -> None:
        """See that the hold is there yet, and where the log is: it is held there."""
        if (held := self._held) is not None:
            state = read_state_now(held[0], held[1].address)
            if state.writes not in WRITTEN:
                self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held[0].close()


def _value(conn: psycopg.Connection[Any], query: str, *values: Any) -> Any:
    row = _row(conn, query, *values)
    return None if row is None else row[0]


def _row(conn: psycopg.Connection[Any], query: str, *values: Any) -> tuple[Any, ...] | None:
    row: tuple[Any, ...] | None = conn.execute(query.encode(), values).fetchone()
    return row
