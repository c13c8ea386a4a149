"""The move of a store and what it buys, as ratios of one run: both stores on one server.

How fast a backfill is beside plain COPY, what orders feel of it, and how much faster months of
events are summed up afterwards than from a plain table with every index that helps.
"""

from __future__ import annotations

from typing import Any

import psycopg

from bench.report import Progress, goal, machine, say
from bench.timescale_orders import (
    OUTLASTED,
    Beside,
    Offered,
    by_turns,
    quiet_p99_ms,
    saturated,
    trading,
    until_it_ends,
)
from bench.timescale_questions import asked, disk
from bench.timescale_rows import MIX, Filled, fill
from bench.timescale_stores import (
    SOURCE,
    Pair,
    Place,
    backfilled,
    copied,
    forget,
    new_pair,
    place,
    summed_up,
)
from bench.timescale_writer import COST, FED, append_rates, writer_costs
from bench.venue import short_home
from infrastructure.log.layouts import Layout
from infrastructure.log.measuring import vacuum
from infrastructure.log.questions import FAIR_INDEXES
from infrastructure.log.stores import StoreAddress
from migrations.runner import migrate

ROWS = 5_000_000
FULL = Offered()
WRITER = 10_000
"""Commands of each turn in which the writer's processor is measured."""
QUICK = {"rows": 200_000, "offered": Offered(turns=1, seconds=1.0), "writer": 500}

BESIDE_COPY = 0.5
TIMES_PROCESSOR = 1.05
TIMES_LATENCY = 1.5
TIMES_FASTER = 10.0
TIMES_SMALLER = 5.0
_FIFTH = 5
_RANGE = 20_000

COPY = "plain COPY of the events, its own indexes kept"
ALONE = "backfill with nothing beside it"
TURNS = "orders at a fifth of saturation, without and with a throttled backfill"
ENDED = "backfill to its end, orders at a fifth of saturation"
QUESTIONS = "questions, plain table with its indexes and store in parts"
DISK = "disk"


def run(
    *,
    rows: int = ROWS,
    offered: Offered = FULL,
    writer: int = WRITER,
    seed: int = 7,
    say: Progress = say,
) -> dict[str, Any]:
    """The whole benchmark."""
    about = machine()
    figures: dict[str, Any] = {}
    with place() as where:
        figures["server"] = where.about
        migrate(where.dsn, SOURCE)
        say(f"deciding {rows:,} rows")
        filled = fill(where.dsn, SOURCE, rows, seed, say)
        # It would do so by itself, in the middle of what is measured.
        with psycopg.connect(where.dsn, autocommit=True) as conn:
            vacuum(conn, SOURCE)
        figures["rows"] = filled.rows
        figures |= _beside_orders(where, filled, offered, seed, say)
        pair = new_pair(where, "bench_parts")
        say("plain COPY, then a backfill")
        figures[COPY] = copied(where)
        figures[ALONE] = backfilled(pair)
        turns = offered.turns
        for measured in (writer_costs, append_rates):
            figures |= measured(
                where.dsn, where.layout, count=writer, turns=turns, seed=seed, say=say
            )
        say("questions")
        figures |= _bought(pair, filled)
    return {
        "figures": figures,
        "machine": about,
        "mix": MIX,
        "turns": f"orders: the median of {offered.turns}; questions: of 5 after one unmeasured",
        "left_out": "the projector, the standby, HTTP; busts. Both stores share one server and its"
        " cores with the writer, the driver and the backfill. Questions are asked of a warm"
        " cache, and answered without sending the answer."
        f" The plain table has for them indexes {' and '.join(FAIR_INDEXES)}; covered: those that"
        " hold the answers. One symbol is the one that is traded most.",
        "goals": goals(figures, where.layout),
    }


def _beside_orders(
    where: Place, filled: Filled, offered: Offered, seed: int, say: Progress
) -> dict[str, Any]:
    """What orders feel of a backfill, and how long it takes when it gives way to them."""
    source = StoreAddress(where.dsn, SOURCE)
    with short_home() as home, trading(source, home, filled.floor, seed) as orders:
        say("saturation")
        most = saturated(orders, offered.seconds)
        rate = max(1, most // _FIFTH)
        before_ms = quiet_p99_ms(source, orders, rate, offered)
        pair = new_pair(where, "bench_beside")
        quiet_ms = quiet_p99_ms(source, orders, rate, offered)
        beside = Beside(rate, _RANGE, max(1.0, quiet_ms))
        turns = by_turns(pair, orders, beside, offered, say)
        say("the backfill to its end, orders beside it")
        ended = until_it_ends(pair, orders, beside)
    forget(pair)
    return {
        "saturated orders/s": most,
        TURNS: {
            "orders/s": rate,
            "p99_ms before the move": before_ms,
            "p99_ms of both stores, nothing copied": quiet_ms,
            "slows down when a commit takes ms": beside.latency_ms,
            **turns,
        },
        ENDED: ended,
    }


def _bought(pair: Pair, filled: Filled) -> dict[str, Any]:
    """How much faster questions are answered, and how much smaller the rows are."""
    summed_up(pair)
    return {QUESTIONS: asked(pair, filled.symbols[0]), DISK: disk(pair)}


def goals(figures: dict[str, Any], layout: Layout) -> list[dict[str, Any]]:
    """Judge the ratios of this run; rows are smaller only where they are compressed."""
    beside_copy = figures[ALONE]["rows/s"] / figures[COPY]["rows/s"]
    judged = [
        goal("backfill alone beside plain COPY, rows/s", round(beside_copy, 2), BESIDE_COPY),
        goal(
            "p99 with a backfill, times none", figures[TURNS]["times"], TIMES_LATENCY, at_most=True
        ),
        goal(
            "writer's processor with a follower fed from outside, times alone",
            figures[COST][f"{FED}, times alone"],
            TIMES_PROCESSOR,
            at_most=True,
        ),
        goal("backfill went on through all turns", float(figures[TURNS][OUTLASTED]), 1.0),
        goal("backfill beside orders ended", float(figures[ENDED]["ended"]), 1.0),
    ]
    judged += [
        goal(f"{name}, times faster", told["times"], TIMES_FASTER)
        for name, told in figures[QUESTIONS].items()
        if told["gain"] == "expected"
    ]
    if layout is Layout.TIMESCALE and "times smaller" in figures[DISK]:
        judged.append(
            goal("compressed rows, times smaller", figures[DISK]["times smaller"], TIMES_SMALLER)
        )
    return judged
