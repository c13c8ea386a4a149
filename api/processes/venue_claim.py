"""One venue a store: whoever supervises one holds a lock in the database while it runs.

Several gateways, standbys and projectors of a venue share its store, also on other machines; two
supervisors do not: each would have a writer that never leads, and doors that lead nowhere.
"""

from __future__ import annotations

import os
import socket
import threading
import time
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
    "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
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
    """The hold of one supervisor on its store, kept through all that happens to that."""

    def __init__(self, entry: StoreAddress, data_dir: Path) -> None:
        self._stores = Stores(*entry)
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
                    raise VenueFailed(self._refusal(conn, state), Exit.FENCED)
                time.sleep(AGAIN_SECONDS)
        except BaseException:
            conn.close()
            raise
        self._held = conn, state

    def _refusal(self, conn: psycopg.Connection[Any], state: StoreState) -> str:
        holder = _value(conn, _HOLDER, state.address.schema)
        who = str(holder or "another venue").removeprefix("nexus venue ")
        return (
            f"schema {state.address.schema} of this database is served by another venue already"
            f" ({who}): stop that first, or give this one a database or a NEXUS_SCHEMA of its own"
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
    row = conn.execute(query.encode(), values).fetchone()
    return None if row is None else row[0]
