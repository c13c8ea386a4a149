"""Property: however the log is cut into batches, the views come out the same."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.pq.abc import PGresult

from infrastructure.database import EmbeddedServer
from migrations.runner import migrate
from projections.columns import WIDE
from projections.connections import Statement, ViewConnection
from projections.views import all_views
from tests.conftest import Schema
from tests.model.event_rows import append_events
from tests.model.event_streams import EventStream
from tests.model.projecting import checksums, project, rebuild


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


@settings(
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    seed=st.integers(0, 2**32),
    commands=st.integers(1, 120),
    cuts=st.lists(st.floats(0, 1), max_size=5),
    batch_events=st.integers(1, 200),
    chunk_events=st.integers(1, 500),
)
def test_projection_is_the_same_however_the_log_is_cut(
    postgres, seed, commands, cuts, batch_events, chunk_events
):
    """Random streams, appended in pieces and applied in batches of any size, equal a rebuild."""
    events = EventStream(seed).some_market(2, 2).some_commands(commands).events
    ends = sorted({*(round(cut * len(events)) for cut in cuts), len(events)})
    with fresh_schema(postgres) as schema:
        begin = 0
        for end in ends:
            append_events(schema.dsn, schema.schema, events[begin:end])
            project(schema, batch_events=batch_events)
            begin = end
        live = checksums(schema)
        for view in all_views():
            assert rebuild(schema, view, chunk_events=chunk_events).equal
        assert live == checksums(schema)


@pytest.fixture(scope="module")
def postgres_numbers(postgres: EmbeddedServer) -> Iterator[Callable[[list[int]], list[int]]]:
    """Sends numbers as the views do and reads them back."""
    with asyncio.Runner() as loop:
        conn = loop.run(psycopg.AsyncConnection.connect(postgres.dsn(), autocommit=True))
        session = ViewConnection(conn)

        def there_and_back(numbers: list[int]) -> list[int]:
            read: list[int] = []

            def take(result: PGresult) -> None:
                read.extend(int(result.get_value(row, 0)) for row in range(result.ntuples))

            values = [WIDE.array_of(WIDE.encode(numbers))]
            loop.run(session.run([Statement(b"SELECT unnest($1::numeric[])", values, take)]))
            return read

        yield there_and_back
        loop.run(conn.close())


@given(st.lists(st.integers(-(10**38) + 1, 10**38 - 1), min_size=1))
def test_projection_numbers_of_any_size_arrive_as_they_are(postgres_numbers, numbers):
    """PostgreSQL reads the digits that were sent, whatever their number and sign."""
    assert numbers == postgres_numbers(numbers)
