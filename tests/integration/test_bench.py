"""Every benchmark runs through on a small scale and says what it must say beside its figures."""

from __future__ import annotations

from typing import Any

import pytest

from bench import book, recover, store

SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "book": (book, {"operations": 2_000}),
    "store": (store, {"count": 1_500}),
    "recover": (recover, {"events": 4_000}),
}


@pytest.mark.parametrize("name", SMALL)
def test_bench_says_figures_machine_mix_and_goals(name: str) -> None:
    """Whether a goal is met depends on the machine; that it is judged does not."""
    module, arguments = SMALL[name]

    result = module.run(**arguments)

    assert {"figures", "machine", "mix", "left_out", "goals"} <= set(result)
    assert result["goals"]
    for goal in result["goals"]:
        assert set(goal) == {"name", "value", "goal", "met"}
        assert goal["value"] > 0
