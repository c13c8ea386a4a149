"""The SQL files: numbered, each one object, and known by what they say."""

import re
from pathlib import Path

import pytest

from infrastructure.log.layouts import Layout
from migrations.runner import FOLDERS, SQL_DIR, BadMigrationFile, Migration, migrations_in

STATEMENT = re.compile(r"^(CREATE|UPDATE|ALTER|SELECT|INSERT|CALL)\b", re.MULTILINE)
TABLE = re.compile(r"^CREATE TABLE (\w+)(?! PARTITION OF)\b", re.MULTILINE)
EVERY = {(layout, m.version): m for layout in Layout for m in migrations_in(layout=layout)}
FILES = sorted({m.checksum: m for m in EVERY.values()}.values(), key=lambda m: (m.version, m.name))


def test_files_are_numbered_without_gaps() -> None:
    """Whoever adds one takes the next number."""
    versions = [migration.version for migration in migrations_in()]

    assert list(range(1, len(versions) + 1)) == versions
    assert versions != []


@pytest.mark.parametrize("layout", [layout for layout in Layout if FOLDERS[layout]])
def test_files_of_a_layout_take_the_place_of_others_or_are_numbered_from_1001(
    layout: Layout,
) -> None:
    """A file that meant to take another's place and missed it would be applied beside it."""
    plain = {migration.version for migration in migrations_in()}
    own = [m.version for m in migrations_in(layout=layout) if m.version not in plain]

    assert list(range(1001, 1001 + len(own))) == own
    assert plain < {m.version for m in migrations_in(layout=layout)}


def test_every_folder_beside_the_files_is_of_a_layout() -> None:
    """Files in a folder that nobody reads would never be applied."""
    folders = {path.name for path in SQL_DIR.iterdir() if path.is_dir()}

    assert {folder for named in FOLDERS.values() for folder in named} == folders


@pytest.mark.parametrize("migration", FILES, ids=lambda m: m.name)
def test_each_file_makes_at_most_one_table_and_what_belongs_to_it(migration: Migration) -> None:
    """What a table is, is read in one place."""
    said = migration.statements.decode()
    assert STATEMENT.search(said)
    assert len(TABLE.findall(said)) <= 1


@pytest.mark.parametrize("migration", FILES, ids=lambda m: m.name)
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
