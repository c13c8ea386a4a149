"""The SQL files: numbered, each one object, and known by what they say."""

import re
from pathlib import Path

import pytest

from migrations.runner import BadMigrationFile, Migration, migrations_in

OBJECT = re.compile(r"^CREATE\s+(?:UNIQUE\s+)?(\w+)", re.MULTILINE)
MOVE = re.compile(r"^UPDATE\s+(\w+)", re.MULTILINE)


def test_files_are_numbered_without_gaps() -> None:
    """Whoever adds one takes the next number."""
    versions = [migration.version for migration in migrations_in()]

    assert list(range(1, len(versions) + 1)) == versions
    assert versions != []


@pytest.mark.parametrize("migration", migrations_in(), ids=lambda m: m.name)
def test_each_file_makes_one_object_or_moves_the_rows_of_one(migration: Migration) -> None:
    """What an object is, is read in one place."""
    said = migration.statements.decode()
    assert len(OBJECT.findall(said)) + len(MOVE.findall(said)) == 1


@pytest.mark.parametrize("migration", migrations_in(), ids=lambda m: m.name)
def test_each_file_says_what_for(migration: Migration) -> None:
    """The first line is a comment with the reason."""
    assert migration.statements.startswith(b"-- ")


def test_two_files_with_one_number_are_refused(tmp_path: Path) -> None:
    """Two branches that took the same number are told so, before anything is applied."""
    (tmp_path / "0001_one.sql").write_text("SELECT 1")
    (tmp_path / "0001_other.sql").write_text("SELECT 2")

    with pytest.raises(BadMigrationFile, match="0001 is taken twice"):
        migrations_in(tmp_path)


def test_file_that_is_not_named_like_a_migration_is_refused(tmp_path: Path) -> None:
    """A file that would never run is not passed over in silence."""
    (tmp_path / "1_one.sql").write_text("SELECT 1")

    with pytest.raises(BadMigrationFile, match=r"1_one\.sql"):
        migrations_in(tmp_path)


def test_line_ends_do_not_change_a_migration(tmp_path: Path) -> None:
    """A checkout on another system has the same checksums."""
    (tmp_path / "0001_unix.sql").write_bytes(b"SELECT\n1")
    (tmp_path / "0002_dos.sql").write_bytes(b"SELECT\r\n1")

    unix, dos = migrations_in(tmp_path)

    assert unix.checksum == dos.checksum
