"""`nexus serve`: the whole venue under one roof, or one of its processes alone."""

from __future__ import annotations

import errno
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from api.cli import leaving
from api.cli.exit_codes import Exit
from api.cli.printing import warn
from api.processes.lifeline import STOP_SECONDS, leave_with_parent
from infrastructure.log_lines import say, set_up_logging
from infrastructure.settings import Settings


class Role(StrEnum):
    """A process that also starts alone. A standby is a writer that does not lead yet; the
    store is the embedded PostgreSQL, kept running for the others; the peer's projector keeps the
    views of the other store of a move.
    """

    STORE = "store"
    WRITER = "writer"
    STANDBY = "standby"
    PROJECTOR = "projector"
    MARKET_DATA = "market-data"
    GATEWAY = "gateway"
    FIX = "fix"
    MOVER = "mover"
    PEERS_PROJECTOR = "peers-projector"


OF_STRANGERS = (Role.GATEWAY, Role.FIX)
"""The processes that strangers talk to, which are confined."""


def command(
    only: Annotated[
        Role | None, typer.Option(help="One process alone, unsupervised.", show_default=False)
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Instead of NEXUS_PORT.", min=1, max=65535, show_default=False),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(help="Write every numbered command to this file.", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option(help="HTTP processes that share the port.", min=1)] = 1,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve the venue: store, writer, standby, projector, market data and gateway, each a process;
    and the FIX gateway where NEXUS_FIX_CONFIG names the file of its sessions. While the log moves
    to another store, the mover and that store's projector run beside them.

    Asked to leave, everything has ended within ten seconds; asked once more, at once.

    Exit codes: 0 stopped, 2 a setting is wrong, 3 no server or one that could lose data,
    4 the schema and this program do not fit, 5 another venue serves this data directory or this
    store already, or (a writer alone) another writer leads.
    """
    try:
        _serve(only, port, record, workers, supervised)
    except KeyboardInterrupt:
        # Wherever it was: a process that is asked to leave has ended well.
        leaving.leave_in_peace()
        raise typer.Exit(Exit.OK) from None


def _serve(
    only: Role | None, port: int | None, record: Path | None, workers: int, supervised: bool
) -> None:
    told = threading.Event()
    if only is Role.STORE:
        # It never leaves a server half started.
        leaving.call_instead(told.set)
    settings = Settings.load() if port is None else Settings.load(port=port)
    set_up_logging()
    alone = threading.Event()
    apart = only in OF_STRANGERS and not supervised and _needs_an_owner(settings)
    if only in OF_STRANGERS and not apart:
        _confine(only, settings, supervised)
    if supervised:
        # The store is kept for as long as the others may take to leave.
        alone = leave_with_parent(STOP_SECONDS * (3 if only is Role.STORE else 1))
    if only is Role.STORE:
        _keep_store(settings, told, alone)
    elif only is not None and apart:
        raise typer.Exit(_beside_the_owner(only, settings, workers))
    elif only is not None:
        if supervised and settings.database_url is not None:
            _wait_for_store(only, settings.database_url)
        raise typer.Exit(_run_alone(only, settings, record, workers))
    else:
        _supervise(settings, record, workers)


def _confine(role: Role, settings: Settings, supervised: bool) -> None:
    """Give up what strangers must never come to through this process: before it has threads, which
    would keep it, and once it is loaded.
    """
    with leaving.still_starting():
        if role is Role.FIX:
            import api.processes.fix
        else:
            import api.app
            import api.cli.gateway
            import api.wiring  # noqa: F401
        from api.processes.confining import confine_process, say_if_owner

    confine_process(role, settings, _say)
    if not supervised:
        say_if_owner(role, settings, _say)


def _needs_an_owner(settings: Settings) -> bool:
    """Whether only who starts a server, or reads a secret of its owner's, can come in as a role."""
    return settings.database_url is None or settings.roles_file is not None


def _beside_the_owner(role: Role, settings: Settings, workers: int) -> int:
    """Come in for one process that strangers talk to, and that is confined."""
    with leaving.still_starting():
        from api.processes.apart import serve_apart

    arguments = ("--workers", str(workers)) if role is Role.GATEWAY else ()
    return serve_apart(role, settings, arguments, say=_say)


_NOT_LISTENED_AT = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)


def _run_alone(role: Role, settings: Settings, record: Path | None, workers: int) -> Exit:
    """Run one process; an address that it cannot have is said in a line, and may be free later."""
    try:
        return _run(role, settings, record, workers)
    except OSError as error:
        if role not in (Role.GATEWAY, Role.FIX) or error.errno not in _NOT_LISTENED_AT:
            raise
        port = settings.port if role is Role.GATEWAY else settings.fix_port
        warn(f"{role} cannot listen on port {port}: {error.strerror or error}")
        return Exit.STORE_UNAVAILABLE


def _wait_for_store(role: Role, dsn: str) -> None:
    """Return when the store answers: a process of a venue that is served waits as those do that
    were there when the store went.
    """
    with leaving.still_starting():
        from infrastructure.waiting import wait_for_server

    wait_for_server(dsn, lambda text: _say(f"{role} {text}"))


def _run(role: Role, settings: Settings, record: Path | None, workers: int) -> Exit:
    if role in (Role.WRITER, Role.STANDBY):
        with leaving.still_starting():
            from api.processes.writer import run_writer

        return run_writer(settings, record=record)
    if role in (Role.PROJECTOR, Role.PEERS_PROJECTOR):
        with leaving.still_starting():
            from api.cli.projections import run_projector

        run_projector(
            settings,
            peer=role is Role.PEERS_PROJECTOR,
            on_ready=lambda: _say(f"{role} follows the log"),
        )
    elif role is Role.MOVER:
        with leaving.still_starting():
            from api.processes.mover import run_mover

        run_mover(settings)
    elif role is Role.MARKET_DATA:
        with leaving.still_starting():
            from api.processes.market_data import run_market_data

        run_market_data(settings)
    elif role is Role.FIX:
        with leaving.still_starting():
            from api.processes.fix import run_fix

        run_fix(settings)
    else:
        with leaving.still_starting():
            from api.cli.gateway import run_gateway

        run_gateway(settings, workers=workers)
    return Exit.OK


def _keep_store(settings: Settings, told: threading.Event, alone: threading.Event) -> None:
    """Be a user of the store until told to leave, even when that is before it has started; when
    whoever started all is gone, until the others have answered what they took in, and have left.
    """
    from infrastructure.database import open_database

    with open_database(settings, on_message=_say) as database:
        told.wait()
        if alone.is_set() and database.server is not None:
            database.server.wait_for_others(STOP_SECONDS * 2)


def _supervise(settings: Settings, record: Path | None, workers: int) -> None:
    with leaving.still_starting():
        from api.processes.errors import VenueFailed
        from api.processes.supervisor import Supervisor

    venue = Supervisor(settings, say=_say, record=record, workers=workers)
    leaving.be_interrupted_once(venue.hurry)
    try:
        with venue:
            _say("the venue is open; Ctrl-C closes it")
            venue.wait()
    except VenueFailed as failure:
        warn(failure)
        raise typer.Exit(failure.code) from failure
    finally:
        _say("the venue is closed")


def _say(text: str) -> None:
    say(text)
