"""What a command costs and how long it takes, as ratios of one run.

Beside it in the same run: the same decisions saved the library's plain way, raw COPY of the
same rows, and one-row commits made by the same driver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from statistics import median
from threading import Timer
from typing import Any, NamedTuple

import uvloop

from bench import saturated
from bench.driving import DriverFailed
from bench.flow import MIX
from bench.processor import Meter
from bench.rates import MeasuredVenue
from bench.report import Progress, goal, machine, say
from bench.saturated import PROCESSOR
from bench.turns import median_of
from bench.venue import (
    ProcessEnded,
    checkpoint,
    furnished,
    server,
    short_home,
    venue_processes,
)
from infrastructure.log.reader import LogReader

RATES = (500, 2_000, 5_000)
SATURATED = "through the bus, saturated"
ONE_ROW = "one-row commit by the same driver"
CHECKPOINTED = "through the bus at 10000/s, a checkpoint inside, no standby"
MOST_LOST = 5

# Chosen a little above what two turns on 2 shared cores gave when the machine had little else to
# do: 8.0 and 8.5 times COPY, 12 and 19 times a one-row commit's p99, and 0.2 and 0.3 of it.
TIMES_PLAIN = 10
TIMES_COPY = 9
TIMES_ONE_ROW = 20
DECIDING_TIMES_ONE_ROW = 0.5
ANSWERED = 0.99


class Size(NamedTuple):
    """How much is measured."""

    turns: int = 5
    seconds: float = 3
    """Of each rate in each turn; well under the lease, so that load alone costs nobody the lead."""
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
        bus = ThroughTheBus(dsn, postmaster, standby, seed, say)
        offered = [bus.turn(turn, size) for turn in range(size.turns)]
        figures |= median_of(offered)
        times = times_of_one_row(offered)
        if size.long_seconds:
            figures[CHECKPOINTED] = bus.checkpointed(size.long_seconds)
    return {
        "figures": figures | {"ratios of this run": ratios(figures, times)},
        "machine": about,
        "mix": MIX + "; 20 accounts, 10 instruments; each with a request key",
        "turns": f"the median of {size.turns}; {bus.lost} more were begun again",
        "left_out": "HTTP; commissions; encoding of the rows that are copied. All share the cores:"
        f" writer, projector, {'standby, ' if standby else ''}PostgreSQL and the driver, whose"
        " processor is named beside and not counted in all",
        "goals": goals(figures, times),
    }


class ThroughTheBus:
    """Turns of a venue of processes, each turn on a new one.

    A machine that stalls for longer than the lease makes the standby take over. Then figures by
    process would be another's, and the turn is begun again.
    """

    def __init__(self, dsn: str, postmaster: int, standby: bool, seed: int, say: Progress) -> None:
        self._dsn = dsn
        self._postmaster = postmaster
        self._standby = standby
        self._seed = seed
        self._say = say
        self._venues = 0
        self.lost = 0

    def turn(self, turn: int, size: Size) -> dict[str, Any]:
        """One-row commits, each rate, and saturation."""
        names = {f"through the bus at {rate}/s": rate for rate in RATES} | {SATURATED: 0}

        def offer(venue: MeasuredVenue) -> dict[str, Any]:
            self._say(f"through the bus: turn {turn + 1} of {size.turns}")
            venue.at_rate(2_000, min(2, size.seconds), self._seed)
            figures = {ONE_ROW: venue.one_row()}
            for number, (name, rate) in enumerate(names.items(), start=1):
                self._say(name)
                seed = self._seed + 100 * turn + number
                figures[name] = venue.at_rate(rate, size.seconds, seed)
            return figures

        return self._on_a_new_venue(offer, self._standby)

    def checkpointed(self, seconds: float) -> dict[str, Any]:
        """A long run at a high rate with a checkpoint in its midst."""

        def offer(venue: MeasuredVenue) -> dict[str, Any]:
            self._say(CHECKPOINTED)
            venue.at_rate(2_000, 2, self._seed)
            inside = Timer(seconds / 3, checkpoint, (self._dsn,))
            inside.start()
            try:
                return venue.at_rate(10_000, seconds, self._seed + 1)
            finally:
                inside.join()

        return self._on_a_new_venue(offer, False)

    def _on_a_new_venue(
        self, offer: Callable[[MeasuredVenue], dict[str, Any]], standby: bool
    ) -> dict[str, Any]:
        while True:
            self._venues += 1
            try:
                with self._venue(f"bench_bus_{self._venues}", standby) as venue:
                    return offer(venue)
            except (ProcessEnded, DriverFailed) as ended:
                self.lost += 1
                if self.lost == MOST_LOST:
                    raise
                self._say(f"begun again: {ended}")

    @contextmanager
    def _venue(self, schema: str, standby: bool) -> Iterator[MeasuredVenue]:
        with (
            short_home() as home,
            venue_processes(self._dsn, schema, home, standby=standby) as processes,
            Meter(self._dsn, self._postmaster, processes.pids) as meter,
        ):
            floor = uvloop.run(furnished(processes.bus))
            yield MeasuredVenue(
                self._dsn, processes, floor, meter, partial(views_behind, self._dsn, schema)
            )


def times_of_one_row(turns: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Each rate's p99 as a multiple of the one-row commit's of the same turn, median of turns."""
    return {
        name: round(median(turn[name]["p99_ms"] / turn[ONE_ROW]["p99_ms"] for turn in turns), 1)
        for name in turns[0]
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
            DECIDING_TIMES_ONE_ROW,
            at_most=True,
        ),
    ]
    if CHECKPOINTED in figures:
        answered = figures[CHECKPOINTED]["answered_per_s"] / 10_000
        judged.append(goal("answered of 10,000/s offered", round(answered, 3), ANSWERED))
    return judged


def views_behind(dsn: str, schema: str) -> int:
    """Events committed that the slowest active view has not taken in yet."""
    with LogReader(dsn, schema) as log:
        tracked = log.tracked()
        return log.last_position() - min((position for _, _, position in tracked), default=0)


def _in_all(figures: dict[str, Any], name: str) -> float:
    return float(figures[name][PROCESSOR]["in all"])
