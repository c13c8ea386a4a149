"""A backfill as a process of its own, which the benchmark starts and ends as it likes."""

from __future__ import annotations

import json
import sys

import psycopg

from infrastructure.log.stores import StoreAddress
from migrations.move.backfill import Backfill, Pacing


def main() -> None:
    """Bring what is missing, and give way to orders."""
    given = json.loads(sys.argv[1])
    source, target = StoreAddress(*given["source"]), StoreAddress(*given["target"])
    pacing = Pacing(range_positions=given["range_positions"], latency_ms=given["latency_ms"])
    with psycopg.connect(source.dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS public.bench_probe (at timestamptz)")
        probe = "INSERT INTO public.bench_probe VALUES (clock_timestamp())"
        Backfill(source, target, pacing, probe=lambda: conn.execute(probe)).run()


if __name__ == "__main__":
    main()
