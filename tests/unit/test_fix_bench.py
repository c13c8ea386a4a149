"""The FIX benchmark sends what the venue takes, and judges the ratios of its run."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from api.fix.codec import Decoder, Message, encode
from api.fix.validation import validate
from bench import fix
from bench.fix_flow import messages, refused
from bench.flow import Floor
from bench.saturated import PROCESSOR
from tests.model.fix_messages import HEAD


class Taken(NamedTuple):
    """As a template is by default."""

    user_defined: bool = True
    unknown: bool = False
    unordered: bool = False
    empty: bool = False


def test_messages_of_the_benchmark_are_right():
    """The flow of the bus, as messages that pass; every one is answered under a name of its own."""
    floor = Floor([uuid4() for _ in range(20)], ["B000", "B001"])
    asked = [*messages(floor, 500, 7, "t", cancels=True), *refused(5, "r")]

    assert {b"D", b"F"} == {one.msg_type for one in asked}
    assert len(asked) == len({one.name for one in asked}) == 505
    for one in asked:
        (message,) = Decoder().feed(encode(HEAD, one.msg_type, one.fields))
        assert isinstance(message, Message) and None is validate(message, Taken())


def test_orders_alone_are_as_many_as_are_asked_for():
    """What is compared with HTTP has no cancels in it."""
    floor = Floor([uuid4()], ["B000"])

    assert [b"D"] * 300 == [one.msg_type for one in messages(floor, 300, 7, "t", cancels=False)]


def figures(one: int, bus: int, fix_us: float, disturbed_ms: float) -> dict[str, Any]:
    """Figures of a run, as far as they are judged."""
    return {
        "parse and encode, compiled": {"both_times": 50.0},
        fix.BUS: {"answered_per_s": bus},
        fix.ONE: {"answered_per_s": one},
        fix.ORDERS: {PROCESSOR: {"fix": fix_us}},
        fix.HTTP: {fix.EACH_REQUEST: {"gateway": 100.0}},
        fix.REFUSED: {"answered_per_s": 12_000},
        fix.UNDISTURBED: {"p99_ms": 2.0},
        fix.DISTURBED: {"p99_ms": disturbed_ms},
    }


@pytest.mark.parametrize(
    ("given", "met"),
    [
        ((700, 1_000, 100.0, 6.0), [True, True, True, True, True]),
        ((690, 1_000, 101.0, 6.2), [True, False, False, True, False]),
        ((11_000, 15_000, 90.0, 2.0), [True, True, True, True, True, True]),
        ((9_999, 15_000, 90.0, 2.0), [True, False, False, True, True, True]),
    ],
)
def test_goals_are_judged_by_ratios_of_the_run(
    given: tuple[int, int, float, float], met: list[bool]
):
    """The rate beside the bus's, the processor beside HTTP's, a flood beside a sink's; the rate
    itself only where the bus is fast.
    """
    assert met == [goal["met"] for goal in fix.goals(figures(*given))]
