"""Connections that notice when the server's side of them is gone and nobody was told.

Where packets are dropped no reset ever comes, and who waits for an answer waits for ever. So a
statement that has had no answer for a while is asked after, over a connection of its own: work
that is long goes on, and a connection whose other end is not at work any more, or whose server
cannot be reached, is shut down. Whoever waits on it then meets a lost connection.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import logging
import os
import socket
import termios
import threading
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from time import monotonic, sleep
from typing import Any, NamedTuple, Self, TypeVar
from weakref import WeakSet

import psycopg
from psycopg import AsyncConnection, Connection, waiting
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

log = logging.getLogger(__name__)

CONNECT_SECONDS = 4
SILENT_SECONDS = 1.5
"""How long a statement may take before somebody asks whether it is still at work."""
ASK_SECONDS = 2
"""How long that question may take; a server that does not answer it is gone."""
AGAIN_SECONDS = 0.3
"""How soon it is asked once more: an answer may just have been on its way."""
SLOW_SECONDS = 3.5
"""How long a statement may take for which many wait before that is said."""
LOOK_SECONDS = 1.0
"""How soon after a statement of which all is known to be well."""

WATCHED: dict[str, int | str] = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 2,
    # And of the server's: what a session held must be free soon when its client's machine is gone.
    "options": "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=3",
}
"""What the kernels of both sides are to look after, where the settings do not say otherwise."""

Answer = TypeVar("Answer")

_INTERVAL = 0.1
_LEFT = (
    "SELECT state LIKE 'idle%%' OR state = 'active' AND wait_event_type = 'Client'"
    " FROM pg_stat_activity WHERE pid = %s"
)
"""Whether a backend has done what it was asked, or waits for a client that waits for it."""


class ServerSilent(psycopg.OperationalError):
    """The server's side of a connection is gone, or cannot be reached, and never said so."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the server has given no answer for {seconds:.0f} s")


class _Seen(Enum):
    """What is known of a backend that does not answer."""

    AT_WORK = 1
    LEFT = 2
    UNREACHABLE = 3


def options_for(dsn: str) -> dict[str, int | str]:
    """How a connection is to be opened and looked after, but for what its DSN says itself."""
    said = conninfo_to_dict(dsn)
    options: dict[str, int | str] = {"connect_timeout": CONNECT_SECONDS, **WATCHED}
    return {name: value for name, value in options.items() if name not in said}


