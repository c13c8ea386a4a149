"""The embedded server: it starts whatever ended it, is shared, and is refused when not durable."""

import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from infrastructure import postgres_binaries
from infrastructure.database import (
    EmbeddedServer,
    NotDurable,
    ServerFailed,
    SocketPathTooLong,
    StoreUnavailable,
    UnsafeDirectory,
    open_database,
)
from infrastructure.postgres_binaries import Binaries, ServerUser
from infrastructure.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
OTHER_PROCESS = """
import sys
from pathlib import Path
from infrastructure.database import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), Path(sys.argv[2]), on_message=lambda text: None)
server.start(keep_running=sys.argv[3] == "keep")
print(server.pid, flush=True)
sys.stdin.readline()
print(server.stop() if sys.argv[3] == "stop" else None, flush=True)
"""

MakeServer = Callable[[], EmbeddedServer]


@pytest.fixture
def home(server_home: Path) -> Path:
    """A directory of the test's own."""
    return server_home / uuid.uuid4().hex[:6]


@pytest.fixture
def make_server(home: Path) -> Iterator[MakeServer]:
    """Makes servers of one data directory, and stops what is left of them."""

    made: list[EmbeddedServer] = []

    def make() -> EmbeddedServer:
        made.append(EmbeddedServer(home / "data", home / "run", on_message=lambda text: None))
        return made[-1]

    yield make
    for server in made:
        server.stop()
    make().stop(force=True)


