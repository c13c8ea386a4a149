"""The embedded server and the venue's sockets, where another user of the machine has a hand in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from application.commands import Envelope, OpenAccount
from domain.errors import VenueUnavailable
from infrastructure.command_bus import BusServer, UnixSocketBus
from infrastructure.database import EmbeddedServer, ServerFailed
from infrastructure.postgres_binaries import ServerUser
from infrastructure.unix_paths import UnsafeDirectory

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")

LISTENER = """
import socket, sys
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("listens", flush=True)
listening.settimeout(20)
while True:
    connection, _ = listening.accept()
    print("took", connection.recv(65536), flush=True)
"""


@pytest.fixture
def home(server_home: Path) -> Path:
    """A directory of the test's own."""
    return server_home / uuid.uuid4().hex[:6]


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedServer]:
    """A server that has run once, and runs no more."""
    made = EmbeddedServer(home / "data", home / "run", on_message=lambda text: None)
    with made:
        pass
    yield made
    EmbeddedServer(home / "data", home / "run").stop(force=True)


def lets_in_without_a_password(server: EmbeddedServer) -> bool:
    """Whether the superuser's name is enough."""
    try:
        psycopg.connect(server.dsn(), passfile="/nowhere", password="").close()
    except psycopg.OperationalError:
        return False
    return True


@only_root
def test_root_follows_and_writes_nothing_in_the_servers_own_directories(
    server: EmbeddedServer, home: Path
) -> None:
    """Links and pipes that the server's user has put there lead root nowhere, and a start that
    finds them comes up all the same.
    """
    user = ServerUser.current()
    precious = home / "precious"
    precious.write_text("4711\nof root alone\n")
    names = ["postmaster.pid", "nexustrade.conf"]
    for name in names:
        user.run("rm", "-f", str(server.cluster / name))
        user.run("ln", "-s", str(precious), str(server.cluster / name))
    lock = server.socket_dir / ".s.PGSQL.5432.lock"
    user.run("ln", "-s", str(precious), str(lock))

    with server:
        assert not lets_in_without_a_password(server)

    user.run("rm", "-f", str(server.cluster / "postmaster.pid"))
    for name in names:
        user.run("mkfifo", str(server.cluster / name))
    user.run("mkfifo", str(lock))
    with server:
        psycopg.connect(server.dsn()).close()

    assert ("4711\nof root alone\n", 0) == (precious.read_text(), precious.stat().st_uid)
    assert 0o644 == precious.stat().st_mode & 0o777


@only_root
def test_root_starts_nothing_where_another_user_could_lead_it(home: Path) -> None:
    """A data directory below somebody's own is refused by name before anything is made."""
    theirs = home / "theirs"
    theirs.mkdir(parents=True)
    os.chown(theirs, 65_534, 65_534)

    with pytest.raises(UnsafeDirectory, match=f"{theirs} belongs to user 65534"):
        EmbeddedServer(theirs / "data", home / "run").start()

    assert [] == list(theirs.iterdir())


def test_cluster_that_is_a_link_is_refused(server: EmbeddedServer, home: Path) -> None:
    """Wherever it leads."""
    server.cluster.rename(home / "elsewhere")
    server.cluster.symlink_to(home / "elsewhere")
    with pytest.raises(ServerFailed, match="is a link"):
        server.start()


def test_cluster_that_let_everybody_in_has_a_password_after_the_next_start(
    server: EmbeddedServer,
) -> None:
    """What an earlier program made is kept, its schemas become the owner's, and nobody who only
    is this user comes in any more; the server that still ran so is stopped.
    """
    with server:
        with psycopg.connect(server.dsn()) as conn:
            conn.execute("CREATE SCHEMA old")
            conn.execute("CREATE TABLE old.kept AS SELECT 7 AS n")
        (server.data_dir / "access.conf").write_text("local all all trust\n")
        with psycopg.connect(server.dsn()) as conn:
            conn.execute("SELECT pg_reload_conf()")
        for name in ("pgpass", "password", "roles"):
            (server.data_dir / name).unlink()
        while not lets_in_without_a_password(server):
            pass
        left_open = server.pid

        later = EmbeddedServer(server.data_dir, server.socket_dir, on_message=lambda text: None)
        with later:
            assert left_open != later.pid
            assert not lets_in_without_a_password(later)
            with psycopg.connect(later.owner_dsn()) as conn:
                assert (7,) == conn.execute("SELECT n FROM old.kept").fetchone()
                conn.execute("DROP SCHEMA old CASCADE")


