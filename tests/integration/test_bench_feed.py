"""The benchmark of the feed on a small scale: it measures what it says it measures."""

from __future__ import annotations

import pytest

from bench import feed
from bench.quote_path import STEPS


def test_feed_is_measured_beside_callbacks_and_queues():
    """Each way in a tight loop and paced, who ran first and last, and memory; goals are judged."""
    result = feed.run(quotes=500, paced=20, turns=1, rounds=2, clients=20, seconds=1, path=40)

    assert {"figures", "machine", "mix", "left_out", "goals"} <= set(result)
    figures = result["figures"]
    for regime in ("tight loop", "paced at 1 kHz"):
        assert list(feed.WAYS) == list(figures[regime])
        for took in figures[regime].values():
            assert 0 < took["p50_us"] <= took["p99_us"] <= took["p999_us"]
    for ran in figures["consumers ran after"].values():
        assert 0 < ran["first p50_us"] <= ran["last p50_us"] <= ran["last p99_us"]
    kept = figures["bytes kept for sleeping subscribers"]
    assert kept["asyncio.Queue"]["10 times the rate"] > kept["asyncio.Queue"]["1 times the rate"]
    sockets = figures["20 conflating WebSocket clients on one core"]
    assert 20 == sockets["clients"] < sockets["messages received a second"] < 20 * 13
    assert 0 < sockets["told of those due"] < 1.3
    assert sockets["skipped for each that was told"] > 10
    assert 0 < sockets["published to received"]["p50_ms"] <= 1_000
    path = figures["path of a quote, step by step"]
    assert 20 < path["commands that changed a book"] <= 40
    for step in STEPS:
        assert 0 < path[step]["p50_us"] <= path[step]["p99_us"]
    whole = figures[feed.WHOLE]
    assert 4 == whole["orders"]
    assert 0 <= whole["p50_ms"] <= whole["p99_ms"]
    memory = next(one for one in result["goals"] if one["name"] == "memory_at_ten_times_the_rate")
    assert memory["met"]


@pytest.mark.parametrize("name", list(feed.WAYS))
def test_feed_bench_tells_everybody_in_every_way(name):
    """What is timed does reach a thousand subscribers, the newest last."""
    way = feed.WAYS[name]()
    for number in range(1, 4):
        way.tell(feed.quote(number))

    assert [3] * feed.SUBSCRIBERS == [record.sequence for record in way.newest()]


def test_feed_bench_of_no_size_is_refused():
    """Before anything is measured."""
    with pytest.raises(ValueError, match="at least one"):
        feed.run(quotes=0)
