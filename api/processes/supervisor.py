"""The venue as processes: starts them in order, starts crashed ones again, stops them in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import httpx

from api.fix.settings.templates import read_settings
from api.key_issuing import ensure_operator
from api.processes.child import Child
from api.processes.environment import environment_of, variables_of
from api.processes.errors import VenueFailed
from api.processes.leftovers import Processes
from api.processes.looking import free_port, listener_pid, runs
from api.processes.moves_watch import OF_MOVES, MovesWatch
from api.processes.stopping import Ending
from api.processes.store_watch import StoreWatch
from api.processes.venue_claim import VenueClaim
from api.secrets_of_keys import ADMIN_KEY_ID
from domain.errors import VenueUnavailable
from infrastructure.clock import VenueClock
from infrastructure.command_bus import UnixSocketBus
from infrastructure.database import Database, check_durable, open_database
from infrastructure.log.roles import OF_PROCESS, RolesUnavailable, StoreRole
from infrastructure.log.stores import StoreAddress, told_of
from infrastructure.settings import PREFIX, Settings
from migrations.runner import Migration
from migrations.stores import migrate_stores

Say = Callable[[str], object]

LOOK_SECONDS = 0.05
"""How often the supervisor looks after its processes."""
MOVES_LOOK_SECONDS = 0.5
KEEPERS_SECONDS = 0.8
"""How long who only keeps the server running may take to leave."""
WATCHING_SECONDS = 1.0


class Supervisor:
    """A whole venue of processes: `with Supervisor(settings) as venue: ... venue.base_url`.

    The store, its schema and the admin key come first, then writer and standby, projector,
    market data and gateway; whatever crashes is started again. `admin_secret` is set when this
    start made the admin key.
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
        self.clock = VenueClock.of(settings, say)
        self._database: Database | None = None
        self._ways_in: dict[StoreRole, str] = {}
        self._port = settings.port
        self._fix_port = settings.fix_port
        self._stopping = threading.Event()
        self._watching: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._ending = Ending()
        self._processes = Processes(settings.data_dir, settings.partition, say)
        self._claim: VenueClaim | None = None
        self._store_watch: StoreWatch | None = None
        self._lock = threading.RLock()
        recording = [] if record is None else ["--record", str(record)]
        self.children = [self._child("writer", *recording)]
        # It outlives a killed supervisor for as long as it takes to stop the server.
        self._keepers = [] if settings.database_url else [self._child("store")]
        # What a move needs beside, while there is one.
        self._of_moves = {role: self._child(role) for role in OF_MOVES}
        self._moves: MovesWatch | None = None
        if standby:
            self.children.append(self._child("standby", *recording))
        self.children.append(self._child("projector"))
        self.children.append(self._child("market-data"))
        self.children.append(self._child("gateway", "--workers", str(workers)))

    def _child(self, role: str, *arguments: str) -> Child:
        return Child(
            *(role, arguments),
            environment=lambda: self.environment(role),
            output=self.output,
            say=self.say,
            hold=self._hold_store if role != "store" else lambda: None,
            started=self._processes.note,
        )

    @property
    def base_url(self) -> str:
        """Where the gateway answers."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        return f"http://{host}:{self._port}"

    @property
    def fix_port(self) -> int:
        """Where FIX clients are answered, when there is a file of their sessions."""
        return self._fix_port

    @property
    def dsn(self) -> str:
        """Where the store is."""
        assert self._database is not None, "the venue is not started"
        return self._database.dsn

    def environment(self, role: str | None = None) -> dict[str, str]:
        """What a command of the owner's needs to reach this venue; or what a process of its own
        starts with: its own way into the store, and no secret that it has no use for.
        """
        variables = variables_of(self.settings)
        variables |= {PREFIX + "PORT": str(self._port), PREFIX + "FIX_PORT": str(self._fix_port)}
        # A child that is started while the machine's clock is wrong goes on from here.
        variables[PREFIX + "CLOCK_ORIGIN"] = self.clock.handed_on()
        if role is not None:
            variables.pop(PREFIX + "ADMIN_KEY", None)
            variables.pop(PREFIX + "ROLES_FILE", None)
        if role not in (None, "store") and self._database is not None:
            variables[PREFIX + "DATABASE_URL"] = self._way_in(str(role))
        return environment_of(variables)

    def _way_in(self, process: str) -> str:
        role = OF_PROCESS.get(process)
        return self.dsn if role is None else self._ways_in.get(role, self.dsn)

    def _let_all_in(self, peer: StoreAddress) -> None:
        """Have the processes come to the other store of a move with the roles they have here."""
        if self._ways_in and self._database is not None:
            try:
                self._database.let_work_on(self.settings.partition_schema, peer)
            except RolesUnavailable as error:
                self.say(f"the log cannot move: no process may come to its other store: {error}")

    def _hold_store(self) -> int | None:
        """What counts a child as a user of the embedded server; None where it is another's."""
        server = self._database and self._database.server
        return server.hold() if server else None

    # Starting and stopping

    def start(self) -> None:
        """Start everything and return when it answers; raises VenueFailed, and SettingsError when
        the file of the FIX sessions is wrong.
        """
        config = self.settings.fix_config
        try:
            if config is not None:
                read_settings(config)
            self._processes.begin()
            for keeper in self._keepers:
                keeper.start()
            self._open_store()
            self._port = free_port(self.settings.host, self.settings.port)
            if self._port != self.settings.port:
                self.say(f"port {self.settings.port} is taken; using {self._port}")
            for child in self.children:
                child.start()
            self._moves = MovesWatch(
                StoreAddress(self.dsn, self.settings.partition_schema), self._let_all_in
            )
            self._moves.start()
            self._watching = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._watching.start()
            self._wait_until(lambda: self.leader_pid() is not None, "the writer to lead")
            self.say(f"writer ready: {self.settings.bus_socket}")
            self._see_to_operator()
            self._wait_until(self._answers, "the gateway to answer")
            self.say(f"gateway ready: {self.base_url}")
            if config is not None:
                self.serve_fix(config)
        except BaseException:
            self.stop()
            raise

    def serve_fix(self, config: Path) -> None:
        """Serve the FIX sessions of a file too, and return when it does."""
        self.settings = self.settings.model_copy(update={"fix_config": config})
        self._fix_port = free_port(self._fix_host, self.settings.fix_port)
        if self._fix_port != self.settings.fix_port:
            self.say(f"port {self.settings.fix_port} is taken; using {self._fix_port}")
        child = self._child("fix")
        with self._lock:
            child.start()
            self.children.append(child)
        self._wait_until(self._takes_fix, "the FIX gateway to listen")
        self.say(f"FIX gateway ready: {self._fix_host}:{self._fix_port}")

    def stop(self) -> None:
        """Stop everything: who takes orders, who decides, who reads, and then the store; within
        ten seconds, whatever hangs.
        """
        self._ending.begin()
        self._stopping.set()
        if self._watching is not None and self._watching is not threading.current_thread():
            self._watching.join(WATCHING_SECONDS)
            self._watching = None
        if self._moves is not None:
            self._moves.stop()
        if self._store_watch is not None:
            self._store_watch.stop()
            self._store_watch = None
        with self._lock:
            self._ending.end(self.children)
            self._ending.end_together(self._keepers, KEEPERS_SECONDS)
            if self._claim is not None:
                self._claim.end()
                self._claim = None
            if self._database is not None:
                self._database.stop(self._ending.left)
                self._database = None
        self._processes.end()

    def hurry(self) -> None:
        """Wait for nobody any more while stopping: what has not left is killed, and left behind is
        nobody.
        """
        self._ending.hurry()

    def __enter__(self) -> Supervisor:
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
        if self._database.server is not None:
            self._store_watch = StoreWatch(self._database.server, self.say)
            self._store_watch.start()
        entry = StoreAddress(self.dsn, self.settings.partition_schema)
        self._claim = VenueClaim(entry, self.settings.data_dir, self.say)
        self._claim.begin()
        truth = migrate_stores(
            *(self.dsn, self.settings.partition_schema), done=self._migrated, say=self.say
        ).address
        if truth != (self.dsn, self.settings.partition_schema):
            check_durable(truth.dsn)
            self.say(f"the log has moved: {told_of(truth)}")
        try:
            self._ways_in = self._database.make_roles(self.settings.partition_schema)
            if truth != (self.dsn, self.settings.partition_schema):
                self._let_all_in(truth)
        except RolesUnavailable as error:
            self.say(f"every process works with all rights of the store's owner: {error}")

    def _see_to_operator(self) -> None:
        """Have an operator who can come in: the writer decides whether there is one."""
        asked: list[str | None] = []

        async def ask() -> None:
            bus = UnixSocketBus(self.settings.bus_socket)
            try:
                asked.append(await ensure_operator(bus, self.settings, self.say))
            finally:
                await bus.close()

        def answered() -> bool:
            # A writer may lead and be gone again.
            with suppress(VenueUnavailable):
                asyncio.run(ask())
            return bool(asked)

        self._wait_until(answered, "the writer to know of an operator")
        self.admin_secret = asked[0]
        if self.admin_secret is not None:
            self.say(f"admin key {ADMIN_KEY_ID}, secret {self.admin_secret} (shown this once)")

    def _migrated(self, address: StoreAddress, applied: Sequence[Migration]) -> None:
        news = f", {len(applied)} migrations applied" if applied else ""
        self.say(f"store ready: schema {address.schema}{news}")

    # Watching

    def _watch(self) -> None:
        look_at_moves = 0.0
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                with self._lock:
                    for child in (*self._keepers, *self.children):
                        child.look()
                if time.monotonic() >= look_at_moves:
                    self.clock.now()
                    self._look_after_moves()
                    look_at_moves = time.monotonic() + MOVES_LOOK_SECONDS
                if self._claim is not None and self._claim.lost is not None:
                    raise self._claim.lost
            except VenueFailed as failure:
                self._failure = failure
                return
            except Exception as error:
                # Whatever it is, the processes still need somebody who looks after them.
                self.say(f"supervisor: {error!r}")

    def _look_after_moves(self) -> None:
        """Start what a move of the log needs, and stop what it needs no more."""
        assert self._moves is not None
        for role, child in self._of_moves.items():
            needed = role in self._moves.needed
            with self._lock:
                if needed and child not in self.children:
                    child.start()
                    self.children.append(child)
                elif not needed and child in self.children:
                    self.children.remove(child)
                    child.stop()

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

    @property
    def _fix_host(self) -> str:
        return self.settings.fix_host or self.settings.host

    def _takes_fix(self) -> bool:
        with suppress(OSError), socket.create_connection((self._fix_host, self._fix_port), 2):
            return True
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
        return next(c for c in self.children if c.role == name)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal, by default -9, to `writer`, `standby`, `projector`, `market-data`,
        `gateway`, `fix`, `mover` or `postgres`; returns the process id, None when it was gone
        already.
        """
        if name == "postgres":
            assert self._database is not None and self._database.server is not None
            pid = self._database.server.pid
            if pid is None or not runs(pid):
                return None
            os.kill(pid, number)
            return pid
        with self._lock:
            child = self.child(name)
            pid = child.pid
            return pid if child.tell(number) else None
