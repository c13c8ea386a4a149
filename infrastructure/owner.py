"""The owner of an embedded store: the passwords only this user can read, and his role.

The superuser only makes what the owner may not. Everything of ours belongs to the owner, who is
none; whoever else works on the store has a role of its own (`infrastructure.log.roles`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.private_files import read_own, write_own

USER = "nexus"
OWNER = "nexus_owner"
DATABASE = "nexus"

_HELPFUL = ("pg_signal_backend", "pg_monitor", "pg_checkpoint")
"""What an owner needs of the server beside his own: to end sessions, to look, to checkpoint."""


class Passwords:
    """The passwords of a data directory, in files of mode 0600.

    `password` is the superuser's, for people; `pgpass` has his and the owner's as libpq reads
    them, so that no connection string holds one; `roles` is what the others' are made from.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._drawn: tuple[str, str] | None = None

    @property
    def file(self) -> Path:
        """The file from which libpq takes a password."""
        return self._directory / "pgpass"

    @property
    def are_set(self) -> bool:
        """Whether the superuser's password is known."""
        return self._read() is not None

    @property
    def superuser(self) -> str:
        """The superuser's password."""
        return self._known()[0]

    @property
    def owner(self) -> str:
        """The owner's password."""
        return self._known()[1]

    def draw(self) -> None:
        """Draw new ones; they are kept when they are saved."""
        self._drawn = secrets.token_urlsafe(24), secrets.token_urlsafe(24)

    def save(self) -> None:
        """Keep what was drawn."""
        superuser, owner = self._known()
        write_own(self._directory / "password", f"{superuser}\n")
        write_own(self.file, f"*:*:*:{USER}:{superuser}\n*:*:*:{OWNER}:{owner}\n")
        self._drawn = None

    def of_roles(self) -> bytes:
        """The secret that the passwords of roles are made from, drawn when first asked for."""
        path = self._directory / "roles"
        found = read_own(path)
        if not found:
            found = secrets.token_hex(32)
            write_own(path, found)
        return found.encode()

    def _known(self) -> tuple[str, str]:
        known = self._drawn or self._read()
        assert known is not None, "no password was drawn"
        return known

    def _read(self) -> tuple[str, str] | None:
        lines = (read_own(self.file) or "").split()
        said = dict(line.split(":")[3:5] for line in lines if line.count(":") == 4)
        return (said[USER], said[OWNER]) if {USER, OWNER} <= said.keys() else None


def make_owner(
    dsn: Callable[[str], str], owner_dsn: Callable[[str], str], passwords: Passwords
) -> None:
    """See that the database is there and the owner's, with all that is in it."""
    passwords.of_roles()
    with psycopg.connect(dsn("postgres"), autocommit=True) as conn:
        if not _is_there(conn, "SELECT 1 FROM pg_roles WHERE rolname = %s", OWNER):
            conn.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB").format(sql.Identifier(OWNER))
            )
            for role in _HELPFUL:
                conn.execute(
                    sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(
                        sql.Identifier(role), sql.Identifier(OWNER)
                    )
                )
        if not _is_there(conn, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
            conn.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
        if not _lets_in(owner_dsn(DATABASE)):
            set_password(conn, OWNER, passwords.owner)
    with psycopg.connect(dsn(DATABASE), autocommit=True) as conn:
        for statement in conn.execute(_TO_TAKE_OVER, {"owner": OWNER}).fetchall():
            conn.execute(statement[0])


def set_password(conn: psycopg.Connection[Any], role: str, password: str) -> None:
    """Give a role a password; the server, and so its log, is told no more than what checks it."""
    checked = sql.Literal(checked_password(conn, role, password))
    conn.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), checked))


def checked_password(conn: psycopg.Connection[Any], role: str, password: str) -> str:
    """What checks a password, and is of no use to whoever reads it."""
    return conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()


def _is_there(conn: psycopg.Connection[Any], query: str, name: str) -> bool:
    return conn.execute(query.encode(), (name,)).fetchone() is not None


def _lets_in(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


# What the superuser has made, as earlier programs did, in our database: the owner's from now on.
_TO_TAKE_OVER = """
WITH mine AS (
    SELECT oid FROM pg_roles WHERE rolname = current_user
), schemas AS (
    SELECT n.oid, n.nspname, n.nspowner FROM pg_namespace n
     WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'public')
), of_extensions AS (
    SELECT objid FROM pg_depend WHERE deptype = 'e'
)
SELECT format('ALTER DATABASE %%I OWNER TO %%I', d.datname, %(owner)s::text)
  FROM pg_database d, mine WHERE d.datname = current_database() AND d.datdba = mine.oid
UNION ALL
SELECT format('ALTER SCHEMA %%I OWNER TO %%I', s.nspname, %(owner)s::text)
  FROM schemas s, mine WHERE s.nspowner = mine.oid
UNION ALL
SELECT format('ALTER TABLE %%I.%%I OWNER TO %%I', s.nspname, c.relname, %(owner)s::text)
  FROM pg_class c JOIN schemas s ON s.oid = c.relnamespace, mine
 WHERE c.relowner = mine.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND c.oid NOT IN (SELECT objid FROM of_extensions)
UNION ALL
SELECT format('ALTER ROUTINE %%s OWNER TO %%I', p.oid::regprocedure, %(owner)s::text)
  FROM pg_proc p JOIN schemas s ON s.oid = p.pronamespace, mine
 WHERE p.proowner = mine.oid AND p.oid NOT IN (SELECT objid FROM of_extensions)
"""
