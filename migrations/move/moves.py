"""A move as rows in the store it began in, changed by one runner at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from infrastructure.attentive import AttentiveConnectionNow
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, Writes, read_state_now
from migrations.move.phases import ALLOWED, NEXT, Action, MoveRefused, Phase

RUNNER_LOCK = "hashtextextended('nexus move ' || %s, 0)"


class Move(NamedTuple):
    """A move, as its row says."""

    id: int
    phase: Phase
    target: StoreAddress
    layout: Layout
    plan: Mapping[str, Any]
    progress: Mapping[str, Any]
    planned_at: datetime
    changed_at: datetime


class Step(NamedTuple):
    """One line of a move's history."""

    at: datetime
    action: str
    phase: Phase
    epoch: int | None
    position: int | None
    note: Mapping[str, Any]


class Moves:
    """The moves of a store that began in it, on a connection of the caller's in autocommit."""

    def __init__(self, conn: psycopg.Connection[Any], home: StoreAddress) -> None:
        self.conn = conn
        self.home = home

    def latest(self) -> Move | None:
        """The move under way, or else the one that ended last."""
        with self.conn.cursor(row_factory=tuple_row) as cursor:
            row = cursor.execute(
                self._sql(
                    "SELECT id, phase, target_dsn, target_schema, layout, plan, progress,"
                    " planned_at, changed_at FROM {moves} ORDER BY id DESC LIMIT 1"
                )
            ).fetchone()
        if row is None:
            return None
        number, phase, dsn, schema, layout, *rest = row
        target = StoreAddress(dsn or self.home.dsn, schema)
        return Move(number, Phase(phase), target, Layout(layout), *rest)

    def begin(self, target: StoreAddress, layout: Layout, plan: Mapping[str, Any]) -> Move:
        """Enter a plan; one that was not begun yet gives way to it. Raises MoveRefused."""
        before = self.latest()
        if before is not None and not before.phase.over and before.phase is not Phase.PLANNED:
            raise MoveRefused(
                f"a move to {before.target.schema} is under way, it is {before.phase};"
                " finish it or roll it back first"
            )
        with self.conn.transaction():
            if before is not None and before.phase is Phase.PLANNED:
                self._change(before.id, Phase.ROLLED_BACK)
            elsewhere = None if target.dsn == self.home.dsn else target.dsn
            self.conn.execute(
                self._sql(
                    "INSERT INTO {moves} (phase, target_dsn, target_schema, layout, plan)"
                    " VALUES ('planned', %s, %s, %s, %s)"
                ),
                (elsewhere, target.schema, str(layout), Jsonb(plan)),
            )
            begun = self.latest()
            assert begun is not None
            self._note(begun.id, Action.PLAN, Phase.PLANNED, None, {})
        return begun

    def enter(
        self,
        move: Move,
        phase: Phase,
        action: Action,
        *,
        position: int | None = None,
        note: Mapping[str, Any] | None = None,
        conn: psycopg.Connection[Any] | None = None,
    ) -> Move:
        """Enter a phase, with a line of history; in the transaction of `conn` when one is given."""
        if phase is not move.phase or note is not None:
            using = Moves(conn or self.conn, self.home)
            with self.conn.transaction() if conn is None else nullcontext():
                using._change(move.id, phase)
                using._note(move.id, action, phase, position, note or {})
        return move._replace(phase=phase)

    def tell(self, move: Move, progress: Mapping[str, Any]) -> None:
        """Keep how far the step under way has come, for `status`."""
        self.conn.execute(
            self._sql(
                "UPDATE {moves} SET progress = %s, touched_at = clock_timestamp() WHERE id = %s"
            ),
            (Jsonb(progress), move.id),
        )

    def touch(self, move: Move) -> None:
        """Commit next to nothing: how long it takes is how long commits take here now."""
        self.conn.execute(
            self._sql("UPDATE {moves} SET touched_at = clock_timestamp() WHERE id = %s"),
            (move.id,),
        )

    def history(self, move: Move) -> list[Step]:
        """The steps of a move, oldest first."""
        with self.conn.cursor(row_factory=tuple_row) as cursor:
            rows = cursor.execute(
                self._sql(
                    "SELECT at, action, phase, epoch, position, note FROM {history}"
                    " WHERE move_id = %s ORDER BY id"
                ),
                (move.id,),
            ).fetchall()
        return [Step(at, action, Phase(phase), *rest) for at, action, phase, *rest in rows]

    def _change(self, number: int, phase: Phase) -> None:
        self.conn.execute(
            self._sql(
                "UPDATE {moves} SET phase = %s, changed_at = clock_timestamp() WHERE id = %s"
            ),
            (str(phase), number),
        )

    def _note(
        self,
        number: int,
        action: Action,
        phase: Phase,
        position: int | None,
        note: Mapping[str, Any],
    ) -> None:
        self.conn.execute(
            self._sql(
                "INSERT INTO {history} (move_id, action, phase, epoch, position, note) VALUES"
                " (%s, %s, %s, (SELECT max(epoch) FROM {epochs}), %s, %s)"
            ),
            (number, str(action), str(phase), position, Jsonb(note)),
        )

    def _sql(self, text: Any) -> sql.Composed:
        return sql.SQL(text).format(
            moves=sql.Identifier(self.home.schema, "store_moves"),
            history=sql.Identifier(self.home.schema, "store_move_history"),
            epochs=sql.Identifier(self.home.schema, "writer_epoch"),
        )


