"""The phases of a move, what may be asked for in each, what comes next, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Phase(StrEnum):
    """How far a move has come."""

    PLANNED = "planned"
    PREPARED = "prepared"
    DUAL_WRITING = "dual_writing"
    BACKFILLING = "backfilling"
    BACKFILLED = "backfilled"
    VERIFIED = "verified"
    CUT_OVER = "cut_over"
    FINALIZED = "finalized"
    ROLLED_BACK = "rolled_back"

    @property
    def over(self) -> bool:
        """Whether the move is at its end, and another may begin."""
        return self in (Phase.FINALIZED, Phase.ROLLED_BACK)


class Action(StrEnum):
    """What an operator asks of a move; the word on the command line."""

    PLAN = "plan"
    PREPARE = "prepare"
    DUAL_WRITE = "dual-write"
    BACKFILL = "backfill"
    VERIFY = "verify"
    CUTOVER = "cutover"
    FINALIZE = "finalize"
    ROLLBACK = "rollback"


_P = Phase
ALLOWED: Mapping[Action, tuple[Phase, ...]] = {
    Action.PLAN: (_P.PLANNED,),
    Action.PREPARE: (_P.PLANNED, _P.PREPARED),
    Action.DUAL_WRITE: (_P.PREPARED, _P.DUAL_WRITING),
    Action.BACKFILL: (_P.DUAL_WRITING, _P.BACKFILLING, _P.BACKFILLED),
    Action.VERIFY: (_P.BACKFILLED, _P.VERIFIED, _P.CUT_OVER),
    Action.CUTOVER: (_P.VERIFIED, _P.CUT_OVER),
    Action.FINALIZE: (_P.CUT_OVER, _P.FINALIZED),
    Action.ROLLBACK: (
        *(_P.PLANNED, _P.PREPARED, _P.DUAL_WRITING, _P.BACKFILLING, _P.BACKFILLED),
        *(_P.VERIFIED, _P.CUT_OVER, _P.ROLLED_BACK),
    ),
}
"""In which phases each may be asked for: also in the one it leads to, where it finds nothing to do
or goes on where it was killed.
"""

NEXT: Mapping[Phase, Action] = {
    _P.PLANNED: Action.PREPARE,
    _P.PREPARED: Action.DUAL_WRITE,
    _P.DUAL_WRITING: Action.BACKFILL,
    _P.BACKFILLING: Action.BACKFILL,
    _P.BACKFILLED: Action.VERIFY,
    _P.VERIFIED: Action.CUTOVER,
    _P.CUT_OVER: Action.FINALIZE,
}
"""What comes next, one step after another."""

WAY_BACK: Mapping[Phase, str] = {
    _P.PLANNED: "nothing was changed; `nexus timescale rollback` forgets the plan",
    _P.PREPARED: "`nexus timescale rollback`: the target is left, or dropped with --drop-target",
    _P.DUAL_WRITING: "`nexus timescale rollback`: the target is fed no more",
    _P.BACKFILLING: "`nexus timescale rollback`: the target is fed no more",
    _P.BACKFILLED: "`nexus timescale rollback`: the target is fed no more",
    _P.VERIFIED: "`nexus timescale rollback`: the target is fed no more",
    _P.CUT_OVER: "`nexus timescale rollback`: orders go to the old store, which has all of them",
    _P.FINALIZED: "none: the old store is dropped",
    _P.ROLLED_BACK: "none is needed",
}


class MoveRefused(Exception):
    """What was asked of a move cannot be done now; the message says why, and what comes first."""
