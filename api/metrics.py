"""The counters of a gateway process as Prometheus reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from api.door.refusals import Refusals
from api.market_snapshots import MarketSnapshots
from api.marks import MarkCounts
from application.market_data.cache import AGES_UP_TO
from projections.market_data.feed import Feed
from projections.market_data.records import LOG

_MICROS = 1_000_000
_MILLIS = 1_000


class Counted(NamedTuple):
    """A number that somebody counts: where it stands, under which name, and what it is."""

    attribute: str
    said: str
    falls: bool = False
    """Whether it may become less."""
    of_time: bool = False
    """Whether it is microseconds, None while nobody knows; it is told in seconds."""


OF_FEED = (
    Counted("position", "The log position that the market-data process has come to.", falls=True),
    Counted("age", "How long ago it knew itself at the end of the log.", falls=True, of_time=True),
    Counted("records", "Records that it has published since it began anew.", falls=True),
    Counted("gateways", "Gateways and FIX processes that it tells.", falls=True),
    Counted("followed", "Instruments that these follow, together.", falls=True),
    Counted("unsent", "Bytes written ahead of gateways that have not read them.", falls=True),
    Counted("snapshots", "Snapshots that it has given."),
    Counted("begun_anew", "How often it began anew from a snapshot and the log."),
    Counted("dropped", "Gateways that were so slow that they had to begin anew."),
    Counted("refused", "Connections that made no sense."),
)
OF_CHANNELS = (
    Counted("clients", "Clients of the WebSocket channels now.", falls=True),
    Counted("opened", "Clients since the process began."),
    Counted("frames", "Frames sent to them."),
    Counted("messages", "Messages sent to them."),
    Counted("made", "Messages made; each may be sent to many."),
    Counted("skipped", "Updates that newer ones stood for."),
    Counted("dropped", "Trades that a client was too slow for."),
    Counted("slow", "Clients sent away because they did not read."),
    Counted("stale", "How often the feed was found to be stale."),
)
OF_CLOCK = (
    Counted("off", "By how much the machine's clock is off the time.", falls=True, of_time=True),
    Counted("ahead", "By how much the log's end is ahead of the time.", falls=True, of_time=True),
)
More = Callable[[], Iterable[Metric]]


def counted_by(
    process: str, prefix: str, wanted: Iterable[Counted], counts: Callable[[], object]
) -> More:
    """What some object counts, to be read anew each time, under a process' name."""

    def read() -> Iterator[Metric]:
        found = counts()
        for attribute, said, falls, of_time in wanted:
            value = getattr(found, attribute)
            if value is None:
                continue
            name = f"{prefix}_{attribute}{'_seconds' if of_time else ''}"
            kind = GaugeMetricFamily if falls else CounterMetricFamily
            metric = kind(name, said, labels=["process"])
            metric.add_metric([process], value / _MICROS if of_time else value)
            yield metric

    return read


def told_of_refusals(refusals: Refusals) -> More:
    """What a process has refused, by door and reason."""
    process = this_process()

    def read() -> Iterator[Metric]:
        metric = CounterMetricFamily(
            "nexus_refusals",
            "Requests, messages and connections that were refused, or cut for what they did.",
            labels=["process", "door", "reason"],
        )
        for door, reason, times in refusals:
            metric.add_metric([process, door, reason], times)
        yield metric

    return read


def this_process() -> str:
    """What a gateway process is called; several may share a port."""
    return f"gateway-{os.getpid()}"