class Holding:
    """A move in the hands of its one runner."""

    def __init__(self, moves: Moves) -> None:
        self.moves = moves
        self.home = moves.home
        self._move = moves.latest()

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """A connection to the store that the move began in, in autocommit."""
        return self.moves.conn

    @property
    def move(self) -> Move:
        """The move; raises MoveRefused where there is none."""
        if self._move is None:
            raise MoveRefused(
                f"nothing is moved from {self.home.schema}; begin with `nexus timescale plan`"
            )
        return self._move

    @property
    def source(self) -> StoreAddress:
        """The store that the move began in."""
        return self.home

    @property
    def target(self) -> StoreAddress:
        """The store that it leads to."""
        return self.move.target

    def check(self, action: Action) -> Move:
        """The move, when the action is in order; raises MoveRefused with what comes first."""
        move = self.move
        if move.phase not in ALLOWED[action]:
            following = NEXT.get(move.phase)
            hint = f"next is `nexus timescale {following}`" if following else _OVER
            raise MoveRefused(
                f"{action} is out of order: the move to {move.target.schema} is {move.phase};"
                f" {hint}"
            )
        return move

    def begin(self, target: StoreAddress, layout: Layout, plan: Mapping[str, Any]) -> Move:
        """Enter a plan; raises MoveRefused."""
        self._move = self.moves.begin(target, layout, plan)
        return self._move

    def enter(
        self,
        phase: Phase,
        action: Action,
        *,
        position: int | None = None,
        note: Mapping[str, Any] | None = None,
        conn: psycopg.Connection[Any] | None = None,
    ) -> None:
        """Enter a phase, with a line of history; in the transaction of `conn` when one is given,
        which is one to the store that the move began in.
        """
        self._move = self.moves.enter(
            self.move, phase, action, position=position, note=note, conn=conn
        )

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Keep how far the step under way has come, for `status`."""
        self.moves.tell(self.move, progress)


_OVER = "begin another with `nexus timescale plan`"


@contextmanager
def holding(entry: StoreAddress) -> Iterator[Holding]:
    """The move of the partition, held by this runner alone; raises MoveRefused."""
    with opened_moves(entry) as moves:
        lock = f"SELECT pg_try_advisory_lock({RUNNER_LOCK})"
        row = moves.conn.execute(lock, (moves.home.schema,)).fetchone()
        assert row is not None
        if not row[0]:
            raise MoveRefused(f"another runner has the move of {moves.home.schema} in hand")
        yield Holding(moves)


@contextmanager
def opened_moves(entry: StoreAddress) -> Iterator[Moves]:
    """The moves of a partition, to look at, from whichever of its stores is named."""
    conn = _connect(entry)
    try:
        moves = Moves(conn, entry)
        latest = moves.latest()
        state = read_state_now(conn, entry)
        if (latest is None or latest.phase.over) and state.peer is not None:
            # This may be the store that a move leads to, or one that an earlier move has left.
            there = Moves(_connect(state.peer), state.peer)
            began = there.latest()
            led_here = began is not None and began.target.schema == entry.schema
            if led_here or state.writes is Writes.THERE:
                conn.close()
                moves, conn = there, there.conn
            else:
                there.conn.close()
        yield moves
    finally:
        conn.close()


def _connect(store: StoreAddress) -> psycopg.Connection[Any]:
    return AttentiveConnectionNow.open(
        store.dsn, application_name=f"nexus move {store.schema}"[:63]
    )
