"""A market-data process in memory: commands of a log told one by one, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

from api.market_data.mirror import Mirror
from api.market_data.server import UNSENT, Counts, FeedServer
from application.desk.floor import TradingFloor
from application.log.ports import Recorded
from domain.events import DomainEvent
from infrastructure.clock import SteadyClock
from projections.market_data.depth import MarketData
from projections.market_data.fanout import Fanout
from projections.market_data.feed import LocalFeed
from projections.market_data.freshness import Freshness
from projections.market_data.records import LOG
from projections.market_data.waking import Waker


class FeedStage:
    """Tells of commands as the process does, and can begin anew."""

    def __init__(self, path: Path, *, records: int, unsent: int) -> None:
        self.path = path
        self.counts = Counts()
        self.applied: list[Sequence[Recorded]] = []
        self._records = records
        self._unsent = unsent
        self.feed: LocalFeed
        self.server: FeedServer

    async def begin(self, *, from_snapshot: bool = False) -> None:
        """Listen, with all that was applied so far; from the log, or counted from its end."""
        clock = SteadyClock()
        if from_snapshot:
            floor, at = TradingFloor(), 0
            for command in self.applied:
                for _, event in command:
                    floor.apply(event)
                    at = event.at
            data = MarketData(floor, self.applied[-1][-1].position, at)
            data.count_from_here()
        else:
            data = MarketData()
        fanout = Fanout(records=self._records, instruments=1, subscribers=8)
        waker = Waker(fanout, clock, asyncio.get_running_loop())
        self.feed = LocalFeed(data, fanout, waker, Freshness(clock))
        fanout.make_room(max(1, len(data)))
        fanout.begin(data.position)
        fanout.publish_all(data.standing())
        if not from_snapshot:
            for command in self.applied:
                self._publish(command)
        self.server = FeedServer(self.path, self.feed, self.counts, unsent=self._unsent)
        await self.server.open()
        self.confirm()

    async def end(self) -> None:
        """Tell nobody any more."""
        await self.server.close()
        self.feed.waker.close()

    def apply(self, command: Sequence[Recorded]) -> None:
        """Tell of a command."""
        self.applied.append(command)
        self._publish(command)

    def follow(self, log: Sequence[DomainEvent]) -> None:
        """Tell of what a log has that was not told yet."""
        told = self.applied[-1][-1].position if self.applied else 0
        for command in commands_in(log[told:], told):
            self.apply(command)

    def _publish(self, command: Sequence[Recorded]) -> None:
        records = self.feed.data.apply(command)
        if len(self.feed.data) > self.feed.fanout.instruments:
            self.feed.fanout.make_room(2 * len(self.feed.data))
        self.feed.fanout.publish_all(records)

    def confirm(self) -> None:
        """Know that this was all."""
        self.feed.freshness.confirm(LOG, self.feed.freshness.clock.now())

    async def told(self, mirror: Mirror) -> None:
        """Return when a mirror has been told all."""
        async with asyncio.timeout(10):
            while mirror.away or mirror.renewing or mirror.position < self.feed.position:
                self.confirm()
                await asyncio.sleep(0.001)


def commands_in(log: Sequence[DomainEvent], after: int = 0) -> list[list[Recorded]]:
    """A log command by command, from above a position."""
    recorded = [Recorded(number, event) for number, event in enumerate(log, after + 1)]
    return [list(one) for _, one in groupby(recorded, key=lambda one: one.event.correlation_id)]


@asynccontextmanager
async def staged(
    path: Path,
    commands: Sequence[Sequence[Recorded]] = (),
    *,
    records: int = 4_096,
    unsent: int = UNSENT,
    answer_seconds: float = 5.0,
) -> AsyncIterator[tuple[FeedStage, Mirror]]:
    """A process that has told of some commands, and a mirror of it."""
    stage = FeedStage(path, records=records, unsent=unsent)
    stage.applied += commands
    await stage.begin()
    mirror = Mirror(path, SteadyClock(), answer_seconds=answer_seconds)
    mirror.start()
    try:
        await stage.told(mirror)
        yield stage, mirror
    finally:
        await mirror.stop()
        await stage.end()
