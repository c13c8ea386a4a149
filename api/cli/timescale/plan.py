"""`nexus timescale plan`: what a move would bring, cost and lack; changes nothing but the plan."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.exit_codes import Exit
from api.cli.timescale.moving import Json, OwnerDsn, move_in_hand, tell
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress
from migrations.move.phases import Phase
from migrations.move.planning import RATE
from migrations.move.planning import plan as reckon


def command(
    target_schema: Annotated[
        str | None,
        typer.Option(
            help="The schema of the new store; none: that of the old one with _chunked behind it.",
            show_default=False,
        ),
    ] = None,
    target_dsn: Annotated[
        str | None,
        typer.Option(
            help="Its database, without a password; none: the database of the old store.",
            show_default=False,
        ),
    ] = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            help="How it keeps its events; none: the best that its server has.",
            show_default=False,
        ),
    ] = None,
    owner_dsn: OwnerDsn = None,
    rate: Annotated[int, typer.Option(help="Rows a second to reckon with.", min=1)] = RATE,
    as_json: Json = False,
) -> None:
    """Reckon a move of the log: rows, room on disk, time, and what is missing for it.

    Where nothing is missing the plan is kept, and `prepare` is next.
    """
    with move_in_hand() as move:
        schema = target_schema or f"{move.source.schema}_chunked"
        target = StoreAddress(target_dsn or move.source.dsn, schema)
        planned = reckon(move.source, target, layout=layout, rate=rate, owner_dsn=owner_dsn)
        if planned.possible:
            if planned.same_database:
                target = StoreAddress(move.source.dsn, schema)
            move.begin(target, planned.layout, planned.as_document())
    facts = {**planned.as_document(), "phase": str(Phase.PLANNED) if planned.possible else None}
    lines = [*planned.lines(), *(["next    nexus timescale prepare"] * planned.possible)]
    tell(facts, "\n".join(lines), as_json=as_json)
    if not planned.possible:
        raise typer.Exit(Exit.CHECK_FAILED)
