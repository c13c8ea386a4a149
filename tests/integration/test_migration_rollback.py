"""Every way back of a move, and the whole way there, while orders flow through a real writer."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

import psycopg
import pytest
from psycopg import sql

from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout
from infrastructure.log.stores import StoreAddress, find_truth
from migrations.move.moves import opened_moves
from migrations.move.phases import MoveRefused, Phase
from migrations.move.steps import cut_over, finalize_move, roll_back, verify_move
from migrations.move.verifying import Wanted
from migrations.runner import migrate
from tests.move_stage import projecting, until_projected
from tests.moved_under_orders import Orders, StepByStep, check_orders, mover
from tests.writer_process import partition

QUICK = Wanted(sample=5, seed=3)


class Stage(NamedTuple):
    """Stores of a move, and the orders that flow."""

    steps: StepByStep
    orders: Orders

    @property
    def phase(self) -> Phase:
        """How far the move is."""
        with opened_moves(self.steps.source) as moves:
            latest = moves.latest()
        assert latest is not None
        return latest.phase


@pytest.fixture(scope="module")
def stage(postgres: EmbeddedServer) -> Iterator[Stage]:
    """A writer in a process of its own, orders, the mover, and the old store's projector."""
    tag = uuid.uuid4().hex[:10]
    dsn = postgres.dsn()
    source, target = StoreAddress(dsn, f"old_{tag}"), StoreAddress(dsn, f"new_{tag}")
    migrate(*source)
    with ExitStack() as stack:
        venue = stack.enter_context(partition(*source))
        venue.start()
        orders = stack.enter_context(Orders(venue.bus_path))
        stack.enter_context(mover(source))
        orders.go_on()
        yield Stage(StepByStep(source, target, Layout.NATIVE), orders)
    with psycopg.connect(dsn, autocommit=True) as conn:
        for store in (source, target):
            conn.execute(
                sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(store.schema))
            )


def exists(store: StoreAddress) -> bool:
    """Whether the schema is there."""
    with psycopg.connect(store.dsn) as conn:
        row = conn.execute("SELECT to_regnamespace(%s) IS NOT NULL", (store.schema,)).fetchone()
    return row == (True,)


@pytest.mark.parametrize("done", range(1, 6))
def test_move_goes_back_from_every_phase_before_the_switch(stage: Stage, done: int) -> None:
    """The old store stands alone, the target is dropped, orders go on; another move may begin."""
    steps = stage.steps
    with ExitStack() as projectors:
        for number, step in enumerate(
            (steps.plan, steps.prepare, steps.dual_write, steps.backfill), 1
        ):
            if number <= done:
                step()
        if done == 5:
            projectors.enter_context(projecting([steps.source, steps.target]))
            until_projected([steps.target])
            found = verify_move(steps.source, QUICK)
            assert found.equal, (found.differences, found.not_compared)

    back = roll_back(steps.source, drop_target=True)

    assert Phase.ROLLED_BACK is back.phase is stage.phase
    assert not exists(steps.target)
    truth = find_truth(*steps.source)
    assert (steps.source, "here", None) == (truth.address, truth.writes, truth.peer)
    stage.orders.go_on()


def test_log_goes_there_and_back_and_there_for_good(stage: Stage) -> None:
    """Orders that were written in the new store are in the old one after a rollback; finalize
    leaves a sign-post.
    """
    steps, orders = stage.steps, stage.orders
    for step in (steps.plan, steps.prepare, steps.dual_write, steps.backfill):
        step()
    with projecting([steps.source, steps.target]):
        until_projected([steps.target])
        with pytest.raises(MoveRefused, match="cutover is out of order"):
            cut_over(steps.source)
        assert verify_move(steps.source, QUICK).equal

        for round_trip in range(2):
            there = cut_over(steps.source)

            assert there.held_seconds is not None and there.held_seconds < 5
            assert Phase.CUT_OVER is stage.phase
            assert steps.target == find_truth(*steps.source).address
            orders.go_on()
            if not round_trip:
                back = roll_back(steps.source)
                assert back.switched is not None
                assert back.switched.position > there.position
                assert Phase.BACKFILLED is stage.phase
                assert steps.source == find_truth(*steps.target).address
                orders.go_on()
                found = verify_move(steps.source, QUICK)
                assert found.equal, (found.differences, found.not_compared)

    finalize_move(steps.source, None)

    with psycopg.connect(steps.source.dsn) as conn:
        moves = sql.SQL("SELECT phase FROM {}.store_moves ORDER BY id DESC LIMIT 1")
        said = conn.execute(moves.format(sql.Identifier(steps.source.schema))).fetchone()
    assert ("finalized",) == said
    truth = find_truth(*steps.source)
    assert (steps.target, None) == (truth.address, truth.peer)
    orders.go_on()
    with pytest.raises(MoveRefused, match="nothing is moved"):
        roll_back(steps.source)
    orders.__exit__(None, None, None)
    check_orders(orders, truth.address)
