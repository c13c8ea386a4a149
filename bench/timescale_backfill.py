"""A backfill as a process of its own, which the benchmark starts and ends as it likes."""

from __future__ import annotations

import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from infrastructure.log.stores import StoreAddress
from infrastructure.scheduling import give_way
from migrations.move.answers import WritersAnswers
from migrations.move.backfill import Backfill, Pacing, Progress
from migrations.move.throttle import Window

BEGUN = "rows are being copied"


PAUSE, GO_ON = signal.SIGUSR1, signal.SIGUSR2
_MORNING, _EVENING = datetime(2026, 1, 2, 6, tzinfo=UTC), datetime(2026, 1, 2, 18, tzinfo=UTC)


class Clock:
    """A clock that signals set: it is morning, when ranges are begun, or evening."""

    def __init__(self) -> None:
        self.now = _MORNING
        signal.signal(PAUSE, lambda *_: self._set(_EVENING))
        signal.signal(GO_ON, lambda *_: self._set(_MORNING))

    def _set(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def main() -> None:
    """Bring what is missing, and give way to orders; between two transactions it can be paused."""
    given = json.loads(sys.argv[1])
    give_way()
    source, target = StoreAddress(*given["source"]), StoreAddress(*given["target"])
    pacing = Pacing(
        range_positions=given["range_positions"],
        latency_ms=given["latency_ms"],
        window=Window.parse("00:00-12:00"),
    )
    clock = Clock()
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
                now=clock,
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
