"""The benchmark of what a move costs the writer runs, and leaves nothing behind."""

from __future__ import annotations

import psycopg

from bench.timescale_writer import BOTH, COST, FED, RATE, append_rates, writer_costs
from infrastructure.database import EmbeddedServer
from infrastructure.log.layouts import Layout


def test_bench_of_a_move_tells_what_it_costs_the_writer(postgres: EmbeddedServer) -> None:
    """Alone, fed from outside and both in one statement; appending to both layouts."""
    costs = writer_costs(postgres.dsn(), Layout.NATIVE, count=100, turns=1, seed=3, say=print)
    rates = append_rates(postgres.dsn(), Layout.NATIVE, count=100, turns=1, seed=3, say=print)

    assert {"alone", FED, BOTH, f"{FED}, times alone", f"{BOTH}, times alone"} == set(costs[COST])
    assert {"plain", "native", "beside plain"} == set(rates[RATE])
    assert all(figure > 0 for figure in (*costs[COST].values(), *rates[RATE].values()))
    with psycopg.connect(postgres.dsn()) as conn:
        left = conn.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'bench%'")
        assert [] == left.fetchall()
