"""`nexus archive`: the log in files of its own, held against the store, and put back into one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.exit_codes import Exit
from api.cli.printing import tell
from api.cli.reading import Pace, opened_store
from domain.identifiers import iso
from infrastructure.log.archive import Archive
from infrastructure.log.archive_check import damages, differences
from infrastructure.log.archive_export import Stretch, export
from infrastructure.log.archive_restore import restore
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, find_truth
from infrastructure.settings import Settings
from migrations.runner import migrate

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help=(
        "Keep the log in files of its own: every event with all its columns, and every request "
        "key, in compressed ranges with their sums.\n\n"
        "Exit codes: 0 well, 1 the archive cannot be used as it stands, or is not what it should "
        "be, 2 an option is wrong, 3 no server, 4 the schema and this program do not fit, 130 "
        "interrupted: the same command goes on where it ended."
    ),
)

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where the archive stands.")]
Json = Annotated[bool, typer.Option("--json", help="One line for machines.")]
SHOWN = 20


@app.command("export")
def export_command(
    directory: Directory,
    up_to: Annotated[
        int | None,
        typer.Option(help="The last position; without it the log's end.", min=1),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option("--from", help="The first position of a new archive; 1 else.", min=1),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="Of a store other than the one that is written.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write what the archive lacks of the log; one that was begun is gone on with."""
    settings = Settings.load()
    with opened_store(settings) as dsn:
        store = _named(dsn, schema or settings.partition_schema, follow=schema is None)
        with Pace("archiving", 0, show=not as_json) as pace:
            archive = export(store, directory, Stretch(first, up_to), progress=pace)
    _print(_facts(archive) | {"rows_per_second": pace.rate}, as_json)


@app.command("verify")
def verify_command(
    directory: Directory,
    with_store: Annotated[
        bool,
        typer.Option(
            "--with-store", help="Hold it against the log too: its sums, and what its files hold."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read every byte of it and say what is wrong; end with 1 when something is."""
    archive = Archive.open(directory)
    with Pace("verifying", archive.up_to - archive.first + 1, show=not as_json) as pace:
        found = list(damages(archive, pace))
    if with_store:
        settings = Settings.load()
        with opened_store(settings) as dsn:
            store = _named(dsn, settings.partition_schema)
            with Pace("comparing", archive.up_to - archive.first + 1, show=not as_json) as pace:
                found += differences(archive, store, contents=True, progress=pace)
    facts = _facts(archive) | {"with_store": with_store, "ok": not found, "wrong": found}
    if as_json:
        print(json.dumps(facts))
    else:
        for said in found[:SHOWN]:
            tell(said)
        if len(found) > SHOWN:
            tell(f"and {len(found) - SHOWN:,} more")
        where = " and equal to the store" if with_store else ""
        verdict = f"whole{where}" if not found else "NOT AS IT SHOULD BE"
        tell(f"positions {archive.first:,} to {archive.up_to:,}: {verdict}")
    if found:
        raise typer.Exit(Exit.CHECK_FAILED)


@app.command("restore")
def restore_command(
    directory: Directory,
    layout: Annotated[
        Layout, typer.Option(help="How a schema that is not there yet is to keep its events.")
    ] = Layout.PLAIN,
    as_json: Json = False,
) -> None:
    """Put the whole log into an empty store; one that was begun is gone on with.

    What stands beside the log (API keys, FIX sessions) is in no archive. Views are projected anew.
    """
    archive = Archive.open(directory)
    settings = Settings.load()
    with opened_store(settings) as dsn:
        migrate(dsn, settings.partition_schema, layout=layout)
        store = StoreAddress(dsn, settings.partition_schema)
        with Pace("restoring", archive.up_to, show=not as_json) as pace:
            position = restore(archive, store, pace)
    facts = {"schema": store.schema, "position": position, "rows_per_second": pace.rate}
    _print(facts, as_json)


@app.command("info")
def info_command(directory: Directory, as_json: Json = False) -> None:
    """Say what an archive holds, by its manifest."""
    _print(_facts(Archive.open(directory)), as_json)


def _named(dsn: str, schema: str, *, follow: bool = True) -> ArchivedStore:
    """A store that is asked for, or the one that its log has moved to."""
    return ArchivedStore(*find_truth(dsn, schema).address) if follow else ArchivedStore(dsn, schema)


def _facts(archive: Archive) -> dict[str, Any]:
    ranges = archive.ranges
    return {
        "archive": str(archive.directory),
        "first": archive.first,
        "up_to": archive.up_to,
        "events": sum(held.events.rows for held in ranges),
        "keys": archive.key_count,
        "files": 3 * len(ranges),
        "bytes": archive.size,
        "recorded_from": iso(ranges[0].recorded_from) if ranges else None,
        "recorded_until": iso(ranges[-1].recorded_until) if ranges else None,
    }


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = f"{value:,}" if isinstance(value, int) else value
        tell(f"{name.replace('_', ' '):>16}  {shown}")