class GatewayMetrics(Collector):
    """Reads the counters when it is asked, and keeps none of its own; `more` are read as well."""

    def __init__(self, snapshots: MarketSnapshots, marks: MarkCounts, feed: Feed) -> None:
        self._snapshots = snapshots
        self._marks = marks
        self._feed = feed
        self._process = this_process()
        self.more: list[More] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """All metrics as they are now."""
        yield from self._of_cache()
        yield from self._of_ages()
        yield from self._of_marks()
        yield from self._of_feed()
        for more in self.more:
            yield from more()

    def _of_cache(self) -> Iterator[Metric]:
        cache = self._snapshots.cache
        done = cache.metrics
        for name, value, said in (
            ("hits", done.hits, "Requests answered from memory at once."),
            ("waits", done.waits, "Requests that waited for the one call of their symbol."),
            ("calls", done.calls, "Calls of the feed's process for a snapshot."),
            ("failures", done.failures, "Calls that failed, or were given up."),
            ("warned", done.warned, "Answers with a warning, while the source failed or hung."),
            ("unknown", done.unknown, "Requests for a symbol that is not listed."),
            ("warmed", done.warmed, "Calls for which no request had to wait, before an open."),
        ):
            yield self._counter(f"nexus_market_data_cache_{name}", said, value)
        refused = CounterMetricFamily(
            "nexus_market_data_cache_refused",
            "Requests refused: the source away, or what it said too old.",
            labels=["process", "why"],
        )
        refused.add_metric([self._process, "away"], done.refused_away)
        refused.add_metric([self._process, "age"], done.refused_age)
        yield refused
        moved = CounterMetricFamily(
            "nexus_market_data_hot_symbols_moved",
            "Symbols that changed their tier by how often they are asked for.",
            labels=["process", "way"],
        )
        moved.add_metric([self._process, "promoted"], cache.hot.promoted)
        moved.add_metric([self._process, "demoted"], cache.hot.demoted)
        yield moved
        hot = len(cache.hot.raised())
        yield self._gauge("nexus_market_data_hot_symbols", "Symbols raised to a tier now.", hot)
        yield self._gauge("nexus_market_data_cache_symbols", "Symbols with a snapshot.", cache.kept)

    def _of_ages(self) -> Iterator[Metric]:
        served = HistogramMetricFamily(
            "nexus_market_data_age_seconds",
            "Ages of the answers that were served without a warning.",
            labels=["process", "tier"],
        )
        oldest = GaugeMetricFamily(
            "nexus_market_data_oldest_age_seconds",
            "The greatest of these ages since the process began.",
            labels=["process", "tier"],
        )
        for tier, ages in sorted(self._snapshots.cache.metrics.ages.items()):
            labels = [self._process, str(tier)]
            sums, together = [], 0
            for bound, count in zip((*AGES_UP_TO, None), ages.counts, strict=True):
                together += count
                sums.append(("+Inf" if bound is None else str(bound / _MILLIS), together))
            served.add_metric(labels, sums, ages.together / _MICROS)
            oldest.add_metric(labels, ages.oldest / _MICROS)
        yield served
        yield oldest

    def _of_marks(self) -> Iterator[Metric]:
        valued = CounterMetricFamily(
            "nexus_valuations",
            "Accounts valued, by whose prices; and those that were refused for their age.",
            labels=["process", "by"],
        )
        for by in ("feed", "views", "refused"):
            valued.add_metric([self._process, by], getattr(self._marks, by))
        yield valued
        waited = self._marks.waited
        yield self._counter("nexus_valuations_waited", "Those that waited for the feed.", waited)

    def _of_feed(self) -> Iterator[Metric]:
        feed = self._feed
        yield self._gauge("nexus_mirror_away", "1 while the feed cannot be reached.", feed.away)
        position = feed.position
        yield self._gauge("nexus_mirror_position", "The log position told here.", position)
        age = feed.freshness.age(LOG)
        if age is not None:
            yield self._gauge(
                "nexus_mirror_age_seconds", "How long ago all was told here.", age / _MICROS
            )

    def _counter(self, name: str, said: str, value: int) -> Metric:
        metric = CounterMetricFamily(name, said, labels=["process"])
        metric.add_metric([self._process], value)
        return metric

    def _gauge(self, name: str, said: str, value: float) -> Metric:
        metric = GaugeMetricFamily(name, said, labels=["process"])
        metric.add_metric([self._process], value)
        return metric
