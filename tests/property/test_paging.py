"""Property: whatever happens between pages, none of them skips or repeats a row."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from api.activities import token_in
from api.http.activities import Asked, page_of
from domain.identifiers import uuid7
from infrastructure.embedded_server import EmbeddedServer
from infrastructure.log.source import PostgresEventSource
from migrations.runner import migrate
from projections.activities import Activities
from projections.connections import Connection
from projections.instruments import Instruments
from projections.order_groups import OrderGroups
from projections.order_reads import OrderRow, list_orders, submission_of
from projections.order_windows import Direction
from projections.orders import Orders
from projections.runner import Runner
from projections.strategies import Strategies
from tests.conftest import Schema
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream
from tests.model.projecting import connector

EVERYTHING = 10_000


class Standing(EventStream):
    """A stream whose clock often stands still, as after it was set back."""

    def begin_later(self) -> None:
        """Let the clock go on before anything else happens."""
        self.at += 1

    def _begin(self, actor: str) -> None:
        at = self.at
        super()._begin(actor)
        if self.random.random() < 0.7:
            self.at = at
            self._correlation = uuid7(at, 0, self._command, 0)


@contextmanager
def fresh_schema(postgres: EmbeddedServer) -> Iterator[Schema]:
    """A migrated schema for one example."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    migrate(postgres.dsn(), name)
    try:
        yield Schema(postgres.dsn(), name)
    finally:
        with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
            conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


class Following:
    """Views that follow a stream, and somebody who reads them page by page."""

    def __init__(self, schema: Schema, runner: Runner, conn: Connection, stream: Standing) -> None:
        self.schema = schema
        self.runner = runner
        self.conn = conn
        self.stream = stream
        self.stored = 0

    @property
    def account_id(self) -> UUID:
        """Whose rows are read."""
        return self.stream.accounts[0].id

    async def happen(self, commands: int) -> None:
        """Let something happen, and be shown."""
        self.stream.begin_later()
        self.stream.some_commands(commands)
        append_events(self.schema.dsn, self.schema.schema, self.stream.events[self.stored :])
        self.stored = len(self.stream.events)
        while await self.runner.step():
            pass


def read_between(
    postgres: EmbeddedServer,
    seed: int,
    between: list[int],
    reading: Callable[[Following], Awaitable[None]],
) -> None:
    """Have pages read while commands arrive."""

    async def run(schema: Schema) -> None:
        stream = Standing(seed).some_market(2, 2)
        views = [Orders(), OrderGroups(), Strategies(), Instruments(), Activities()]
        async with (
            PostgresEventSource(schema.dsn, schema.schema) as source,
            await connector(schema)() as conn,
        ):
            runner = Runner(connector(schema), source, views)
            following = Following(schema, runner, conn, stream)
            try:
                await following.happen(between[0])
                await reading(following)
            finally:
                await runner.close()

    with fresh_schema(postgres) as schema:
        asyncio.run(run(schema))


def of_paging(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """What both properties are tried with."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        drawn: Callable[..., None] = given(
            seed=st.integers(0, 2**32),
            between=st.lists(st.integers(0, 15), min_size=1, max_size=12).map(
                lambda counts: [counts[0] + 20, *counts[1:]]
            ),
            limit=st.integers(1, 12),
            direction=st.sampled_from(["asc", "desc"]),
        )(test)
        return settings(
            max_examples=examples,
            deadline=None,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )(drawn)

    return decorate


async def pages_of(
    following: Following, between: list[int], ask: Callable[[Any], Awaitable[list[Any]]]
) -> list[Any]:
    """All rows of all pages; something happens after each, until nothing is left to happen."""
    found: list[Any] = []
    happening = iter(between[1:])
    while page := await ask(found[-1] if found else None):
        found += page
        assert len(found) < EVERYTHING, "the pages do not end"
        await following.happen(next(happening, 0))
    return found


@pytest.mark.parametrize("by", ["id", "time"])
@of_paging(12)
def test_paging_of_orders_skips_and_repeats_nothing(
    postgres: EmbeddedServer,
    by: str,
    seed: int,
    between: list[int],
    limit: int,
    direction: Direction,
) -> None:
    """Downwards it is the list as it stood when the first page was read, upwards as it is last."""

    async def reading(following: Following) -> None:
        conn, account_id = following.conn, following.account_id

        async def ask(last: OrderRow | None) -> list[OrderRow]:
            bounds: dict[str, Any] = {"whole_instants": by == "time" or last is None}
            if last is not None and by == "id":
                place = await submission_of(conn, account_id, last.revision_id)
                bounds["before_id" if direction == "desc" else "after_id"] = place
            elif last is not None:
                bounds["until" if direction == "desc" else "after"] = last.submitted_at
            return await list_orders(
                conn, account_id, status="all", direction=direction, limit=limit, **bounds
            )

        async def everything() -> list[UUID]:
            rows = await list_orders(
                conn, account_id, status="all", direction=direction, limit=EVERYTHING
            )
            return [row.revision_id for row in rows]

        first = await everything()
        found = [row.revision_id for row in await pages_of(following, between, ask)]
        assert found == (first if direction == "desc" else await everything())

    read_between(postgres, seed, between, reading)


@of_paging(16)
def test_paging_of_activities_skips_and_repeats_nothing(
    postgres: EmbeddedServer, seed: int, between: list[int], limit: int, direction: Direction
) -> None:
    """Downwards it is the list as it stood when the first page was read, upwards as it is last."""

    async def reading(following: Following) -> None:
        conn, account_id = following.conn, following.account_id

        async def asked(last: str | None, size: int) -> list[str]:
            token = None if last is None else token_in(last, "page_token")
            wanted = Asked(None, None, token, direction, size, whole=False)
            return [one.identifier for one in await page_of(conn, account_id, wanted)]

        first = await asked(None, EVERYTHING)
        found = await pages_of(following, between, lambda last: asked(last, limit))
        assert found == (first if direction == "desc" else await asked(None, EVERYTHING))
        assert len(found) == len(set(found))

    read_between(postgres, seed, between, reading)
