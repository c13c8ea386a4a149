"""An archive holds a log whole: exported, interrupted, damaged, compared, read and put back."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql

from api.cli.exit_codes import Exit
from application.audit.verify import verify
from application.desk.state import state_hash
from application.log.ports import ArchiveError, Batch, Recorded
from application.log.replay import desk_at
from infrastructure.database import EmbeddedServer
from infrastructure.log import archive_export, archive_restore
from infrastructure.log.archive import MANIFEST, Archive
from infrastructure.log.archive_check import damages, differences
from infrastructure.log.archive_export import Stretch, export
from infrastructure.log.archive_log import ArchiveLog, ArchiveReader
from infrastructure.log.archive_restore import restore
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.audit_source import StoredCodec
from infrastructure.log.checksums import Range, event_sum
from infrastructure.log.layouts import Layout
from infrastructure.log.memory import MemorySnapshots
from infrastructure.log.reader import LogReader
from infrastructure.log.stores import StoreAddress
from infrastructure.log.writing import PostgresEventLog
from migrations.runner import migrate
from tests.model import stored_flow
from tests.model.audited_flow import AuditedVenue, audited
from tests.stores import store_of

SCHEMA = "test_archive"
ROWS = 100
"""In a range: the flow's log has many."""


@cache
def flow() -> AuditedVenue:
    """The flow whose log is archived."""
    return audited(11, 250)


@pytest.fixture(scope="module")
def archived(postgres: EmbeddedServer) -> Iterator[ArchivedStore]:
    """A store that a flow was written to."""
    migrate(postgres.dsn(), SCHEMA)
    asyncio.run(stored_flow.store(flow(), postgres.dsn(), SCHEMA))
    yield ArchivedStore(postgres.dsn(), SCHEMA)
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))


@pytest.fixture
def whole(archived: ArchivedStore, tmp_path: Path) -> Archive:
    """An archive of all of it, in many ranges."""
    return export(archived, tmp_path / "archive", rows_in_range=ROWS)


def last() -> int:
    """The last position of the flow."""
    return len(flow().log.rows)


