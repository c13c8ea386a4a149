"""How fast the matching book is beside two plainer ones, in three regimes, with the same fills."""

from __future__ import annotations

import gc
import time
import tracemalloc
import zlib
from array import array
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from bench.book_flows import MIX, Flow, flow, regimes
from bench.naive_decimal_book import NaiveDecimalBook
from bench.pure_python_book import PurePythonBook
from bench.report import goal, machine, percentile, say
from domain.matching.book import (
    BATCH_CANCEL,
    BATCH_REPLACE,
    BATCH_WIDTH,
    BUY,
    ROW_WIDTH,
    STP_NONE,
    Book,
)

QUICK = {"operations": 20_000}
ROUNDS = 5
BATCH = 100
NAIVE, PYTHON, CALLED, BATCHED = "naive decimal", "pure python", "ours per call", "ours in batch"
NAMES = (NAIVE, PYTHON, CALLED, BATCHED)
ALLOCATING = 10_000
LEFT_OUT = (
    "one thread, garbage collection off while timed; no risk checks, events, storage or network; "
    "self-trade prevention is off, since the two plainer books have none; ns_per_operation is the "
    f"best of {ROUNDS} turns that all four take one after another; of a batch the percentiles are "
    f"those of {BATCH} operations by {BATCH}, of the others those of single ones less the clock's "
    "own time; the arrays have room beforehand, as after a look of the timers"
)

Call = tuple[Callable[..., Any], tuple[Any, ...]]
Trades = list[int]


def rows_of(table: array[int]) -> list[list[int]]:
    """The operations of a flow one by one."""
    return [table[at : at + BATCH_WIDTH].tolist() for at in range(0, len(table), BATCH_WIDTH)]


def calls_of(name: str, book: Any, table: array[int]) -> list[Call]:
    """The same operations as calls of a book, their arguments made beforehand."""
    calls: list[Call] = []
    for what, key, side, ticks, lots, owner, stp, _ in rows_of(table):
        price: Any = Decimal(ticks).scaleb(-2) if name == NAIVE else ticks
        qty: Any = Decimal(lots) if name == NAIVE else lots
        ours = name in (CALLED, BATCHED)
        if what == BATCH_CANCEL:
            calls.append((book.cancel, (key,)))
        elif what == BATCH_REPLACE:
            calls.append((book.replace, (key, price, qty, stp) if ours else (key, price, qty)))
        else:
            terms = (key, side, price, qty)
            calls.append((book.execute, (*terms, owner, stp, True) if ours else terms))
    return calls


