"""What this user's files, directories and processes let another user do: nothing."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from api.demo.run import settings_for
from api.processes.environment import environment_of
from api.processes.leftovers import Processes
from application.commands import Envelope, ReadState, encode_command
from application.log.ports import ArchiveError
from infrastructure.journal import CommandJournal
from infrastructure.log.archive_export import _held
from infrastructure.log.library import AggregateSnapshot, UnknownKind
from infrastructure.postgres_binaries import _copy_once
from infrastructure.private_files import NotOurs, open_log, open_own, read_own, write_own
from infrastructure.unix_paths import (
    UnsafeDirectory,
    check_way,
    make_directory,
    make_runtime_directory,
    prepare_for_socket,
)

NOBODY = 65_534
BODY = encode_command(ReadState())

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")


def mode_of(path: Path) -> int:
    """The permissions of a path itself."""
    return path.lstat().st_mode & 0o7777


def record(path: Path) -> list[str]:
    """Record one command; what the journal has to say."""
    said: list[str] = []
    journal = CommandJournal(path, say=said.append)
    journal.begin(0)
    journal.write(1, 1_000, Envelope("key:A", "http", msgspec.Raw(BODY)))
    journal.flush()
    journal.close()
    return said


def test_record_of_commands_is_for_its_owners_eyes(tmp_path: Path) -> None:
    """Also where one that everybody could read stood before, and nothing else is left beside."""
    path = tmp_path / "commands"
    path.touch(mode=0o644)
    path.chmod(0o644)

    assert [] == record(path)

    assert 0o600 == mode_of(path)
    assert [path] == list(tmp_path.iterdir())


def test_record_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    """What another has put in its place stays as it is: recording stops, and the venue goes on."""
    precious = tmp_path / "precious"
    precious.write_text("of its owner")
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(precious)
    os.mkfifo(pipe)

    for path in (link, pipe):
        (said,) = record(path)
        assert "recording stopped" in said

    assert "of its owner" == precious.read_text()
    assert link.is_symlink() and pipe.is_fifo()


@only_root
def test_file_of_another_user_is_neither_read_nor_written(tmp_path: Path) -> None:
    """However it came there: as a record, a log, a note of ours."""
    path = tmp_path / "file"
    path.write_text("of another")
    os.chown(path, NOBODY, NOBODY)

    (said,) = record(path)
    assert "not a plain file of this user's own" in said
    for attempt in (lambda: read_own(path), lambda: open_log(path)):
        with pytest.raises(NotOurs):
            attempt()
    assert "of another" == path.read_text()


def test_log_is_private_and_no_link_is_followed(tmp_path: Path) -> None:
    """One that an earlier program left open to all is closed; it is appended to."""
    log = tmp_path / "server.log"
    log.write_text("before\n")
    log.chmod(0o644)
    descriptor = open_log(log)
    os.write(descriptor, b"after\n")
    os.close(descriptor)
    assert (0o600, "before\nafter\n") == (mode_of(log), log.read_text())

    link = tmp_path / "link"
    link.symlink_to(log)
    with pytest.raises(NotOurs, match="is a link"):
        open_log(link)


def test_file_is_written_whole_in_the_place_of_a_link(tmp_path: Path) -> None:
    """The link goes, and what it led to stays as it was."""
    precious = tmp_path / "precious"
    precious.write_text("of its owner")
    path = tmp_path / "note"
    path.symlink_to(precious)

    write_own(path, "ours")

    assert ("ours", 0o600, "of its owner") == (read_own(path), mode_of(path), precious.read_text())
    assert None is read_own(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        open_own(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)


def test_directory_that_everybody_may_write_to_is_no_way(tmp_path: Path) -> None:
    """Unless it is sticky, as /tmp is: there only its owner takes an entry away."""
    shared = tmp_path / "shared"
    (shared / "below").mkdir(parents=True)
    shared.chmod(0o777)
    with pytest.raises(UnsafeDirectory, match=f"everybody may write to {shared}"):
        check_way(shared / "below" / "deeper" / "still")

    shared.chmod(0o1777)
    check_way(shared / "below" / "deeper" / "still")


@only_root
def test_directory_that_a_group_of_others_may_write_to_is_no_way(tmp_path: Path) -> None:
    """Who is in it could put another thing in the place of ours; a group of our own is no harm."""
    shared = tmp_path / "shared"
    (shared / "below").mkdir(parents=True)
    shared.chmod(0o775)
    check_way(shared / "below")

    others = next(user for user in pwd.getpwall() if user.pw_uid and user.pw_gid)
    os.chown(shared, 0, others.pw_gid)
    with pytest.raises(UnsafeDirectory, match=f", may write to {shared}: chmod g-w"):
        check_way(shared / "below")
    shared.chmod(0o3775)
    check_way(shared / "below")


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_directories_are_as_they_should_be_with_any_umask(tmp_path: Path, umask: int) -> None:
    """One that lets everybody write, and one that lets the server's user through nowhere."""
    before = os.umask(umask)
    try:
        make_runtime_directory(tmp_path / "a" / "b" / "run")
        make_directory(tmp_path / "c" / "d" / "data", mode=0o755)
        processes = Processes(tmp_path / "e" / "f" / "data", 0, print)
        processes.begin()
        processes.end()
    finally:
        os.umask(before)
    through = 0o711 if os.geteuid() == 0 else 0o700
    assert [through] * 3 == [mode_of(tmp_path / one) for one in ("a", "a/b", "a/b/run")]
    for way in ("c", "c/d", "c/d/data", "e", "e/f", "e/f/data"):
        assert 0o755 == mode_of(tmp_path / way), way


