"""`nexus projections`: run the projector, say how the views stand, and build them again."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Annotated, Any

import psycopg
import typer
import uvloop
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from api.cli import leaving
from api.cli.exit_codes import Exit
from api.cli.printing import Table, warn
from api.processes.lifeline import beat_in_loop
from api.processes.projected import LOOK_SECONDS, store_to_project
from infrastructure.database import open_database
from infrastructure.log.source import PostgresEventSource
from infrastructure.log.stores import StoreAddress, Stores, find_truth
from infrastructure.log_lines import set_up_logging
from infrastructure.scheduling import give_way
from infrastructure.settings import Settings
from migrations.runner import MigrationError
from migrations.stores import kept_store
from projections import rebuild as rebuilding
from projections import tracking
from projections.connections import Connect
from projections.projection import Projection
from projections.rebuild import Rebuild, RebuildUnderWay, Rebuilt, SwitchBlocked
from projections.runner import Runner, collect_seldom
from projections.tracking import ViewStatus
from projections.views import all_views

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Keep the views and build them again.\n\n"
        "Exit codes: 0 well, 1 a view is stopped, or differed from the log, or cannot be "
        "switched now; 2 a setting or a name is wrong, 3 no server, 4 the schema is not migrated."
    ),
)

_LEAVE_SECONDS = 0.5

Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]


def run_projector(
    settings: Settings, *, peer: bool = False, on_ready: Callable[[], object] | None = None
) -> None:
    """Keep all views of the store that the settings name, or of its peer in a move, until SIGTERM
    or SIGINT.
    """
    collect_seldom()
    # A view that is being built says how far it is.
    logging.getLogger("projections").setLevel(logging.INFO)
    with _on_migrated(settings, "projector") as dsn:
        # Only now: a server started by this process takes its turns as any.
        give_way()
        entry = StoreAddress(dsn, settings.partition_schema)
        while True:
            try:
                return uvloop.run(_project(entry, peer, on_ready))
            except psycopg.errors.UndefinedTable:
                # A finished move takes the old store away, and one that is given up the other.
                if not peer and entry == kept_store(*entry):
                    raise
            time.sleep(LOOK_SECONDS)


async def _project(entry: StoreAddress, peer: bool, on_ready: Callable[[], object] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    beat_in_loop()
    finding = asyncio.ensure_future(store_to_project(entry, peer=peer))
    leaving.call_in_loop(loop, finding.cancel)
    try:
        dsn, schema = await finding
    except asyncio.CancelledError:
        return
    # Views are of the store they stand in, wherever the truth is.
    async with PostgresEventSource(dsn, schema, pinned=True) as source:
        runner = Runner(
            connector(dsn, schema, pinned=True),
            source,
            all_views(),
            renew_from=lambda: PostgresEventSource(dsn, schema, pinned=True),
            complete=True,
        )
        running = asyncio.ensure_future(runner.run(stop))

        def leave() -> None:
            stop.set()
            # Without a server there is no batch to end: what waits for one is cut short.
            loop.call_later(_LEAVE_SECONDS, running.cancel)

        leaving.call_in_loop(loop, leave)
        if on_ready is not None:
            on_ready()
        with suppress(asyncio.CancelledError):
            await running


@contextmanager
def _on_migrated(settings: Settings, process: str = "") -> Iterator[str]:
    """The open store; a schema without our tables is told apart from a failure."""
    with open_database(settings, on_message=_say, process=process) as database:
        try:
            yield database.dsn
        except psycopg.errors.UndefinedTable as missing:
            raise MigrationError(
                f"schema {settings.partition_schema!r} is not as this program needs it "
                f"({missing.diag.message_primary}); run `nexus db migrate`"
            ) from missing


@contextmanager
def _on_truth(settings: Settings) -> Iterator[StoreAddress]:
    """The store that is the truth, whichever is named."""
    with _on_migrated(settings) as dsn:
        yield find_truth(dsn, settings.partition_schema).address


def connector(dsn: str, schema: str, *, pinned: bool = False) -> Connect:
    """What opens a connection for views: in autocommit, with the names of the store that is the
    truth; or of this very one, whoever reads it.
    """
    stores = Stores(dsn, schema, pinned=pinned)

    async def connect() -> psycopg.AsyncConnection[Any]:
        conn, _ = await stores.connect("nexus views", reading=not pinned, names=True)
        return conn

    return connect


@app.command("run")
def run() -> None:
    """Follow the log and keep all views until told to stop."""
    set_up_logging()
    run_projector(Settings.load())


@app.command("list")
def list_views(as_json: Json = False) -> None:
    """Show every view of this program, its tables and what it is made from."""
    views = all_views()
    if as_json:
        facts = [
            {
                "name": view.name,
                "version": view.version,
                "tables": [table.name for table in view.tables],
                "topics": list(view.topics),
            }
            for view in views
        ]
        print(json.dumps({"views": facts}))
        return
    table = Table("view", "version", "tables", "topics", "what it shows", box=None)
    for view in views:
        names = ", ".join(t.name for t in view.tables)
        about = (type(view).__doc__ or "").strip()
        table.add_row(view.name, str(view.version), names, str(len(view.topics)), about)
    Console().print(table)


@app.command("status")
def status(as_json: Json = False) -> None:
    """Show where every view stands; end with 1 when one is stopped or of another version."""
    settings = Settings.load()
    with _on_truth(settings) as store:
        rows = asyncio.run(_status(store))
    if as_json:
        facts = [
            {
                **row._asdict(),
                "updated_at": row.updated_at.isoformat() if row.updated_at else None,
            }
            for row in rows
        ]
        print(json.dumps({"schema": store.schema, "views": facts}))
    else:
        _print_status(rows, store.schema)
    if any(row.error or row.active_version not in (None, row.version) for row in rows):
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command("rebuild")
def rebuild(
    name: Annotated[str | None, typer.Argument(help="The view.", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="Every view, one after the other.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the log and leave all as it is.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Build a view again beside the one in use, compare them, and switch.

    Ends with 1 when the view in use was not what the log says. A rebuild that was killed goes
    on where it was.
    """
    views = {view.name: view for view in all_views()}
    if every == (name is not None):
        raise typer.BadParameter("give the name of one view, or --all")
    if name is not None and name not in views:
        raise typer.BadParameter(f"no view {name!r}; there are {', '.join(views)}")
    wanted = list(views.values()) if name is None else [views[name]]
    settings = Settings.load()
    try:
        with _on_truth(settings) as store:
            done = asyncio.run(_rebuild(store, wanted, check, not as_json))
    except (RebuildUnderWay, SwitchBlocked) as blocked:
        _say(str(blocked))
        raise typer.Exit(Exit.CHECK_FAILED) from None
    if as_json:
        print(json.dumps({"views": [_facts(view) for view in done]}))
    else:
        _print_rebuilt(done)
    if not all(view.equal for view in done):
        raise typer.Exit(Exit.CHECK_FAILED)


