"""The benchmark of the cache on a small scale: it measures what it says it measures."""

from __future__ import annotations

import pytest

from bench import cache


def test_cache_is_measured_beside_a_naive_one_and_none():
    """Every way with every source: what it cost the source, how old answers were; goals judged."""
    result = cache.run(clients=200, jumps=2, quiet_seconds=0.3, standing=500)

    assert {"figures", "machine", "mix", "left_out", "goals"} <= set(result)
    figures = result["figures"]
    for name in cache.SLOWER:
        assert [cache.NONE, cache.NAIVE, cache.OURS] == list(figures[name])
        calls = {way: figures[name][way]["source calls"] for way in figures[name]}
        # Each symbol once before, and each client after each jump.
        assert 408 == calls[cache.NONE] > calls[cache.NAIVE] >= calls[cache.OURS] >= 8
        assert 1 == figures[name][cache.OURS]["most at once of a symbol"]
    quiet = figures["quiet"]
    assert 0 < quiet["hit p50 us"] <= quiet["hit p99 us"]
    assert 0 < figures["one hop over a socket"]["p50 us"]
    met = {one["name"]: one["met"] for one in result["goals"]}
    assert met["calls_of_a_symbol_at_once"]
    assert met["tier_1_age_p100_ms"]


def test_cache_bench_of_no_size_is_refused():
    """Before anything is measured."""
    with pytest.raises(ValueError, match="at least one"):
        cache.run(clients=0)