@only_root
def test_server_of_another_user_is_not_believed(server: EmbeddedServer) -> None:
    """Whoever listens where ours should be is told no password."""
    socket = server.socket_dir / ".s.PGSQL.5432"
    socket.unlink(missing_ok=True)
    listener = subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(socket)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert listener.stdout is not None
        assert "listens\n" == listener.stdout.readline()
        with pytest.raises(psycopg.OperationalError, match="requirepeer"):
            psycopg.connect(server.dsn())
        assert "took b''\n" == listener.stdout.readline()
        with pytest.raises(ServerFailed, match="another directory"):
            server.start()
    finally:
        listener.kill()
        listener.communicate()


@only_root
def test_gateway_sends_nothing_to_a_stranger_who_listens(home: Path) -> None:
    """It looks who is there before it says a word, and the client is told that nobody answers."""
    home.mkdir(parents=True)
    home.chmod(0o1777)
    path = home / "bus.sock"
    user = ServerUser.current()
    stranger = subprocess.Popen(
        ["/usr/bin/env", "python3", "-c", LISTENER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        **user.popen_arguments,
    )

    async def ask() -> None:
        bus = UnixSocketBus(path, timeout=0.5)
        with pytest.raises(VenueUnavailable):
            await bus.send(OpenAccount("A", "owner", 0), "actor", "http")
        await bus.close()

    try:
        assert stranger.stdout is not None
        assert "listens\n" == stranger.stdout.readline()
        asyncio.run(ask())
        assert "took b''\n" == stranger.stdout.readline()
    finally:
        stranger.kill()
        stranger.communicate()


CALLER = """
import socket, sys
with socket.socket(socket.AF_UNIX) as calling:
    calling.settimeout(10)
    calling.connect(sys.argv[1])
    try:
        calling.sendall(bytes.fromhex(sys.argv[2]))
        print(calling.recv(100))
    except OSError as error:
        print(type(error).__name__)
"""


@only_root
def test_stranger_who_reaches_the_bus_commands_nothing(home: Path) -> None:
    """Also where the rights of the socket and its directory would let him."""
    home.mkdir(parents=True)
    taken: list[Envelope] = []

    async def served() -> str:
        server = BusServer(home / "bus.sock", lambda envelope, reply: taken.append(envelope))
        await server.open()
        assert 0o600 == (home / "bus.sock").stat().st_mode & 0o777
        home.chmod(0o755)
        (home / "bus.sock").chmod(0o666)
        frame = bytes.fromhex("00000006") + b"\x91\x94\x01\xa0\xa0\xc4"
        user = ServerUser.current()
        stranger = await asyncio.create_subprocess_exec(
            *("/usr/bin/env", "python3", "-c", CALLER, str(home / "bus.sock"), frame.hex()),
            stdout=subprocess.PIPE,
            **user.popen_arguments,
        )
        said, _ = await stranger.communicate()
        ours = UnixSocketBus(home / "bus.sock", timeout=2)
        asked = asyncio.ensure_future(ours.send(OpenAccount("A", "owner", 0), "a", "http"))
        while not taken:
            await asyncio.sleep(0.01)
        asked.cancel()
        await ours.close()
        await server.close()
        return said.decode().strip()

    assert asyncio.run(served()) in ("b''", "ConnectionResetError", "BrokenPipeError")
    assert 1 == len(taken)
