"""`nexus timescale cutover`: from here on the target is the log, for readers and for writers."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.reading import say
from api.cli.timescale.moving import Json, opened_entry, tell
from migrations.move.phases import Phase
from migrations.move.steps import cut_over
from migrations.move.switching import HOLD_SECONDS, MOST_BEHIND, Switched, Terms

HoldSeconds = Annotated[
    float,
    typer.Option(
        "--hold",
        help="For so many seconds orders wait at most; then they go on in the old store.",
        min=0.1,
        max=60,
    ),
]
MostBehind = Annotated[
    int, typer.Option(help="By how many positions the other store may lag at first.", min=0)
]


def command(
    hold: HoldSeconds = HOLD_SECONDS,
    most_behind: MostBehind = MOST_BEHIND,
    as_json: Json = False,
) -> None:
    """Make the target the log: orders wait for a moment, everybody goes over, orders go on.

    Refused while the target lags, differs, or was never verified whole. Killed at any point it is
    asked for again, and goes on.
    """
    terms = Terms(hold_seconds=hold, most_behind=most_behind)
    with opened_entry() as entry:
        switched = cut_over(entry, terms, say=lambda text: None if as_json else say(text))
    words = (
        f"the log goes on in the target after position {switched.position:,}{held(switched)};"
        " the old store is kept in step; next: nexus timescale finalize"
    )
    tell({"phase": str(Phase.CUT_OVER), **facts(switched)}, words, as_json=as_json)


def held(switched: Switched) -> str:
    """How long orders waited, in words."""
    if switched.held_seconds is None:
        return ""
    return f", orders waited for {switched.held_seconds * 1000:.0f} ms"


def facts(switched: Switched) -> dict[str, int | None]:
    """How a switch went, for machines."""
    seconds, drained = switched.held_seconds, switched.drained
    return {
        "position": switched.position,
        "held_ms": None if seconds is None else round(seconds * 1000),
        "sessions_ended": 0 if drained is None else drained.ended,
    }
