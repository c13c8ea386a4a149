"""The view of multi-leg orders beside the log: it shows every revision as that tells it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from msgspec.structs import astuple, replace
from psycopg import sql

from application.log.ports import Recorded
from application.multileg import StrategyView
from domain.events import MultiLegEvent, MultiLegRejected, MultiLegReplaced
from infrastructure.embedded_server import EmbeddedServer
from migrations.runner import migrate
from projections.order_windows import Wanted, Window
from projections.strategy_reads import StrategyRow, get_strategy, strategies_in
from tests.conftest import Schema
from tests.model.audited_flow import audited
from tests.model.projecting import ask, project
from tests.model.stored_flow import store

NAME = "multileg_beside_the_log"
EVERYTHING = Window(UUID(int=0), UUID(int=2**128 - 1))


class Life:
    """A log with every event of multi-leg orders in it, projected."""

    def __init__(self, schema: Schema) -> None:
        venue = audited(11, 400)
        self.schema = schema
        self.events = [Recorded(n, event) for n, event in enumerate(venue.log.events(), 1)]
        asyncio.run(store(venue, schema.dsn, schema.schema))
        # Small batches, so that most changes meet rows that stand already.
        project(schema, batch_events=97)


@pytest.fixture(scope="module")
def life(postgres: EmbeddedServer) -> Iterator[Life]:
    """One life for all tests of this file."""
    migrate(postgres.dsn(), NAME)
    yield Life(Schema(postgres.dsn(), NAME))
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(NAME)))


def told_by(events: list[Recorded]) -> dict[UUID, list[StrategyView]]:
    """Every multi-leg order's revisions by the log alone, each as it stands or stood."""
    parents: dict[UUID, Any] = {}
    chains: dict[UUID, list[StrategyView]] = defaultdict(list)
    for _, event in events:
        if isinstance(event, MultiLegEvent) and not isinstance(event, MultiLegRejected):
            parent = parents.get(event.originator_id)
            if isinstance(event, MultiLegReplaced):
                stood = StrategyView.of(parent).replaced(event.revision_id, event.at)
                chains[event.originator_id].append(stood)
            parents[event.originator_id] = event.mutate(parent)
    for parent_id, parent in parents.items():
        chains[parent_id].append(StrategyView.of(parent))
    return chains


def plain(view: StrategyView) -> StrategyView:
    """A view without what is not shown of one that is over: what is left of it."""
    leaves = 0 if view.ended_at else view.leaves
    return StrategyView(
        *astuple(replace(view, leaves=leaves))[: len(StrategyView.__struct_fields__)]
    )


def test_multileg_view_of_every_revision_is_the_one_that_the_log_tells(life: Life) -> None:
    """All that a client sees of one, whether it works, ended or was replaced."""
    told = told_by(life.events)
    accounts = {chain[0].account_id for chain in told.values()}

    async def question(conn: Any) -> list[StrategyRow]:
        wanted = Wanted("all", "asc", None, (), (), nested=True)
        return [
            row
            for account in accounts
            for row in await strategies_in(conn, account, wanted, EVERYTHING, 100_000)
        ]

    shown: dict[UUID, list[StrategyView]] = defaultdict(list)
    refused = 0
    for row in sorted(ask(life.schema, question), key=lambda one: one.revision_id):
        refused += bool(row.refusal_code)
        if not row.refusal_code:
            shown[row.order_id].append(plain(row))
    assert {key: [*map(plain, chain)] for key, chain in told.items()} == shown
    assert refused and any(len(chain) > 1 for chain in shown.values())
    assert {0, 3, 4} <= {chain[-1].status for chain in shown.values()}


def test_multileg_view_finds_each_revision_by_its_id(life: Life) -> None:
    """And nobody else's."""
    told = told_by(life.events)
    chain = next(chain for chain in told.values() if len(chain) > 1)

    async def question(conn: Any) -> Any:
        mine = [await get_strategy(conn, one.account_id, one.revision_id) for one in chain]
        return mine, await get_strategy(conn, UUID(int=1), chain[0].revision_id)

    mine, others = ask(life.schema, question)

    assert [*map(plain, chain)] == [*map(plain, mine)]
    assert others is None
