"""The venue as processes: starts them in order, starts crashed ones again, stops them in order."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import httpx
import psycopg
from psycopg import sql
from pydantic import SecretStr

from api.auth import ensure_admin_key
from api.cli.exit_codes import Exit
from infrastructure.database import Database, ServerFailed, open_database
from infrastructure.hot_modules import IMPL_VARIABLE
from infrastructure.settings import PREFIX, Settings
from migrations.runner import migrate

Say = Callable[[str], object]

LOOK_SECONDS = 0.05
"""How often the supervisor looks after its processes."""
STORE_LOOK_SECONDS = 0.5
FIRST_BACKOFF = 0.1
LAST_BACKOFF = 2.0
WELL_SECONDS = 10.0
"""A process that ran this long is started again at once when it crashes."""
STOP_SECONDS = 15.0
"""How long a process may take to leave before it is killed."""

SOURCES = str(Path(__file__).parents[2])

HOPELESS = (Exit.USAGE, Exit.MIGRATION)
"""Ends that another start would only repeat."""


class VenueFailed(Exception):
    """The venue could not be started; the message says what and why."""


class PortTaken(VenueFailed):
    """No port from the wanted one on is free."""


class Child:
    """One process of the venue: started, watched, started again, stopped."""

    def __init__(self, name: str, role: str, arguments: Sequence[str], venue: Venue) -> None:
        self.name = name
        self.role = role
        self._arguments = arguments
        self._venue = venue
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._started = 0.0
        self._backoff = FIRST_BACKOFF
        self._again_at = 0.0
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the process; it leaves when this one does, however that comes about."""
        ours, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "api.cli.main", "serve", "--supervised"),
                    *("--only", self.role, *self._arguments),
                ],
                stdin=ours,
                stdout=self._venue.output,
                stderr=self._venue.output,
                env=self._venue.environment(),
                start_new_session=True,
            )
        finally:
            os.close(ours)
        self._lifeline = theirs
        self._started = time.monotonic()
        self.starts += 1

    def look(self) -> None:
        """Start the process again when it has ended, not too soon."""
        process = self._process
        now = time.monotonic()
        if process is None:
            if now >= self._again_at:
                self.start()
            return
        code = process.poll()
        if code is None:
            return
        self._forget()
        if now - self._started >= WELL_SECONDS:
            self._backoff = FIRST_BACKOFF
        self._again_at = now + self._backoff
        self._venue.say(f"{self.name} {_end(code)}; starting again in {self._backoff:.1f} s")
        self._backoff = min(2 * self._backoff, LAST_BACKOFF)
        if code in HOPELESS:
            raise VenueFailed(f"{self.name} {_end(code)}")

    def tell(self, number: signal.Signals) -> bool:
        """Send a signal; false when the process is gone."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    def stop(self) -> None:
        """Ask the process to leave, and end it when it does not."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._venue.say(f"{self.name} does not leave and is killed")
                process.kill()
                process.wait()
        self._forget()

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            # What a killed process started itself, in its group, is not left behind.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


