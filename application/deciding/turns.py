"""End the turns of legs that did not follow in time."""

from __future__ import annotations

from application.commands import PassTurns, Reply
from application.deciding import sequential
from application.deciding.recording import CHUNK, done
from application.deciding.step import Step


def pass_turns(step: Step, cmd: PassTurns) -> Reply:
    """Unwind the orders named of which a leg has had its time; others go on."""
    passed = 0
    for parent_id in cmd.strategy_ids[:CHUNK]:
        parent = step.desk.strategies.live.get(parent_id.int)
        if parent is not None and 0 < parent.due_at <= step.at:
            sequential.time_over(step, parent)
            passed += 1
    step.until_quiet()
    return done(step, {"passed": passed})
