"""`nexus timescale prepare`: make the store that a move leads to."""

from __future__ import annotations

from dataclasses import asdict

import typer

from api.cli.exit_codes import Exit
from api.cli.reading import say
from api.cli.timescale.moving import Json, OwnerDsn, move_in_hand, tell
from infrastructure.settings import Settings
from migrations.move.phases import Action, Phase
from migrations.move.preparing import CannotPrepare
from migrations.move.preparing import prepare as make


def command(owner_dsn: OwnerDsn = None, as_json: Json = False) -> None:
    """Make the new store, empty, in its layout: the extension where it is missing, the schema, its
    tables, and the parts for the events to come. Orders go on, and nothing is written to it yet.
    """
    with move_in_hand() as move:
        planned = move.check(Action.PREPARE)
        try:
            prepared = make(
                move.source,
                move.target,
                layout=planned.layout,
                owner_dsn=owner_dsn,
                partition=Settings.load().partition,
                say=say,
            )
        except CannotPrepare as cannot:
            for reason in cannot.reasons:
                say(reason)
            raise typer.Exit(Exit.CHECK_FAILED) from None
        facts = {**asdict(prepared), "layout": str(prepared.layout)}
        move.enter(Phase.PREPARED, Action.PREPARE, note=facts)
    words = (
        f"{move.target.schema} stands, {prepared.layout}, empty; next: nexus timescale dual-write"
    )
    tell({"phase": str(Phase.PREPARED), **facts}, words, as_json=as_json)
