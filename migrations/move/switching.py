"""The switch: everybody leaves one store for the other, which has all that the first one has.

Used both ways, to cut over and to roll back. Its order makes it safe to be killed at any line: the
old store is held (which runs out by itself), the new one is brought up to its end and compared,
then one commit on the old store makes the new one the truth. What follows only opens it, and can
be done again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import psycopg
from psycopg import sql

from infrastructure.log import mode_changes
from infrastructure.log.mode_changes import Drained, Held
from infrastructure.log.stores import StoreAddress, StoreState, Writes, read_state_now
from migrations.move.comparing_ranges import RangeComparison, opened_side
from migrations.move.phases import MoveRefused
from migrations.move.verified import verified
from migrations.move.verifying import tail_differences
from projections.views import VIEWS

HOLD_SECONDS = 5.0
"""After which the old store is written again, whatever became of the switch."""
DRAIN_SECONDS = 2.0
"""How long a session may go on reading the old store before it is ended."""
NEAR_SECONDS = 30.0
"""How long the views of the new store may take to come near, before anybody is held up."""
MOST_BEHIND = 5_000
"""By how many positions the follower may lag when a switch begins."""

_NEAR = 200
_VIEWS_NEAR = 1_000
_NEAR_LOOK_SECONDS = 0.02
_ROUNDS = 5
_LOOK_SECONDS = 0.005
_LOCK_TIMEOUT = "2s"
_TRUTH = (Writes.HERE, Writes.BOTH, Writes.HELD)

Say = Callable[[str], None]


class Feeding(Protocol):
    """What brings the follower up to the truth."""

    def feed_up_to(self, truth: StoreAddress, follower: StoreAddress, position: int) -> object:
        """Bring every event up to a position, each once, whoever else feeds meanwhile."""
        ...

    def sync_beside(
        self, truth: StoreAddress, follower: StoreAddress, *, final: bool = False
    ) -> object:
        """Bring what stands beside the log; `final` says that the truth is held."""
        ...


class Terms(NamedTuple):
    """What a switch asks for, and how long it may take."""

    whole: bool = True
    """Whether everything must have been compared once, views and samples too."""
    hold_seconds: float = HOLD_SECONDS
    near_seconds: float = NEAR_SECONDS
    drain_seconds: float = DRAIN_SECONDS
    most_behind: int = MOST_BEHIND


USUAL = Terms()
"""Of a cutover."""


class CannotSwitch(MoveRefused):
    """The stores are not fit to change places, and nothing was changed; says every reason."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Switched(NamedTuple):
    """How a switch went."""

    position: int
    """The last position that was written in the old store."""
    held_seconds: float | None
    """How long appends were held back; None where an earlier run had held them."""
    drained: Drained | None
    """How it went until nobody read the old store; None where nothing was left to do."""


def switch(
    old: StoreAddress,
    new: StoreAddress,
    feeding: Feeding,
    terms: Terms = USUAL,
    *,
    committing: Callable[[psycopg.Connection[Any]], None] = lambda conn: None,
    say: Say = lambda text: None,
) -> Switched:
    """Make the new store the truth, or finish what an earlier run began.

    `committing` is called within the transaction that commits the switch, on the old store's
    connection. Raises CannotSwitch, psycopg.Error.
    """
    with opened_side(old) as ours, opened_side(new) as theirs:
        with RangeComparison(ours, theirs) as comparison:
            return _Switch(comparison, feeding, terms, committing, say).run()


