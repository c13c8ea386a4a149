"""The plan of a replay: which commands a message becomes, and what has to be repaired."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from application.rehearsal.recorded_day.foresight import LookAhead
from application.rehearsal.recorded_day.lobster import read_recording
from application.rehearsal.recorded_day.plan import Planner
from application.rehearsal.recorded_day.steps import (
    Cancel,
    Compare,
    Crossed,
    Cut,
    Halt,
    Hidden,
    Moment,
    Place,
    Resume,
    Step,
    Sweep,
    Why,
)
from domain.terms import Side
from tests.model.recorded_day import BUY, SELL, RecordedDay, save_archive, seeded_day


def plan(
    tmp_path: Path, day: RecordedDay, look_ahead: LookAhead = LookAhead.UNANNOUNCED
) -> list[Step]:
    """The steps of a day without the moments and comparisons between them."""
    steps = Planner(read_recording(day.save(tmp_path)), look_ahead).steps()
    return [step for step in steps if not isinstance(step, Moment | Compare)]


def repairs(steps: list[Step]) -> list[Step]:
    """The steps that mend something."""
    return [s for s in steps if isinstance(s, Place | Cut | Cancel) and s.why is not None]


def test_each_message_becomes_its_command(tmp_path: Path) -> None:
    """New, reduced, deleted, executed: one command each, and nothing to repair."""
    day = RecordedDay(levels=3)
    first = day.submit(BUY, 10_000, 30)
    second = day.submit(SELL, 10_010, 20)
    day.reduce(first, 10)
    day.execute(SELL, 5)
    day.delete(second)

    assert plan(tmp_path, day) == [
        Place("o1", first, Side.BUY, 1_000_000, 30, None),
        Place("o2", second, Side.SELL, 1_001_000, 20, None),
        Cut("o1", first, 20, None),
        Sweep("s3", Side.BUY, 1_001_000, 5, ((second, 5),)),
        Cancel("o2", second, None),
    ]


def test_executions_of_one_moment_become_one_order(tmp_path: Path) -> None:
    """Side, worst price and total are all that the aggressor knows; hidden ones are not in it."""
    day = RecordedDay(levels=3)
    ids = [day.submit(SELL, cents, 10) for cents in (10_010, 10_010, 10_020)]
    day.execute(SELL, 25)
    day.execute_hidden(SELL, 1_000_050, 7, tick=False)
    day.execute(SELL, 5)

    steps = plan(tmp_path, day)

    told = ((ids[0], 10), (ids[1], 10), (ids[2], 5))
    assert Sweep("s4", Side.BUY, 1_002_000, 25, told) in steps
    assert Sweep("s5", Side.BUY, 1_002_000, 5, ((ids[2], 5),)) in steps
    assert steps.count(Hidden()) == 1


def test_reduction_after_a_partial_fill_keeps_what_was_filled_in_the_total(tmp_path: Path) -> None:
    """A venue's quantity is the order's whole quantity, not what is left."""
    day = RecordedDay(levels=1)
    order_id = day.submit(SELL, 10_010, 100)
    day.execute(SELL, 30)
    day.reduce(order_id, 20)

    assert Cut("o1", order_id, 80, None) in plan(tmp_path, day)


def test_level_that_enters_the_window_is_repaired_after_the_comparison(tmp_path: Path) -> None:
    """Nothing tells of the second level; it is compared as it is, then an order stands in."""
    day = RecordedDay(levels=1)
    best = day.submit(BUY, 10_000, 10)
    day.submit(BUY, 9_990, 40)
    day.delete(best)

    steps = list(Planner(read_recording(day.save(tmp_path)), LookAhead.UNANNOUNCED).steps())

    stand_in = Place("o2", 0, Side.BUY, 999_000, 40, Why.LEVEL_ENTERED)
    assert steps[-1] == stand_in
    assert isinstance(steps[-2], Compare)


def test_order_named_later_is_placed_when_its_id_says_it_came(tmp_path: Path) -> None:
    """An order submitted out of sight stands in its true place before anyone sees its level."""
    day = RecordedDay(levels=1)
    best = day.submit(BUY, 10_000, 10)
    unseen = [day.submit(BUY, 9_990, size) for size in (40, 30)]
    day.submit(SELL, 10_020, 10)
    day.delete(best)
    day.execute(BUY, 70)

    steps = plan(tmp_path, day)
    blind = plan(tmp_path, day, LookAhead.NONE)

    assert [step for step in repairs(steps) if isinstance(step, Place)] == [
        Place("o2", unseen[0], Side.BUY, 999_000, 40, Why.CAME_UNSEEN),
        Place("o3", unseen[1], Side.BUY, 999_000, 30, Why.CAME_UNSEEN),
    ]
    assert steps.index(repairs(steps)[-1]) < steps.index(Cancel("o1", best, None))
    assert [s.order_id for s in repairs(blind) if isinstance(s, Place)] == [0]


def test_orders_of_the_first_row_stood_before(tmp_path: Path) -> None:
    """What the recording begins with is placed by id where it is named, else anonymous."""
    messages = ["34200.1,1,90,10,1000000,1", "34200.2,3,50,30,1001000,-1"]
    rows = ["1001000,30,1000000,30", "9999999999,0,1000000,30"]
    recording = read_recording(save_archive(tmp_path, 1, messages, rows))

    steps = list(Planner(recording, LookAhead.UNANNOUNCED).steps())

    before = steps[: steps.index(Place("o3", 90, Side.BUY, 1_000_000, 10, None))]
    assert [step for step in before if isinstance(step, Place)] == [
        Place("o1", 50, Side.SELL, 1_001_000, 30, Why.STOOD_BEFORE),
        Place("o2", 0, Side.BUY, 1_000_000, 20, Why.STOOD_BEFORE),
    ]


def test_remembered_level_that_is_gone_is_taken_out(tmp_path: Path) -> None:
    """An order canceled out of sight does not come back."""
    day = RecordedDay(levels=1)
    gone = day.submit(BUY, 9_990, 40)
    day.submit(BUY, 9_980, 5)
    best = day.submit(BUY, 10_000, 10)
    day.delete(gone)
    day.delete(best)

    assert Cancel("o1", gone, Why.LEVEL_GONE) in plan(tmp_path, day)


def test_new_order_that_would_meet_a_remembered_one_is_a_crossing(tmp_path: Path) -> None:
    """The recorded market had nothing there, so what is remembered goes first."""
    messages = ["34200.1,1,7,10,1000000,1", "34200.2,1,8,10,999000,-1"]
    rows = ["9999999999,0,1000000,10", "999000,10,-9999999999,0"]
    recording = read_recording(save_archive(tmp_path, 1, messages, rows))

    steps = list(Planner(recording, LookAhead.UNANNOUNCED).steps())

    crossed = steps.index(Crossed())
    assert steps[crossed + 1 : crossed + 3] == [
        Cancel("o1", 7, Why.CROSSING),
        Place("o2", 8, Side.SELL, 999_000, 10, None),
    ]


def test_halt_and_resume_are_told_and_a_reduction_between_them_is_a_new_order(
    tmp_path: Path,
) -> None:
    """A halted instrument takes cancels and new limits, but no replace."""
    day = RecordedDay(levels=1)
    order_id = day.submit(BUY, 10_000, 30)
    day.halt(-1)
    day.reduce(order_id, 10)
    day.halt(0)
    day.halt(1)

    assert plan(tmp_path, day) == [
        Place("o1", order_id, Side.BUY, 1_000_000, 30, None),
        Halt(),
        Cancel("o1", order_id, None),
        Place("o2", order_id, Side.BUY, 1_000_000, 20, Why.HALTED),
        Resume(),
    ]


def test_day_seen_whole_from_an_empty_book_needs_no_repair(tmp_path: Path) -> None:
    """Whatever is looked ahead at, a complete recording explains itself."""
    day = seeded_day(levels=200, steps=600, seed=3)

    for look_ahead in LookAhead:
        steps = plan(tmp_path, day, look_ahead)
        assert repairs(steps) == []
        assert Crossed() not in steps


def test_aggressor_is_built_without_the_ids_it_met(tmp_path: Path) -> None:
    """The same day with the executed ids exchanged sends the same aggressing orders."""
    day = RecordedDay(levels=5)
    first, second = day.submit(SELL, 10_010, 10), day.submit(SELL, 10_010, 10)
    day.execute(SELL, 10)
    exchanged = [
        line.replace(f",4,{first},", f",4,{second},") if ",4," in line else line
        for line in day.messages
    ]
    recording = read_recording(save_archive(tmp_path, 5, exchanged, day.rows))

    true = next(s for s in plan(tmp_path, day) if isinstance(s, Sweep))
    steps = list(Planner(recording, LookAhead.UNANNOUNCED).steps())
    false = next(s for s in steps if isinstance(s, Sweep))

    assert true.fills != false.fills
    assert true == structs.replace(false, fills=true.fills)