@pytest.fixture
def other_process(home: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts another process that uses the server until it gets a line."""
    started: list[subprocess.Popen[str]] = []

    def start(then: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", OTHER_PROCESS, str(home / "data"), str(home / "run"), then],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said_by(process: subprocess.Popen[str]) -> str:
    """The next line the process writes."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_leave(process: subprocess.Popen[str]) -> str:
    """Tell the process to go on; what it says then."""
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return said_by(process)


def write_a_row(server: EmbeddedServer) -> None:
    """Commit one row, which must never be lost from here on."""
    with psycopg.connect(server.dsn()) as conn:
        conn.execute("CREATE TABLE kept (n int)")
        conn.execute("INSERT INTO kept VALUES (7)")


def rows(server: EmbeddedServer) -> list[tuple[int]]:
    """What is in the table of `write_a_row`."""
    with psycopg.connect(server.dsn()) as conn:
        return conn.execute("SELECT n FROM kept").fetchall()


def pid_of(server: EmbeddedServer) -> int:
    """The process id of a server that runs."""
    assert server.pid is not None
    return server.pid


def test_server_starts_with_checksums_and_all_durability_on(make_server: MakeServer) -> None:
    """What protects a commit from a crash is on, and pages are checked when read."""
    with make_server() as server, psycopg.connect(server.dsn()) as conn:
        values = conn.execute(
            "SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name",
            (["data_checksums", "fsync", "full_page_writes", "synchronous_commit", "jit"],),
        ).fetchall()
        kind = conn.execute(
            "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()

    assert values == [
        ("data_checksums", "on"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("jit", "off"),
        ("synchronous_commit", "on"),
    ]
    assert kind == ("UTF8", "C")


def test_server_never_runs_as_root(make_server: MakeServer) -> None:
    """PostgreSQL refuses root, so root starts it as another user."""
    with make_server() as server:
        owner = (server.cluster / "postmaster.pid").stat().st_uid
        assert owner == ServerUser.current().uid
        assert owner != 0


def test_committed_row_survives_kill_9_of_the_postmaster(make_server: MakeServer) -> None:
    """A killed server starts again and has what was committed."""
    with make_server() as server:
        write_a_row(server)
        killed = pid_of(server)
        os.kill(killed, signal.SIGKILL)

        server.start()

        assert [(7,)] == rows(server)
        assert server.pid != killed


def test_dead_owner_that_nobody_has_buried_does_not_hold_the_server(
    make_server: MakeServer, other_process: Callable[[str], subprocess.Popen[str]]
) -> None:
    """A zombie in the pid file is no running server."""
    owner = other_process("stop")
    zombie = int(said_by(owner))
    server = make_server()
    server.start()
    write_a_row(server)
    os.kill(zombie, signal.SIGKILL)

    server.start()

    assert Path(f"/proc/{zombie}").exists() or sys.platform != "linux"
    assert [(7,)] == rows(server)


def test_stranger_with_the_dead_owners_pid_does_not_hold_the_server(
    make_server: MakeServer,
) -> None:
    """A pid that was given to another process since is no running server."""
    with make_server() as server:
        write_a_row(server)
        killed = pid_of(server)
        os.kill(killed, signal.SIGKILL)
        user = ServerUser.current()
        stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        if user.uid != os.geteuid():
            stranger.communicate(b"\n")
            stranger = subprocess.Popen(["sleep", "60"], **user.popen_arguments)
        pid_file = server.cluster / "postmaster.pid"
        pid_file.write_text(pid_file.read_text().replace(str(killed), str(stranger.pid), 1))

        server.start()

        assert stranger.poll() is None
        assert [(7,)] == rows(server)
        stranger.kill()
        stranger.communicate()


def test_first_start_that_was_interrupted_is_begun_again(
    make_server: MakeServer, home: Path
) -> None:
    """Half a cluster is thrown away: nothing was committed in it."""
    half = home / "data" / "cluster.half"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    with make_server() as server:
        write_a_row(server)
        assert [(7,)] == rows(server)


def test_second_process_shares_the_server_and_the_last_one_stops_it(
    make_server: MakeServer, other_process: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Whoever leaves, the server stays as long as anyone uses it, and no longer."""
    other = other_process("stop")
    server = make_server()
    shared = int(said_by(other))
    server.start()
    assert shared == server.pid

    assert let_leave(other) == "False"
    write_a_row(server)
    assert [(7,)] == rows(server)

    assert server.stop() is True
    assert server.pid is None


def test_port_that_was_asked_for_takes_a_password_and_changes_nothing_for_others(
    make_server: MakeServer, home: Path
) -> None:
    """TCP is for those who have the password; who shares the server need not know the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with EmbeddedServer(home / "data", home / "run", port, on_message=lambda text: None):
        tcp = f"host=127.0.0.1 port={port} user=nexus dbname=nexus"
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(tcp)
        with psycopg.connect(tcp, password=(home / "data" / "password").read_text().strip()):
            pass
        sharing = make_server()
        sharing.start()
        write_a_row(sharing)
        assert [(7,)] == rows(sharing)


def test_user_killed_with_9_no_longer_counts(
    make_server: MakeServer, other_process: Callable[[str], subprocess.Popen[str]]
) -> None:
    """A server left behind by a killed process is shared by the next and stops with it."""
    other = other_process("stop")
    left_behind = int(said_by(other))
    other.kill()
    other.wait()

    server = make_server()
    server.start()

    assert left_behind == server.pid
    assert server.stop() is True


def test_server_outlives_its_users_only_when_asked(
    make_server: MakeServer, other_process: Callable[[str], subprocess.Popen[str]]
) -> None:
    """Told to keep running it stays, until somebody stops it by force."""
    other = other_process("keep")
    kept = int(said_by(other))
    let_leave(other)
    other.wait()

    server = make_server()
    server.start()
    assert kept == server.pid
    assert server.stop() is False
    server.start()
    assert kept == server.pid

    assert server.stop(force=True) is True
    assert server.pid is None


def test_many_at_once_start_one_server(make_server: MakeServer) -> None:
    """All who ask for an empty directory at one moment get the same server."""
    servers = [make_server() for _ in range(4)]
    failures: list[BaseException] = []

    def start(server: EmbeddedServer) -> None:
        try:
            server.start()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start, args=(server,)) for server in servers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == failures
    assert len({server.pid for server in servers}) == 1
    assert [False, False, False, True] == [server.stop() for server in servers]


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
def test_server_that_can_lose_a_commit_is_refused(home: Path, name: str) -> None:
    """With any of the three off nothing is served, and the message names it."""
    settings = Settings(data_dir=home / "data", runtime_dir=home / "run")
    with open_database(settings, on_message=lambda text: None) as database:
        assert database.server is not None
        with psycopg.connect(database.server.dsn(), autocommit=True) as conn:
            conn.execute(f"ALTER SYSTEM SET {name} = off")

    with pytest.raises(NotDurable, match=name) as refusal:
        open_database(settings, on_message=lambda text: None)

    assert [name] == refusal.value.off
    server = EmbeddedServer(settings.server_dir, settings.socket_dir)
    assert server.pid is None


def test_named_server_that_can_lose_a_commit_is_refused(postgres: EmbeddedServer) -> None:
    """A URL is judged by the same rule, with the settings of its own database and role."""
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute("CREATE DATABASE hasty")
        conn.execute("ALTER DATABASE hasty SET synchronous_commit = off")
    try:
        with pytest.raises(NotDurable, match="synchronous_commit"):
            open_database(Settings(database_url=postgres.dsn("hasty")))
        with open_database(Settings(database_url=postgres.dsn())) as database:
            assert database.server is None
    finally:
        with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
            conn.execute("DROP DATABASE hasty WITH (FORCE)")


def test_named_server_that_does_not_answer_is_said_by_its_variable(home: Path) -> None:
    """The reader learns which variable to look at."""
    nowhere = f"host={home} dbname=nexus"
    with pytest.raises(StoreUnavailable, match="NEXUS_DATABASE_URL"):
        open_database(Settings(database_url=nowhere))


def test_socket_path_longer_than_the_kernel_takes_is_refused(home: Path) -> None:
    """The message gives the length, the limit and the variable, before anything is made."""
    with pytest.raises(SocketPathTooLong, match=r"may have 10\d; set NEXUS_RUNTIME_DIR"):
        EmbeddedServer(home / "data", home / ("r" * 100))

    assert not home.exists()


def test_server_of_another_directory_in_the_same_place_is_not_taken_for_ours(
    make_server: MakeServer, home: Path
) -> None:
    """Two data directories never share a server by accident."""
    with make_server():
        stranger = EmbeddedServer(home / "other", home / "run", on_message=lambda text: None)
        with pytest.raises(ServerFailed, match="NEXUS_RUNTIME_DIR"):
            stranger.start()


def test_cluster_of_another_version_is_refused(make_server: MakeServer) -> None:
    """The data is left alone and the message says what to do."""
    server = make_server()
    with server:
        write_a_row(server)
    (server.cluster / "PG_VERSION").write_text("15\n")

    with pytest.raises(ServerFailed, match="was made by PostgreSQL 15"):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_directory_that_nobody_can_reach_is_refused_by_name(home: Path) -> None:
    """The message names the directory in the way."""
    closed = home / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0o700)
    home.chmod(0o755)

    with pytest.raises(UnsafeDirectory, match=f"pass through {closed}.*NEXUS_DATA_DIR"):
        EmbeddedServer(closed / "data", home / "run").start()


def test_copied_binaries_run(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's own copy of the programs has all that they need."""
    user = ServerUser.current()
    original = postgres_binaries.find_binaries(user)
    package = original.bin_dir.parent.parent
    monkeypatch.setattr(postgres_binaries, "ROOT_COPIES", home / "binaries")

    copy = postgres_binaries._copy_once(package)
    again = postgres_binaries._copy_once(package)

    binaries = Binaries(copy / package.name / "pginstall" / "bin")
    assert copy == again
    assert original.version(user) == binaries.version(user)
    assert [copy] == list((home / "binaries").iterdir())
