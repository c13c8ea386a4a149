"""The benchmark of multi-leg orders on a small scale: it measures what it says it measures."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
import uvloop
from psycopg import sql

from bench.deciding import DeskAlone
from bench.multileg import BESIDE, EXECUTED, RESTING, furnish_strategies, goals, saturate
from infrastructure.embedded_server import EmbeddedServer

SCHEMA = "test_bench_multileg"
ROUNDS, SIZE = 2, 40


@pytest.fixture
def schema(postgres: EmbeddedServer) -> Iterator[str]:
    """A schema that the benchmark makes, gone afterwards."""
    yield SCHEMA
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        name = sql.Identifier(SCHEMA)
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))


def test_floor_of_multileg_orders_is_furnished_again() -> None:
    """Each turn through the bus does so."""
    desk = DeskAlone()
    first = asyncio.run(furnish_strategies(desk))
    assert first == asyncio.run(furnish_strategies(desk))


def test_multileg_orders_are_measured_beside_plain_ones(
    postgres: EmbeddedServer, schema: str
) -> None:
    """None is refused; those that are to trade at once do, and those that are to rest do."""
    figures = uvloop.run(saturate(postgres.dsn(), schema, ROUNDS, SIZE))

    assert {EXECUTED, RESTING} == set(figures)
    for rates in figures.values():
        assert set(BESIDE) | set(BESIDE.values()) == set(rates)
        assert all(rate > 0 for rate in rates.values())
    assert 2 * len(BESIDE) == len(goals(figures))
    count = sql.SQL("SELECT topic, count(*) FROM {} WHERE topic LIKE 'multileg.%' GROUP BY topic")
    with psycopg.connect(postgres.dsn()) as conn:
        found = conn.execute(count.format(sql.Identifier(schema, "stored_events"))).fetchall()
    executed = ROUNDS * (SIZE // 2 + SIZE // 4 + SIZE // 4)
    assert {"multileg.placed.v1": 2 * executed, "multileg.executed.v1": executed} == dict(found)
