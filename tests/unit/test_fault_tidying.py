"""A process whose collector is off frees what connections that failed leave behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from api.processes import tidying
from api.processes.tidying import FEW, collect_little_at_a_time, keep_apart, tidy
from application.log.ports import OutcomeUnknown
from infrastructure.log.writing import PostgresEventLog


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def off() -> Iterator[None]:
    """The collector off, as in a writer, and nothing left of what was before."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.enable()
        gc.collect()


def test_store_that_is_away_for_long_leaves_nothing_behind(off: None) -> None:
    """Hundreds of attempts to reach it, each with its tracebacks: they are freed as they come."""

    async def ask(log: PostgresEventLog, times: int) -> None:
        for _ in range(times):
            with suppress(OutcomeUnknown):
                await log.leader_is_gone()
            with suppress(OutcomeUnknown):
                await log.try_take_over()
            tidy()

    async def work() -> None:
        log = PostgresEventLog("host=127.0.0.1 port=1 user=nobody dbname=none", "none", 0)
        await ask(log, 2)
        gc.collect()
        before = len(gc.get_objects())
        await ask(log, 30)
        assert len(gc.get_objects()) < before + 1_000
        await log.close()

    asyncio.run(work())


def test_many_young_objects_are_not_looked_through(off: None) -> None:
    """While thousands of orders come a pause is worse than a knot; what has grown old is set
    apart at no cost, so that the next look is at the young alone.
    """
    knot = Knot()
    seen = weakref.ref(knot)
    kept = [[number] for number in range(FEW)]
    del knot
    tidy()
    assert seen() is not None
    assert gc.get_freeze_count() >= len(kept)
    knot = Knot()
    young = weakref.ref(knot)
    del knot
    tidy()
    assert young() is None


def test_what_clients_leave_behind_is_freed_a_little_at_a_time(off: None) -> None:
    """Never tens of thousands of objects in one pause, whatever comes and goes."""
    before = gc.get_threshold()
    looked_at: list[int] = []

    def look(phase: str, told: dict[str, int]) -> None:
        if phase == "stop":
            looked_at.append(told["collected"])

    gc.callbacks.append(look)
    try:
        collect_little_at_a_time()
        for _ in range(100_000):
            Knot()
    finally:
        gc.callbacks.remove(look)
        gc.set_threshold(*before)
    assert sum(looked_at) > 50_000
    assert max(looked_at) < 20_000


def test_what_refers_to_itself_and_was_set_apart_is_freed_when_there_is_much_of_it(
    off: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before: to look through all of it is a pause. What is in use stays."""
    monkeypatch.setattr(tidying, "EVERY_SECONDS", 0.0)

    async def work(many: int) -> tuple[int, bool]:
        monkeypatch.setattr(tidying, "MANY", many)
        tidy_on = asyncio.create_task(keep_apart())
        knots = [Knot() for _ in range(1_000)]
        kept, last = weakref.ref(knots[0]), weakref.ref(knots[-1])
        for _ in range(3):
            await asyncio.sleep(0)
        # Old by now, and of no use to anybody but one of them.
        first = knots[0]
        del knots[1:]
        for _ in range(70):
            await asyncio.sleep(0)
        tidy_on.cancel()
        assert kept() is first
        return gc.get_freeze_count(), last() is None

    set_apart, freed = asyncio.run(work(100_000_000))
    assert set_apart > 1_000
    assert not freed
    set_apart, freed = asyncio.run(work(100))
    assert set_apart > 1_000
    assert freed
