"""Opens the store, embedded or named by a URL, and never one that can lose what it committed."""

from __future__ import annotations

import secrets
from types import TracebackType

import psycopg
from psycopg.conninfo import make_conninfo

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.embedded_server import EmbeddedServer, Left, OnMessage, without_end
from infrastructure.log.roles import (
    OF_PROCESS,
    RolesUnavailable,
    StoreRole,
    let_work_on,
    make_roles,
    make_roles_elsewhere,
    ways_in,
)
from infrastructure.log.stores import StoreAddress
from infrastructure.log.ways_in import is_role_of
from infrastructure.postgres_binaries import BinariesMissing
from infrastructure.private_files import read_own
from infrastructure.server_cluster import ServerFailed
from infrastructure.settings import SHORTEST_SECRET, Settings, SettingsError
from infrastructure.unix_paths import SocketPathTooLong, UnsafeDirectory

__all__ = [
    "BinariesMissing",
    "Database",
    "EmbeddedServer",
    "NotDurable",
    "RolesUnavailable",
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
    """An open store: where it is, and how to leave it. `dsn` is the owner's way in, or that of
    the role that it was opened for.
    """

    def __init__(self, dsn: str, server: EmbeddedServer | None, kept: bytes | None = None) -> None:
        """`kept` is the secret that passwords of roles follow from, where one is."""
        self.dsn = dsn
        self.server = server
        self._drawn = kept

    def make_roles(self, schema: str) -> dict[StoreRole, str]:
        """See that every process has a role of its own, and say how each comes in.

        Raises RolesUnavailable. Of a server of its own the passwords stay the same, as other
        processes may use it, and where a file has the secret that they follow from; of one that is
        named they are drawn anew otherwise, and nobody keeps them.
        """
        return make_roles(StoreAddress(self.dsn, schema), self._secret())

    def let_work_on(self, schema: str, other: StoreAddress) -> None:
        """Have every process come to another store, the other one of a move, as it comes here.

        Raises RolesUnavailable, and psycopg.Error while a server is away.
        """
        home = StoreAddress(self.dsn, schema)
        if other.dsn != home.dsn:
            make_roles_elsewhere(home, other, self._secret())
        else:
            with AttentiveConnectionNow.open(self.dsn) as conn:
                let_work_on(conn, schema, other.schema)

    def _secret(self) -> bytes:
        if self._drawn is None:
            kept = self.server and self.server.passwords.of_roles()
            self._drawn = kept or secrets.token_bytes(32)
        return self._drawn

    def stop(self, left: Left = without_end) -> None:
        """Leave the store; an embedded server without other users stops, in the time that is
        left.
        """
        if self.server is not None:
            self.server.stop(left=left)

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def open_database(
    settings: Settings,
    *,
    on_message: OnMessage = print,
    keep_running: bool = False,
    process: str = "",
) -> Database:
    """Start or share the store of these settings, and refuse it when it is not durable.

    A process that serves comes in with its own role where the server is embedded, or the secret of
    the roles is kept in a file; with a URL alone it comes in as that says.
    """
    role = OF_PROCESS.get(process)
    if settings.database_url is not None:
        dsn = make_conninfo(settings.database_url)
        try:
            check_durable(dsn)
        except StoreUnavailable as error:
            raise StoreUnavailable(f"NEXUS_DATABASE_URL: {error}") from error
        kept = secret_of_roles(settings)
        if role is not None and kept is not None and not is_role_of(dsn):
            dsn = ways_in(StoreAddress(dsn, settings.partition_schema), kept)[role]
        return Database(dsn, None, kept)
    server = EmbeddedServer(
        settings.server_dir, settings.socket_dir, settings.database_port, on_message=on_message
    )
    server.start(keep_running=keep_running)
    database = Database(server.owner_dsn(), server)
    try:
        check_durable(database.dsn)
        if role is not None:
            try:
                database.dsn = database.make_roles(settings.partition_schema)[role]
            except RolesUnavailable as error:
                on_message(f"{process} works as the owner of the store: {error}")
    except BaseException:
        database.stop()
        raise
    return database


def secret_of_roles(settings: Settings) -> bytes | None:
    """The secret in the file that NEXUS_ROLES_FILE names; None where it names none. Raises
    SettingsError.
    """
    path = settings.roles_file
    if path is None:
        return None
    try:
        secret = (read_own(path) or "").strip()
    except OSError as error:
        raise SettingsError(f"NEXUS_ROLES_FILE: {error}") from error
    if len(secret) < SHORTEST_SECRET:
        raise SettingsError(f"NEXUS_ROLES_FILE: {path} holds no {SHORTEST_SECRET} characters")
    return secret.encode()


def check_durable(dsn: str) -> None:
    """Refuse a server on which a commit may not outlive a crash."""
    try:
        with AttentiveConnectionNow.open(dsn) as conn:
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