def standing(name: str, work: Flow) -> Any:
    """A book in which the orders of a flow rest."""
    if name in (CALLED, BATCHED):
        book = Book()
        book.make_room(len(work.resting) // BATCH_WIDTH)
        book.run_batch(work.resting)
        book.make_room()
        return book
    plain = NaiveDecimalBook() if name == NAIVE else PurePythonBook()
    for call, arguments in calls_of(name, plain, work.resting):
        call(*arguments)
    return plain


def nanoseconds(name: str, work: Flow) -> float:
    """What an operation costs on average when one comes after the other."""
    book = standing(name, work)
    calls = [] if name == BATCHED else calls_of(name, book, work.operations)
    gc.collect()
    gc.disable()
    begun = time.thread_time_ns()
    if name == BATCHED:
        book.run_batch(work.operations)
    for call, arguments in calls:
        call(*arguments)
    took = time.thread_time_ns() - begun
    gc.enable()
    return took / (len(work.operations) // BATCH_WIDTH)


def clock_ns() -> int:
    """What looking at the clock twice takes by itself."""
    clock = time.perf_counter_ns
    return sorted(-clock() + clock() for _ in range(1_001))[500]


def each(name: str, work: Flow) -> tuple[list[float], Trades]:
    """The time of every operation, and what traded: incoming key, resting key, lots, ticks."""
    book = standing(name, work)
    if name == BATCHED:
        return each_batch(book, work.operations)
    times: list[float] = []
    answers: list[tuple[int, Any]] = []
    calls = calls_of(name, book, work.operations)
    own, clock = clock_ns(), time.perf_counter_ns
    gc.collect()
    gc.disable()
    for call, arguments in calls:
        begun = clock()
        done = call(*arguments)
        took = clock() - begun
        times.append(max(took - own, 0))
        answers.append((arguments[0], done))
    gc.enable()
    trades: Trades = []
    for key, done in answers:
        for fill in done if isinstance(done, list) else ():
            resting, qty, price = fill[1:4] if name == CALLED else fill
            ticks = int(price.scaleb(2)) if name == NAIVE else price
            trades += (key, resting, int(qty), ticks)
    return times, trades


def each_batch(book: Book, table: array[int]) -> tuple[list[float], Trades]:
    """The same of many operations at a time, the time shared by them."""
    times: list[float] = []
    trades: Trades = []
    for at in range(0, len(table), BATCH * BATCH_WIDTH):
        some = table[at : at + BATCH * BATCH_WIDTH]
        begun = time.thread_time_ns()
        book.run_batch(some)
        took = time.thread_time_ns() - begun
        times.append(took / (len(some) // BATCH_WIDTH))
        rows = book.batch_rows()
        for row in range(0, len(rows), ROW_WIDTH):
            trades += (rows[row + 5], *rows[row + 1 : row + 4])
    return times, trades


def checksum(trades: Trades) -> str:
    """A short name for a list of fills."""
    return f"{zlib.crc32(array('q', trades).tobytes()):08x}"


def measure_regime(work: Flow) -> dict[str, Any]:
    """What each book takes for an operation, and the proof that all did the same."""
    best = dict.fromkeys(NAMES, float("inf"))
    for _ in range(ROUNDS):
        for name in NAMES:
            best[name] = min(best[name], nanoseconds(name, work))
    spread, sums, fills = {}, {}, 0
    for name in NAMES:
        times, trades = each(name, work)
        spread[name] = sorted(times)
        sums[name] = checksum(trades)
        fills = len(trades) // 4
    if len(set(sums.values())) != 1:
        raise AssertionError(f"the books traded differently: {sums}")
    return {
        "resting beforehand": len(work.resting) // BATCH_WIDTH,
        "operations": len(work.operations) // BATCH_WIDTH,
        "fills": f"{fills}, in all four with the sum {sums[CALLED]}",
        "ns_per_operation": {name: round(best[name], 1) for name in NAMES},
        "p50_ns": {name: round(percentile(spread[name], 0.5), 1) for name in NAMES},
        "p99_ns": {name: round(percentile(spread[name], 0.99), 1) for name in NAMES},
        "times_naive": {name: round(best[NAIVE] / best[name], 1) for name in NAMES},
    }


def bytes_per_order(work: Flow) -> dict[str, float]:
    """What a resting order takes of memory, where the most rest."""
    orders = len(work.resting) // BATCH_WIDTH
    sizes: dict[str, float] = {}
    for name in (NAIVE, PYTHON):
        gc.collect()
        tracemalloc.start()
        kept = standing(name, work)
        sizes[name] = round(tracemalloc.get_traced_memory()[0] / orders, 1)
        tracemalloc.stop()
        del kept
    book = Book()
    book.run_batch(work.resting)
    sizes["ours"] = round(book.memory_bytes() / orders, 1)
    return sizes


def bytes_allocated_by_adds() -> int:
    """What Python's allocators give while orders come to rest, at its most, beyond the loop's."""
    rows = [(key, BUY, 100 + key % 50, 5, 7) for key in range(2 * ALLOCATING)]
    book = Book(2 * ALLOCATING)
    # The first time Python sees the lines it keeps something of them.
    allocated_by(book, rows[:ALLOCATING])
    return allocated_by(book, rows[ALLOCATING:]) - allocated_by(book, [])


def allocated_by(book: Book, rows: list[tuple[int, int, int, int, int]]) -> int:
    """The most that is allocated at any moment of resting some orders."""
    add = book.add
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for key, side, ticks, lots, owner in rows:
        add(key, side, ticks, lots, owner)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak - before


def doubling_ms(resting: int) -> float:
    """How long orders would wait if the book grew when they come, and not ahead."""
    book = Book(resting)
    table = array("q")
    for key in range(resting):
        table.extend((0, key, BUY, 100 + key % 50, 5, 0, STP_NONE, 0))
    book.run_batch(table)
    begun = time.perf_counter_ns()
    book.make_room()
    return round((time.perf_counter_ns() - begun) / 1e6, 2)


def run(operations: int = 100_000, seed: int = 7) -> dict[str, Any]:
    """Measure, and judge by the goals; the deep book holds as many orders as are then done."""
    if operations < 100:
        raise ValueError(f"{operations} operations is not a run")
    about = machine()
    figures: dict[str, Any] = {}
    goals: list[dict[str, Any]] = []
    for regime in regimes(operations):
        say(f"{regime.name}: orders {regime.where}")
        work = flow(regime, seed)
        found = figures[regime.name] = measure_regime(work)
        for name, wanted in ((BATCHED, 15), (CALLED, 5)):
            times = found["times_naive"][name]
            goals.append(goal(f"times naive, {name}, {regime.name}", times, wanted))
        if regime.name == "deep":
            figures["bytes_per_resting_order"] = bytes_per_order(work)
    figures["bytes allocated by 10,000 adds"] = bytes_allocated_by_adds()
    figures[f"doubling a book of {operations} orders, ms"] = doubling_ms(operations)
    held = figures["bytes_per_resting_order"]["ours"]
    goals.append(goal("bytes a resting order, deep", held, 80, at_most=True))
    return {
        "figures": figures | {"seed": seed},
        "machine": about,
        "mix": MIX,
        "left_out": LEFT_OUT,
        "goals": goals,
    }
