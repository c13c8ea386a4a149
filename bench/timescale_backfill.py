"""A backfill as a process of its own, which the benchmark starts and ends as it likes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psycopg

from infrastructure.log.stores import StoreAddress
from migrations.move.answers import WritersAnswers
from migrations.move.backfill import Backfill, Pacing, Progress

BEGUN = "rows are being copied"


def main() -> None:
    """Bring what is missing, and give way to orders."""
    given = json.loads(sys.argv[1])
    source, target = StoreAddress(*given["source"]), StoreAddress(*given["target"])
    pacing = Pacing(range_positions=given["range_positions"], latency_ms=given["latency_ms"])
    with psycopg.connect(source.dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS public.bench_probe (at timestamptz)")
        probe = "INSERT INTO public.bench_probe VALUES (clock_timestamp())"
        with WritersAnswers(Path(given["bus"])) as answers:
            Backfill(
                source,
                target,
                pacing,
                probe=lambda: conn.execute(probe),
                asked=answers.ask,
                tell=Begun(),
            ).run()


class Begun:
    """Says once that rows are being copied: starting a process is not what is measured."""

    def __init__(self) -> None:
        self._first: int | None = None

    def __call__(self, progress: Progress) -> None:
        """Hear how far it is."""
        if self._first is None:
            self._first = progress.rows
        elif self._first >= 0 and progress.rows > self._first:
            self._first = -1
            print(BEGUN, flush=True)


if __name__ == "__main__":
    main()
