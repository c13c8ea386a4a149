"""`nexus timescale dual-write`: from here on the target gets every event that the source gets."""

from __future__ import annotations

from api.cli.timescale.moving import Json, move_in_hand, tell
from migrations.move.feed import begin_following, opened_pair
from migrations.move.phases import Action, Phase


def command(as_json: Json = False) -> None:
    """Let the target get every event from here on: in the same transaction where it stands in the
    same database, or else from the log, by the mover of `nexus serve`.

    Orders go on; a target that fails, or is slow, keeps none of them waiting.
    """
    with move_in_hand() as move:
        before = move.check(Action.DUAL_WRITE).phase
        with opened_pair(move.source, move.target, "nexus dual write") as pair:
            position = begin_following(pair)
        together = move.source.dsn == move.target.dsn
        if before is not Phase.DUAL_WRITING:
            move.enter(Phase.DUAL_WRITING, Action.DUAL_WRITE, position=position)
    how = "with every append" if together else "fed from the log by the mover"
    words = (
        f"{move.target.schema} gets every event after position {position:,}, {how};"
        " next: nexus timescale backfill"
        if position is not None
        else f"{move.target.schema} gets every event already, {how}"
    )
    facts = {"phase": str(Phase.DUAL_WRITING), "position": position, "together": together}
    tell(facts, words, as_json=as_json)
