"""The later steps of a move as an operator asks for them: verify, cut over, roll back, finalize.

Each looks at the stores themselves for what is so, and at the move's row for what was asked: a step
that was killed is asked for again, and does what is left of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log import mode_changes
from infrastructure.log.stores import WRITTEN, StoreAddress, StoreState, Writes, read_state_now
from migrations.move.beside import Beside, sync_beside
from migrations.move.feed import Feed, Pair, opened_pair
from migrations.move.finalizing import Export, drop_store, finalize
from migrations.move.moves import Holding, Moves, holding
from migrations.move.phases import Action, MoveRefused, Phase
from migrations.move.switching import USUAL, Switched, Terms, switch
from migrations.move.verifying import EVERYTHING, Found, Wanted, verify

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


class OpenedFeeding:
    """Feeds over connections that are open already: none is made while a store is held."""

    def __init__(self, pair: Pair) -> None:
        self._feed = Feed(pair)
        self._beside = Beside(pair)

    def feed_up_to(self, truth: StoreAddress, follower: StoreAddress, position: int) -> object:
        """Bring every event up to a position, whoever else feeds meanwhile."""
        while self._feed.page(up_to=position):
            pass
        return position

    def sync_beside(
        self, truth: StoreAddress, follower: StoreAddress, *, final: bool = False
    ) -> object:
        """Bring what stands beside the log."""
        return self._beside.sync(final=final)


@contextmanager
def feeding(truth: StoreAddress, follower: StoreAddress) -> Iterator[OpenedFeeding]:
    """What feeds a follower in a switch."""
    with opened_pair(truth, follower, "nexus switch") as pair:
        yield OpenedFeeding(pair)


class RolledBack(NamedTuple):
    """How a way back ended."""

    phase: Phase
    switched: Switched | None
    """How the log came back to the old store; None where it had not left it."""


def verify_move(
    entry: StoreAddress,
    wanted: Wanted = EVERYTHING,
    *,
    progress: Progress = lambda done, total: None,
    say: Say = lambda text: None,
) -> Found:
    """Compare the stores of the move; where all is equal it is verified. Raises MoveRefused."""
    with holding(entry) as held:
        phase = held.check(Action.VERIFY).phase
        truth, follower = _truth_and_follower(held)
        found = verify(
            truth,
            follower,
            lambda: sync_beside(truth, follower),
            wanted,
            progress=progress,
            say=say,
        )
        note = {"equal": found.equal, "differences": len(found.differences), "seed": found.seed}
        if phase is not Phase.CUT_OVER:
            phase = Phase.VERIFIED if found.equal else Phase.BACKFILLED
        held.enter(phase, Action.VERIFY, position=found.up_to, note=note)
        return found


def cut_over(
    entry: StoreAddress, terms: Terms = USUAL, *, say: Say = lambda text: None
) -> Switched:
    """Make the target of the move the truth. Raises MoveRefused, CannotSwitch."""
    with holding(entry) as held:
        held.check(Action.CUTOVER)

        def committing(conn: psycopg.Connection[Any]) -> None:
            held.enter(Phase.CUT_OVER, Action.CUTOVER, conn=conn)

        with feeding(held.source, held.target) as fed:
            switched = switch(held.source, held.target, fed, terms, committing=committing, say=say)
        held.enter(Phase.CUT_OVER, Action.CUTOVER, **_note(switched))
        return switched


def roll_back(
    entry: StoreAddress,
    terms: Terms = USUAL,
    *,
    end: bool = False,
    drop_target: bool = False,
    say: Say = lambda text: None,
) -> RolledBack:
    """Go back to the old store, from wherever the move is. Raises MoveRefused, CannotSwitch.

    After a cutover the target is kept in step, and can be cut over to again; asked for once more
    it changes nothing, unless it is to `end` the move. Before a cutover the target is fed no more,
    and dropped where that is asked for.
    """
    with holding(entry) as held:
        phase = held.check(Action.ROLLBACK).phase
        if _came_back(held) and not (end or drop_target):
            say("the log is back already, and the target is kept in step")
            return RolledBack(phase, None)
        if phase is Phase.CUT_OVER:
            if drop_target:
                raise MoveRefused(
                    "the target is the log now: roll back first, and drop it by a second rollback"
                )
            switched = _switch_back(held, terms, say)
            held.enter(Phase.BACKFILLED, Action.ROLLBACK, **_note(switched))
            return RolledBack(Phase.BACKFILLED, switched)
        _leave_target(held, drop_target, say)
        held.enter(Phase.ROLLED_BACK, Action.ROLLBACK, note={"dropped": drop_target})
        return RolledBack(Phase.ROLLED_BACK, None)


def finalize_move(
    entry: StoreAddress, export: Export | None, *, say: Say = lambda text: None
) -> None:
    """Drop the old store of the move. Raises MoveRefused, CannotFinalize."""
    if _is_sign_post(entry):
        say(f"store {entry.schema} was dropped before; its sign-post stays")
        return
    with holding(entry) as held:
        held.check(Action.FINALIZE)
        _finish_what_was_killed(held, say)

        def committing(conn: psycopg.Connection[Any]) -> None:
            held.enter(Phase.FINALIZED, Action.FINALIZE, conn=conn)

        finalize(held.source, held.target, export, committing=committing, say=say)


def _is_sign_post(entry: StoreAddress) -> bool:
    """Whether the store is one that a move has left for good."""
    with AttentiveConnectionNow.open(entry.dsn) as conn:
        if read_state_now(conn, entry).writes is not Writes.THERE:
            return False
        move = Moves(conn, entry).latest()
    return move is not None and move.phase is Phase.FINALIZED


def _came_back(held: Holding) -> bool:
    """Whether the last that was done was to come back from the target, which is fed still."""
    last = held.moves.history(held.move)[-1]
    return held.move.phase is Phase.BACKFILLED and last.action == Action.ROLLBACK


def _switch_back(held: Holding, terms: Terms, say: Say) -> Switched:
    _finish_what_was_killed(held, say)
    _, target = _states(held)
    if target.writes in WRITTEN and target.peer is None:
        raise MoveRefused(
            "finalize has begun: the old store is fed no more, so there is no way back to it"
        )
    with feeding(held.target, held.source) as fed:
        return switch(held.target, held.source, fed, terms._replace(whole=False), say=say)


def _finish_what_was_killed(held: Holding, say: Say) -> None:
    """A cutover that was committed and then killed is finished before anything else."""
    source, target = _states(held)
    if source.writes is Writes.THERE and target.writes is Writes.FED and target.peer is not None:
        with feeding(held.source, held.target) as fed:
            switch(held.source, held.target, fed, say=say)


def _leave_target(held: Holding, drop_target: bool, say: Say) -> None:
    """Feed the target no more; it says still that it follows, so nobody takes it for the truth.

    A target that cannot be reached is left as it is, unless it is to be dropped.
    """
    with AttentiveConnectionNow.open(held.source.dsn) as conn:
        said = read_state_now(conn, held.source).writes
        if said not in WRITTEN:
            raise MoveRefused(f"store {held.source.schema} is {said}: the log is not in it")
        mode_changes.stand_alone(conn, held.source)
    say(f"store {held.source.schema} has no follower any more")
    if drop_target:
        _drop_target(held, say)


def _drop_target(held: Holding, say: Say) -> None:
    target = _state(held.target)
    if target.writes is Writes.FED and target.peer == held.source:
        drop_store(held.target)
        say(f"store {held.target.schema} was dropped")
    elif target.epoch or target.peer is not None:
        # Somebody's log: of another partition, or of another move.
        raise MoveRefused(
            f"store {held.target.schema} is {target.writes} and does not follow"
            f" {held.source.schema}: it is not dropped"
        )


def _truth_and_follower(held: Holding) -> tuple[StoreAddress, StoreAddress]:
    source, target = _states(held)
    if source.writes in WRITTEN:
        return held.source, held.target
    if target.writes in WRITTEN:
        return held.target, held.source
    raise MoveRefused(
        f"store {held.source.schema} is {source.writes} and store {held.target.schema} is"
        f" {target.writes}: a switch was killed; ask for it again first"
    )


def _states(held: Holding) -> tuple[StoreState, StoreState]:
    return _state(held.source), _state(held.target)


def _state(store: StoreAddress) -> StoreState:
    with AttentiveConnectionNow.open(store.dsn) as conn:
        return read_state_now(conn, store)


def _note(switched: Switched) -> dict[str, Any]:
    drained = switched.drained
    held = switched.held_seconds
    return {
        "position": switched.position,
        "note": {
            "held_ms": None if held is None else round(held * 1000),
            "sessions_ended": 0 if drained is None else drained.ended,
        },
    }
