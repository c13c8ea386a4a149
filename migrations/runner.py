"""Brings a partition's schema to its present shape, one numbered SQL file at a time.

A layout other than the plain one has folders of its own: a file there takes the place of the one
with the same number, or is added.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, tuple_row

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.layouts import Layout, layout_of

SQL_DIR = Path(__file__).parent / "sql"
FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

FOLDERS = {
    Layout.PLAIN: (),
    Layout.NATIVE: ("chunked", "native"),
    Layout.HYPERTABLE: ("chunked", "hypertable"),
    Layout.TIMESCALE: ("chunked", "hypertable", "timescale"),
}
"""Where the files of a layout stand, beside the plain ones; a later folder goes before a former."""

# One runner at a time for each schema: the second key is made from the schema's name.
LOCK_CLASS = 0x6E786D67

_TRACKING_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     int         NOT NULL PRIMARY KEY,
    name        text        NOT NULL,
    checksum    text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
)
"""


class MigrationError(Exception):
    """The schema cannot be brought to the wanted shape, and nothing more was changed."""


class BadMigrationFile(MigrationError):
    """A file beside the migrations is not named like one, or its number is taken twice."""


class ChecksumMismatch(MigrationError):
    """A migration was changed after it had been applied."""

    def __init__(self, version: int, name: str, schema: str) -> None:
        super().__init__(
            f"migration {version:04d}_{name}.sql was changed after it had been applied to schema "
            f"{schema!r}; put the file back as it was and write a new migration instead"
        )
        self.version = version


class UnknownMigration(MigrationError):
    """The schema is ahead of this program."""

    def __init__(self, version: int, name: str, schema: str) -> None:
        super().__init__(
            f"schema {schema!r} has migration {version:04d}_{name}, which this program does not "
            "know; run the newer program"
        )
        self.version = version


class BadSchemaName(MigrationError):
    """A schema is named in small letters, digits and underscores."""

    def __init__(self, schema: str) -> None:
        super().__init__(
            f"schema name {schema!r} must be 1 to 63 of a-z, 0-9 and _, not beginning with a digit"
        )


@dataclass(frozen=True, slots=True)
class Migration:
    """One SQL file: its number, its name and what it says."""

    version: int
    name: str
    statements: bytes

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.statements).hexdigest()


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration as the schema remembers it."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """One migration beside what the schema knows of it."""

    version: int
    name: str
    applied_at: datetime | None

    @property
    def pending(self) -> bool:
        return self.applied_at is None


def migrations_in(directory: Path = SQL_DIR, layout: Layout = Layout.PLAIN) -> list[Migration]:
    """All migrations of a layout, in the order in which they are applied."""
    found = _files_in(directory)
    for folder in FOLDERS[layout]:
        found |= _files_in(directory / folder)
    return [found[version] for version in sorted(found)]


def _files_in(directory: Path) -> dict[int, Migration]:
    found: dict[int, Migration] = {}
    for path in sorted(directory.glob("*.sql")):
        match = FILE_NAME.match(path.name)
        if match is None:
            raise BadMigrationFile(f"{path.name} is not named NNNN_name.sql")
        version = int(match[1])
        if version in found:
            raise BadMigrationFile(f"number {version:04d} is taken twice in {directory}")
        # A checkout with other line ends is the same migration.
        statements = path.read_bytes().replace(b"\r\n", b"\n")
        found[version] = Migration(version, match[2], statements)
    return found


def migrate(
    conn_or_dsn: psycopg.Connection[Any] | str,
    schema: str,
    target: int | None = None,
    *,
    layout: Layout = Layout.PLAIN,
    directory: Path = SQL_DIR,
) -> list[Migration]:
    """Apply what is missing up to the target, a transaction for each file, and answer with it.

    The layout is that of a new schema; one that is there keeps its own.
    """
    _check_name(schema)
    done = []
    with _connected(conn_or_dsn) as conn:
        files = migrations_in(directory, layout_of(conn, schema) or layout)
        wanted = [m for m in files if target is None or m.version <= target]
        known = {m.version: m for m in files}
        with conn.transaction():
            _lock(conn, schema)
            conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            _use(conn, schema)
            conn.execute(_TRACKING_TABLE)
            _verify(_applied(conn), known, schema)
        for migration in wanted:
            if _apply(conn, schema, migration, known):
                done.append(migration)
    return done


def status(
    conn_or_dsn: psycopg.Connection[Any] | str, schema: str, *, directory: Path = SQL_DIR
) -> list[MigrationStatus]:
    """Every known migration, with the time it was applied to the schema; changes nothing."""
    _check_name(schema)
    with _connected(conn_or_dsn) as conn, conn.transaction():
        files = migrations_in(directory, layout_of(conn, schema) or Layout.PLAIN)
        _use(conn, schema)
        applied = _applied(conn) if _is_tracked(conn, schema) else {}
    _verify(applied, {m.version: m for m in files}, schema)
    return [
        MigrationStatus(m.version, m.name, applied[m.version].applied_at)
        if m.version in applied
        else MigrationStatus(m.version, m.name, None)
        for m in files
    ]


def _apply(
    conn: psycopg.Connection[Any], schema: str, migration: Migration, known: dict[int, Migration]
) -> bool:
    with conn.transaction():
        # Another runner may have come first: look again under the lock.
        _lock(conn, schema)
        _use(conn, schema)
        applied = _applied(conn)
        _verify(applied, known, schema)
        if migration.version in applied:
            return False
        try:
            conn.execute(migration.statements)
        except psycopg.Error as error:
            raise MigrationError(
                f"migration {migration.version:04d}_{migration.name}.sql failed in schema "
                f"{schema!r} and left nothing behind: {error}"
            ) from error
        conn.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
            (migration.version, migration.name, migration.checksum),
        )
    return True


def _verify(applied: dict[int, Applied], known: dict[int, Migration], schema: str) -> None:
    for row in applied.values():
        migration = known.get(row.version)
        if migration is None:
            raise UnknownMigration(row.version, row.name, schema)
        if migration.checksum != row.checksum:
            raise ChecksumMismatch(row.version, migration.name, schema)


def _applied(conn: psycopg.Connection[Any]) -> dict[int, Applied]:
    with conn.cursor(row_factory=class_row(Applied)) as cursor:
        rows: Sequence[Applied] = cursor.execute(
            "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version"
        ).fetchall()
    return {row.version: row for row in rows}


def _is_tracked(conn: psycopg.Connection[Any], schema: str) -> bool:
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(
            "SELECT 1 FROM pg_catalog.pg_tables"
            " WHERE schemaname = %s AND tablename = 'schema_migrations'",
            (schema,),
        ).fetchone()
    return row is not None


def _lock(conn: psycopg.Connection[Any], schema: str) -> None:
    """Keep other runners of this schema out until the end of the transaction."""
    conn.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (LOCK_CLASS, schema))


def _use(conn: psycopg.Connection[Any], schema: str) -> None:
    conn.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))


def _check_name(schema: str) -> None:
    if SCHEMA_NAME.fullmatch(schema) is None or schema.startswith("pg_"):
        raise BadSchemaName(schema)


@contextmanager
def _connected(
    conn_or_dsn: psycopg.Connection[Any] | str,
) -> Iterator[psycopg.Connection[Any]]:
    if isinstance(conn_or_dsn, str):
        with AttentiveConnectionNow.open(conn_or_dsn, autocommit=False) as conn:
            yield conn
    else:
        yield conn_or_dsn