class AttentiveConnection(AsyncConnection[Any]):
    """A connection of an event loop whose statements are asked after."""

    _dsn: str | None = None
    _backend = 0
    _given_up: float | None = None
    _asking: asyncio.Task[None] | None = None
    _moved = 0
    says_when_slow = False
    """Whether a statement that takes long is worth a word: who waits for this one are many."""

    @classmethod
    async def open(cls, dsn: str, **options: Any) -> Self:
        """A connection in autocommit; raises psycopg.OperationalError."""
        conn = await cls.connect(dsn, autocommit=True, **{**options_for(dsn), **options})
        conn._dsn, conn._backend = dsn, conn.pgconn.backend_pid
        _OPEN.add(conn)
        try:
            for lost in _lost_of(dsn):
                await conn.execute(_END, (lost.backend, monotonic() - lost.at))
        except BaseException:
            await conn.close()
            raise
        return conn

    @property
    def given_up(self) -> bool:
        """Whether the other end was found to be gone."""
        return self._given_up is not None

    async def wait(
        self, gen: PQGen[Answer], interval: float = _INTERVAL, timeout: float | None = None
    ) -> Answer:
        """Wait for the server as the driver does, and ask after it when that takes long."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(SILENT_SECONDS, self._ask_after)
        try:
            return await super().wait(_counted(self, gen), interval, timeout)
        except psycopg.OperationalError as error:
            if self._given_up is not None:
                raise ServerSilent(self._given_up) from error
            raise
        finally:
            timer.cancel()
            asking, self._asking = self._asking, None
            if asking is not None:
                asking.cancel()

    def _ask_after(self) -> None:
        # One that listens has asked for nothing, and may wait for news as long as it likes.
        if self._dsn is not None and _waits(self):
            self._asking = asyncio.create_task(self._attend(self._dsn), name="asks after a server")

    async def _attend(self, dsn: str) -> None:
        began = monotonic() - SILENT_SECONDS
        left, said = False, not self.says_when_slow
        while _waits(self):
            moved = self._moved
            seen = await _seen(dsn, self._backend)
            if seen is _Seen.LEFT:
                # An answer may have been on its way, also one of which the first half is read.
                await asyncio.sleep(AGAIN_SECONDS)
            if seen is _Seen.AT_WORK or _has_bytes(self) or moved != self._moved:
                left = False
                if not said and monotonic() - began >= SLOW_SECONDS:
                    said = True
                    log.warning(
                        "process %d of the store has been at work on one statement for %.0f s: its"
                        " disk is slow, it waits for a lock, or it stands still",
                        *(self._backend, monotonic() - began),
                    )
                await asyncio.sleep(LOOK_SECONDS)
            elif seen is _Seen.LEFT and not left:
                left = True
            else:
                _give_up(self, seen, monotonic() - began)
                return


class AttentiveConnectionNow(Connection[Any]):
    """The same for those who run no loop: a thread of the process asks after all of them."""

    _dsn: str | None = None
    _backend = 0
    _given_up: float | None = None
    _since: float | None = None
    _moved = 0

    @classmethod
    def open(cls, dsn: str, **options: Any) -> Self:
        """A connection in autocommit, unless that is said otherwise; raises
        psycopg.OperationalError.
        """
        conn = cls.connect(dsn, **{**options_for(dsn), "autocommit": True, **options})
        conn._dsn, conn._backend = dsn, conn.pgconn.backend_pid
        _WATCH.add(conn)
        try:
            for lost in _lost_of(dsn) if conn.autocommit else ():
                conn.execute(_END, (lost.backend, monotonic() - lost.at))
        except BaseException:
            conn.close()
            raise
        return conn

    def wait(
        self, gen: PQGen[Answer], interval: float = _INTERVAL, timeout: float | None = None
    ) -> Answer:
        """Wait for the server as the driver does, while the process asks after it."""
        self._since = monotonic()
        try:
            return super().wait(_counted(self, gen), interval, timeout)
        except psycopg.OperationalError as error:
            if self._given_up is not None:
                raise ServerSilent(self._given_up) from error
            raise
        finally:
            self._since = None

    def ask_after(self) -> None:
        """See whether the statement that is waited for, if one is, is still at work."""
        since, dsn = self._since, self._dsn
        if since is None or dsn is None or monotonic() - since < SILENT_SECONDS:
            return
        moved = self._moved
        seen = _seen_now(dsn, self._backend)
        if seen is _Seen.LEFT:
            sleep(AGAIN_SECONDS)
            seen = _seen_now(dsn, self._backend)
        lost = seen is not _Seen.AT_WORK and not _has_bytes(self) and moved == self._moved
        if lost and since == self._since and _waits(self):
            _give_up(self, seen, monotonic() - since)


class _Lost(NamedTuple):
    """A backend whose connection was given up, and when."""

    backend: int
    at: float


_lost: dict[str, list[_Lost]] = {}
_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = %s AND usename = current_user"
    " AND backend_start < clock_timestamp() - %s * interval '1 second'"
)
"""Ends a backend of this user that is older than its loss: another may have got its number."""


def _lost_of(dsn: str) -> list[_Lost]:
    """Backends that were given up, each said once. They hold locks for as long as the server has
    not missed their client, and whoever comes again would wait for himself.
    """
    return _lost.pop(dsn, [])


Attentive = AttentiveConnection | AttentiveConnectionNow

_OPEN: WeakSet[AttentiveConnection] = WeakSet()


class _Watch:
    """A thread that asks after the connections of a process that run in no loop."""

    def __init__(self) -> None:
        self._open: WeakSet[AttentiveConnectionNow] = WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, conn: AttentiveConnectionNow) -> None:
        """Look after one more."""
        with self._lock:
            self._open.add(conn)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._look, name="attentive", daemon=True)
                self._thread.start()

    def _look(self) -> None:
        while True:
            sleep(LOOK_SECONDS / 2)
            with self._lock:
                waiting_now = [conn for conn in self._open if conn._since is not None]
            for conn in waiting_now:
                with suppress(Exception):
                    conn.ask_after()


_WATCH = _Watch()


class _Asker(AsyncConnection[Any]):
    """A connection that asks one question. What it waits for it does not cancel over another."""

    async def wait(
        self, gen: PQGen[Answer], interval: float = _INTERVAL, timeout: float | None = None
    ) -> Answer:
        return await waiting.wait_async(gen, self.pgconn.socket, interval, ASK_SECONDS)


class _AskerNow(Connection[Any]):
    def wait(
        self, gen: PQGen[Answer], interval: float = _INTERVAL, timeout: float | None = None
    ) -> Answer:
        return waiting.wait(gen, self.pgconn.socket, interval, ASK_SECONDS)


_ASKING: dict[str, Any] = {"autocommit": True, "application_name": "nexus asks after another"}


async def _seen(dsn: str, backend: int) -> _Seen:
    try:
        async with asyncio.timeout(ASK_SECONDS):
            conn = await _Asker.connect(dsn, connect_timeout=ASK_SECONDS, **_ASKING)
            try:
                return _judged(await (await conn.execute(_LEFT, (backend,))).fetchone())
            finally:
                await conn.close()
    except (psycopg.Error, OSError, TimeoutError) as error:
        return _judged_by(error)


def _seen_now(dsn: str, backend: int) -> _Seen:
    try:
        conn = _AskerNow.connect(dsn, connect_timeout=ASK_SECONDS, **_ASKING)
        try:
            return _judged(conn.execute(_LEFT, (backend,)).fetchone())
        finally:
            conn.close()
    except (psycopg.Error, OSError) as error:
        return _judged_by(error)


def _judged(row: tuple[Any, ...] | None) -> _Seen:
    return _Seen.LEFT if row is None or row[0] else _Seen.AT_WORK


def _judged_by(error: Exception) -> _Seen:
    # A server that refuses one more client, or is just coming up, lives: it will reset by itself.
    return _Seen.AT_WORK if "FATAL" in str(error) else _Seen.UNREACHABLE


def _counted(conn: Attentive, gen: PQGen[Answer]) -> PQGen[Answer]:
    """The driver's work, with every time counted that something could be read or written."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if ready:
                conn._moved += 1
            wanted = gen.send(ready)
    except StopIteration as done:
        answer: Answer = done.value
        return answer


def _waits(conn: Attentive) -> bool:
    return not conn.closed and conn.pgconn.transaction_status == TransactionStatus.ACTIVE


def _has_bytes(conn: Attentive) -> bool:
    """Whether the server has sent what nobody has read yet: then this process is the slow one."""
    count = array.array("i", [0])
    with suppress(OSError, psycopg.Error):
        fcntl.ioctl(conn.pgconn.socket, termios.FIONREAD, count)
    return count[0] > 0


def _give_up(conn: Attentive, seen: _Seen, seconds: float) -> None:
    """Shut a connection down; with the server all others of this process to it."""
    others: Iterable[Attentive] = ()
    if seen is _Seen.UNREACHABLE and isinstance(conn, AttentiveConnection):
        others = [other for other in _OPEN if other._dsn == conn._dsn]
    for each in (conn, *others):
        if each._given_up is not None:
            continue
        each._given_up = seconds
        _lost.setdefault(str(each._dsn), []).append(_Lost(each._backend, monotonic()))
        with suppress(OSError, psycopg.Error):
            # By a descriptor of its own: the driver keeps its, and reads the end of the stream.
            with socket.socket(fileno=os.dup(each.pgconn.socket)) as ours:
                ours.shutdown(socket.SHUT_RDWR)
