"""Every benchmark runs through on a small scale and says what it must say beside its figures."""

from __future__ import annotations

from typing import Any

import pytest

from bench import book, http, recover, store, submit
from bench.saturated import PROCESSOR
from bench.submit import ONE_ROW, RATES, SATURATED, Size

TINY = Size(turns=1, seconds=0.2, saturated=500, plain=50, long_seconds=0)
SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "book": (book, {"operations": 2_000}),
    "store": (store, {"count": 1_500}),
    "recover": (recover, {"events": 4_000, "turns": 1}),
    "http": (http, {"seconds": 0.3, "turns": 1, "rates": (200,)}),
}
SLOW = ("recover", "http")


def _check(result: dict[str, Any]) -> None:
    assert {"figures", "machine", "mix", "left_out", "goals"} <= set(result)
    assert result["goals"]
    for goal in result["goals"]:
        assert set(goal) == {"name", "value", "goal", "met"}
        assert goal["value"] > 0


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in SMALL]
)
def test_bench_says_figures_machine_mix_and_goals(name: str) -> None:
    """Whether a goal is met depends on the machine; that it is judged does not."""
    module, arguments = SMALL[name]

    result = module.run(**arguments)

    _check(result)


@pytest.mark.slow
def test_submit_names_the_processor_of_every_process_and_compares_within_its_run() -> None:
    """At each rate and saturated, for the venue, the plain way and COPY; all ratios of one run."""
    result = submit.run(size=TINY)

    _check(result)
    figures = result["figures"]
    for name in (*(f"through the bus at {rate}/s" for rate in RATES), SATURATED):
        used = figures[name][PROCESSOR]
        for role in ("writer", "projector", "standby"):
            assert used[role] > 0, (name, used)
            assert used[f"{role}'s backends"] > 0, (name, used)
        assert figures[name]["refused"] == 0
    for name in ("saturated in process", "library's plain way", "raw COPY of the same rows"):
        assert figures[name][PROCESSOR]["in all"] > 0
    assert figures[ONE_ROW]["p99_ms"] > 0
