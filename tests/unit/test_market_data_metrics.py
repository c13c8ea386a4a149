"""What a gateway process counts, as Prometheus reads it."""

from __future__ import annotations

import asyncio
import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.market_data.wire import FeedMetrics
from api.market_snapshots import MarketSnapshots
from api.marks import MarkCounts
from api.metrics import OF_FEED, GatewayMetrics, counted_by
from api.refusals import NotFound
from application.market_data.tiers import MILLISECOND
from tests.market_stage import MarketStage


async def never(_: int) -> None:
    """No calendar opens."""


def test_market_data_metrics_are_the_counters_under_the_process_that_counts() -> None:
    """Every one of the cache, ages by tier in seconds, valuations, and how the feed stands."""

    async def count() -> None:
        stage = MarketStage()
        snapshots = MarketSnapshots(stage.feed, never, stage.clock, stage.clock)
        counts = MarkCounts()
        metrics = GatewayMetrics(snapshots, counts, stage.feed)
        for _ in range(3):
            await snapshots.get("X")
            stage.clock.at += 30 * MILLISECOND
        with pytest.raises(NotFound):
            await snapshots.get("NOPE")
        counts.feed, counts.waited = 5, 2

        told = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(metrics.text().decode())
            for sample in family.samples
        }

        process = ("process", f"gateway-{os.getpid()}")
        assert {process} == {labels[1] if len(labels) == 2 else process for labels in told}

        def value(name: str, **labels: str) -> float:
            return told[(name, *sorted([process, *labels.items()]))]

        cache = "nexus_market_data_cache"
        assert (2, 2, 2) == tuple(value(f"{cache}_{n}_total") for n in ("hits", "waits", "calls"))
        assert (1, 1) == (value(f"{cache}_unknown_total"), value(f"{cache}_symbols"))
        assert 0 == value(f"{cache}_refused_total", why="away")
        age = "nexus_market_data_age_seconds"
        assert (1, 2, 3) == tuple(
            value(f"{age}_bucket", tier="3", le=bound) for bound in ("0.001", "0.05", "+Inf")
        )
        assert 0.09 == value(f"{age}_sum", tier="3")
        assert 0.06 == value("nexus_market_data_oldest_age_seconds", tier="3")
        assert (5, 2) == (
            value("nexus_valuations_total", by="feed"),
            value("nexus_valuations_waited_total"),
        )
        assert (0, stage.feed.position) == (
            value("nexus_mirror_away"),
            value("nexus_mirror_position"),
        )
        assert 0.09 == value("nexus_mirror_age_seconds")

    asyncio.run(count())


def test_feed_metrics_of_the_other_process_are_told_under_its_name() -> None:
    """Every number that it sends, ages in seconds, and none of what nobody knows yet."""

    async def count() -> None:
        stage = MarketStage()
        snapshots = MarketSnapshots(stage.feed, never, stage.clock, stage.clock)
        metrics = GatewayMetrics(snapshots, MarkCounts(), stage.feed)
        said = FeedMetrics(position=9, snapshots=4)
        metrics.more.append(counted_by("market-data", "nexus_feed", OF_FEED, lambda: said))

        def told() -> dict[str, float]:
            return {
                sample.name: sample.value
                for family in text_string_to_metric_families(metrics.text().decode())
                for sample in family.samples
                if sample.labels["process"] == "market-data"
            }

        assert (9, 4) == (told()["nexus_feed_position"], told()["nexus_feed_snapshots_total"])
        assert "nexus_feed_age_seconds" not in told()
        said = FeedMetrics(age=20 * MILLISECOND)
        assert 0.02 == told()["nexus_feed_age_seconds"]
        assert {one.attribute for one in OF_FEED} == set(FeedMetrics.__struct_fields__)

    asyncio.run(count())