class Venue:
    """A whole venue of processes: `with Venue(settings) as venue: ... venue.base_url`.

    The store, its schema and the admin key come first, then writer and standby, projector
    and gateway; whatever crashes is started again. `admin_secret` is set when this start
    made the admin key.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        say: Say = print,
        output: IO[Any] | int | None = None,
        record: Path | None = None,
        workers: int = 1,
        standby: bool = True,
    ) -> None:
        self.settings = settings
        self.say = say
        self.output = output
        self.admin_secret: str | None = None
        self._database: Database | None = None
        self._port = settings.port
        self._stopping = threading.Event()
        self._watching: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._lock = threading.RLock()
        recording = [] if record is None else ["--record", str(record)]
        self.children = [Child("writer", "writer", recording, self)]
        # It outlives a killed supervisor for as long as it takes to stop the server.
        self._keepers = [] if settings.database_url else [Child("store", "store", [], self)]
        if standby:
            self.children.append(Child("standby", "standby", recording, self))
        self.children.append(Child("projector", "projector", [], self))
        self.children.append(Child("gateway", "gateway", ["--workers", str(workers)], self))

    @property
    def base_url(self) -> str:
        """Where the gateway answers."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"http://{host}:{self._port}"

    @property
    def dsn(self) -> str:
        """Where the store is."""
        assert self._database is not None, "the venue is not started"
        return self._database.dsn

    def environment(self) -> dict[str, str]:
        """The environment of a child: this one's, with exactly this venue's settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        kept |= {k: v for k, v in os.environ.items() if k == IMPL_VARIABLE}
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, (SOURCES, kept.get("PYTHONPATH"))))
        return kept | _variables(self.settings) | {PREFIX + "PORT": str(self._port)}

    # Starting and stopping

    def start(self) -> None:
        """Start everything and return when it answers; raises VenueFailed."""
        try:
            for keeper in self._keepers:
                keeper.start()
            self._open_store()
            self._port = _free_port(self.settings.host, self.settings.port)
            if self._port != self.settings.port:
                self.say(f"port {self.settings.port} is taken; using {self._port}")
            for child in self.children:
                child.start()
            self._watching = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._watching.start()
            self._wait_until(lambda: self.leader_pid() is not None, "the writer to lead")
            self.say(f"writer ready: {self.settings.bus_socket}")
            self._wait_until(self._answers, "the gateway to answer")
            self.say(f"gateway ready: {self.base_url}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything: who takes orders, who decides, who reads, and then the store."""
        self._stopping.set()
        if self._watching is not None and self._watching is not threading.current_thread():
            self._watching.join()
            self._watching = None
        with self._lock:
            for role in ("gateway", "standby", "writer", "projector"):
                for child in self.children:
                    if child.role == role:
                        child.stop()
            for keeper in self._keepers:
                keeper.stop()
            if self._database is not None:
                self._database.stop()
                self._database = None

    def __enter__(self) -> Venue:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Return when somebody stops the venue; raises VenueFailed when it cannot go on."""
        while not self._stopping.wait(LOOK_SECONDS * 4):
            if self._failure is not None:
                raise self._failure

    def _open_store(self) -> None:
        self._database = open_database(self.settings, on_message=self.say)
        schema = self.settings.partition_schema
        applied = migrate(self.dsn, schema)
        news = f", {len(applied)} migrations applied" if applied else ""
        self.say(f"store ready: schema {schema}{news}")
        with psycopg.connect(self.dsn) as conn:
            conn.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
            key_id, secret = ensure_admin_key(conn, self.settings)
        if secret is not None:
            self.admin_secret = secret
            self.say(f"admin key {key_id}, secret {secret} (shown this once)")

    # Watching

    def _watch(self) -> None:
        look_at_store = 0.0
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                with self._lock:
                    for child in (*self._keepers, *self.children):
                        child.look()
                if time.monotonic() >= look_at_store:
                    self._look_after_store()
                    look_at_store = time.monotonic() + STORE_LOOK_SECONDS
            except (VenueFailed, ServerFailed) as failure:
                self._failure = failure
                return
            except Exception as error:
                # Whatever it is, the processes still need somebody who looks after them.
                self.say(f"supervisor: {error!r}")

    def _look_after_store(self) -> None:
        """Start an embedded server again that was killed."""
        if self._database is None or self._database.server is None:
            return
        pid = self._database.server.pid
        if pid is None or not _runs(pid):
            self.say("the store is gone; starting it again")
            self._database.server.start()
            self.say("store ready again")

    def _wait_until(self, met: Callable[[], bool], what: str) -> None:
        said = time.monotonic()
        while not met():
            if self._failure is not None:
                raise self._failure
            if time.monotonic() - said > 10:
                said = time.monotonic()
                self.say(f"waiting for {what}")
            time.sleep(LOOK_SECONDS)

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(self.base_url + "/healthz", timeout=2).status_code == 200
        return False

    # Looking from outside

    def leader_pid(self) -> int | None:
        """The process that takes commands now; None while nobody does."""
        return listener_pid(self.settings.bus_socket)

    def child(self, name: str) -> Child:
        """A process by what it does now: of the two writers, `writer` is the one that leads."""
        if name in ("writer", "standby"):
            leader = self.leader_pid()
            writers = [c for c in self.children if c.role in ("writer", "standby")]
            leading = [c for c in writers if leader is not None and c.pid == leader]
            if leading:
                others = [c for c in writers if c is not leading[0]]
                return leading[0] if name == "writer" else others[0]
        return next(c for c in self.children if c.name == name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal, by default -9, to `writer`, `standby`, `projector`, `gateway` or
        `postgres`; returns the process id, None when it was gone already.
        """
        if name == "postgres":
            assert self._database is not None and self._database.server is not None
            pid = self._database.server.pid
            if pid is None or not _runs(pid):
                return None
            os.kill(pid, number)
            return pid
        with self._lock:
            child = self.child(name)
            pid = child.pid
            return pid if child.tell(number) else None


def listener_pid(path: Path) -> int | None:
    """Which process listens on a unix socket, as the kernel has it."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return None
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int(struct.unpack("3i", credentials)[0])


def leave_with_parent() -> None:
    """Ask this process to leave when the supervisor, who holds the other end of its standard
    input, is gone; and make sure that it does.
    """

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _variables(settings: Settings) -> dict[str, str]:
    values: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if value is None:
            continue
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        elif isinstance(value, dict):
            value = settings.model_dump_json(include={name})[len(name) + 4 : -1]
        values[PREFIX + name.upper()] = str(value)
    return values


def _free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next one nobody listens on."""
    for port in range(wanted, min(wanted + 100, 65_536)):
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
                probe.listen()
            except OSError:
                continue
            return port
    raise PortTaken(f"every port from {wanted} on is taken; choose another with --port")


def _runs(pid: int) -> bool:
    """Whether a process runs; one that ended and waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def _end(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    if code == Exit.FENCED:
        return "was fenced: another writer leads"
    return f"ended with code {code}"
