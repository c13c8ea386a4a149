"""Starts, shares and stops a PostgreSQL server out of a wheel, whatever killed it the last time."""

import atexit
import fcntl
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from infrastructure.owner import DATABASE, OWNER, USER, Passwords, make_owner
from infrastructure.peers import listener_of
from infrastructure.plain_environment import plain_environment
from infrastructure.postgres_binaries import Binaries, ServerUser, find_binaries
from infrastructure.private_files import open_log, open_own, read_own, write_own
from infrastructure.server_cluster import (
    ClusterMaking,
    ServerFailed,
    without_the_dead,
)
from infrastructure.unix_paths import (
    UnsafeDirectory,
    check_socket_path,
    make_directory,
    make_runtime_directory,
    unreachable_parent,
)
from infrastructure.working_in import StandingStill, is_stopped, processes_in

SOCKET_PORT = 5432  # part of the socket's name; nothing listens there unless a port is asked for

POLL_SECONDS = 0.02
MESSAGE_EVERY_SECONDS = 5.0
LOG_BYTES_MAX = 10_000_000

# Everything that protects data is left as PostgreSQL has it: on. They are arguments of the server
# and no file in its cluster, which belongs to its user and not, where root starts it, to us.
TUNING = {
    "shared_buffers": "256MB",
    "min_wal_size": "1GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "off",
    "jit": "off",
    "max_connections": "80",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
}

# Nobody is let in for being who the kernel says: whatever runs as this user could be that.
ACCESS = """\
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
"""

OnMessage = Callable[[str], object]
Left = Callable[[], float]
"""How many seconds are left for something."""
AT_ONCE_SECONDS = 0.6
"""How long a server may take to end that is told to end at once."""


