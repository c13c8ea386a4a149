"""How fast the matching book is beside two plainer ones, on one flow, with the same fills."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import random
import time
import tracemalloc
import zlib
from array import array
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from os import cpu_count
from pathlib import Path
from typing import Any

from bench.naive_decimal_book import NaiveDecimalBook
from bench.pure_python_book import PurePythonBook
from domain.matching.book import (
    BATCH_CANCEL,
    BATCH_EXECUTE,
    BATCH_WIDTH,
    BUY,
    SELL,
    STP_NONE,
    Book,
    implementation,
)

QUICK = {"operations": 50_000}
ROUNDS = 5
CAPACITY = 16_384
QUEUE_ORDERS = 20_000
QUEUE_LEVELS = 4
MIX = {"resting_limits": 0.6, "cancels": 0.3, "marketable": 0.1}
LEFT_OUT = (
    "one thread, garbage collection off while timed; no risk checks, events, storage or network; "
    "self-trade prevention is off, since the two plainer books have none; "
    f"the best of {ROUNDS} rounds of each; the arena is given room for {CAPACITY:,} orders "
    "beforehand, as a running venue's book would have, and grows its array of fills while timed"
)

Fills = list[tuple[int, Any]]


def flow(operations: int, seed: int) -> array[int]:
    """A seeded stream of operations in the form of `Book.run_batch`.

    Limits rest within twenty ticks of the other side's best price; a marketable order is as large
    as three of them, so that the book neither empties nor grows without end.
    """
    draw = random.Random(seed)
    book = Book()
    live: list[int] = []
    table = array("q")
    for key in range(1, operations + 1):
        choice = draw.random()
        side = draw.choice((BUY, SELL))
        owner = draw.randrange(100)
        if choice < MIX["cancels"] and len(book):
            while True:
                place = draw.randrange(len(live))
                live[place], live[-1] = live[-1], live[place]
                victim = live.pop()
                if book.cancel(victim):
                    break
            table.extend([BATCH_CANCEL, victim, 0, 0, 0, 0, 0, 0])
            continue
        touch = book.best(SELL if side == BUY else BUY) or 10_000
        if choice < MIX["cancels"] + MIX["marketable"]:
            away, lots = -draw.randrange(5), draw.randint(1, 32)
        else:
            away, lots = min(1 + int(draw.expovariate(0.25)), 20), draw.randint(1, 10)
        price = touch - away if side == BUY else touch + away
        book.execute(key, side, price, lots, owner, STP_NONE, True)
        live.append(key)
        table.extend([BATCH_EXECUTE, key, side, price, lots, owner, STP_NONE, 1])
    return table


def rows_of(table: array[int]) -> list[list[int]]:
    """The operations of a flow one by one."""
    return [list(table[at : at + BATCH_WIDTH]) for at in range(0, len(table), BATCH_WIDTH)]


def timed(prepare: Callable[[], Callable[[], Any]]) -> tuple[int, Any]:
    """The best time of a few rounds in nanoseconds, and what the last round returned."""
    best = None
    result = None
    for _ in range(ROUNDS):
        run = prepare()
        gc.collect()
        gc.disable()
        begun = time.perf_counter_ns()
        result = run()
        took = time.perf_counter_ns() - begun
        gc.enable()
        best = took if best is None else min(best, took)
    assert best is not None
    return best, result


def run_each(book: Any, rows: list[tuple[Any, ...]]) -> Fills:
    """Feed a book one call an operation: the arguments of an order, or a key to cancel."""
    fills: Fills = []
    execute, cancel = book.execute, book.cancel
    for row in rows:
        if len(row) == 1:
            cancel(row[0])
        else:
            done = execute(*row)
            if done:
                fills.append((row[0], done))
    return fills


def fresh(make: Callable[[], Any], rows: list[tuple[Any, ...]]) -> Callable[[], Any]:
    """What makes a new book ready to be fed and timed."""
    return lambda: partial(run_each, make(), rows)


def checksum(trades: list[int]) -> str:
    """A short name for a list of fills."""
    return f"{zlib.crc32(array('q', trades).tobytes()):08x}"


def measure_flow(operations: int, seed: int) -> dict[str, Any]:
    """Nanoseconds an operation of each book, and the proof that they did the same."""
    table = flow(operations, seed)
    rows = rows_of(table)
    decimals = [
        (r[1],) if r[0] == BATCH_CANCEL else (r[1], r[2], Decimal(r[3]).scaleb(-2), Decimal(r[4]))
        for r in rows
    ]
    integers = [(r[1],) if r[0] == BATCH_CANCEL else tuple(r[1:5]) for r in rows]
    calls = [(r[1],) if r[0] == BATCH_CANCEL else (*r[1:7], True) for r in rows]
    nanoseconds: dict[str, float] = {}
    trades: dict[str, list[int]] = {}

    took, done = timed(fresh(NaiveDecimalBook, decimals))
    nanoseconds["naive_decimal"] = took / operations
    trades["naive_decimal"] = [
        number
        for key, fills in done
        for resting, qty, price in fills
        for number in (key, resting, int(qty), int(price.scaleb(2)))
    ]
    took, done = timed(fresh(PurePythonBook, integers))
    nanoseconds["pure_python"] = took / operations
    trades["pure_python"] = [
        number for key, fills in done for fill in fills for number in (key, *fill)
    ]
    took, done = timed(fresh(partial(Book, CAPACITY), calls))
    nanoseconds["arena_per_call"] = took / operations
    trades["arena_per_call"] = [
        number for key, fills in done for fill in fills for number in (key, *fill[1:4])
    ]
    batched: list[Book] = []

    def batch() -> Callable[[], int]:
        batched[:] = [Book(CAPACITY)]
        return lambda: batched[0].run_batch(table)

    took, count = timed(batch)
    nanoseconds["arena_in_one_batch"] = took / operations
    written = batched[0].batch_rows()
    trades["arena_in_one_batch"] = [
        number
        for at in range(0, len(written), 6)
        for number in (written[at + 5], written[at + 1], written[at + 2], written[at + 3])
    ]

    sums = {name: checksum(numbers) for name, numbers in trades.items()}
    if len(set(sums.values())) != 1:
        raise AssertionError(f"the books traded differently: {sums}")
    return {
        "ns_per_operation": {name: round(value, 1) for name, value in nanoseconds.items()},
        "fills": count,
        "fills_checksum": sums["arena_per_call"],
        "resting_at_the_end": len(batched[0]),
    }


def fill_queues(add: Callable[[int, int], object]) -> list[int]:
    """Rest the orders of four long queues; the keys to cancel, in no order."""
    for key in range(QUEUE_ORDERS):
        add(key, 100 + key % QUEUE_LEVELS)
    return random.Random(1).sample(range(QUEUE_ORDERS), 500)


def long_naive() -> tuple[NaiveDecimalBook, list[int]]:
    """A naive book of four long queues."""
    book = NaiveDecimalBook()
    return book, fill_queues(lambda k, p: book.execute(k, BUY, Decimal(p), Decimal("1.5")))


def long_python() -> tuple[PurePythonBook, list[int]]:
    """A pure-Python book of four long queues."""
    book = PurePythonBook()
    return book, fill_queues(lambda k, p: book.execute(k, BUY, p, 1))


def long_arena() -> tuple[Book, list[int]]:
    """An arena of four long queues."""
    book = Book()
    return book, fill_queues(lambda k, p: book.add(k, BUY, p, 1, 0))


def measure_queues() -> dict[str, Any]:
    """What a cancel costs in a long queue, and what an order costs at rest."""
    cancels = {}
    for name, make in (
        ("naive_decimal", long_naive),
        ("pure_python", long_python),
        ("arena_per_call", long_arena),
    ):

        def prepare(make: Callable[[], tuple[Any, list[int]]] = make) -> Callable[[], None]:
            book, keys = make()

            def cancel_all() -> None:
                for key in keys:
                    book.cancel(key)

            return cancel_all

        took, _ = timed(prepare)
        cancels[name] = round(took / 500, 1)
    sizes: dict[str, float] = {}
    for name, plain in (("naive_decimal", long_naive), ("pure_python", long_python)):
        tracemalloc.start()
        kept = plain()
        sizes[name] = round(tracemalloc.get_traced_memory()[0] / QUEUE_ORDERS, 1)
        tracemalloc.stop()
        del kept
    arena = long_arena()[0]
    sizes["arena"] = round(arena.memory_bytes() / len(arena), 1)
    return {"cancel_ns_in_long_queues": cancels, "bytes_per_resting_order": sizes}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "name" in line]
        if info.exists()
        else []
    )
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "book": implementation(),
    }


def goal(name: str, value: float, wanted: float) -> dict[str, Any]:
    """A goal and whether it was met."""
    return {"name": name, "value": round(value, 2), "goal": wanted, "met": value >= wanted}


def run(operations: int = 200_000, seed: int = 7) -> dict[str, Any]:
    """Measure, and judge by the goals."""
    if operations < 1:
        raise ValueError(f"{operations} operations is not a run")
    figures = measure_flow(operations, seed) | measure_queues()
    took = figures["ns_per_operation"]
    naive = took["naive_decimal"]
    return {
        "figures": figures | {"operations": operations, "seed": seed},
        "machine": machine(),
        "mix": MIX,
        "left_out": LEFT_OUT,
        "goals": [
            goal("times_naive_in_one_batch", naive / took["arena_in_one_batch"], 15),
            goal("times_naive_per_call", naive / took["arena_per_call"], 4),
        ],
    }


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="nexus bench book", description=__doc__)
    parser.add_argument("--operations", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="one line for machines")
    options = parser.parse_args(argv)
    result = run(options.operations, options.seed)
    if options.json:
        print(json.dumps(result))
    else:
        print(table_of(result))
    return 0 if all(one["met"] for one in result["goals"]) else 1


def table_of(result: dict[str, Any]) -> str:
    """The result for people."""
    figures = result["figures"]
    lines = [f"{figures['operations']} operations, {figures['fills']} fills, all books alike"]
    for title, unit in (
        ("ns_per_operation", "ns an operation"),
        ("cancel_ns_in_long_queues", "ns a cancel, 20,000 orders on four levels"),
        ("bytes_per_resting_order", "bytes a resting order"),
    ):
        lines += ["", unit]
        lines += [f"  {name:<20}{value:>12,.1f}" for name, value in figures[title].items()]
    lines.append("")
    for one in result["goals"]:
        verdict = "met" if one["met"] else "missed"
        lines.append(f"{one['name']}: {one['value']} (goal {one['goal']}, {verdict})")
    lines.append(f"book: {result['machine']['book']}; left out: {result['left_out']}")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
