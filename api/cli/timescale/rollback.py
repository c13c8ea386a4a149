"""`nexus timescale rollback`: back to the old store, from wherever the move is."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.reading import say
from api.cli.timescale.cutover import HoldSeconds, MostBehind, facts, held
from api.cli.timescale.moving import Json, opened_entry, tell
from migrations.move.phases import Phase
from migrations.move.steps import roll_back
from migrations.move.switching import HOLD_SECONDS, MOST_BEHIND, Terms


def command(
    drop_target: Annotated[
        bool,
        typer.Option("--drop-target", help="Drop the target, where the log is not in it."),
    ] = False,
    end: Annotated[
        bool,
        typer.Option(
            "--end", help="Feed the target no more, also after the log came back from it."
        ),
    ] = False,
    hold: HoldSeconds = HOLD_SECONDS,
    most_behind: MostBehind = MOST_BEHIND,
    as_json: Json = False,
) -> None:
    """Go back. Before a cutover the target is fed no more, and the move is over.

    After one the log goes on in the old store, which has every order of the new one; the target
    is kept in step, so that it can be verified and cut over to again.
    """
    terms = Terms(hold_seconds=hold, most_behind=most_behind)
    with opened_entry() as entry:
        back = roll_back(
            entry,
            terms,
            end=end,
            drop_target=drop_target,
            say=lambda text: None if as_json else say(text),
        )
    if back.phase is Phase.BACKFILLED and back.switched is None:
        words = (
            "the log is in the old store already, and the target is kept in step;"
            " next: nexus timescale verify, or rollback --end"
        )
        tell({"phase": str(back.phase)}, words, as_json=as_json)
        return
    if back.switched is None:
        words = "the move is over: the old store stands alone, as before"
        tell({"phase": str(back.phase)}, words, as_json=as_json)
        return
    words = (
        f"the log goes on in the old store after position {back.switched.position:,}"
        f"{held(back.switched)}; the target is kept in step; next: nexus timescale verify"
    )
    tell({"phase": str(back.phase), **facts(back.switched)}, words, as_json=as_json)
