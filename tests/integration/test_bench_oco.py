"""The benchmark of order groups on a small scale: it measures what it says it measures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import uvloop
from psycopg import sql

from bench.oco import LEGS, execute, saturate
from bench.venue import venue_processes
from infrastructure.embedded_server import EmbeddedServer
from tests.homes import new_home


@pytest.fixture
def home() -> Iterator[Path]:
    """A short directory for sockets."""
    path = new_home("nxbench-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def bench_schema(postgres: EmbeddedServer) -> Iterator[str]:
    """A schema that the benchmark makes, gone afterwards."""
    yield "test_bench_oco"
    with psycopg.connect(postgres.dsn(), autocommit=True) as conn:
        name = sql.Identifier("test_bench_oco")
        conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(name))


def test_oco_groups_are_measured_beside_plain_orders(
    postgres: EmbeddedServer, bench_schema: str
) -> None:
    """Every round places and executes both kinds, and none of it is refused."""
    figures = uvloop.run(saturate(postgres.dsn(), bench_schema, 2, 200))

    assert all(rate > 0 for rate in figures.values())
    assert abs(figures["legs_per_s"] - LEGS * figures["groups_per_s"]) <= LEGS
    with psycopg.connect(postgres.dsn()) as conn:
        ended = sql.SQL("SELECT count(*) FROM {} WHERE topic = 'oco.ended.v1'")
        row = conn.execute(ended.format(sql.Identifier(bench_schema, "stored_events"))).fetchone()
    assert row == (200,)


def test_oco_sibling_is_canceled_in_the_transaction_of_the_fill(
    postgres: EmbeddedServer, bench_schema: str, home: Path
) -> None:
    """Through a writer of its own, every execution's fill and cancel share one commit."""
    dsn = postgres.dsn()
    with venue_processes(dsn, bench_schema, home) as processes:
        executed = uvloop.run(execute(processes.bus, dsn, bench_schema, 100, 0.5))

    assert 50 == executed["executed"] == executed["fill and cancel in one transaction"]
    seen = executed["submitted to sibling's cancel at a subscriber, ms"]
    assert 0 < seen["p50"] <= seen["p99"] <= seen["max"]
