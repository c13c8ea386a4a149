"""What a command costs and how long it takes, as ratios of one run.

Beside it in the same run: the same decisions saved the library's plain way, raw COPY of the
same rows, and one-row commits made by the same driver.
"""

from __future__ import annotations

from functools import partial
from statistics import median
from threading import Timer
from typing import Any, NamedTuple

import psycopg
import uvloop

from bench import saturated
from bench.flow import MIX
from bench.processor import Meter
from bench.rates import Venue
from bench.report import Progress, goal, machine, say
from bench.saturated import PROCESSOR
from bench.turns import median_of
from bench.venue import checkpoint, furnished, server, short_home, venue_processes

RATES = (500, 2_000, 5_000)
SATURATED = "through the bus, saturated"
ONE_ROW = "one-row commit by the same driver"
CHECKPOINTED = "through the bus at 10000/s, a checkpoint inside"
_SCHEMA = "bench_bus"

TIMES_PLAIN = 10
TIMES_COPY = 10
TIMES_ONE_ROW = 20
TIMES_DECIDING = 1


class Size(NamedTuple):
    """How much is measured."""

    turns: int = 5
    seconds: float = 4
    """Of each rate in each turn."""
    saturated: int = 40_000
    """Commands of each saturated turn in process."""
    plain: int = 1_500
    """Commands of each turn the plain way."""
    long_seconds: float = 30
    """Of the run with a checkpoint; 0 leaves it out."""


FULL = Size()
QUICK = {"size": Size(turns=1, seconds=0.6, saturated=4_000, plain=200, long_seconds=0)}


def run(
    *, size: Size = FULL, standby: bool = True, seed: int = 7, say: Progress = say
) -> dict[str, Any]:
    """The whole benchmark."""
    about = machine()
    with server() as running:
        dsn, postmaster = running.dsn(), running.pid
        assert postmaster is not None
        figures = uvloop.run(
            saturated.by_turns(
                dsn,
                postmaster,
                turns=size.turns,
                count=size.saturated,
                plain=size.plain,
                seed=seed,
                say=say,
            )
        )
        figures["decide and encode an order"] = saturated.decide_and_encode(5 * size.plain, seed)
        with (
            short_home() as home,
            venue_processes(dsn, _SCHEMA, home, standby=standby) as processes,
            Meter(dsn, postmaster, processes.pids) as meter,
        ):
            floor = uvloop.run(furnished(processes.bus))
            venue = Venue(dsn, processes, floor, meter, partial(views_behind, dsn, _SCHEMA))
            offered = through_the_bus(venue, size, seed, say)
            figures |= {name: median_of(runs) for name, runs in offered.items()}
            times = times_of_one_row(offered)
            if size.long_seconds:
                say("at 10,000/s with a checkpoint inside")
                figures[CHECKPOINTED] = _with_checkpoint(venue, size.long_seconds, seed)
    return {
        "figures": figures | {"ratios of this run": ratios(figures, times)},
        "machine": about,
        "mix": MIX + "; 20 accounts, 10 instruments; each with a request key",
        "turns": f"the median of {size.turns}",
        "left_out": "HTTP; commissions; encoding of the rows that are copied. All share the cores:"
        f" writer, projector, {'standby, ' if standby else ''}PostgreSQL and the driver, whose"
        " processor is named beside and not counted in all",
        "goals": goals(figures, times),
    }


def through_the_bus(
    venue: Venue, size: Size, seed: int, say: Progress
) -> dict[str, list[dict[str, Any]]]:
    """Each rate, saturation and one-row commits, by turns."""
    venue.at_rate(2_000, min(3, size.seconds), seed)
    names = {f"through the bus at {rate}/s": rate for rate in RATES} | {SATURATED: 0}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in (ONE_ROW, *names)}
    for turn in range(size.turns):
        say(f"one-row commits: turn {turn + 1} of {size.turns}")
        runs[ONE_ROW].append(venue.one_row())
        for number, (name, rate) in enumerate(names.items(), start=1):
            say(f"{name}: turn {turn + 1} of {size.turns}")
            runs[name].append(venue.at_rate(rate, size.seconds, seed + 100 * turn + number))
    return runs


def times_of_one_row(runs: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Each rate's p99 as a multiple of the one-row commit's of the same turn, median of turns."""
    return {
        name: round(
            median(
                one["p99_ms"] / commit["p99_ms"]
                for one, commit in zip(of_turns, runs[ONE_ROW], strict=True)
            ),
            1,
        )
        for name, of_turns in runs.items()
        if name != ONE_ROW
    }


def ratios(figures: dict[str, Any], times: dict[str, float]) -> dict[str, Any]:
    """What is compared within this run."""
    copied = _in_all(figures, "raw COPY of the same rows")
    plain = figures["library's plain way"]
    costs = [name for name in figures if PROCESSOR in figures[name]]
    return {
        "commands/s, times the plain way": {
            name: round(rate / plain["commands_per_s"], 1)
            for name, rate in (
                ("saturated in process", figures["saturated in process"]["commands_per_s"]),
                (SATURATED, figures[SATURATED]["answered_per_s"]),
            )
        },
        "processor a command, times raw COPY": {
            name: round(_in_all(figures, name) / copied, 1) for name in costs
        },
        "p99, times a one-row commit's": times,
    }


def goals(figures: dict[str, Any], times: dict[str, float]) -> list[dict[str, Any]]:
    """Judge the ratios of this run."""
    ratio = ratios(figures, times)
    deciding = figures["decide and encode an order"]["p99_us"] / 1e3
    judged = [
        goal(
            "saturation in process, times the plain way",
            ratio["commands/s, times the plain way"]["saturated in process"],
            TIMES_PLAIN,
        ),
        goal(
            "processor a command saturated, times raw COPY",
            ratio["processor a command, times raw COPY"][SATURATED],
            TIMES_COPY,
            at_most=True,
        ),
        goal(
            "p99 at 2,000/s, times a one-row commit's",
            times["through the bus at 2000/s"],
            TIMES_ONE_ROW,
            at_most=True,
        ),
        goal(
            "p99 to decide and encode, times a one-row commit's",
            round(deciding / figures[ONE_ROW]["p99_ms"], 2),
            TIMES_DECIDING,
            at_most=True,
        ),
    ]
    if CHECKPOINTED in figures:
        answered = figures[CHECKPOINTED]["answered_per_s"] / 10_000
        judged.append(goal("answered of 10,000/s offered", round(answered, 3), 0.99))
    return judged


def views_behind(dsn: str, schema: str) -> int:
    """Events committed that the slowest active view has not taken in yet."""
    return _lag(dsn, schema)


def _in_all(figures: dict[str, Any], name: str) -> float:
    return float(figures[name][PROCESSOR]["in all"])


def _with_checkpoint(venue: Venue, seconds: float, seed: int) -> dict[str, Any]:
    inside = Timer(seconds / 3, checkpoint, (venue.dsn,))
    inside.start()
    try:
        return venue.at_rate(10_000, seconds, seed + 1)
    finally:
        inside.join()


def _lag(dsn: str, schema: str) -> int:
    """Events committed that the slowest active view has not taken in yet."""
    with psycopg.connect(dsn, options=f"-c search_path={schema}") as conn:
        row = conn.execute(
            "SELECT (SELECT max(notification_id) FROM stored_events)"
            " - coalesce(min(position), 0) FROM projection_tracking WHERE state = 'active'"
        ).fetchone()
    assert row is not None
    return int(row[0])
