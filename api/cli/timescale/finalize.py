"""`nexus timescale finalize`: drop the old store, after its log was put away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from api.cli.reading import Pace, say
from api.cli.timescale.moving import Json, opened_entry, tell
from infrastructure.log.archive_check import differences
from infrastructure.log.archive_export import export as write_archive
from infrastructure.log.archive_store import ArchivedStore
from infrastructure.log.stores import StoreAddress
from migrations.move.phases import Phase
from migrations.move.steps import finalize_move


def command(
    archive: Annotated[
        Path | None,
        typer.Option(
            help="Where to put the log of the old store; an archive there is gone on with.",
            show_default=False,
        ),
    ] = None,
    without_export: Annotated[
        bool, typer.Option("--without-export", help="Drop the old store without an archive.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Drop the old store and leave a sign-post: there is no way back afterwards.

    Its log is put into an archive first, and held against it, unless --without-export says that
    there is no need.
    """
    if (archive is None) is not without_export:
        raise typer.BadParameter(
            "say where to put the log of the old store, or --without-export", param_hint="--archive"
        )

    def export(store: StoreAddress) -> list[str]:
        assert archive is not None
        old = ArchivedStore(*store)
        with Pace("archiving", 0, show=not as_json) as pace:
            written = write_archive(old, archive, progress=pace)
        early = [] if written.first == 1 else [f"it begins at position {written.first:,}"]
        return [*early, *differences(written, old)]

    with opened_entry() as entry:
        finalize_move(
            entry,
            None if archive is None else export,
            say=lambda text: None if as_json else say(text),
        )
    facts = {"phase": str(Phase.FINALIZED), "archive": None if archive is None else str(archive)}
    tell(facts, "the move is over: the old store is a sign-post to the new one", as_json=as_json)