@only_root
def test_user_without_a_name_or_a_home_is_told_what_to_name() -> None:
    """As in a container that runs as a number: a line, and no traceback."""
    code = (
        "import os; from infrastructure.settings import Settings, SettingsError\n"
        "os.environ.pop('HOME', None); os.setuid(54321)\n"
        "try: Settings.load()\n"
        "except SettingsError as error: print(error)"
    )
    environment = environment_of({})
    environment.pop("XDG_DATA_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("NEXUS_DATA_DIR: is to be named: ")


@only_root
@pytest.mark.parametrize("kind", ["demo", "export", "programs"])
def test_root_makes_nothing_below_a_directory_of_another_user(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a demo's secrets nor an archive, and programs that stand there are not run."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    monkeypatch.setenv("NEXUS_DATA_DIR", str(theirs / "data"))
    monkeypatch.setattr("infrastructure.postgres_binaries.ROOT_COPIES", theirs / "copies")
    with pytest.raises((UnsafeDirectory, ArchiveError), match=f"{theirs} belongs to user {NOBODY}"):
        if kind == "demo":
            settings_for(None, reset=False, console=Console())
        elif kind == "export":
            with _held(theirs / "archive"):
                pass
        else:
            _copy_once(tmp_path)
    assert [] == list(theirs.iterdir())


@only_root
@pytest.mark.parametrize("level", [0, 1, 2])
def test_directory_that_was_taken_first_is_refused_at_every_level(
    tmp_path: Path, level: int
) -> None:
    """The runtime directory, what is in it, and what it stands in: a stranger's is none of ours."""
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    wanted = shared / "nexustrade-0" / "0a1b2c3d-bus" / "deeper"
    taken = [wanted.parent.parent, wanted.parent, wanted][level]
    taken.mkdir(parents=True)
    os.chown(taken, NOBODY, NOBODY)

    with pytest.raises(UnsafeDirectory, match=f"{taken} belongs to user {NOBODY}"):
        prepare_for_socket(wanted)


@pytest.mark.parametrize("level", [0, 1])
def test_link_in_the_place_of_a_directory_for_sockets_is_refused(
    tmp_path: Path, level: int
) -> None:
    """Also one that leads to a directory of our own: it can lead elsewhere tomorrow."""
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o700)
    place = tmp_path / "run"
    place.symlink_to(ours)
    with pytest.raises(UnsafeDirectory, match="is a link"):
        [make_runtime_directory, prepare_for_socket][level](place)


@only_root
def test_link_of_another_user_is_no_way(tmp_path: Path) -> None:
    """It may lead where it belongs, and is his to change."""
    (tmp_path / "ours").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "ours")
    check_way(link / "run")
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(UnsafeDirectory, match=f"is a link of user {NOBODY}"):
        check_way(link / "run")


def test_directories_for_sockets_are_made_for_their_owner(tmp_path: Path) -> None:
    """Nobody else looks into them; where root has a server run as another, he passes through."""
    bus = tmp_path / "run" / "0a1b2c3d-bus"
    prepare_for_socket(bus)
    assert 0o700 == mode_of(bus)
    assert (0o711 if os.geteuid() == 0 else 0o700) == mode_of(bus.parent)

    bus.parent.chmod(0o775)
    make_runtime_directory(bus.parent)
    assert 0o755 == mode_of(bus.parent)


def test_name_in_a_row_of_the_database_is_never_imported() -> None:
    """A snapshot's kind is looked up among ours; a module of that name is left alone."""
    state = msgspec.msgpack.encode([uuid.uuid4().bytes, 1, 0, 0])
    for topic in ("this:s", "antigravity", "os:system", "antigravity:fly"):
        with pytest.raises(UnknownKind, match=topic):
            AggregateSnapshot(uuid.uuid4(), 1, topic, state).mutate(None)
    assert "this" not in sys.modules and "antigravity" not in sys.modules


def test_process_takes_no_module_from_the_directory_it_was_started_in(tmp_path: Path) -> None:
    """Neither it nor what it starts itself: a `uvloop.py` there ran in all of them."""
    (tmp_path / "uvloop.py").write_text("raise SystemExit('taken')\n")
    again = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import uvloop'])"
    for code in ("import uvloop", again + ".check_returncode()"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment_of({}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, done.stderr


def test_process_is_started_where_there_is_something(tmp_path: Path) -> None:
    """A directory that was removed since is no reason for a gateway not to come up."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        "import os; from api.processes.environment import place_of_work\n"
        "print(place_of_work()); os.rmdir(os.getcwd()); print(place_of_work())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gone,
        env=environment_of({}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ["None", "/"] == done.stdout.split()


def test_environment_that_is_passed_on_is_a_list_of_what_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What nobody has thought of is not passed on."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("PYTHONSTARTUP", "/home/other/.pythonrc")
    monkeypatch.setenv("PYTHONPATH", "/home/other")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("LC_NUMERIC", "C")
    passed = environment_of({"NEXUS_PORT": "1"})
    assert {"AWS_SECRET_ACCESS_KEY", "PYTHONSTARTUP", "LD_PRELOAD"} & passed.keys() == set()
    assert ("1", "C", "1") == tuple(
        passed[name] for name in ("NEXUS_PORT", "LC_NUMERIC", "PYTHONSAFEPATH")
    )
    assert "/home/other" not in passed["PYTHONPATH"]