def without_end() -> float:
    """As long as it takes."""
    return math.inf


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

    Where root starts it the cluster belongs to another user, and so root reads and writes nothing
    there: what must be known of it is asked as that user.
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
        self.passwords = Passwords(data_dir)
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
        """The postmaster's process id: as it was noted, or of who listens; None when none runs."""
        noted = self._noted()
        if noted is not None and self._is_postmaster(noted[0]):
            return noted[0]
        found = listener_of(self._socket)
        if found is None or found.uid != self._user.uid or not self._is_postmaster(found.pid):
            return None
        return found.pid

    @property
    def _socket(self) -> Path:
        return self.socket_dir / f".s.PGSQL.{self._socket_port}"

    def dsn(self, dbname: str = DATABASE) -> str:
        """How the superuser comes in, who only makes what the owner may not."""
        return self._dsn(USER, dbname)

    def owner_dsn(self, dbname: str = DATABASE) -> str:
        """How the owner of the store comes in: with a password in a file that is his alone."""
        return self._dsn(OWNER, dbname)

    def _dsn(self, user: str, dbname: str) -> str:
        return make_conninfo(
            host=str(self.socket_dir),
            port=self._socket_port,
            user=user,
            dbname=dbname,
            passfile=str(self.passwords.file),
            # Nothing is said to a server of anybody else. None where he has no name here.
            requirepeer=self._user.name,
        )

    def hold(self) -> int:
        """A descriptor that counts as a user of the server for as long as somebody has it open."""
        descriptor = self._open("users.lock")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

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
                if not self.passwords.are_set:
                    self._end_one_without_passwords()
                if not self._answers():
                    self._launch(keep_running=keep_running)
                make_owner(self.dsn, self.owner_dsn, self.passwords)
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
        noted = self._noted()
        return noted[1] if noted is not None and self._is_postmaster(noted[0]) else None

    def _noted(self) -> tuple[int, int] | None:
        """The process id and the port of the server that was started last."""
        with suppress(OSError, ValueError):
            pid, port = (read_own(self.data_dir / "server.pid") or "").split()
            return int(pid), int(port)
        return None

    def wait_for_others(self, seconds: float) -> None:
        """Return when nobody else uses the server, or when so much time has passed."""
        deadline = time.monotonic() + seconds
        self._leave()
        while not self._is_last_user() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        self._join()

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
        make_runtime_directory(self.socket_dir.parent)
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
            if listener_of(self._socket) is not None:
                # None of ours lives, and the place is taken all the same.
                raise self._not_ours("a server of another data directory")
            binaries = find_binaries(self._user)
            making = ClusterMaking(self.cluster, self._user, self.passwords, self._say)
            making.ensure(binaries)
            dead = without_the_dead(self.cluster, self._socket, self._user)
            if not self.passwords.are_set:
                making.set_password(binaries, dead)
            write_own(self.data_dir / "access.conf", ACCESS, mode=0o644)
            self._process = self._spawn(
                binaries, alive, plain_environment() | dead, keep_running=keep_running
            )
        finally:
            os.close(alive)
        self._wait_until_it_answers()

    def _spawn(
        self, binaries: Binaries, alive: int, variables: dict[str, str], *, keep_running: bool
    ) -> _Postmaster:
        with suppress(FileNotFoundError):
            if self.log.lstat().st_size > LOG_BYTES_MAX:
                self.log.replace(self.log.with_suffix(".log.1"))
        settings = {
            **TUNING,
            "listen_addresses": "127.0.0.1" if self.port else "",
            "port": str(self._socket_port),
            "unix_socket_directories": f'"{self.socket_dir}"',
            "hba_file": str(self.data_dir / "access.conf"),
        }
        arguments = [f"--{name}={value}" for name, value in settings.items()]
        held = [alive]
        if keep_running:
            # The server counts as a user of itself: no one who leaves is the last.
            held.append(self.hold())
        log = open_log(self.log)
        try:
            process = _Postmaster(
                [binaries.program("postgres"), "-D", str(self.cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=variables,
                pass_fds=held,
                start_new_session=True,
                **self._user.popen_arguments,
            )
        finally:
            os.close(log)
        write_own(self.data_dir / "server.pid", f"{process.pid} {self._socket_port}\n")
        for descriptor in held[1:]:
            os.close(descriptor)
        return process

    def _end_one_without_passwords(self) -> None:
        """Stop a server that an earlier program started, which lets in whoever asks."""
        if self.pid is not None:
            self._say("Stopping a PostgreSQL server whose password is not known, to start it anew")
            self._shut_down(without_end)

    # Waiting

    def _wait_for_the_dead(self, alive: int) -> bool:
        """Take the lock that the last living process of the server gives back with its end.

        False when the server answers instead.
        """
        clock = _Patience(self._say, "the processes of an earlier server to end", self.give_up)
        standing = StandingStill(self.cluster, self._say)
        while True:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not standing.end() and self._answers():
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
        pid = self.pid
        if pid is not None and is_stopped(pid):
            return False
        try:
            with psycopg.connect(self.dsn("postgres"), connect_timeout=5) as conn:
                row = conn.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        if row is None or not _same_directory(Path(row[0]).parent, self.data_dir):
            raise self._not_ours(f"another server, of {row and row[0]},")
        return True

    def _not_ours(self, who: str) -> ServerFailed:
        return ServerFailed(
            f"{who} listens in {self.socket_dir}: set NEXUS_RUNTIME_DIR to another directory"
        )

    # Stopping

    def _shut_down(self, left: Left) -> None:
        alive = self._open("alive.lock")
        try:
            clock = _Patience(self._say, "PostgreSQL to write its last checkpoint")
            standing = StandingStill(self.cluster, self._say)
            asked = False
            while not _try_lock(alive):
                pid = self.pid
                if not asked and pid is not None and self._is_postmaster(pid):
                    os.kill(pid, signal.SIGINT)  # fast: ends sessions, then writes a checkpoint
                    os.kill(pid, signal.SIGCONT)
                    asked = True
                if left() <= 0:
                    self._end_at_once(alive, pid)
                    break
                standing.end()
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
        return open_own(self.data_dir / name, os.O_RDWR | os.O_CREAT)

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


def _same_directory(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