class _Switch:
    def __init__(
        self,
        comparison: RangeComparison,
        feeding: Feeding,
        terms: Terms,
        committing: Callable[[psycopg.Connection[Any]], None],
        say: Say,
    ) -> None:
        self._comparison = comparison
        self._old, self._new = comparison.truth, comparison.follower
        self._feeding = feeding
        self._terms = terms
        self._committing = committing
        self._say = say

    def run(self) -> Switched:
        old, new = self._states()
        if old.writes in _TRUTH and new.writes is Writes.FED:
            return self._from_the_start(old)
        opened = new.writes in _TRUTH and old.writes in (Writes.THERE, Writes.FED)
        if opened or (old.writes is Writes.THERE and new.writes is Writes.FED):
            self._say("the switch was committed before; what is left of it is done")
            return Switched(self._new.last_position(), None, self._finish())
        raise CannotSwitch(
            f"store {old.address.schema} is {old.writes} and store {new.address.schema} is"
            f" {new.writes}: they are not a truth and its follower"
        )

    def _from_the_start(self, old: StoreState) -> Switched:
        self._old.conn.execute(f"SET lock_timeout TO '{_LOCK_TIMEOUT}'")
        if old.writes is Writes.HELD and mode_changes.let_go_of_a_lost_hold(
            self._old.conn, self._old.store
        ):
            self._say("let go of the hold of a switch that was killed")
        self._check_before()
        self._come_near()
        began = time.monotonic()
        held = mode_changes.hold(self._old.conn, self._old.store, self._terms.hold_seconds)
        if held is None:
            raise CannotSwitch(
                f"store {self._old.schema} is not the truth any more, or has no peer"
            )
        try:
            position = self._catch_up(held)
            self._commit(held)
        except Exception:
            # Of no use once it is committed: then the store is held no more.
            mode_changes.let_go(self._old.conn, self._old.store, held)
            raise
        drained = self._finish()
        seconds = time.monotonic() - began
        self._say(f"appends were held for {seconds * 1000:.0f} ms")
        return Switched(position, seconds, drained)

    def _check_before(self) -> None:
        """Refuse before anybody is held up."""
        old, new = self._old, self._new
        reasons = []
        if not new.backfilled():
            reasons.append(f"store {new.schema} does not have all of the past yet")
        known = verified(old.conn, old.store, new.conn, new.store)
        if self._terms.whole and known.whole_at is None:
            reasons.append("the stores were not verified whole: run `nexus timescale verify`")
        if known.differences:
            reasons.append(
                f"{known.differences} differences stand: run `nexus timescale verify --repair`"
            )
        behind = old.last_position() - new.last_position()
        if behind > self._terms.most_behind:
            reasons.append(
                f"store {new.schema} lags by {behind} positions, and at most"
                f" {self._terms.most_behind} are caught up in a switch: is the mover running?"
            )
        reasons += self._views_unfit()
        if reasons:
            raise CannotSwitch(*reasons)

    def _views_unfit(self) -> list[str]:
        """Why the new store's views could not be read after a switch."""
        standing = self._views()
        missing = sorted({view.name for view in VIEWS} - standing.keys())
        if missing:
            return [f"views of store {self._new.schema} are not built: {', '.join(missing)}"]
        stopped = self._stopped_views()
        if stopped:
            return [f"views of store {self._new.schema} are stopped: {', '.join(stopped)}"]
        name, position = min(standing.items(), key=lambda item: item[1])
        behind = self._new.last_position() - position
        if behind > self._terms.most_behind:
            return [
                f"view {name} of store {self._new.schema} lags by {behind} positions:"
                " is its projector running?"
            ]
        return []

    def _come_near(self) -> None:
        """Leave as little as possible to be done while appends are held.

        Orders go on meanwhile: where a round brings it no nearer, the hold must be enough.
        """
        old, new = self._old, self._new
        self._feeding.feed_up_to(old.store, new.store, old.last_position())
        self._feeding.sync_beside(old.store, new.store)
        left = None
        for _ in range(_ROUNDS):
            last = old.last_position()
            self._feeding.feed_up_to(old.store, new.store, last)
            self._refuse_differences(last)
            before, left = left, old.last_position() - last
            if left <= _NEAR or (before is not None and left > before // 2):
                break
        self._wait_until_views_are_near()

    def _wait_until_views_are_near(self) -> None:
        """Let the projector of the new store come so near that the rest is done within the hold."""
        until = time.monotonic() + self._terms.near_seconds
        while True:
            standing = self._views()
            name, position = min(standing.items(), key=lambda item: item[1])
            behind = self._old.last_position() - position
            if behind <= _VIEWS_NEAR:
                return
            if time.monotonic() > until:
                raise CannotSwitch(
                    f"view {name} of store {self._new.schema} has lagged by {behind} positions"
                    f" and more for {self._terms.near_seconds:.0f} s: its projector does not keep"
                    " up with the orders"
                )
            time.sleep(_NEAR_LOOK_SECONDS)

    def _catch_up(self, held: Held) -> int:
        """Bring the rest, and see that it is all there. Nothing is appended meanwhile."""
        old, new = self._old, self._new
        last = old.last_position()
        self._feeding.feed_up_to(old.store, new.store, last)
        self._feeding.sync_beside(old.store, new.store, final=True)
        if held.seconds_left < 0:
            raise self._ran_out()
        if new.last_position() != last:
            raise CannotSwitch(
                f"store {new.schema} ends at position {new.last_position()} and store"
                f" {old.schema} at {last}"
            )
        self._refuse_differences(last)
        self._wait_for_views(last, held.until)
        return last

    def _refuse_differences(self, up_to: int) -> None:
        found = tail_differences(self._comparison, up_to)
        if found:
            raise CannotSwitch(
                "the stores differ: " + "; ".join(map(str, found[:3])),
                "run `nexus timescale verify --repair`",
            )

    def _wait_for_views(self, position: int, until: float) -> None:
        """Who reads the new store next must not see less than the old one showed."""
        while behind := [name for name, at in self._views().items() if at < position]:
            if time.monotonic() > until:
                raise CannotSwitch(
                    f"views of store {self._new.schema} did not come to position {position} in"
                    f" time: {', '.join(sorted(behind))}"
                )
            time.sleep(_LOOK_SECONDS)

    def _commit(self, held: Held) -> None:
        with self._old.conn.transaction():
            if not mode_changes.leave_for_peer(self._old.conn, self._old.store, held):
                raise self._ran_out()
            self._committing(self._old.conn)

    def _ran_out(self) -> CannotSwitch:
        return CannotSwitch(
            f"the hold of {self._terms.hold_seconds:.0f} s ran out: orders go on in store"
            f" {self._old.schema}, and nothing is lost; try again when less is going on"
        )

    def _finish(self) -> Drained | None:
        """Open the new store when nobody reads the old one any more."""
        old, new = self._states()
        drained = None
        if new.writes is Writes.FED:
            drained = mode_changes.wait_until_unread(
                self._old.conn, self._old.store, self._terms.drain_seconds
            )
            if drained.ended:
                self._say(f"{drained.ended} sessions that still read the old store were ended")
            mode_changes.open_for_writes(self._new.conn, self._new.store, old.epoch)
        mode_changes.follow_peer(self._old.conn, self._old.store)
        return drained

    def _states(self) -> tuple[StoreState, StoreState]:
        return (
            read_state_now(self._old.conn, self._old.store),
            read_state_now(self._new.conn, self._new.store),
        )

    def _views(self) -> dict[str, int]:
        """How far each of the new store's views in use is."""
        rows = self._new.conn.execute(
            sql.SQL(
                "SELECT name, position FROM {}.projection_tracking WHERE state = 'active'"
            ).format(sql.Identifier(self._new.schema))
        ).fetchall()
        return dict(rows)

    def _stopped_views(self) -> list[str]:
        table = sql.Identifier(self._new.schema, "projection_errors")
        known = self._new.conn.execute(
            "SELECT to_regclass(%s)", (table.as_string(None),)
        ).fetchone()
        if known == (None,):
            return []
        rows = self._new.conn.execute(
            sql.SQL("SELECT name FROM {} ORDER BY name").format(table)
        ).fetchall()
        return [row[0] for row in rows]