def test_archive_has_every_row_and_every_key_of_the_store(
    archived: ArchivedStore, whole: Archive
) -> None:
    """All columns, byte for byte, in order; and all request keys."""
    with LogReader(archived.dsn, archived.schema) as log:
        stored = [row for page in log.pages() for row in page]

    assert (1, last()) == (whole.first, whole.up_to)
    assert stored == list(whole.rows(0))
    assert len(whole.ranges) == -(-last() // ROWS) > 3
    keys = {(row[0], row[1]): row[2:] for held in whole.ranges for row in whole.keys_of(held)}
    assert {key: (k.fingerprint, k.position) for key, k in flow().log.keys.items()} == keys


def test_archive_is_equal_to_its_store_and_sound(archived: ArchivedStore, whole: Archive) -> None:
    """Its files are what they were written as, and say what the database says: the same sums as
    those by which two stores of a move are compared.
    """
    assert [] == list(damages(whole))
    assert [] == differences(whole, archived, contents=True)
    with archived.reading() as conn:
        for held in whole.ranges:
            found = event_sum(conn, archived.schema, Range(held.first, held.last))
            assert (held.events.rows, held.events.checksum) == (found.rows, str(found.checksum))


def test_file_of_an_archive_is_readable_with_everybodys_tools(whole: Archive) -> None:
    """gzip unpacks it to one binary COPY, with header and trailer."""
    data = gzip.decompress((whole.directory / whole.ranges[0].events.file.name).read_bytes())

    assert data.startswith(b"PGCOPY\n\xff\r\n\0")
    assert data.endswith(b"\xff\xff")


class Killed(BaseException):
    """What ends a process between two of its steps."""


STEPS = ("write of a file", "name of a file", "line of the manifest", "half a line")


@pytest.mark.parametrize("step", STEPS)
def test_export_that_was_killed_goes_on_where_it_ended(
    archived: ArchivedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever it left, nothing half written stands in the archive, and the next one ends it."""
    directory = tmp_path / "archive"
    export(archived, directory, Stretch(up_to=2 * ROWS), rows_in_range=ROWS)
    kept = Archive.open(directory).ranges

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if step == "write of a file":
            patched.setattr(archive_export._Packed, "write", killed)
        elif step == "name of a file":
            patched.setattr(Path, "rename", killed)
        else:
            patched.setattr(archive_export, "_append", killed)
        with pytest.raises(Killed):
            export(archived, directory, rows_in_range=ROWS)
    if step == "half a line":
        with (directory / MANIFEST).open("ab") as file:
            file.write(b'{"first": 201, "la')
    assert kept == Archive.open(directory).ranges

    ended = export(archived, directory, rows_in_range=ROWS)

    assert last() == ended.up_to
    assert kept == ended.ranges[:2]
    assert [] == list(damages(Archive.open(directory)))
    assert not list(directory.glob("*.part"))


def test_archive_goes_on_with_the_log_it_was_made_of_and_with_no_other(
    archived: ArchivedStore, tmp_path: Path, postgres: EmbeddedServer
) -> None:
    """A log that says otherwise where the archive ends is refused, and the archive is as it was."""
    directory = tmp_path / "archive"
    export(archived, directory, Stretch(up_to=ROWS), rows_in_range=ROWS)
    table = sql.Identifier(SCHEMA, "stored_events")
    change = sql.SQL("UPDATE {} SET actor = %s WHERE notification_id = 11").format(table)
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(change, ("nobody",))
        try:
            with pytest.raises(ArchiveError, match="positions 1 to 100"):
                export(archived, directory, rows_in_range=ROWS)
            (said,) = differences(Archive.open(directory), archived)
        finally:
            conn.execute(change, ("somebody",))

    assert "positions 1 to 100: the store has other events" in said
    assert ROWS == Archive.open(directory).up_to


def test_archive_refuses_what_it_cannot_do(
    archived: ArchivedStore, tmp_path: Path, whole: Archive
) -> None:
    """Beyond the log's end, from elsewhere than it begins, into a directory of something else."""
    for wanted, why in (
        (Stretch(up_to=last() + 1), f"the log ends at {last()}"),
        (Stretch(first=5), "begins at position 1, not 5"),
    ):
        with pytest.raises(ArchiveError, match=why):
            export(archived, whole.directory, wanted)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "letter.txt").write_text("dear")
    with pytest.raises(ArchiveError, match=r"letter\.txt"):
        export(archived, tmp_path / "else")
    with pytest.raises(ArchiveError, match="no archive"):
        Archive.open(tmp_path / "nowhere")


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("kind", ["events", "keys", "streams"])
def test_damaged_file_of_an_archive_is_named(whole: Archive, kind: str) -> None:
    """One bit, in any file, is found; and a file that is gone."""
    held = whole.ranges[1]
    file = held.streams if kind == "streams" else getattr(held, kind).file
    name = file.name
    _flip(whole.directory / name)

    found = list(damages(Archive.open(whole.directory)))

    assert any(name in said and "other bytes" in said for said in found)
    (whole.directory / name).unlink()
    assert any(name in said for said in damages(Archive.open(whole.directory)))


def test_archive_whose_bytes_were_made_to_fit_is_told_by_the_store(
    archived: ArchivedStore, whole: Archive
) -> None:
    """Who changes a file and its sum in the manifest is found by what the database sums up."""
    path = whole.directory / MANIFEST
    head, first, second, *rest = path.read_bytes().splitlines(keepends=True)
    one, other = json.loads(first), json.loads(second)
    one["keys"]["file"], one["keys"]["rows"] = other["keys"]["file"], other["keys"]["rows"]
    path.write_bytes(b"".join([head, json.dumps(one).encode() + b"\n", second, *rest]))

    changed = Archive.open(whole.directory)

    assert any("beyond its range" in said for said in damages(changed))
    assert any("archive's file" in said for said in differences(changed, archived, contents=True))


def test_archive_is_read_as_the_log_is(whole: Archive) -> None:
    """By position, topic, account, aggregate and key: the same answers as the log in memory."""

    async def both() -> None:
        here, there = ArchiveLog(whole.directory), flow().log
        end = last()
        assert end == await here.last_position()
        for after, limit in ((0, 10), (ROWS - 3, 7), (end - 2, 10), (end, 10), (0, end)):
            assert await there.read(after, limit) == await here.read(after, limit)
        topics = sorted({row.topic for row in there.rows})[:4]
        assert await there.read(0, 50, topics=topics) == await here.read(0, 50, topics=topics)
        assert await there.read(20, 400) == await here.read_range(20, 420)
        accounts = {row.columns.account_id for row in there.rows} - {None}
        for account in sorted(accounts, key=str)[:3]:
            assert account is not None
            assert await there.read_of_account(
                account, 10, end - 10, 30, topics
            ) == await here.read_of_account(account, 10, end - 10, 30, topics)
        streams = list(dict.fromkeys(row.originator_id for row in there.rows))
        for originator in streams[:: max(1, len(streams) // 40)]:
            assert await there.stream(originator) == await here.stream(originator)
            assert await there.stream(originator, 1, 2) == await here.stream(originator, 1, 2)
        some = streams[:5]
        assert await there.first_events(some) == await here.first_events(some)
        assert await there.read_at([7, 3, 250]) == await here.read_at([7, 3, 250])
        for (account, key), kept in list(there.keys.items())[::20]:
            assert kept == await here.find_key(account, key)
        assert None is await here.find_key(UUID(int=5), "never used")

    asyncio.run(both())


def test_archive_is_audited_and_replayed_like_the_store(whole: Archive) -> None:
    """The second bookkeeper finds nothing in it, and its desk is the one that wrote the log."""
    report = verify(ArchiveReader(whole.directory), StoredCodec())

    assert report.ok, report.violations
    assert last() == report.events
    replayed = asyncio.run(desk_at(ArchiveLog(whole.directory), MemorySnapshots(), last()))
    assert state_hash(flow().writer.desk) == state_hash(replayed.desk)


def test_archive_that_begins_later_is_read_and_not_audited(
    archived: ArchivedStore, tmp_path: Path
) -> None:
    """Its events are shown; what stood before them is not guessed."""
    later = export(archived, tmp_path / "later", Stretch(first=150), rows_in_range=ROWS)

    assert (150, last()) == (later.first, later.up_to)
    assert [] == list(damages(later)) == differences(later, archived)
    assert 150 == ArchiveReader(later.directory).read(0, 1)[0].position
    with pytest.raises(ArchiveError, match="begins at position 150"):
        ArchiveLog(later.directory)


@pytest.mark.parametrize("layout", [Layout.PLAIN, Layout.NATIVE])
def test_archive_is_put_back_into_an_empty_store(
    archived: ArchivedStore,
    whole: Archive,
    tmp_path: Path,
    layout: Layout,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed in between it goes on; the store is audited, led on, and archived to the same bytes,
    whatever its layout.
    """
    put = archive_restore._put

    def killed(*arguments: Any) -> None:
        if arguments[1].first > 2 * ROWS:
            raise Killed
        put(*arguments)

    with store_of(archived.dsn, layout) as store:
        with monkeypatch.context() as patched:
            patched.setattr(archive_restore, "_put", killed)
            with pytest.raises(Killed):
                restore(whole, store.address)

        assert last() == restore(whole, store.address) == restore(whole, store.address)

        again = export(ArchivedStore(*store.address), tmp_path / "again", rows_in_range=ROWS)
        assert whole.ranges == again.ranges
        with LogReader(*store.address) as log:
            report = verify(log, StoredCodec())
        assert report.ok, report.violations
        asyncio.run(led_on(store.address))
        with pytest.raises(ArchiveError, match="has been led"):
            restore(whole, store.address)


async def led_on(store: StoreAddress) -> None:
    """Append what follows the whole log, as its writer would."""
    log = PostgresEventLog(store.dsn, store.schema, 0)
    await log.take_over()
    last_event = flow().log.events()[-1]
    following = msgspec.structs.replace(
        last_event, originator_version=last_event.originator_version + 1
    )
    await log.append(Batch(last() + 1, [following], []))
    assert [Recorded(last() + 1, following)] == await log.read(last(), 10)
    await log.close()


Nexus = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nexus(archived: ArchivedStore) -> Nexus:
    """The command line; `store=False` leaves out where the store is."""
    path = os.pathsep.join([str(Path(__file__).resolve().parent.parent.parent), *sys.path])
    settings = {"NEXUS_DATABASE_URL": archived.dsn, "NEXUS_SCHEMA": archived.schema}

    def run(*arguments: str, store: bool = True) -> subprocess.CompletedProcess[str]:
        away = {"NEXUS_DATABASE_URL": "host=/nowhere dbname=nexus"}
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "api.cli.main", *arguments],
            env={**os.environ, "PYTHONPATH": path, **(settings if store else away)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_archive_on_the_command_line(nexus: Nexus, tmp_path: Path) -> None:
    """Exported, held against the store, and then read where there is no store."""
    directory = str(tmp_path / "kept")

    made = nexus("archive", "export", directory, "--json")
    facts = json.loads(made.stdout)
    assert (Exit.OK, 1, last()) == (made.returncode, facts["first"], facts["up_to"]), made.stderr
    held = nexus("archive", "verify", directory, "--with-store")
    assert Exit.OK == held.returncode, held.stdout
    assert f"positions 1 to {last():,}: whole and equal to the store" in held.stdout

    desk = nexus("replay", "--json", "--archive", directory, store=False)
    assert state_hash(flow().writer.desk).hex() == json.loads(desk.stdout)["state_hash"]

    next(Path(directory).glob("events-*")).unlink()
    read = nexus("events", "list", "--archive", directory, store=False)
    assert Exit.CHECK_FAILED == read.returncode
    assert "No such file" in read.stderr and "Traceback" not in read.stderr
