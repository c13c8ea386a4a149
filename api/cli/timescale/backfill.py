"""`nexus timescale backfill`: bring what was in the log before, as fast as orders allow."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from api.cli.reading import Pace
from api.cli.timescale.moving import Json, move_in_hand, tell
from infrastructure.scheduling import give_way
from infrastructure.settings import Settings
from migrations.move.answers import WritersAnswers
from migrations.move.backfill import RANGE_POSITIONS, WORKERS, Backfill, Pacing, Progress
from migrations.move.moves import Holding
from migrations.move.phases import Action, Phase
from migrations.move.throttle import Window


def _window(text: str) -> Window:
    try:
        return Window.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def command(
    workers: Annotated[
        int, typer.Option(help="How many ranges are brought at once.", min=1, max=64)
    ] = WORKERS,
    range_: Annotated[
        int, typer.Option("--range", help="Positions of one transaction.", min=1_000)
    ] = RANGE_POSITIONS,
    rate: Annotated[
        int | None, typer.Option(help="Rows a second at most.", min=1, show_default=False)
    ] = None,
    window: Annotated[
        Window | None,
        typer.Option(
            help="The part of the day, in UTC, in which ranges are begun, as 22:00-06:00.",
            parser=_window,
            metavar="HH:MM-HH:MM",
            show_default=False,
        ),
    ] = None,
    latency_ms: Annotated[
        float | None,
        typer.Option(
            help="Go slower while a commit in the source, or an answer of its writer, takes longer"
            " than so many milliseconds.",
            min=0.1,
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the rows from before the dual write, in ranges of positions, each one transaction.

    It can be stopped at any time, by Ctrl-C or worse, and goes on where it was.
    """
    give_way()
    pacing = Pacing(workers, range_, rate, window, latency_ms)
    with move_in_hand() as move, WritersAnswers(Settings.load().bus_socket) as answers:
        before = move.check(Action.BACKFILL).phase
        if before is Phase.DUAL_WRITING:
            move.enter(Phase.BACKFILLING, Action.BACKFILL)
        began = time.monotonic()
        with Pace("backfill", 0, show=not as_json, unit="rows/s") as pace:
            told = _Told(move, pace)
            brought = Backfill(
                move.source,
                move.target,
                pacing,
                probe=told.probe,
                asked=answers.ask,
                tell=told,
            ).run()
        seconds = time.monotonic() - began
        facts = {
            "phase": str(Phase.BACKFILLED),
            "rows": brought.rows,
            "keys": brought.keys,
            "rows_this_run": told.this_run,
            "seconds": round(seconds, 1),
            "rows_per_second": round(told.this_run / max(seconds, 0.001)),
        }
        if before is not Phase.BACKFILLED:
            move.enter(Phase.BACKFILLED, Action.BACKFILL, position=brought.rows, note=facts)
    words = (
        f"{brought.rows:,} events and {brought.keys:,} request keys are in {move.target.schema},"
        f" {facts['rows_per_second']:,} rows/s; next: nexus timescale verify"
    )
    tell(facts, words, as_json=as_json)


class _Told:
    """Keeps the bar and the row of the move at how far it is."""

    def __init__(self, move: Holding, pace: Pace) -> None:
        self._move = move
        self._pace = pace
        self._next = 0.0
        self.this_run = 0

    def probe(self) -> None:
        """Commit next to nothing in the store that the move began in."""
        self._move.moves.touch(self._move.move)

    def __call__(self, progress: Progress) -> None:
        """Show how far it is; once a second for `status` too."""
        if self._next == 0:
            self._pace.before = progress.rows
        self.this_run = progress.rows - self._pace.before
        self._pace(progress.rows, progress.of)
        now = time.monotonic()
        if now < self._next and progress.rows < progress.of:
            return
        self._next = now + 1
        rate = self._pace.rate
        left = progress.of - progress.rows
        self._move.tell(
            {
                "rows": progress.rows,
                "of": progress.of,
                "rows_per_second": rate,
                "eta_seconds": round(left / rate) if rate else None,
                "waiting": progress.waiting,
                "allowed_rows_per_second": progress.allowed,
                "commit_ms": progress.commit_ms,
                "answer_ms": progress.answer_ms,
            }
        )
