"""`nexus timescale verify`: compare both stores while orders flow, and repair what follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from api.cli.exit_codes import Exit
from api.cli.reading import Pace, say
from api.cli.timescale.moving import Json, opened_entry, tell
from infrastructure.scheduling import give_way
from migrations.move.comparing_ranges import RANGE_ROWS
from migrations.move.steps import verify_move
from migrations.move.verifying import SAMPLE, Found, Wanted

SHOWN = 20


def command(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Bring ranges that differ again from the truth, and build views again;"
            " the truth is not touched.",
        ),
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="From the first position on, not from where it ended.")
    ] = False,
    sample: Annotated[
        int, typer.Option(help="How many aggregates are rebuilt from both stores.", min=0)
    ] = SAMPLE,
    seed: Annotated[
        int | None, typer.Option(help="Of that sample; another one else.", show_default=False)
    ] = None,
    range_: Annotated[
        int, typer.Option("--range", help="Positions that are summed up at once.", min=100)
    ] = RANGE_ROWS,
    as_json: Json = False,
) -> None:
    """Compare all that both stores hold, row by row, and end with 1 when something differs.

    It goes on where it was stopped, and may be asked for again: only what is new is compared.
    """
    give_way()
    wanted = Wanted(repair=repair, anew=anew, sample=sample, seed=seed, range_rows=range_)
    with opened_entry() as entry:
        with Pace("verify", 0, show=not as_json, unit="rows/s") as pace:
            found = verify_move(
                entry, wanted, progress=pace, say=lambda text: say(text) if not as_json else None
            )
    tell(found.as_document(), "\n".join(_lines(found)), as_json=as_json)
    if not found.equal:
        raise typer.Exit(Exit.CHECK_FAILED)


def _lines(found: Found) -> Iterator[str]:
    yield (
        f"events     positions {found.began_at + 1:,} to {found.up_to:,} are equal,"
        f" {found.ranges:,} ranges"
    )
    yield f"aggregates {found.sampled:,} rebuilt from both, seed {found.seed}"
    if found.views is not None:
        yield (
            f"views      {found.views.rows:,} rows of {found.views.tables} tables at position"
            f" {found.views.position:,}"
        )
    if found.repaired or found.repaired_views:
        yield f"repaired   {found.repaired:,} ranges, {found.repaired_views} views"
    for why in found.not_compared:
        yield f"missing    {why}"
    for difference in found.differences[:SHOWN]:
        yield f"differs    {difference}"
    if len(found.differences) > SHOWN:
        yield f"differs    {len(found.differences) - SHOWN:,} more, see --json"
    if found.equal:
        yield "both stores are equal; next: nexus timescale cutover"
    elif found.differences:
        yield "the stores differ; next: nexus timescale verify --repair"
    else:
        yield "not all was compared; next: nexus timescale verify"
