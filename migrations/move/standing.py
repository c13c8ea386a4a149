"""How a move stands: its phase, how far the follower is behind, what is unequal, the ways on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from infrastructure.log.copying import End, Positions, one
from infrastructure.log.follower import Follower
from infrastructure.log.stores import StoreAddress, StoreState, find_truth, told_of
from infrastructure.log.tables import EVENTS
from migrations.move.feed import opened_pair
from migrations.move.moves import Move, Moves, Step, opened_moves
from migrations.move.phases import NEXT, WAY_BACK
from migrations.move.verified import NOTHING, Verified, verified


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a follower has come."""

    position: int
    base: int
    """Up to here rows come from a backfill that is not done."""
    brought: int
    """How many of them are there."""
    behind: int
    """Positions that it lacks at its end."""
    behind_seconds: float
    """How long ago the first of them was recorded."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All that an operator is told of a move."""

    source: StoreAddress
    move: Move | None
    truth: StoreState
    last_position: int
    follower: StoreAddress | None
    reach: Reach | None
    """None where the follower cannot be asked."""
    away: str
    """Why not."""
    verified: Verified
    history: Sequence[Step]

    @property
    def next(self) -> str:
        """The command that comes next."""
        if self.move is None or self.move.phase not in NEXT:
            return "nexus timescale plan"
        return f"nexus timescale {NEXT[self.move.phase]}"

    @property
    def way_back(self) -> str:
        """How to undo what was done."""
        return "none is needed" if self.move is None else WAY_BACK[self.move.phase]

    def as_document(self) -> Mapping[str, Any]:
        """The same for machines."""
        move, reach = self.move, self.reach
        return {
            "phase": None if move is None else str(move.phase),
            "source": told_of(self.source),
            "target": None if move is None else told_of(move.target),
            "layout": None if move is None else str(move.layout),
            "truth": told_of(self.truth.address),
            "truth_layout": str(self.truth.layout),
            "writes": str(self.truth.writes),
            "epoch": self.truth.epoch,
            "generation": self.truth.generation,
            "last_position": self.last_position,
            "follower": None if self.follower is None else told_of(self.follower),
            "follower_away": self.away or None,
            "follower_position": None if reach is None else reach.position,
            "lag_positions": None if reach is None else reach.behind,
            "lag_seconds": None if reach is None else round(reach.behind_seconds, 3),
            "backfill_of": None if reach is None else reach.base,
            "backfill_rows": None if reach is None else reach.brought,
            "progress": None if move is None else dict(move.progress),
            "verified_up_to": self.verified.up_to,
            "verified_whole_at": _text(self.verified.whole_at),
            "differences": self.verified.differences,
            "next": self.next,
            "way_back": self.way_back,
            "history": [
                {
                    "at": _text(step.at),
                    "action": step.action,
                    "phase": str(step.phase),
                    "epoch": step.epoch,
                    "position": step.position,
                    **({"note": dict(step.note)} if step.note else {}),
                }
                for step in self.history
            ],
        }


def standing(entry: StoreAddress) -> Standing:
    """How the move of a partition stands; raises psycopg.Error when its truth cannot be asked."""
    truth = find_truth(*entry)
    with opened_moves(entry) as moves:
        move = moves.latest()
        history = [] if move is None else moves.history(move)
        follower, away, reach, found = truth.peer, "", None, NOTHING
        if follower is None and move is not None and not move.phase.over:
            # Until both stores are written the truth does not name the one that is prepared.
            follower = move.target
        last = _last(truth, moves)
        if follower is not None:
            try:
                with opened_pair(truth.address, follower, "nexus status") as pair:
                    reach = _reach(pair.truth, Follower(pair.follower))
                    last = pair.truth.last_position()
                    with suppress(psycopg.errors.UndefinedTable):
                        ends = (pair.truth.conn, truth.address, pair.follower.conn, follower)
                        found = verified(*ends)
            except (psycopg.Error, OSError) as error:
                away = str(error).strip()
    return Standing(
        source=moves.home,
        move=move,
        truth=truth,
        last_position=last,
        follower=follower,
        reach=reach,
        away=away,
        verified=found,
        history=history,
    )


def _last(truth: StoreState, moves: Moves) -> int:
    if truth.address.schema != moves.home.schema:
        return 0
    return End(moves.conn, truth.address, truth.layout).last_position()


def _reach(truth: End, follower: Follower) -> Reach:
    reached = follower.reached()
    last = truth.last_position()
    seconds = 0.0
    if 0 < last - reached.position:
        since = _recorded_at(truth, reached.position + 1)
        seconds = max(0.0, (datetime.now(UTC) - since).total_seconds())
    brought = follower.brought().rows if follower.end.layout.chunked else 0
    behind = max(0, last - reached.position)
    return Reach(reached.position, reached.base, brought, behind, seconds)


def _recorded_at(end: End, position: int) -> datetime:
    first, last = end.times(Positions(position, position))
    query = sql.SQL(
        "SELECT recorded_at FROM {} WHERE notification_id = {} AND recorded_at BETWEEN {} AND {}"
    ).format(end.table(EVENTS.name), position, first, last)
    at = one(end.conn, query)[0]
    assert isinstance(at, datetime)
    return at


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
