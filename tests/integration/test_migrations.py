"""The migration runner: once each, in order, whole or not at all, whoever else runs it."""

import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from infrastructure.database import EmbeddedServer
from migrations.runner import (
    SQL_DIR,
    BadSchemaName,
    ChecksumMismatch,
    Migration,
    MigrationError,
    UnknownMigration,
    migrate,
    migrations_in,
    status,
)

ALL = [migration.version for migration in migrations_in()]
TABLES = {
    "api_keys",
    "desk_snapshots",
    "fix_messages",
    "fix_sessions",
    "projection_tracking",
    "quarantined_commands",
    "request_keys",
    "schema_migrations",
    "snapshots",
    "store_differences",
    "store_move_history",
    "store_moves",
    "store_verification",
    "stored_events",
    "subjects",
    "writer_epoch",
}


@pytest.fixture
def empty(postgres: EmbeddedServer) -> Iterator[str]:
    """The name of a schema that is not there yet."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the SQL files that a test may change."""
    return Path(shutil.copytree(SQL_DIR, tmp_path / "sql"))


def tables(dsn: str, schema: str) -> set[str]:
    """The tables of a schema."""
    with psycopg.connect(dsn) as conn:
        rows = conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
        return {name for (name,) in rows.fetchall()}


def versions(migrations: list[Migration]) -> list[int]:
    """The numbers alone."""
    return [migration.version for migration in migrations]


def test_empty_schema_gets_every_table(postgres: EmbeddedServer, empty: str) -> None:
    """All files run in order, in the schema that was named and in no other."""
    done = migrate(postgres.dsn(), empty)

    assert versions(done) == ALL
    assert tables(postgres.dsn(), empty) == TABLES
    assert tables(postgres.dsn(), "public") == set()


def test_second_run_changes_nothing(postgres: EmbeddedServer, empty: str) -> None:
    """Running again is safe and applies nothing."""
    migrate(postgres.dsn(), empty)
    before = status(postgres.dsn(), empty)

    assert migrate(postgres.dsn(), empty) == []
    assert status(postgres.dsn(), empty) == before


def test_target_is_the_last_that_is_applied(postgres: EmbeddedServer, empty: str) -> None:
    """A later run goes on where the target ended."""
    assert versions(migrate(postgres.dsn(), empty, 3)) == ALL[:3]
    assert [row.pending for row in status(postgres.dsn(), empty)] == [v > 3 for v in ALL]

    assert versions(migrate(postgres.dsn(), empty)) == ALL[3:]


def test_status_of_a_schema_that_is_not_there_makes_nothing(
    postgres: EmbeddedServer, empty: str
) -> None:
    """Asking is reading."""
    assert all(row.pending for row in status(postgres.dsn(), empty))
    assert tables(postgres.dsn(), empty) == set()


def test_connection_of_the_caller_is_used_and_left_open(
    postgres: EmbeddedServer, empty: str
) -> None:
    """The caller's connection keeps its own search path and can go on."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        before = conn.execute("SHOW search_path").fetchone()
        assert versions(migrate(conn, empty)) == ALL
        assert conn.execute("SHOW search_path").fetchone() == before


def test_changed_file_is_refused(postgres: EmbeddedServer, empty: str, files: Path) -> None:
    """What was applied is what the file says, or nothing more is applied."""
    migrate(postgres.dsn(), empty, 3, directory=files)
    changed = files / "0002_stored_events_position.sql"
    changed.write_text(changed.read_text() + "-- one word more\n")

    for attempt in (migrate, status):
        with pytest.raises(ChecksumMismatch, match=r"0002_stored_events_position\.sql") as refusal:
            attempt(postgres.dsn(), empty, directory=files)
        assert refusal.value.version == 2

    assert "request_keys" not in tables(postgres.dsn(), empty)


def test_schema_ahead_of_the_program_is_refused(
    postgres: EmbeddedServer, empty: str, files: Path
) -> None:
    """An older program does not work on a newer schema."""
    (files / "0999_later.sql").write_text("CREATE TABLE later (n int)")
    migrate(postgres.dsn(), empty, directory=files)

    with pytest.raises(UnknownMigration, match="0999_later") as refusal:
        migrate(postgres.dsn(), empty)

    assert refusal.value.version == 999


def test_failing_migration_leaves_nothing_of_itself(
    postgres: EmbeddedServer, empty: str, files: Path
) -> None:
    """Those before it stand, it is gone whole, and a mended one goes through."""
    bad = files / "0999_bad.sql"
    bad.write_text("CREATE TABLE half (n int); SELECT 1/0")

    with pytest.raises(MigrationError, match=r"0999_bad\.sql failed .* division by zero"):
        migrate(postgres.dsn(), empty, directory=files)

    assert tables(postgres.dsn(), empty) == TABLES
    bad.write_text("CREATE TABLE half (n int)")
    assert versions(migrate(postgres.dsn(), empty, directory=files)) == [999]


def test_runners_at_once_apply_each_file_once(postgres: EmbeddedServer, empty: str) -> None:
    """However many start together, every migration has one of them."""
    together = threading.Barrier(4)
    done: list[int] = []
    failures: list[BaseException] = []

    def run() -> None:
        together.wait()
        try:
            done.extend(versions(migrate(postgres.dsn(), empty)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert sorted(done) == ALL


def test_two_schemas_stand_side_by_side(postgres: EmbeddedServer, empty: str, schema: Any) -> None:
    """Each partition has a log of its own."""
    migrate(postgres.dsn(), empty)

    assert tables(postgres.dsn(), empty) == tables(postgres.dsn(), schema.schema) == TABLES


@pytest.mark.parametrize("name", ["", "Partition", "a-b", "1st", "pg_mine", "a" * 64, 'x"; --'])
def test_schema_with_an_odd_name_is_refused(postgres: EmbeddedServer, name: str) -> None:
    """The rule is said before the server is asked."""
    with pytest.raises(BadSchemaName, match="schema name"):
        migrate(postgres.dsn(), name)


INSERT_EVENT = """
INSERT INTO stored_events (originator_id, originator_version, topic, state, notification_id,
                           recorded_at, correlation_id, actor)
VALUES (%s, %s, 'topic', '', %s, now(), %s, 'test')
"""


@pytest.mark.parametrize(
    ("version", "position", "key"),
    [(1, 2, "stored_events_pkey"), (2, 1, "stored_events_notification_id_idx")],
)
def test_log_takes_no_version_and_no_position_twice(
    schema: Any, version: int, position: int, key: str
) -> None:
    """The store itself refuses a second writer's event."""
    stream, command = uuid.uuid4(), uuid.uuid4()
    with psycopg.connect(schema.dsn, options=f"-c search_path={schema.schema}") as conn:
        conn.execute(INSERT_EVENT, (stream, 1, 1, command))
        with pytest.raises(psycopg.errors.UniqueViolation, match=key):
            conn.execute(INSERT_EVENT, (stream, version, position, command))
