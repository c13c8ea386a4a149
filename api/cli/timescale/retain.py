"""`nexus timescale retain`: which parts of the log are old, and what keeps them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.exit_codes import Exit
from api.cli.reading import say
from api.cli.timescale.moving import Json, opened_entry, tell
from application.log.ports import ArchiveError
from infrastructure.log.archive import Archive
from infrastructure.log.archive_check import differences
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.retention import OldPart, old_parts
from infrastructure.log.stores import Stores, told_of

_KEPT = (
    "nothing is dropped: request keys, orders that ended and instruments are looked up in the log"
    " for ever, and views are built anew from its first position"
)


def command(
    older_than: Annotated[
        int,
        typer.Option("--older-than", metavar="DAYS", min=1, help="Parts that ended so long ago."),
    ],
    archive: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="An archive, which is held against the store."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the parts of the log that are older than so many days and what still asks for them.

    With an archive also whether it holds them. Nothing is dropped.
    """
    with opened_entry() as entry:
        conn, state = Stores(*entry).connect_now("nexus retain", reading=False)
        with conn:
            if not state.layout.chunked:
                say(f"{told_of(state.address)} keeps its events in one table: it has no parts")
                raise typer.Exit(Exit.CHECK_FAILED)
            (now,) = conn.execute("SELECT clock_timestamp()").fetchone() or (None,)
            assert now is not None
            parts = old_parts(
                conn, state.address.schema, state.layout, now - timedelta(days=older_than)
            )
        held = _held(archive, ArchivedStore(*state.address), parts)
    facts = [_facts(part, part.archived(held)) for part in parts]
    words = [
        f"{one['begin']:.10} to {one['end']:.10}  positions {one['first']:,} to {one['last']:,}"
        f"  {'in the archive' if one['archived'] else 'in no archive'}"
        f"  {one['keys']:,} request keys, {one['living']:,} aggregates that live on"
        for one in facts
    ]
    tell({"parts": facts, "dropped": 0}, "\n".join([*words, _KEPT]), as_json=as_json)


def _held(directory: Path | None, store: ArchivedStore, parts: list[OldPart]) -> Archive | None:
    """The archive, where it says what the store says."""
    if directory is None or not parts:
        return None
    try:
        archive = Archive.open(directory)
    except ArchiveError as error:
        say(str(error))
        raise typer.Exit(Exit.CHECK_FAILED) from None
    found = differences(archive, store, up_to=parts[-1].last_position)
    for difference in found:
        say(difference)
    if found:
        raise typer.Exit(Exit.CHECK_FAILED)
    return archive


def _facts(part: OldPart, archived: bool) -> dict[str, Any]:
    return {
        "begin": part.begin.isoformat(),
        "end": part.end.isoformat(),
        "first": part.first_position,
        "last": part.last_position,
        "keys": part.keys,
        "living": part.living,
        "archived": archived,
    }
