"""A move is rows in the store it began in: one runner, one step after another, reasons for a no."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import psycopg
import pytest

from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress
from migrations.move.moves import holding, opened_moves
from migrations.move.phases import ALLOWED, NEXT, WAY_BACK, Action, MoveRefused, Phase
from tests.stores import Store, pair_of, say


@pytest.fixture
def pair(postgres: EmbeddedServer) -> Iterator[tuple[Store, Store]]:
    """Two stores that name each other."""
    with pair_of(postgres.dsn(), Layout.PLAIN, Layout.NATIVE) as stores:
        yield stores


def test_steps_are_taken_in_order_and_leave_a_history(pair: tuple[Store, Store]) -> None:
    """Each may be asked for again where it has led; what comes later is refused."""
    source, target = pair
    order = [phase for phase in Phase if phase is not Phase.ROLLED_BACK]
    with holding(source.address) as move:
        with pytest.raises(MoveRefused, match="begin with `nexus timescale plan`"):
            move.check(Action.PREPARE)
        move.begin(target.address, Layout.NATIVE, {"rows": 5})
        with pytest.raises(
            MoveRefused,
            match=r"cutover is out of order.*planned; next is `nexus timescale prepare`",
        ):
            move.check(Action.CUTOVER)
        for before, after in pairwise(order):
            action = NEXT[before]
            assert before is move.check(action).phase
            move.enter(after, action, position=7, note={"took": 1})
        for action in (Action.BACKFILL, Action.ROLLBACK):
            with pytest.raises(MoveRefused, match=r"it leads to|is finalized"):
                move.check(action)
    with opened_moves(source.address) as moves:
        latest = moves.latest()
        assert latest is not None and latest.phase is Phase.FINALIZED
        steps = moves.history(latest)
    assert order == [step.phase for step in steps]
    assert (0, 7, {"took": 1}) == (steps[-1].epoch, steps[-1].position, steps[-1].note)


def test_a_move_has_one_runner(pair: tuple[Store, Store]) -> None:
    """The second is told so, and changes nothing; when the first is gone it may."""
    source, _ = pair
    with holding(source.address):
        with pytest.raises(MoveRefused, match="another runner"), holding(source.address):
            pass
    with holding(source.address):
        pass


def test_one_move_at_a_time(pair: tuple[Store, Store]) -> None:
    """A plan that was not begun gives way to another; what was begun is ended first."""
    source, target = pair
    elsewhere = StoreAddress("host=elsewhere dbname=other", "there")
    with holding(source.address) as move:
        move.begin(target.address, Layout.NATIVE, {})
        move.begin(elsewhere, Layout.TIMESCALE, {})
        assert elsewhere == move.target
        move.begin(target.address, Layout.NATIVE, {})
        move.enter(Phase.PREPARED, Action.PREPARE)
        with pytest.raises(MoveRefused, match="under way"):
            move.begin(target.address, Layout.NATIVE, {})
        move.enter(Phase.ROLLED_BACK, Action.ROLLBACK)
        move.begin(target.address, Layout.NATIVE, {})
        assert Phase.PLANNED is move.move.phase


def test_move_is_found_from_both_stores(pair: tuple[Store, Store]) -> None:
    """Before and after the switch, whichever of them the settings name."""
    source, target = pair
    with holding(source.address) as move:
        move.begin(target.address, Layout.NATIVE, {})
        move.enter(Phase.CUT_OVER, Action.CUTOVER)
    say(source, "fed", target)
    say(target, "here", source)
    for entry in pair:
        with holding(entry.address) as move:
            assert source.address == move.source
            assert target.address == move.target
            assert Phase.CUT_OVER is move.check(Action.ROLLBACK).phase


def test_phase_is_entered_with_what_it_stands_for(pair: tuple[Store, Store]) -> None:
    """In the transaction of who does it: both, or nothing."""
    source, target = pair
    with holding(source.address) as move:
        move.begin(target.address, Layout.NATIVE, {})
        with psycopg.connect(source.dsn) as conn:
            move.enter(Phase.PREPARED, Action.PREPARE, conn=conn)
            conn.rollback()
    with opened_moves(source.address) as moves:
        latest = moves.latest()
        assert latest is not None and Phase.PLANNED is latest.phase
        assert [Phase.PLANNED] == [step.phase for step in moves.history(latest)]


def test_every_phase_has_a_way_on_and_a_way_back() -> None:
    """An operator is told both; every action is in order in some phase, and leads on from it."""
    assert set(WAY_BACK) == set(Phase)
    assert set(ALLOWED) == set(Action)
    assert {phase for phase in Phase if not phase.over} == set(NEXT)
    assert all(phase in ALLOWED[action] for phase, action in NEXT.items())
