"""Opens the store, embedded or named by a URL, and never one that can lose what it committed."""

from types import TracebackType

import psycopg
from psycopg.conninfo import make_conninfo

from infrastructure.embedded_server import (
    DATABASE,
    EmbeddedServer,
    Left,
    OnMessage,
    ServerFailed,
    without_end,
)
from infrastructure.postgres_binaries import BinariesMissing
from infrastructure.settings import Settings
from infrastructure.unix_paths import SocketPathTooLong, UnsafeDirectory

__all__ = [
    "BinariesMissing",
    "Database",
    "EmbeddedServer",
    "NotDurable",
    "ServerFailed",
    "SocketPathTooLong",
    "StoreUnavailable",
    "UnsafeDirectory",
    "check_durable",
    "open_database",
]

DURABLE_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")


class StoreUnavailable(Exception):
    """The server cannot be reached."""


class NotDurable(Exception):
    """The server may acknowledge a commit and lose it, so nothing is served from it."""

    def __init__(self, off: list[str]) -> None:
        verb = "is" if len(off) == 1 else "are"
        super().__init__(
            f"{', '.join(off)} {verb} off on this PostgreSQL server: an acknowledged order could "
            "be lost; turn it on and start again"
        )
        self.off = off


class Database:
    """An open store: where it is, and how to leave it."""

    def __init__(self, dsn: str, server: EmbeddedServer | None) -> None:
        self.dsn = dsn
        self.server = server

    def stop(self, left: Left = without_end) -> None:
        """Leave the store; an embedded server without other users stops, in the time that is
        left.
        """
        if self.server is not None:
            self.server.stop(left=left)

    def __enter__(self) -> "Database":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def open_database(
    settings: Settings, *, on_message: OnMessage = print, keep_running: bool = False
) -> Database:
    """Start or share the store of these settings, and refuse it when it is not durable."""
    if settings.database_url is not None:
        dsn = make_conninfo(settings.database_url)
        try:
            check_durable(dsn)
        except StoreUnavailable as error:
            raise StoreUnavailable(f"NEXUS_DATABASE_URL: {error}") from error
        return Database(dsn, None)
    server = EmbeddedServer(
        settings.server_dir, settings.socket_dir, settings.database_port, on_message=on_message
    )
    server.start(keep_running=keep_running)
    database = Database(server.dsn(DATABASE), server)
    try:
        check_durable(database.dsn)
    except BaseException:
        database.stop()
        raise
    return database


def check_durable(dsn: str) -> None:
    """Refuse a server on which a commit may not outlive a crash."""
    try:
        with psycopg.connect(dsn, connect_timeout=10, autocommit=True) as conn:
            values = {name: _show(conn, name) for name in DURABLE_SETTINGS}
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"no connection to the database: {str(error).strip()}") from error
    off = [name for name, value in values.items() if value == "off"]
    if off:
        raise NotDurable(off)


def _show(conn: psycopg.Connection[tuple[str]], name: str) -> str:
    row = conn.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])
