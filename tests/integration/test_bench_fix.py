"""The FIX benchmark on a small scale: it measures what it says it measures."""

from __future__ import annotations

import pytest

from bench import fix
from bench.saturated import PROCESSOR


@pytest.mark.soak
def test_fix_is_measured_beside_the_bus_http_and_a_sink() -> None:
    """Every part has run, each message was answered, and every goal is judged."""
    result = fix.run(size=fix.Size(turns=1, seconds=0.3))

    figures = result["figures"]
    for name in (fix.BUS, fix.ONE, fix.MANY, fix.PING, fix.REFUSED, fix.ORDERS):
        assert figures[name]["answered_per_s"] > 0, name
        assert figures[name][PROCESSOR]["fix"] > 0, name
    assert figures[fix.DISTURBED]["sent"] > 0 and figures[fix.UNDISTURBED]["sent"] > 0
    assert {True, False} >= {goal["met"] for goal in result["goals"]}
    assert len(result["goals"]) >= 4