async def _status(store: StoreAddress) -> list[ViewStatus]:
    async with (
        await connector(*store, pinned=True)() as conn,
        PostgresEventSource(*store, pinned=True) as log,
    ):
        return await tracking.status(conn, log, all_views())


async def _rebuild(
    store: StoreAddress, views: Sequence[Projection], check: bool, show: bool
) -> list[Rebuilt]:
    collect_seldom()
    done = []
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show,
    )
    shown: AbstractContextManager[Any] = bar if show else nullcontext()
    with shown:
        for view in views:
            task = bar.add_task(view.name, total=None, rate="")
            async with PostgresEventSource(*store, pinned=True) as source:
                building = Rebuild(
                    *(connector(*store, pinned=True), source, view),
                    on_progress=_progress(bar, task),
                )
                done.append(await building.run(switch=not check))
    return done


def _progress(bar: Progress, task: TaskID) -> Callable[[rebuilding.Progress], None]:
    def show(progress: rebuilding.Progress) -> None:
        rate = f"{round(progress.passed / max(progress.seconds, 1e-9)):,} events/s"
        bar.update(task, completed=progress.position, total=progress.target, rate=rate)

    return show


def _facts(view: Rebuilt) -> dict[str, Any]:
    return {
        "name": view.name,
        "version": view.version,
        "previous_version": view.previous_version,
        "position": view.position,
        "events": view.passed,
        "handled": view.handled,
        "seconds": round(view.seconds, 3),
        "events_per_second": _rate(view.passed, view.seconds),
        "handled_per_second": _rate(view.handled, view.seconds),
        "compared": [table._asdict() for table in view.compared],
        "equal": view.equal,
        "switched": view.switched,
    }


def _rate(count: int, seconds: float) -> int:
    return round(count / seconds) if seconds else 0


def _print_rebuilt(done: Sequence[Rebuilt]) -> None:
    table = Table("view", "position", "rows", "events/s", "wanted/s", "compared", "", box=None)
    for view in done:
        verdict = "equal" if view.equal else "DIFFERED"
        table.add_row(
            f"{view.name} v{view.version}",
            f"{view.position:,}",
            " + ".join(f"{t.rows_built:,}" for t in view.compared) or "-",
            f"{_rate(view.passed, view.seconds):,}",
            f"{_rate(view.handled, view.seconds):,}",
            verdict if view.compared else "nothing to compare with",
            "switched" if view.switched else "left as it is",
        )
    Console().print(table)


def _print_status(rows: Sequence[ViewStatus], schema: str) -> None:
    table = Table("view", "position", "behind", "moved", "", title=f"schema {schema}", box=None)
    for row in rows:
        notes = []
        if row.active_version not in (None, row.version):
            notes.append(f"version {row.active_version} serves, this program has {row.version}")
        if row.active_version is None:
            notes.append("not made yet")
        if row.building_position is not None:
            notes.append(f"being built, at {row.building_position:,}")
        if row.error:
            notes.append(f"STOPPED: {row.error}")
        moved = f"{row.updated_at:%Y-%m-%d %H:%M:%S}" if row.updated_at else "-"
        name = f"{row.name} v{row.active_version or row.version}"
        table.add_row(name, f"{row.position:,}", f"{row.lag:,}", moved, "; ".join(notes))
    Console().print(table)


def _say(message: str) -> None:
    """Progress goes to stderr, so that --json stays one line."""
    warn(message)
