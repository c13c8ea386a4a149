"""The gateway process: HTTP and WebSocket on the settings' address."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from multiprocessing import connection
from multiprocessing.context import SpawnContext, SpawnProcess
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import uvicorn

from api.cli import leaving
from api.cli.exit_codes import Exit
from api.door.door import Door
from api.door.limits import Limits
from api.door.listening import BACKLOG, listened_at_once
from api.door.refusals import refusals_of
from api.door.vanished import notice_the_vanished
from api.processes.child import SILENT_SECONDS, STARTING_SECONDS, STOPPED_SECONDS
from api.processes.lifeline import beat_with
from api.processes.looking import is_stopped_child
from api.processes.tidying import collect_little_at_a_time, keep_apart
from infrastructure.log_lines import set_up_logging
from infrastructure.settings import Settings

Beaten: TypeAlias = "Synchronized[float]"
"""When a process was last known to live, as both sides see it."""

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

    from api.processes.gateway import Gateway

LARGEST_MESSAGE = 64 * 1024
SWITCH_SECONDS = 0.001
WORKERS_SECONDS = 0.5
"""How often the first process of a gateway looks after the others."""
ANSWERS_A_PING_WITHIN = 600.0
"""Seconds after which a client is taken for gone."""


HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "frame-ancestors 'none'"),
]
"""Said with every answer. The server says them, as what is no HTTP never comes to a route."""


class DoorConfig(uvicorn.Config):
    """What the server goes by, and the door that its connections come through."""

    def __init__(self, app: Any, door: Door, **how: Any) -> None:
        super().__init__(app, **how)
        self.door = door


def server_config(app: Any, settings: Settings, limits: Limits | None = None) -> DoorConfig:
    """How uvicorn serves: the C parser and loop, no access log, small WebSocket messages.

    Without limits given the settings say how much the door takes on.
    """
    from api.http.protocol import Protocol
    from api.ws.handshake import StreamProtocol

    return DoorConfig(
        app,
        Door(limits or limits_of(settings), open_files(), refusals_of(app)),
        host=settings.host,
        port=settings.port,
        http=Protocol,
        loop="uvloop",
        ws=StreamProtocol,
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,
        # A ping stands behind all that a slow client has not read yet.
        ws_ping_timeout=ANSWERS_A_PING_WITHIN,
        # Who is whose proxy is set by who runs both, and nobody else is believed.
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=[*settings.proxies],
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        headers=HEADERS,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )


def limits_of(settings: Settings) -> Limits:
    """How much a door takes on, as the settings say."""
    return Limits(
        connections=settings.connections,
        of_an_address=settings.connections_of_an_address,
        strangers=settings.strangers,
        strangers_of_an_address=settings.strangers_of_an_address,
        proxies=frozenset(settings.proxies),
        head_seconds=settings.head_ms / 1_000,
        body_seconds=settings.body_ms / 1_000,
        begun_seconds=settings.queue_age_ms / 1_000,
        # A channel sends away itself who takes nothing for as long as its setting says.
        unread_seconds=max(Limits().unread_seconds, settings.market_data_slow_ms / 1_000 + 10),
    )


def open_files() -> int:
    """How many files this process may have open: as many as it may be allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def run_gateway(
    settings: Settings, *, workers: int = 1, on_listening: Callable[[int], object] | None = None
) -> None:
    """Serve until told to stop; several workers share the port, the kernel deals connections out.

    A client's own last write is known to the worker it was made through: with several, a
    client that reads over another connection names the position it wants (X-Nexus-Position).
    """
    with leaving.still_starting():
        import api.app
        import api.wiring  # noqa: F401
    listening = _listen(settings, settings.port, shared=workers > 1)
    port = listening.getsockname()[1]
    if on_listening is not None:
        on_listening(port)
    spawn = multiprocessing.get_context("spawn")
    # Nobody writes into it: a worker leaves when the other end is gone with this process.
    lifeline, held = spawn.Pipe(duplex=False)
    others = [_worker(spawn, settings, port, lifeline, n) for n in range(2, workers + 1)]
    if others:
        threading.Thread(target=_leave_with, args=(others,), daemon=True).start()
    try:
        _serve(settings, listening)
    finally:
        held.close()
        for worker in others:
            worker.process.join()


class _Worker(NamedTuple):
    """Another process of the gateway, and when it was last known to live."""

    process: SpawnProcess
    beaten: Beaten


def _worker(
    spawn: SpawnContext, settings: Settings, port: int, lifeline: connection.Connection, number: int
) -> _Worker:
    # As if it had beaten later than now: to its first beat it has longer.
    first = time.monotonic() + STARTING_SECONDS - SILENT_SECONDS
    beaten = spawn.Value("d", first, lock=False)
    process = spawn.Process(
        target=_serve_worker, args=(settings, port, lifeline, beaten), name=f"gateway-{number}"
    )
    process.start()
    return _Worker(process, beaten)


def _leave_with(others: list[_Worker]) -> None:
    """End the whole gateway when a worker is lost, so that whoever started it can start anew; one
    that hangs is ended too.
    """
    sentinels = [worker.process.sentinel for worker in others]
    stopped: dict[int, float] = {}
    while not connection.wait(sentinels, timeout=WORKERS_SECONDS):
        now = time.monotonic()
        for process, beaten in others:
            assert process.pid is not None
            since = stopped.get(process.pid, now) if is_stopped_child(process.pid) else None
            if since is None:
                stopped.pop(process.pid, None)
            else:
                stopped[process.pid] = since
            if now - (since or now) >= STOPPED_SECONDS or now - beaten.value >= SILENT_SECONDS:
                print(f"{process.name} hangs, and the gateway is started anew", flush=True)
                process.kill()
    os.kill(os.getpid(), signal.SIGTERM)


def _serve_worker(
    settings: Settings, port: int, lifeline: connection.Connection, beaten: Beaten
) -> None:
    def beat() -> None:
        beaten.value = time.monotonic()

    def wait() -> None:
        with suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os.kill(os.getpid(), signal.SIGTERM)

    # A terminal's Ctrl-C reaches all of the gateway, and its first process tells the others.
    set_up_logging()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(Exit.OK))
    threading.Thread(target=wait, name="lifeline", daemon=True).start()
    beat_with(beat)
    _serve(settings, _listen(settings, port, shared=True))


class _Server(uvicorn.Server):
    """Knows whether it was asked to leave: a start that fails afterwards is no failure."""

    asked = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Hear the signal that asks."""
        self.asked = True
        super().handle_exit(sig, frame)


def _serve(settings: Settings, listening: socket.socket) -> None:
    from api.app import create_app
    from api.wiring import open_gateway

    @asynccontextmanager
    async def opened() -> AsyncIterator[Gateway]:
        async with open_gateway(settings) as gateway:
            tidying = asyncio.create_task(keep_apart(), name="tidying")
            try:
                yield gateway
            finally:
                tidying.cancel()

    server = _Server(server_config(create_app(opened), settings))
    gc.collect()
    collect_little_at_a_time()
    # Beside a thread that reckons a risk, the loop has its turn again after a millisecond.
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        server.run(sockets=[listening, *listened_at_once(listening)])
    except SystemExit:
        if not server.asked:
            raise


def _listen(settings: Settings, port: int, *, shared: bool) -> socket.socket:
    """A listening address; raises OSError when the port is taken."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    notice_the_vanished(listening, limits_of(settings).unread_seconds)
    try:
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening
